#!/usr/bin/env python3
"""What the controller's own work costs: start, inventory, reading a playbook, tasks that touch no host. No lab, no root, no network.

usage: controller.py PGFLEET     variables: ROUNDS (3), TASKS (1000) and HOSTS (1000) of the runs, PIGSTY (a checkout of Pigsty to read)

Times of a million host-tasks are processor time (user and system), which other work on the machine disturbs least.
"""

import os
import pathlib
import shutil
import sys
import tempfile

import rounds

# What a run does on each host, task after task, and how much of TASKS of it is enough to measure. {n} counts the tasks.
WORKLOADS = [
    ("set_fact of a constant", "set_fact: {{fact_{m}: {n}}}", 1),
    ("set_fact of an expression", 'set_fact: {{fact_{m}: "{{{{ weight | int + {n} }}}}"}}', 1),
    ("skipped by a condition", "command: id\n      when: weight | int > 100", 1),
    ("debug", 'debug: {{msg: "{{{{ inventory_hostname }}}} in rack {{{{ rack }}}}"}}', 0.2),
    ("assert", "assert: {{that: [weight is defined, weight | int < 10]}}", 0.2),
    ("registered", "debug: {{var: weight}}\n      register: result_{m}", 0.2),
    ("item of a loop, set_fact", 'set_fact: {{fact_{m}: "{{{{ item }}}}"}}\n      loop: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]', 0.02),
    ("a variable of another host", "debug:\n        msg: \"{{{{ groups['all'] | map('extract', hostvars, 'ansible_host') | join(' ') }}}}\"", 0.002),
    ("group_by", 'group_by: {{key: "made_{n}_{{{{ weight }}}}"}}', 0.005),
]


def inventory(path, hosts):
    """Hosts in racks of a hundred, each with variables of its own, of its rack and of all."""
    racks = range((hosts + 99) // 100)
    lines = []
    for rack in racks:
        lines.append(f"[rack{rack:02}]")
        for number in range(rack * 100, min(hosts, rack * 100 + 100)):
            address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            lines.append(f"db-{number:05}.example.net ansible_host={address} role={'replica' if number % 3 else 'primary'} weight={number % 7}")
        lines += [f"[rack{rack:02}:vars]", f"rack={rack}", f"switch=switch-{rack:02}.example.net"]
    lines += ["[databases:children]", *(f"rack{rack:02}" for rack in racks), "[databases:vars]", "pg_version=18", "pg_port=5432"]
    path.write_text("\n".join(lines) + "\n")


def inventory_as_yaml(path, hosts):
    """The same in YAML."""
    lines = ["databases:", "  vars: {pg_version: 18, pg_port: 5432}", "  children:"]
    for rack in range((hosts + 99) // 100):
        lines += [f"    rack{rack:02}:", f"      vars: {{rack: {rack}, switch: switch-{rack:02}.example.net}}", "      hosts:"]
        for number in range(rack * 100, min(hosts, rack * 100 + 100)):
            lines += [f"        db-{number:05}.example.net:", f"          ansible_host: 10.{number >> 16}.{number >> 8 & 255}.{number & 255}"]
            lines += [f"          role: {'replica' if number % 3 else 'primary'}", f"          weight: {number % 7}"]
    path.write_text("\n".join(lines) + "\n")


def playbook(path, task, count):
    """One task many times, each a little different."""
    tasks = "".join(f"    - {task.format(n=number, m=number % 50)}\n" for number in range(count))
    path.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: controller.py PGFLEET")
    pgfleet = pathlib.Path(sys.argv[1]).resolve()
    count, tasks, hosts = (int(os.environ.get(name, value)) for name, value in [("ROUNDS", 3), ("TASKS", 1000), ("HOSTS", 1000)])
    work = pathlib.Path(tempfile.mkdtemp(prefix="pgfleet-bench."))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PGFLEET_"))}
    table, busy = rounds.Table(), []

    def measure(words, times=count, folder=work, expected=0):
        costs = []
        for _ in rounds.turns(times):
            busy.append(rounds.noise())
            costs.append(rounds.run([pgfleet, *map(str, words)], work / "log", expected, cwd=folder, env=environment))
        return costs

    try:
        costs = measure(["--version"], 20)
        table.add("pgfleet --version", [cost.clock * 1000 for cost in costs], "ms", 10)
        inventory(work / "large.ini", 10_000)
        inventory_as_yaml(work / "large.yml", 10_000)
        for name in ["large.ini", "large.yml"]:
            costs = measure(["inventory", "--list", "-i", name])
            table.add(f"inventory --list, 10000 hosts, {name[-3:]}", [cost.clock for cost in costs], "s", 1)
        if pigsty := os.environ.get("PIGSTY"):
            words = ["playbook", "deploy.yml", "-i", "pigsty.yml"]
            costs = measure([*words, "--list-tasks"], max(count, 5), pigsty)
            table.add("Pigsty's deploy.yml, --list-tasks", [cost.clock * 1000 for cost in costs], "ms", 200)
        inventory(work / "hosts.ini", hosts)
        for name, task, part in WORKLOADS:
            repeated = max(1, int(tasks * part))
            playbook(work / "run.yml", task, repeated)
            costs = measure(["--project", work, "playbook", "run.yml", "-i", "hosts.ini"])
            each = repeated * hosts * {"item of a loop, set_fact": 10, "a variable of another host": hosts}.get(name, 1)
            table.add(f"{name}, {each} times", [cost.processor / each * 1e6 for cost in costs], "µs", 20, 1)
            if part == 1:
                table.add("    its memory", [cost.memory / 1024 for cost in costs], "MB", None, 0)
            shutil.rmtree(work / "state", ignore_errors=True)
        for number, clock in enumerate(["processor", "wall"]):
            table.add(f"(noise: a fixed piece of work, {clock})", [times[number] for times in busy], "ms")
        table.print()
    finally:
        shutil.rmtree(work)


main()
