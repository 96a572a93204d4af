#!/usr/bin/env python3
"""measure.py LOG COMMAND...: runs it with its output in LOG; prints seconds and the peak memory in kB of its largest process.

The exit code is the command's. Smaller programs than this one show this one's memory (about 10 MB).
"""

import resource
import signal
import subprocess
import sys
import time

# The command gets the signal too, as one of the same process group, and may need its time to end; nothing is left behind.
signal.signal(signal.SIGTERM, lambda *_: None)

with open(sys.argv[1], "wb") as log:
    began = time.monotonic()
    code = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT).returncode
    seconds = time.monotonic() - began
print(f"{seconds:.3f} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
sys.exit(code if code >= 0 else 128 - code)
