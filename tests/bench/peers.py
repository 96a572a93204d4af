#!/usr/bin/env python3
"""The same work by pgfleet, ansible-core (tuned), ansible-core with mitogen, pyinfra and OpenSSH in parallel, in rounds that take turns. As root.

usage: peers.py PGFLEET
variables: ROUNDS (3), COMMAND (4,50), CONVERGE (4), PUSH (20), FETCH (1): how many hosts, nothing for none; PEERS (ansible,mitogen,pyinfra,ssh);
           ANSIBLE_CORE, MITOGEN, PYINFRA: what pip installs, to pin a version (ansible-core, mitogen, pyinfra); PYTHON (/usr/bin/python3)

command   one trivial command on each host (Ansible's and pgfleet's: ping)
converge  fifty idempotent tasks a host, the first run and the second; all tools must leave the same files behind
push      a file of 12 MiB, new and unchanged
fetch     a file of 256 MiB from one host
Every run makes its own connections. The peers are installed into a virtual environment.
"""

import filecmp
import os
import pathlib
import shutil
import subprocess
import sys

import converge
import rounds
import simulated
import workload

AT_ONCE = 50
PUSHED_MB, FETCHED_MB = 12, 256
# What pgfleet shall be faster than, and how many times.
GOALS = {
    ("command", "ansible"): 15, ("command", "pyinfra"): 2, ("command", "ssh"): 2,
    ("converge, second run", "ansible"): 150, ("converge, second run", "mitogen"): 60, ("converge, second run", "pyinfra"): 30,
    ("converge, second run", "ssh"): 1, ("fetch", "ssh"): 1,
}  # fmt: skip
ANSIBLE = """[defaults]
forks = {at_once}
host_key_checking = True
home = {work}/ansible
gathering = explicit
nocows = True
retry_files_enabled = False
interpreter_python = /usr/bin/python3
{strategy}
[ssh_connection]
pipelining = True
ssh_common_args = -F {work}/ssh_config
ssh_args = {arguments}
control_path_dir = {work}/masters
"""
PYINFRA_HOSTS = """hosts = (
    [(name, {{"ssh_hostname": address, "rack": rack}}) for name, address, rack in {hosts}],
    {{"ssh_user": "root", "ssh_port": {port}, "ssh_key": "{work}/client", "ssh_known_hosts_file": "{work}/known_hosts",
      "ssh_strict_host_key_checking": "yes"}},
)
"""


def install():
    """Has the peers in a virtual environment; its folder, and what is in it."""
    python = os.environ.get("PYTHON", "/usr/bin/python3")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    folder = cache / "pgfleet" / "bench" / "venv"
    if not (folder / "bin" / "pip").exists():
        subprocess.run([python, "-m", "venv", folder], check=True, timeout=300)
    wanted = [os.environ.get(name, usual) for name, usual in [("ANSIBLE_CORE", "ansible-core"), ("MITOGEN", "mitogen"), ("PYINFRA", "pyinfra")]]
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], check=True, timeout=900)
    return folder


