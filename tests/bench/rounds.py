"""Runs commands several times and prints what they cost as one table: the least, the median and the most of all rounds."""

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

# No command of a benchmark may take longer, in seconds.
LIMIT = 900
# After so many seconds a comparison begins no further round.
BUDGET = float(os.environ.get("BUDGET", 180))


def stop(number, _):
    """Whoever ends a benchmark finds everything cleaned up."""
    sys.exit(f"bench: no end after {LIMIT} s" if number == signal.SIGALRM else 128 + number)


for interruption in [signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]:
    signal.signal(interruption, stop)


@dataclass
class Cost:
    """One run: seconds on the clock, seconds of processor time (its children's too), kB of memory at its largest."""

    clock: float
    processor: float
    memory: int


def run(command, log, expected=0, **options):
    """Runs a command with its output in a file. Programs smaller than this one show this one's memory (about 10 MB)."""
    with open(log, "wb") as output:
        began = time.monotonic()
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, **streams, **options, start_new_session=True)
        try:
            signal.alarm(LIMIT)
            _, status, usage = os.wait4(process.pid, 0)
            clock = time.monotonic() - began
            signal.alarm(0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != expected:
        with open(log, errors="replace") as output:
            tail = "".join(output.readlines()[-20:])
        sys.exit(f"bench: exit code {process.returncode} of {' '.join(map(str, command))}\n{tail}")
    return Cost(clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def turns(most, least=1):
    """Numbers the rounds of a comparison: as many as wished, fewer (but the least) where they take longer than BUDGET."""
    began = time.monotonic()
    for number in range(most):
        if number >= least and time.monotonic() - began > BUDGET:
            return
        yield number


def noise():
    """What a fixed piece of work costs now, in milliseconds of processor time and on the clock: how busy and how even the machine is."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    sum(number * number for number in range(1_000_000))
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor * 1000, (time.monotonic() - began) * 1000


def ratios(ours, theirs):
    """How many times as long ours took as theirs, round by round."""
    return [one.clock / other.clock for one, other in zip(ours, theirs)]


class Table:
    """Rows of a Markdown table, with a verdict where there is a goal; below it, how busy the machine was.

    The rows that have a goal also go to the file that `BENCH_GOALS` names, one JSON list each (see goals.py).
    """

    def __init__(self):
        self.rows = [("what", "goal", "least", "median", "most", "", "rounds", "")]
        self.busy, self.goals, self.above = [], [], ""

    def note(self):
        """Looks how busy the machine is."""
        self.busy.append(noise())

    def add(self, what, values, unit, goal=None, digits=2, *, more=False):
        """A row; the median is held against the goal: it shall be less, or `more`. A goal in words is told only."""
        middle = statistics.median(values)
        shown = [f"{value:.{digits}f}" for value in (min(values), middle, max(values))]
        wished = goal if isinstance(goal, str) else "" if goal is None else f"{'>' if more else '<'} {goal:g}"
        has_verdict = wished and not isinstance(goal, str)
        verdict = ("met" if (middle > goal if more else middle < goal) else "missed") if has_verdict else ""
        self.rows.append((what, wished, *shown, unit, str(len(values)), verdict))
        # What is indented belongs to the row above.
        self.above = self.above if what.startswith(" ") else what
        if wished:
            name = f"{self.above}, {what.strip()}" if what.startswith(" ") else what
            self.goals.append([name, f"{wished} {unit}".strip() if has_verdict else wished, f"{shown[1]} ({shown[0]} to {shown[2]})", str(len(values)), verdict])

    def print(self):
        """Prints all rows."""
        for number, clock in enumerate(["processor", "wall"]):
            if self.busy:
                self.add(f"(noise: a fixed piece of work, {clock})", [times[number] for times in self.busy], "ms")
        print_rows(self.rows)
        print(f"\n{os.cpu_count()} processors, load {os.getloadavg()[0]:.2f} at the end.", flush=True)
        if summary := os.environ.get("BENCH_GOALS"):
            with open(summary, "a") as file:
                file.writelines(json.dumps(goal) + "\n" for goal in self.goals)


def print_rows(rows):
    """Prints a table in Markdown, whose first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
