# Registered values one a line, `path = value`, without what no two runs share. Read by `python3 -` on a guest, files as arguments.
import json
import sys

OWN = {"start", "end", "delta", "atime", "ctime", "mtime", "inode", "dev", "version", "src", "invocation", "diff", "exception", "checksum_src",
       "ansible_loop", "ansible_index_var", "warnings", "deprecations", "md5sum", "checksum"}


def walk(path, value):
    if isinstance(value, dict) and value:
        for key in sorted(value):
            if key not in OWN:
                walk(f"{path}.{key}", value[key])
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            walk(f"{path}[{index}]", item)
    else:
        print(f"{path} = {json.dumps(value)}")


for file in sys.argv[1:]:
    walk(file.rsplit("/", 1)[-1].removesuffix(".json"), json.load(open(file, encoding="utf-8")))
