#!/usr/bin/env python3
"""What a large file costs that is fetched from a host: pgfleet, OpenSSH with `cat`, a bare client of the same SSH library. As root.

usage: streams.py PGFLEET EXAMPLES     EXAMPLES is the folder of the built examples of src/ssh
variables: ROUNDS (5), STREAM_MB (256)
"""

import filecmp
import os
import pathlib
import sys

import rounds
import simulated


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: streams.py PGFLEET EXAMPLES")
    simulated.enter()
    pgfleet, examples = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    table, size = rounds.Table(), int(os.environ.get("STREAM_MB", 256))
    with simulated.Fleet(1) as fleet:
        large, here = fleet.work / "large", fleet.work / "here"
        fleet.random_file(large, size)
        task = f'fetch: {{src: "{large}", dest: "{here}", flat: true}}'
        (fleet.work / "fetch.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n    - {task}\n")
        ssh = " ".join(fleet.ssh(1))
        command = {
            "ssh cat": f'{ssh} cat "{large}" > "{here}"',
            "ssh cat, aes128-gcm": f'{ssh} -c aes128-gcm@openssh.com cat "{large}" > "{here}"',
            "floor": f'exec "{examples}/floor" "{fleet.work}/client" root 1 "cat {large}" "" "{here}" < "{fleet.targets(1)}"',
            "pgfleet": f'exec "{pgfleet}" --project . playbook fetch.yml -i "{fleet.inventory(1)}"',
            "pgfleet, unchanged": f'exec "{pgfleet}" --project . playbook fetch.yml -i "{fleet.inventory(1)}"',
        }
        costs = {name: [] for name in command}
        # The first round places the agent; what is compared are the others.
        for number in rounds.turns(int(os.environ.get("ROUNDS", 5)) + 1, 2):
            table.note()
            for name, line in command.items():
                if "unchanged" not in name:
                    here.unlink(missing_ok=True)
                    os.sync()
                cost = fleet.run(line)
                costs[name] += [cost] if number else []
                if not filecmp.cmp(large, here, shallow=False):
                    sys.exit(f"bench: {name} did not bring what is there")
        for name, rows in costs.items():
            table.add(f"{size} MiB fetched: {name}", [row.clock for row in rows], "s")
            if name == "pgfleet":
                table.add("    against ssh cat", rounds.ratios(rows, costs["ssh cat"]), "times", 1)
                table.add("    against the floor", rounds.ratios(rows, costs["floor"]), "times")
            table.add("    processor time", [row.processor for row in rows], "s")
            table.add("    memory", [row.memory / 1024 for row in rows], "MB", None, 0)
        table.print()


main()
