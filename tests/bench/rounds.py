"""Runs commands several times and prints what they cost as one table: the least, the median and the most of all rounds."""

import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass


# Whoever ends a benchmark finds everything cleaned up.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


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
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        clock = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != expected:
        with open(log, errors="replace") as output:
            tail = "".join(output.readlines()[-20:])
        sys.exit(f"bench: exit code {process.returncode} of {' '.join(map(str, command))}\n{tail}")
    return Cost(clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def noise():
    """What a fixed piece of work costs now, in milliseconds of processor time and on the clock: how busy and how even the machine is."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    sum(number * number for number in range(1_000_000))
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor * 1000, (time.monotonic() - began) * 1000


class Table:
    """Rows of a Markdown table, with a verdict where there is a goal."""

    def __init__(self):
        self.rows = [("what", "goal", "least", "median", "most", "", "")]

    def add(self, what, values, unit, goal=None, digits=2):
        """A row; the median is held against the goal."""
        middle = statistics.median(values)
        shown = [f"{value:.{digits}f}" for value in (min(values), middle, max(values))]
        verdict = "" if goal is None else "met" if middle < goal else "missed"
        self.rows.append((what, "" if goal is None else f"< {goal:g}", *shown, unit, verdict))

    def print(self):
        """Prints all rows."""
        widths = [max(len(row[column]) for row in self.rows) for column in range(len(self.rows[0]))]
        for number, row in enumerate(self.rows):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
            if number == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
        sys.stdout.flush()
