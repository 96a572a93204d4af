#!/usr/bin/env python3
"""What distance costs: the same runs with and without a round trip of 50 ms between pgfleet and the hosts, in round trips. As root.

usage: distance.py PGFLEET EXAMPLES     EXAMPLES is the folder of the built examples of src/ssh
variables: ROUNDS (3), DISTANCE (4: how many hosts), ROUND_TRIP (50, in ms)

All hosts are worked on at the same time, so what a run takes longer is what its slowest host waits for.
"""

import os
import pathlib
import sys

import rounds
import simulated
import workload


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: distance.py PGFLEET EXAMPLES")
    simulated.enter()
    pgfleet, examples = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    times, count, round_trip = (int(os.environ.get(name, value)) for name, value in [("ROUNDS", 3), ("DISTANCE", 4), ("ROUND_TRIP", 50)])
    table = rounds.Table()
    with simulated.Fleet(count) as fleet:
        fleet.relay(round_trip)
        play = workload.playbook(fleet.work / "play", fleet.work / "hosts")
        costs = {}
        # The first round places the agent and everything else; what is compared are the others.
        for number in rounds.turns(times + 1, 2):
            table.note()
            for port in [simulated.PORT, simulated.FAR_PORT]:
                inventory = fleet.inventory(count, port)
                command = {
                    "floor": f'exec "{examples}/floor" "{fleet.work}/client" root 50 true < "{fleet.targets(count, port)}"',
                    "pgfleet exec": f'exec "{pgfleet}" --project . exec all -i "{inventory}" -- true',
                    "pgfleet, second run of fifty tasks": f'exec "{pgfleet}" --project . playbook "{play}" -i "{inventory}"',
                }
                for name, line in command.items():
                    cost = fleet.run(line)
                    costs.setdefault((name, port), []).extend([cost] if number else [])
        for name in command:
            near, far = costs[name, simulated.PORT], costs[name, simulated.FAR_PORT]
            table.add(name, [row.clock for row in near], "s")
            table.add(f"    with {round_trip} ms", [row.clock for row in far], "s")
            more = [(other.clock - one.clock) * 1000 / round_trip for one, other in zip(near, far)]
            table.add("    round trips", more, "", 12 if "fifty" in name else None, 1)
        table.print()


main()
