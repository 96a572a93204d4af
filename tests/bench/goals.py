#!/usr/bin/env python3
"""Runs parts of the benchmark one after another; at the end prints one table of all goals, to be read and to be kept.

usage: goals.py 'PART ARGUMENTS' ...     as in: goals.py 'controller target/release/pgfleet'

A part that fails does not keep the others from running; the exit code then is 1.
"""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import rounds


def measure(line, goals):
    """Runs a part, whose goals are added to a file; its exit code."""
    part, *words = shlex.split(line)
    print(f"\n## {part}\n", flush=True)
    script = pathlib.Path(__file__).with_name(f"{part}.py")
    process = subprocess.Popen([sys.executable, script, *words], env={**os.environ, "BENCH_GOALS": goals})
    try:
        return process.wait()
    finally:
        # Whoever is interrupted lets the part clean up.
        if process.poll() is None:
            process.terminate()
            process.wait()


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: goals.py 'PART ARGUMENTS' ...")
    began, load, noise, failed = time.monotonic(), os.getloadavg(), [rounds.noise()], []
    with tempfile.NamedTemporaryFile("r", prefix="pgfleet-bench.") as goals:
        for line in sys.argv[1:]:
            if measure(line, goals.name):
                failed.append(line.split()[0])
            noise.append(rounds.noise())
        rows = [json.loads(goal) for goal in goals]
    print("\n## All goals\n")
    rounds.print_rows([["what", "goal", "median (least to most)", "rounds", ""], *rows])
    missed = sum(row[-1] == "missed" for row in rows)
    minutes, clocks = (time.monotonic() - began) / 60, [f"{clock:.0f}" for clock in sorted(clock for _, clock in noise)]
    print(f"\n{missed} missed. {minutes:.0f} minutes, {os.cpu_count()} processors, load {load[0]:.2f} before; ", end="")
    print(f"a fixed piece of work took {clocks[0]} to {clocks[-1]} ms between the parts.")
    if failed:
        sys.exit(f"bench: failed: {', '.join(failed)}")


main()
