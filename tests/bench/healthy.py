#!/usr/bin/env python3
"""healthy.py ADDRESS NODES: waits up to a minute until Patroni tells of one leader and all other nodes streaming."""

import json
import sys
import time
import urllib.request

address, nodes = sys.argv[1], int(sys.argv[2])
members = []
for _ in range(120):
    try:
        with urllib.request.urlopen(f"http://{address}:8008/cluster", timeout=3) as answer:
            members = json.load(answer)["members"]
    except OSError as error:
        members = [str(error)]
    else:
        leaders = [member for member in members if member["role"] == "leader" and member["state"] == "running"]
        if len(leaders) == 1 and sum(member["state"] == "streaming" for member in members) == nodes - 1:
            sys.exit(0)
    time.sleep(0.5)
sys.exit(f"no healthy cluster of {nodes} on {address}: {members}")
