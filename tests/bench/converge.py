#!/usr/bin/env python3
"""What fifty idempotent tasks a host cost, first and again: pgfleet, a bare client with a framed agent, a shell script over ssh. As root.

usage: converge.py PGFLEET EXAMPLES     EXAMPLES is the folder of the built examples of src/ssh
variables: ROUNDS (5), CONVERGE (4,20: how many hosts)

All tools must leave the same files behind, and a second run must change nothing. The script and the floor get everything rendered.
"""

import os
import pathlib
import re
import shutil
import sys

import rounds
import simulated
import workload

AT_ONCE = 50


def tree(folder):
    """All that is in a folder: path, mode and content."""
    entries = sorted(folder.rglob("*"))
    return [(str(path.relative_to(folder)), path.stat().st_mode, path.read_text() if path.is_file() else "") for path in entries]


def changes(log):
    """How many tasks changed something, by the recap of a run."""
    return sum(map(int, re.findall(r"changed=(\d+)", log)))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: converge.py PGFLEET EXAMPLES")
    simulated.enter()
    pgfleet, examples = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    counts = [int(count) for count in os.environ.get("CONVERGE", "4,20").split(",")]
    table = rounds.Table()
    with simulated.Fleet(max(counts)) as fleet:
        hosts, given = fleet.work / "hosts", fleet.work / "given"
        play = workload.playbook(fleet.work / "play", hosts / "pgfleet")
        given.mkdir()
        # The hosts do not see this machine's homes, where the examples may be.
        far_end = shutil.copy(examples / "far_end", fleet.work)
        for number in range(1, max(counts) + 1):
            name, rack = simulated.name(number), f"r{number % 4}"
            (given / f"{name}.sh").write_text(workload.script(hosts / "script", name, rack))
            (given / f"{name}.frames").write_bytes(workload.requests(hosts / "floor", name, rack))
        for count in counts:
            floor = f'exec "{examples}/floor" "{fleet.work}/client" root {AT_ONCE} "{far_end}" "{given}/{{}}.frames"'
            command = {
                "floor": f'{floor} < "{fleet.targets(count)}"',
                "pgfleet": f'exec "{pgfleet}" --project . playbook "{play}" -i "{fleet.inventory(count)}" -f {AT_ONCE}',
                "script": fleet.parallel_ssh(count, "sh -s", AT_ONCE, more=f'< "{given}/$1.sh"'),
            }
            first, again = {name: [] for name in command}, {name: [] for name in command}
            # The first round places the agent; what is compared are the others.
            for number in rounds.turns(int(os.environ.get("ROUNDS", 5)) + 1, 2):
                table.note()
                shutil.rmtree(hosts, ignore_errors=True)
                for tool in command:
                    for host in range(1, count + 1):
                        (hosts / tool / simulated.name(host)).mkdir(parents=True)
                for name, line in command.items():
                    for costs in [first, again]:
                        cost = fleet.run(line)
                        costs[name] += [cost] if number else []
                    if name == "pgfleet" and changes(fleet.log()):
                        sys.exit(f"bench: the second run changed something\n{fleet.log()[-2000:]}")
                trees = {name: tree(hosts / name) for name in command}
                for name, found in trees.items():
                    if len(found) != count * (workload.ENTRIES + 1) or found != trees["floor"]:
                        differs = next((pair for pair in zip(found, trees["floor"]) if pair[0] != pair[1]), len(found))
                        sys.exit(f"bench: {name} and the floor left different files behind: {differs}")
            for run, costs, most in [("first", first, 3), ("second", again, 2)]:
                for name, rows in costs.items():
                    table.add(f"{count} hosts, {run} run: {name}", [row.clock for row in rows], "s")
                    if name == "pgfleet":
                        table.add("    against the floor", rounds.ratios(rows, costs["floor"]), "times", most)
                        table.add("    against the script", rounds.ratios(rows, costs["script"]), "times", 1)
                    table.add("    processor time a host", [row.processor / count * 1000 for row in rows], "ms")
        table.print()


if __name__ == "__main__":
    main()
