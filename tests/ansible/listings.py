#!/usr/bin/env python3
"""Compares the listings of pgfleet with those of the real ansible-playbook on a checkout of somebody's playbooks.

    CHECKOUT=/path/to/pigsty INVENTORY=pigsty.yml PLAYBOOKS='*.yml' tests/ansible/listings.py

CHECKOUT is the folder from which the playbooks are called; PLAYBOOKS is a glob below it. PGFLEET and ANSIBLE_PLAYBOOK name
the two programs. Modules that the real tool lacks, also in the collections of ANSIBLE_COLLECTIONS_PATH, are given to it as
empty files: it only looks whether they are there.
With TABLE=1 the result is a table for docs/compatibility.md. Nothing of the checkout is changed or kept.
"""

import difflib
import glob
import os
import re
import subprocess
import sys
import tempfile

OPTIONS = ["--list-tasks", "--list-tags", "--list-hosts", "--syntax-check"]
CHECKOUT = os.path.abspath(os.environ["CHECKOUT"])
INVENTORY = os.environ.get("INVENTORY", "inventory")
PLAYBOOKS = os.environ.get("PLAYBOOKS", "*.yml")
PGFLEET = os.environ.get("PGFLEET", "pgfleet")
ANSIBLE = os.environ.get("ANSIBLE_PLAYBOOK", "ansible-playbook")


def collection(folder):
    """The name of the collection that the folder is a checkout of."""
    try:
        text = open(os.path.join(folder, "galaxy.yml")).read()
    except OSError:
        return None
    words = [re.search(rf"^{key}:\s*(\S+)", text, re.M) for key in ("namespace", "name")]
    return [word.group(1) for word in words] if all(words) else None


def run(command, environment):
    """A command's exit code, output and errors, run in the checkout."""
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def real(stubs, playbook, option):
    """What the real tool says, its missing modules stubbed one after the other."""
    collections = ":".join([stubs] + [path for path in [os.environ.get("ANSIBLE_COLLECTIONS_PATH")] if path])
    environment = dict(os.environ, ANSIBLE_LIBRARY=f"{stubs}/library", ANSIBLE_COLLECTIONS_PATH=collections, ANSIBLE_NOCOLOR="1")
    given = set()
    while True:
        code, output, errors = run([ANSIBLE, "-i", INVENTORY, playbook, option], environment)
        missing = re.search(r"couldn't resolve module/action '([\w.]+)'", errors)
        if code == 0 or not missing or missing.group(1) in given:
            return code, output, errors
        given.add(missing.group(1))
        parts = missing.group(1).split(".")
        folder = f"{stubs}/library" if len(parts) < 3 else f"{stubs}/ansible_collections/{parts[0]}/{parts[1]}/plugins/modules"
        os.makedirs(folder, exist_ok=True)
        open(os.path.join(folder, parts[-1] + ".py"), "a").close()


def ordered(text):
    """The text with hosts and tags of plays in order: the real tool shows them in that of a Python set."""
    lines, hosts = [], None
    for line in text.split("\n"):
        if hosts is not None and line.startswith("      ") and "TAGS:" not in line:
            hosts.append(line)
            continue
        lines += sorted(hosts or [])
        hosts = [] if re.match(r"    hosts \(\d+\):$", line) else None
        if line.startswith("  play #"):
            head, _, tags = line.rpartition("\tTAGS: [")
            line = head + "\tTAGS: [" + ",".join(sorted(tags.rstrip("]").split(","))) + "]"
        lines.append(line)
    return lines + sorted(hosts or [])


def compare(stubs, playbook, option):
    """`equal`, or what differs."""
    code, expected, errors = real(stubs, playbook, option)
    if code != 0:
        return "refused by the real tool", errors
    code, found, errors = run([PGFLEET, "playbook", "-i", INVENTORY, playbook, option], dict(os.environ, NO_COLOR="1"))
    if code != 0:
        return f"exit {code}", errors
    difference = list(difflib.unified_diff(ordered(expected), ordered(found), "ansible-playbook", "pgfleet", lineterm="", n=1))
    return ("equal", "") if not difference else (f"{len(difference)} lines", "\n".join(difference))


def main():
    bad = 0
    with tempfile.TemporaryDirectory() as stubs:
        os.makedirs(f"{stubs}/library")
        name = collection(CHECKOUT)
        if name:
            os.makedirs(f"{stubs}/ansible_collections/{name[0]}")
            os.symlink(CHECKOUT, f"{stubs}/ansible_collections/{name[0]}/{name[1]}")
        if os.environ.get("TABLE"):
            print("| playbook | " + " | ".join(f"`{option}`" for option in OPTIONS) + " |")
            print("|---" * (len(OPTIONS) + 1) + "|")
        for path in sorted(glob.glob(os.path.join(CHECKOUT, PLAYBOOKS))):
            playbook = os.path.relpath(path, CHECKOUT)
            if not re.search(r"^-.*\n?(.*\n)*?\s*(- )?(hosts|(ansible\.builtin\.)?import_playbook):", open(path).read(), re.M):
                continue
            results = [compare(stubs, playbook, option) for option in OPTIONS]
            bad += sum(word != "equal" for word, _ in results)
            if os.environ.get("TABLE"):
                print(f"| {playbook} | " + " | ".join(word for word, _ in results) + " |")
                continue
            for option, (word, difference) in zip(OPTIONS, results):
                print(f"{playbook} {option}: {word}")
                if difference and os.environ.get("SHOW", "1") != "0":
                    print(difference)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
