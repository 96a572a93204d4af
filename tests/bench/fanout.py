#!/usr/bin/env python3
"""What one command on many hosts costs: pgfleet, beside a bare client of the same SSH library and OpenSSH in parallel. As root.

usage: fanout.py PGFLEET EXAMPLES     EXAMPLES is the folder of the built examples of src/ssh
variables: ROUNDS (5; 3 beyond 200 hosts), FANOUT (4,50,200,1000: how many hosts), SSH_HOSTS (50: the most for ssh)

The hosts share the processors with the client: nearly all of the floor is sshd's own process for each connection, which is told
as the hosts' side. The tools take turns; ratios are those of one round. Memory and processor time are the client's alone.
"""

import os
import pathlib
import sys

import rounds
import simulated

AT_ONCE = 50


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: fanout.py PGFLEET EXAMPLES")
    simulated.enter()
    pgfleet, examples = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    counts = [int(count) for count in os.environ.get("FANOUT", "4,50,200,1000").split(",")]
    times, most_of_ssh = int(os.environ.get("ROUNDS", 5)), int(os.environ.get("SSH_HOSTS", 50))
    table = rounds.Table()
    with simulated.Fleet(max(counts)) as fleet:
        for count in counts:
            inventory, targets = fleet.inventory(count), fleet.targets(count)
            command = {
                "floor": f'exec "{examples}/floor" "{fleet.work}/client" root {AT_ONCE} true < "{targets}"',
                "pgfleet exec": f'exec "{pgfleet}" --project . exec all -i "{inventory}" -f {AT_ONCE} -- true',
                "pgfleet run -m ping": f'exec "{pgfleet}" --project . run all -m ping -i "{inventory}" -f {AT_ONCE}',
                "ssh in parallel": fleet.parallel_ssh(count, "true", AT_ONCE),
            }
            if count > most_of_ssh:
                del command["ssh in parallel"]
            costs, there = {name: [] for name in command}, {name: [] for name in command}
            # The first round places the agent; what is compared are the others.
            for number in rounds.turns((times if count <= 200 else min(times, 3)) + 1, 2):
                table.note()
                for name, line in command.items():
                    before = fleet.host_side()
                    cost = fleet.run(line)
                    if number:
                        costs[name].append(cost)
                        there[name].append(fleet.host_side() - before)
            for name, rows in costs.items():
                is_ours = name.startswith("pgfleet")
                table.add(f"{count} hosts: {name}", [row.clock for row in rows], "s")
                if name != "floor":
                    table.add("    against the floor", rounds.ratios(rows, costs["floor"]), "times", 1.3 if is_ours else None)
                table.add("    processor time a host", [row.processor / count * 1000 for row in rows], "ms", 2 if is_ours else None)
                table.add("    the hosts' side, each", [seconds / count * 1000 for seconds in there[name]], "ms")
                table.add("    memory", [row.memory / 1024 for row in rows], "MB", 100 if is_ours and count >= 1000 else None, 0)
        table.print()


main()