class Peers:
    """How each tool is asked for each work."""

    def __init__(self, fleet, pgfleet, venv, chosen):
        self.fleet, self.work, self.pgfleet, self.venv = fleet, fleet.work, pgfleet, venv
        self.tools = ["pgfleet", *chosen]
        self.hosts, self.pushed, self.fetched = self.work / "hosts", self.work / "pushed", self.work / "fetched"
        (self.work / "masters").mkdir()
        strategy = next(venv.glob("lib/*/site-packages/ansible_mitogen/plugins/strategy"), "")
        shared = {"work": self.work, "at_once": AT_ONCE}
        persist = "-o ControlMaster=auto -o ControlPersist=60s"
        (self.work / "ansible.cfg").write_text(ANSIBLE.format(strategy="", arguments=persist, **shared))
        plugins = f"strategy_plugins = {strategy}\nstrategy = mitogen_linear"
        (self.work / "mitogen.cfg").write_text(ANSIBLE.format(strategy=plugins, arguments="-o ControlMaster=no", **shared))
        for tool in self.tools:
            self.describe(tool)

    def describe(self, tool):
        """Writes what a tool reads: plays, deploys, scripts."""
        base, folder = self.hosts / tool, self.work / tool
        workload.playbook(folder, base)
        for name, task in [
            ("command", "ansible.builtin.ping:"),
            ("push", f'ansible.builtin.copy: {{src: "{self.pushed}", dest: "{base}/{{{{ inventory_hostname }}}}/blob", mode: "0755"}}'),
            ("fetch", f'ansible.builtin.fetch: {{src: "{self.fetched}", dest: "{folder}/here", flat: true}}'),
        ]:
            (folder / f"{name}.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n    - {task}\n")
        if tool == "pyinfra":
            workload.pyinfra(folder, base)
            operations = "from pyinfra import host\nfrom pyinfra.operations import files, server\n"
            (folder / "command.py").write_text(operations + "server.shell(commands=['true'])\n")
            (folder / "push.py").write_text(operations + f"files.put(src='{self.pushed}', dest=f'{base}/{{host.name}}/blob', mode='755')\n")
            (folder / "fetch.py").write_text(operations + f"files.get(src='{self.fetched}', dest='{folder}/here', force=True)\n")
        if tool == "ssh":
            for number in range(1, self.fleet.hosts + 1):
                name = simulated.name(number)
                (folder / f"{name}.sh").write_text(workload.script(base, name, f"r{number % 4}"))

    def line(self, tool, work, count):
        """The line of shell that does a work with a tool; a second run is the same as the first."""
        folder, inventory = self.work / tool, self.fleet.inventory(count)
        match tool, work:
            case "pgfleet", _:
                return f'exec "{self.pgfleet}" --project . playbook {tool}/{work}.yml -i "{inventory}" -f {AT_ONCE}'
            case "ansible" | "mitogen", _:
                return f'ANSIBLE_CONFIG={tool}.cfg exec "{self.venv}/bin/ansible-playbook" -i "{inventory}" {tool}/{work}.yml'
            case "pyinfra", _:
                hosts = [(simulated.name(n), simulated.address(n), f"r{n % 4}") for n in range(1, count + 1)]
                (folder / f"hosts{count}.py").write_text(PYINFRA_HOSTS.format(hosts=hosts, port=simulated.PORT, work=self.work))
                return f'cd {tool} && exec "{self.venv}/bin/pyinfra" -y hosts{count}.py {work}.py'
            case "ssh", "command":
                return self.fleet.parallel_ssh(count, "true", AT_ONCE)
            case "ssh", "converge":
                return self.fleet.parallel_ssh(count, "sh -s", AT_ONCE, more=f'< "{folder}/$1.sh"')
            case "ssh", "push":
                there = f"{self.hosts}/ssh/$1/blob"
                store = f'"cat > {there}.new && chmod 755 {there}.new && mv -f {there}.new {there}"'
                return self.fleet.parallel_ssh(count, store, AT_ONCE, more=f'< "{self.pushed}"')
            case _:
                return f'exec {" ".join(self.fleet.ssh(1))} cat "{self.fetched}" > "{folder}/here"'

    def unchanged(self, tool, work, count):
        """The same for a second run, where that is another line: one that compares before it sends."""
        if (tool, work) != ("ssh", "push"):
            return self.line(tool, work, count)
        compare = f'test "$(ssh -F {self.work}/ssh_config -p {simulated.PORT} $0 sha256sum {self.hosts}/ssh/$1/blob | cut -c1-64)" = $SUM'
        addresses = self.work / f"addresses.{count}"
        return f"SUM=$(sha256sum < {self.pushed} | cut -c1-64); export SUM; exec xargs -a {addresses} -P {AT_ONCE} -L 1 sh -c '{compare}'"

    def run(self, line):
        """What it costs; connections that a tool keeps for later are closed."""
        cost = self.fleet.run(line)
        self.close_masters()
        return cost

    def close_masters(self):
        """Ends what ControlPersist leaves behind."""
        for socket in (self.work / "masters").iterdir():
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "bench"], stderr=subprocess.DEVNULL, check=False)

    def fresh(self, count):
        """Takes away what the tools have made."""
        shutil.rmtree(self.hosts, ignore_errors=True)
        for tool in self.tools:
            (self.work / tool / "here").unlink(missing_ok=True)
            for number in range(1, count + 1):
                (self.hosts / tool / simulated.name(number)).mkdir(parents=True)

    def check(self, work):
        """Ends the benchmark where tools have done different things."""
        ours = converge.tree(self.hosts / "pgfleet") if work == "converge" else []
        for tool in self.tools:
            if work == "converge" and converge.tree(self.hosts / tool) != ours:
                sys.exit(f"bench: {tool} and pgfleet left different files behind")
            there = {"push": list((self.hosts / tool).glob("*/blob")), "fetch": [self.work / tool / "here"]}.get(work, [])
            sent = self.pushed if work == "push" else self.fetched
            if not all(filecmp.cmp(path, sent, shallow=False) for path in there):
                sys.exit(f"bench: {tool} did not bring what was sent")


