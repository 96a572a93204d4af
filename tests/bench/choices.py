#!/usr/bin/env python3
"""What the choices of SSH cost: ciphers, windows and packets by a fetched file, key exchanges by a command on many hosts. As root.

usage: choices.py EXAMPLES     the folder of the built examples of src/ssh; their bare client is what is measured
variables: ROUNDS (5), STREAM_MB (256), HOSTS (50)
"""

import os
import pathlib
import sys

import rounds
import simulated

CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"]
# What every OpenSSH since 2016 has; newer ones prefer mlkem768x25519-sha256.
EXCHANGES = ["curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"]
WINDOWS = [256 << 10, 1 << 20, 2 << 20, 8 << 20]
PACKETS = [16 << 10, 32 << 10, 65535]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: choices.py EXAMPLES")
    simulated.enter()
    examples = pathlib.Path(sys.argv[1]).resolve()
    size, count, times = (int(os.environ.get(name, value)) for name, value in [("STREAM_MB", 256), ("HOSTS", 50), ("ROUNDS", 5)])
    table = rounds.Table()
    with simulated.Fleet(count) as fleet:
        large, here = fleet.work / "large", fleet.work / "here"
        fleet.random_file(large, size)
        floor = f'"{examples}/floor" "{fleet.work}/client" root'
        fetch = f'{floor} 1 "cat {large}" "" "{here}" < "{fleet.targets(1)}"'
        greet = f'{floor} 50 true < "{fleet.targets(count)}"'
        commands = {f"{size} MiB, {name}": f"FLOOR_CIPHER={name} exec {fetch}" for name in CIPHERS}
        commands |= {f"{size} MiB, a window of {window >> 10} KiB": f"FLOOR_WINDOW={window} exec {fetch}" for window in WINDOWS}
        commands |= {f"{size} MiB, packets of {packet + 1 >> 10} KiB": f"FLOOR_PACKET={packet} exec {fetch}" for packet in PACKETS}
        commands |= {f"{count} hosts, {name}": f"FLOOR_KEX={name} exec {greet}" for name in EXCHANGES}
        costs = {what: [] for what in commands}
        # The first round warms up.
        for number in rounds.turns(times + 1, 2):
            table.note()
            for what, line in commands.items():
                here.unlink(missing_ok=True)
                cost = fleet.run(line)
                costs[what] += [cost] if number else []
        for what, rows in costs.items():
            table.add(what, [row.clock for row in rows], "s")
            table.add("    processor time", [row.processor for row in rows], "s")
            table.add("    memory", [row.memory / 1024 for row in rows], "MB", None, 0)
    table.print()


main()
