"""Fifty typical idempotent tasks a host, for each tool: ten folders, twenty rendered files, ten lines of a file, ten checks.

All hosts are one machine, so each writes below a folder of its own, `base`/NAME.
"""

import struct

SERVERS = [{"name": f"u{number}", "addr": f"10.0.{number}.10", "weight": number + 1} for number in range(8)]
WORKERS = 4
# What a tool's tree must hold on each host in the end.
ENTRIES = 31


def service(number, node, rack, workers, connections, level, servers):
    """A file of settings; as a template, where what is given is one."""
    limits = "".join(f"limit_{limit} = {limit * 100 + number}\n" for limit in range(20))
    return (
        f"# Managed file, do not edit. Service {number} on {node}\n[service]\nname = svc-{number}\nnode = {node}\nrack = {rack}\n"
        f"listen = 0.0.0.0:{8000 + number}\nworkers = {workers}\nlog_level = {level}\n\npid_file = /run/svc-{number}.pid\n"
        f"max_connections = {connections}\ntimeout_seconds = 30\nkeepalive = on\n\n[upstreams]\n{servers}\n[limits]\n{limits}\n"
        f"# end of svc-{number}\n"
    )


def server(number, of):
    """A line of the file for one server."""
    return f"server {of('name')} {of('addr')}:{9000 + number} weight={of('weight')} max_fails=3 fail_timeout=10s\n"


def template(number):
    """The template of a file."""
    lines = "{% for u in upstreams %}\n" + server(number, lambda field: f"{{{{ u.{field} }}}}") + "{% endfor %}\n"
    level = "{% if debug %}debug{% else %}info{% endif %}\n"
    return service(number, "{{ node }}", "{{ rack }}", "{{ workers }}", "{{ workers * 256 }}", level, lines)


def rendered(number, host, rack):
    """The same as a template engine makes it."""
    lines = "".join(server(number, lambda field: of[field]) for of in SERVERS)
    return service(number, host, rack, WORKERS, WORKERS * 256, "info", lines)


def tasks(base):
    """(kind, path, and what else it takes) of the fifty."""
    yield from (("folder", f"{base}/d{number}", "0750") for number in range(10))
    yield from (("file", f"{base}/d{number % 10}/conf{number}.conf", "0640", number) for number in range(20))
    yield from (("line", f"{base}/sysctl.conf", f"net.key{number}", f"net.key{number} = {number * 7}") for number in range(10))
    yield from (("check", f"{base}/d{number}/conf{number}.conf") for number in range(10))


def playbook(folder, base):
    """The play and its templates, in a folder; its path."""
    (folder / "templates").mkdir(parents=True)
    for number in range(20):
        (folder / "templates" / f"conf{number}.j2").write_text(template(number))
    lines = ["- hosts: all", "  gather_facts: false", "  vars:", "    node: '{{ inventory_hostname }}'", f"    workers: {WORKERS}", "    debug: false"]
    lines += ["    upstreams:", *(f"      - {{name: {of['name']}, addr: {of['addr']}, weight: {of['weight']}}}" for of in SERVERS), "  tasks:"]
    for kind, path, *more in tasks(f"{base}/{{{{ inventory_hostname }}}}"):
        match kind, more:
            case "folder", [mode]:
                task = f'ansible.builtin.file: {{path: "{path}", state: directory, mode: "{mode}"}}'
            case "file", [mode, number]:
                task = f'ansible.builtin.template: {{src: conf{number}.j2, dest: "{path}", mode: "{mode}"}}'
            case "line", [key, line]:
                regexp = key.replace(".", "\\.")
                task = f"ansible.builtin.lineinfile: {{path: '{path}', regexp: '^{regexp}\\s*=', line: '{line}', create: true, mode: '0644'}}"
            case "check", []:
                task = f'ansible.builtin.command: "test -f {path}"\n      changed_when: false'
        lines.append(f"    - {task}")
    (folder / "converge.yml").write_text("\n".join(lines) + "\n")
    return folder / "converge.yml"


def pyinfra(folder, base):
    """A deploy of pyinfra, in a folder with the play's templates; its path."""
    lines = ["from pyinfra import host", "from pyinfra.operations import files, server", f"VARIABLES = {{'workers': {WORKERS}, 'debug': False, 'upstreams': {SERVERS!r}}}"]
    for kind, path, *more in tasks(f"{base}/{{host.name}}"):
        match kind, more:
            case "folder", [mode]:
                lines.append(f"files.directory(path=f'{path}', mode='{mode[1:]}')")
            case "file", [mode, number]:
                given = "node=host.name, rack=host.data.rack, jinja_env_kwargs={'trim_blocks': True}, **VARIABLES"
                lines.append(f"files.template(src='templates/conf{number}.j2', dest=f'{path}', mode='{mode[1:]}', {given})")
            case "line", [_, line]:
                lines.append(f"files.line(path=f'{path}', line='{line}')")
            case "check", []:
                lines.append(f"server.shell(commands=[f'test -f {path}'])")
    (folder / "converge.py").write_text("\n".join(lines) + "\n")
    return folder / "converge.py"


HELPERS = r"""set -e
mode() { [ "$(stat -c %a "$2")" = "$1" ] || chmod "$1" "$2"; }
folder() { [ -d "$2" ] || mkdir -p "$2"; mode "$1" "$2"; }
file() {
    cat > "$2.new"
    if cmp -s "$2.new" "$2"; then rm "$2.new"; else chmod "$1" "$2.new"; mv -f "$2.new" "$2"; fi
    mode "$1" "$2"
}
line() {
    if grep -q "^$2[[:space:]]*=" "$1" 2>/dev/null; then
        grep -qxF "$3" "$1" || sed -i "s|^$2[[:space:]]*=.*|$3|" "$1"
    else
        echo "$3" >> "$1"
    fi
}
"""


def script(base, host, rack):
    """A shell script for one host, with everything rendered; for `sh -s` at the other end of one ssh."""
    lines = [HELPERS]
    for kind, path, *more in tasks(f"{base}/{host}"):
        match kind, more:
            case "folder", [mode]:
                lines.append(f"folder {mode[1:]} {path}\n")
            case "file", [mode, number]:
                lines.append(f"file {mode[1:]} {path} <<'END'\n{rendered(number, host, rack)}END\n")
            case "line", [key, line]:
                lines.append(f"line {path} '{key}' '{line}'\n")
            case "check", []:
                lines.append(f"/usr/bin/test -f {path}\n")
    return "".join(lines)


def requests(base, host, rack):
    """The same for the floor's far end: frames of a length, a letter and fields, each with its length."""
    frames = []
    for kind, path, *more in tasks(f"{base}/{host}"):
        fields = [rendered(value, host, rack) if isinstance(value, int) else value for value in more]
        body = kind[0:2].encode() + b"".join(struct.pack(">I", len(field.encode())) + field.encode() for field in [path, *fields])
        frames.append(struct.pack(">I", len(body)) + body)
    return b"".join(frames)
