#!/usr/bin/env python3
"""What sending costs: a file of 12 MiB to many hosts, new and unchanged, and the agent itself to hosts that lack it. As root.

usage: push.py PGFLEET EXAMPLES     EXAMPLES is the folder of the built examples of src/ssh
variables: ROUNDS (3), PUSH (50: how many hosts), PUSH_MB (12)

The floor is a bare client of the same SSH library that sends the same bytes to `cat`, the agent to `gzip -dc`, and asks sha256sum
whether a file is the same.
"""

import filecmp
import gzip
import os
import pathlib
import shutil
import sys

import rounds
import simulated

AT_ONCE = 50


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: push.py PGFLEET EXAMPLES")
    simulated.enter()
    pgfleet, examples = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    count, times, size = (int(os.environ.get(name, value)) for name, value in [("PUSH", 50), ("ROUNDS", 3), ("PUSH_MB", 12)])
    table = rounds.Table()
    with simulated.Fleet(count) as fleet:
        blob, hosts = fleet.work / "blob", fleet.work / "hosts"
        fleet.random_file(blob, size)
        task = f'copy: {{src: "{blob}", dest: "{hosts}/pgfleet/{{{{ inventory_hostname }}}}/blob", mode: "0755"}}'
        (fleet.work / "push.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n    - {task}\n")
        floor = f'exec "{examples}/floor" "{fleet.work}/client" {{user}} {AT_ONCE} "{{command}}" {{input}} < "{fleet.targets(count)}"'
        there = f"{hosts}/floor/{{}}/blob"
        store = f"cat > {there}.new && chmod 755 {there}.new && mv -f {there}.new {there}"
        ours = f'exec "{pgfleet}" --project . playbook push.yml -i "{fleet.inventory(count)}" -f {AT_ONCE}'
        ping = f'exec "{pgfleet}" --project . run all -m ping -i "{fleet.inventory(count, own_users=True)}" -f {AT_ONCE}'
        agent = fleet.work / "agent.gz"
        place = "mkdir -p .cache && gzip -dc > .cache/new && sha256sum .cache/new && chmod 755 .cache/new && .cache/new --version"
        step = {
            "new: floor": floor.format(user="root", command=store, input=blob),
            "new: pgfleet": ours,
            "unchanged: floor": floor.format(user="root", command=f"sha256sum {there}", input=""),
            "unchanged: pgfleet": ours,
            "agent: floor": floor.format(user="{}", command=place, input=agent),
            "agent: pgfleet": ping,
        }
        costs = {name: [] for name in step}
        # root's agent is placed, and the agent as a file is found, before anything is measured.
        fleet.run(f'exec "{pgfleet}" --project . run all -m ping -i "{fleet.inventory(count)}" -f {AT_ONCE}')
        shared, away = fleet.work / "lib" / "pgfleet", fleet.work / "lib" / "away"
        placed = next(shared.glob("agent/*/pgfleet-agent"))
        agent.write_bytes(gzip.compress(placed.read_bytes()))
        for _ in rounds.turns(times):
            table.note()
            shutil.rmtree(hosts, ignore_errors=True)
            for number in range(1, count + 1):
                for tool in ["floor", "pgfleet"]:
                    (hosts / tool / simulated.name(number)).mkdir(parents=True)
            for name, line in step.items():
                if name.startswith("agent"):
                    fleet.empty_homes()
                    shared.rename(away)
                costs[name].append(fleet.run(line))
                if away.exists():
                    away.rename(shared)
            for copy in hosts.glob("*/*/blob"):
                if not filecmp.cmp(copy, blob, shallow=False):
                    sys.exit(f"bench: {copy} is not what was sent")
            arrived = [len(list(fleet.work.glob(files))) for files in ["hosts/*/*/blob", "homes/*/.cache/pgfleet/agent/*/pgfleet-agent"]]
            if arrived != [2 * count, count]:
                sys.exit(f"bench: not everything arrived on {count} hosts: {arrived}")
        what = {"new": f"{size} MiB to {count} hosts", "unchanged": f"the same, unchanged", "agent": f"the agent to {count} hosts"}
        for name, rows in costs.items():
            kind, tool = name.split(": ")
            table.add(f"{what[kind]}: {tool}", [row.clock for row in rows], "s")
            if tool == "pgfleet":
                table.add("    against the floor", rounds.ratios(rows, costs[f"{kind}: floor"]), "times", "near 1")
            table.add("    processor time a host", [row.processor / count * 1000 for row in rows], "ms")
            table.add("    memory", [row.memory / 1024 for row in rows], "MB", None, 0)
        table.print()


main()
