#!/usr/bin/env python3
"""What one command on many hosts costs: pgfleet, beside a bare client of the same SSH library and OpenSSH in parallel. As root.

usage: fanout.py PGFLEET FLOOR     FLOOR is the example 'floor' of src/ssh
variables: ROUNDS (5), FANOUT (4,50,200,1000: how many hosts), SSH_HOSTS (200: the most for ssh)

The hosts are addresses 127.x of one sshd in a network namespace of its own, so that they share the processors with the client:
nearly all of the floor is sshd's own process for each connection. The tools take turns; ratios are those of one round. Memory
and processor time are the client's alone.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import rounds

PORT, AT_ONCE = 2222, 50
SERVER = """
ListenAddress 0.0.0.0:{port}
HostKey {work}/host
AuthorizedKeysFile {work}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 1000:30:2000
PrintMotd no
LogLevel ERROR
"""


def address(number):
    return f"127.1.{number >> 8}.{number & 255}"


def prepare(work, hosts):
    """Keys, and what each tool knows of the hosts."""
    for name in ["client", "host"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", work / name], check=True)
    (work / "client.pub").chmod(0o600)
    public = " ".join((work / "host.pub").read_text().split()[:2])
    known = "".join(f"[{address(number)}]:{PORT} {public}\n" for number in range(1, hosts + 1))
    (work / "known_hosts").write_text(known)
    (work / "state").mkdir(mode=0o700)
    (work / "state" / "known_hosts").write_text(known)
    (work / "sshd_config").write_text(SERVER.format(port=PORT, work=work))
    (work / "ssh_config").write_text(
        f"Host *\n  Port {PORT}\n  User root\n  IdentityFile {work}/client\n  IdentitiesOnly yes\n  UserKnownHostsFile {work}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n"
    )
    settings = f"ansible_port={PORT} ansible_user=root ansible_ssh_private_key_file={work}/client"
    for count in (int(count) for count in os.environ.get("FANOUT", "4,50,200,1000").split(",")):
        numbers = range(1, count + 1)
        (work / f"inventory.{count}").write_text("".join(f"h{n:04} ansible_host={address(n)} {settings}\n" for n in numbers))
        (work / f"addresses.{count}").write_text("".join(f"{address(n)}\n" for n in numbers))
        (work / f"ports.{count}").write_text("".join(f"{address(n)}:{PORT}\n" for n in numbers))


def serve(work):
    """sshd, whose logins find an empty home: a person's own start-up files would cost more than anything else."""
    home = work / "home"
    home.mkdir()
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    inside = f'mount --bind "{home}" "$HOME" && exec "{program}" -D -e -f "{work}/sshd_config"'
    with open(work / "sshd.log", "wb") as log:
        server = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", inside], stderr=log)
    for _ in range(100):
        if subprocess.run(["ssh", "-F", work / "ssh_config", address(1), "true"], stderr=subprocess.DEVNULL).returncode == 0:
            return server
        if server.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"bench: sshd does not answer\n{(work / 'sshd.log').read_text()}")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: fanout.py PGFLEET FLOOR")
    if not os.environ.get("BENCH_INSIDE"):
        inside = 'ip link set lo up && exec "$@"'
        command = ["unshare", "-n", "sh", "-c", inside, "sh", sys.executable, *map(os.path.abspath, [sys.argv[0]]), *sys.argv[1:]]
        os.execvpe("unshare", command, {**os.environ, "BENCH_INSIDE": "1"})
    pgfleet, floor = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    counts = [int(count) for count in os.environ.get("FANOUT", "4,50,200,1000").split(",")]
    times, most_of_ssh = int(os.environ.get("ROUNDS", 5)), int(os.environ.get("SSH_HOSTS", 200))
    work = pathlib.Path(tempfile.mkdtemp(prefix="pgfleet-bench."))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PGFLEET_", "SSH_"))}
    table, server = rounds.Table(), None
    try:
        prepare(work, max(counts))
        server = serve(work)
        for count in counts:
            command = {
                "floor": f'"{floor}" "{work}/client" root {AT_ONCE} true < "{work}/ports.{count}"',
                "pgfleet exec": f'"{pgfleet}" --project "{work}" exec all -i "{work}/inventory.{count}" -f {AT_ONCE} -- true',
                "pgfleet run -m ping": f'"{pgfleet}" --project "{work}" run all -m ping -i "{work}/inventory.{count}" -f {AT_ONCE}',
                "ssh in parallel": f'xargs -P {AT_ONCE} -I @ ssh -F "{work}/ssh_config" @ true < "{work}/addresses.{count}"',
            }
            if count > most_of_ssh:
                del command["ssh in parallel"]
            costs = {name: [] for name in command}
            # The first one places the agent; what is compared are the others.
            for number in range(times + 1):
                for name, line in command.items():
                    cost = rounds.run(["sh", "-c", f"exec {line}"], work / "log", env=environment)
                    costs[name] += [cost] if number else []
            for name, rows in costs.items():
                ratio = [row.clock / base.clock for row, base in zip(rows, costs["floor"])]
                is_ours = name == "pgfleet exec"
                table.add(f"{count} hosts: {name}", [row.clock for row in rows], "s")
                if name != "floor":
                    table.add("    against the floor", ratio, "times", 1.3 if is_ours else None)
                table.add("    processor time a host", [row.processor / count * 1000 for row in rows], "ms", 2 if is_ours else None)
                table.add("    memory", [row.memory / 1024 for row in rows], "MB", 100 if is_ours else None, 0)
        table.print()
    finally:
        if server:
            server.terminate()
            server.wait()
        shutil.rmtree(work, ignore_errors=True)


main()