def measure(peers, table, work, count, times):
    """Rounds of one work on so many hosts."""
    runs = {"converge": ["converge, first run", "converge, second run"], "push": ["push, new", "push, unchanged"]}.get(work, [work])
    costs = {(run, tool): [] for run in runs for tool in peers.tools}
    for number in rounds.turns(times):
        table.note()
        peers.fresh(count)
        # Each begins once, so that none always finds what another left in the caches.
        for tool in peers.tools[number % len(peers.tools) :] + peers.tools[: number % len(peers.tools)]:
            costs[runs[0], tool].append(peers.run(peers.line(tool, work, count)))
            for run in runs[1:]:
                costs[run, tool].append(peers.run(peers.unchanged(tool, work, count)))
        peers.check(work)
    for (run, tool), rows in costs.items():
        table.add(f"{run}, {count} hosts: {tool}", [row.clock for row in rows], "s")
        if tool != "pgfleet":
            goal = GOALS.get((run, tool)) if work != "command" or count >= 50 else None
            table.add("    pgfleet is faster by", rounds.ratios(rows, costs[run, "pgfleet"]), "times", goal, 1, more=True)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: peers.py PGFLEET")
    if not os.environ.get("BENCH_INSIDE"):
        os.environ["BENCH_VENV"] = str(install())
    simulated.enter()
    pgfleet, venv = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(os.environ["BENCH_VENV"])
    given = lambda name, usual: [word for word in os.environ.get(name, usual).split(",") if word]
    counts = {work: [int(count) for count in given(work.upper(), usual)] for work, usual in
              [("command", "4,50"), ("converge", "4"), ("push", "20"), ("fetch", "1")]}  # fmt: skip
    table, times = rounds.Table(), int(os.environ.get("ROUNDS", 3))
    with simulated.Fleet(max(sum(counts.values(), [1]))) as fleet:
        peers = Peers(fleet, pgfleet, venv, given("PEERS", "ansible,mitogen,pyinfra,ssh"))
        fleet.random_file(peers.pushed, PUSHED_MB)
        fleet.random_file(peers.fetched, FETCHED_MB)
        # The agent is placed, as Ansible's modules need Python to be placed.
        peers.run(peers.line("pgfleet", "command", 1))
        try:
            for work, numbers in counts.items():
                for count in numbers:
                    measure(peers, table, work, count, times)
        finally:
            peers.close_masters()
        table.print()
    listed = subprocess.run([venv / "bin" / "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True).stdout
    print(", ".join(line for line in listed.split() if line.startswith(("ansible-core=", "mitogen=", "pyinfra="))))


main()
