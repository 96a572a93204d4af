"""Simulated hosts: addresses 127.x of one sshd in a network namespace of its own, which share the processors with the client.

Each host also has a user of its own, h0001 and so on, whose home is empty: what is placed there is the host's alone. sshd finds
these users, an empty home for root and an empty /var/lib in a mount namespace of its own; the machine's are left alone.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import rounds

# The second port leads to the first through the relay.
PORT, FAR_PORT = 2222, 2223
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
Subsystem sftp {sftp}
"""
CLIENT = """
Host *
  User root
  IdentityFile {work}/client
  IdentitiesOnly yes
  UserKnownHostsFile {work}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  LogLevel ERROR
"""
# What sshd sees: $1 homes and lists, $2 its program.
INSIDE = 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/lib" /var/lib && mount --bind "$1/home" "$HOME" && exec "$2" -D -e -f "$1/sshd_config"'


def enter():
    """Goes on in a network namespace of its own."""
    if os.environ.get("BENCH_INSIDE"):
        return
    if os.geteuid() != 0:
        sys.exit("bench: root is needed for a network namespace and an sshd: make bench")
    inside = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, os.path.abspath(sys.argv[0])]
    os.execvpe("unshare", [*inside, *sys.argv[1:]], {**os.environ, "BENCH_INSIDE": "1"})


def child(command, **options):
    """Starts a program that ends with this one, however that ends."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *map(str, command)], **options)


def address(number):
    """The address of a host."""
    return f"127.1.{number >> 8}.{number & 255}"


def name(number):
    """The name of a host, and of its own user."""
    return f"h{number:04}"


class Fleet:
    """So many simulated hosts, while in its `with`; `work` is a folder that is gone afterwards, and a project of pgfleet."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="pgfleet-bench."))
        self.children = []
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PGFLEET_", "SSH_", "PYTHON"))
        } | {"LC_ALL": "C.UTF-8"}

    def __enter__(self):
        try:
            self.prepare()
            self.serve()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.children):
            process.terminate()
            process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def prepare(self):
        """Keys, users, and what each tool knows of the hosts."""
        work = self.work
        work.chmod(0o755)
        for folder in ["state", "home", "lib", "homes"]:
            (work / folder).mkdir(mode=0o700 if folder == "state" else 0o755)
        for key in ["client", "host"]:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", work / key], check=True)
        public = " ".join((work / "host.pub").read_text().split()[:2])
        numbers = range(1, self.hosts + 1)
        known = "".join(f"[{address(number)}]:{port} {public}\n" for number in numbers for port in (PORT, FAR_PORT))
        (work / "known_hosts").write_text(known)
        (work / "state" / "known_hosts").write_text(known)
        users = "".join(f"{name(n)}:*:{20000 + n}:{20000 + n}::{work}/homes/{name(n)}:/bin/sh\n" for n in numbers)
        (work / "passwd").write_text(pathlib.Path("/etc/passwd").read_text() + users)
        sftp = next((path for path in ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server"] if os.path.exists(path)), "internal-sftp")
        (work / "sshd_config").write_text(SERVER.format(port=PORT, work=work, sftp=sftp))
        (work / "ssh_config").write_text(CLIENT.format(work=work))
        self.empty_homes()

    def empty_homes(self):
        """Makes the hosts' own users new."""
        shutil.rmtree(self.work / "homes")
        for number in range(1, self.hosts + 1):
            home = self.work / "homes" / name(number)
            home.mkdir(parents=True)
            os.chown(home, 20000 + number, 20000 + number)

    def random_file(self, path, megabytes):
        """Writes what cannot be compressed, beside this program's own memory: that would be told as the tools'."""
        with open(path, "wb") as file:
            subprocess.run(["head", "-c", str(megabytes << 20), "/dev/urandom"], stdout=file, check=True)

    def serve(self):
        """Starts sshd, whose logins find an empty home: a person's own start-up files would cost more than anything else."""
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
        with open(self.work / "sshd.log", "wb") as log:
            inside = ["unshare", "-m", "--propagation", "private", "sh", "-c", INSIDE, "sh", self.work, program]
            self.children.append(child(inside, stderr=log))
        self.await_answer(PORT, "sshd.log")

    def relay(self, milliseconds):
        """Starts a relay from the other port that makes a round trip take so long."""
        here = pathlib.Path(__file__).with_name("relay.py")
        with open(self.work / "relay.log", "wb") as log:
            self.children.append(child([sys.executable, here, FAR_PORT, PORT, milliseconds], stderr=log))
        self.await_answer(FAR_PORT, "relay.log")

    def await_answer(self, port, log):
        """Waits until the last started child lets one log in."""
        for _ in range(100):
            if subprocess.run([*self.ssh(1, port), "true"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                return
            if self.children[-1].poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"bench: no answer from port {port}\n{(self.work / log).read_text()}")

    def ssh(self, number, port=PORT):
        """OpenSSH's command to a host."""
        return ["ssh", "-F", str(self.work / "ssh_config"), "-p", str(port), address(number)]

    def inventory(self, count, port=PORT, own_users=False):
        """An inventory of the first hosts."""
        path = self.work / f"inventory.{count}.{port}.{own_users}"
        settings = f"ansible_port={port} ansible_ssh_private_key_file={self.work}/client"
        path.write_text("".join(
            f"{name(n)} ansible_host={address(n)} ansible_user={name(n) if own_users else 'root'} {settings} rack=r{n % 4}\n"
            for n in range(1, count + 1)
        ))
        return path

    def targets(self, count, port=PORT):
        """The first hosts for the floor: address:port and name on each line."""
        path = self.work / f"targets.{count}.{port}"
        path.write_text("".join(f"{address(n)}:{port} {name(n)}\n" for n in range(1, count + 1)))
        return path

    def parallel_ssh(self, count, command, at_once, options="", more=""):
        """A line of shell that runs OpenSSH on the first hosts; in `command` and `more`, $1 is the name of the host."""
        path = self.work / f"addresses.{count}"
        path.write_text("".join(f"{address(n)} {name(n)}\n" for n in range(1, count + 1)))
        line = f'ssh -F "{self.work}/ssh_config" -p {PORT} {options} $0 {command} {more}'
        return f"""exec xargs -a "{path}" -P {at_once} -L 1 sh -c '{line}'"""

    def run(self, line, check=0):
        """What a line of shell costs."""
        return rounds.run(["sh", "-c", line], self.work / "log", check, env=self.environment, cwd=self.work)

    def log(self):
        """What the last run printed."""
        return (self.work / "log").read_text(errors="replace")

    def host_side(self):
        """Seconds of processor time that all sessions so far have cost on the hosts' side."""
        server = self.children[0].pid
        for _ in range(100):
            # What has not ended yet is not counted yet.
            if not pathlib.Path(f"/proc/{server}/task/{server}/children").read_text().strip():
                break
            time.sleep(0.02)
        fields = pathlib.Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
