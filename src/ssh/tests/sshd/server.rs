//! A real sshd on a free loopback port, in a mount namespace of its own, so that its users, sudoers and files vanish with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgfleet_protocol::Secret;
use pgfleet_ssh::{Connector, Options, Target, UnknownKeys};
use tempfile::TempDir;

/// The password of every user of the server.
pub(crate) const PASSWORD: &str = "correct horse";

/// Users: `free` (sudo without a password), `asked` (sudo with one), `barred` (no sudo), `full` (a full home), `noexec` (a home that
/// runs nothing), `bare` (no sudo program), `nogzip`, and `other` (a processor of another kind).
const NAMESPACE: &str = r#"
set -e
cp -a /etc "$DIR/etc"
mount --bind "$DIR/etc" /etc
for place in /run /var/log /var/lib /home; do mount -t tmpfs -o mode=755 tmpfs "$place"; done
mkdir -p /run/sshd "$DIR/bin-bare" "$DIR/bin-nogzip" "$DIR/bin-other"
for user in free asked barred full noexec bare nogzip other; do
  useradd -m -s /bin/sh "$user"
done
for user in free asked barred full noexec bare nogzip other; do printf '%s:%s\n' "$user" "$PASSWORD"; done | chpasswd -c SHA512
printf 'free ALL=(ALL) NOPASSWD: ALL\nasked ALL=(ALL) ALL\n' > /etc/sudoers.d/pgfleet-test
chmod 440 /etc/sudoers.d/pgfleet-test
mount -t tmpfs -o size=64k,mode=777 tmpfs /home/full
mount -t tmpfs -o noexec,mode=777 tmpfs /home/noexec
for tool in sh id env uname mkdir rm echo cat chmod mv sha256sum ls grep tail; do
  for bin in bare nogzip other; do ln -s "$(command -v "$tool")" "$DIR/bin-$bin/$tool" || true; done
done
rm "$DIR/bin-other/uname"
printf '#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo riscv64\n' > "$DIR/bin-other/uname"
chmod 755 "$DIR/bin-other/uname" "$DIR"
exec /usr/sbin/sshd -D -e -f "$DIR/sshd_config"
"#;

pub(crate) struct Server {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts with further lines of configuration; the host keys are `host_ed25519`, `host_ecdsa` and `host_rsa`.
    pub(crate) fn start_with(more: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test starts a system sshd: it needs root");
        for program in ["/usr/sbin/sshd", "/usr/bin/sudo", "/usr/bin/unshare", "/usr/bin/ssh-agent"] {
            assert!(Path::new(program).exists(), "{program} is missing: apt install openssh-server openssh-client sudo util-linux");
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, kind) in [
            ("host_ed25519", "ed25519"),
            ("host_ecdsa", "ecdsa"),
            ("host_rsa", "rsa"),
            ("id_ed25519", "ed25519"),
            ("id_ecdsa", "ecdsa"),
            ("id_rsa", "rsa"),
            ("id_stranger", "ed25519"),
        ] {
            keygen(&["-q", "-t", kind, "-N", "", "-f", &at(name).display().to_string()]);
        }
        keygen(&["-q", "-t", "ed25519", "-N", "opensesame", "-f", &at("id_locked").display().to_string()]);
        let authorized: String =
            ["id_ed25519", "id_ecdsa", "id_rsa", "id_locked"].map(|key| fs::read_to_string(at(&format!("{key}.pub"))).unwrap()).concat();
        fs::write(at("authorized_keys"), authorized).unwrap();
        fs::set_permissions(at("authorized_keys"), fs::Permissions::from_mode(0o644)).unwrap();
        let port = free_port();
        let shown = dir.path().display();
        let mut config = format!(
            "{more}\nListenAddress 127.0.0.1\nPort {port}\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
             AuthorizedKeysFile {shown}/authorized_keys\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n"
        );
        if !more.contains("HostKey") {
            for key in ["ed25519", "ecdsa", "rsa"] {
                config.push_str(&format!("HostKey {shown}/host_{key}\n"));
            }
        }
        for user in ["bare", "nogzip", "other"] {
            config.push_str(&format!("Match User {user}\n SetEnv PATH={shown}/bin-{user}\n"));
        }
        fs::write(at("sshd_config"), config.replace("DIR", &shown.to_string())).unwrap();
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", NAMESPACE])
            .env("DIR", dir.path())
            .env("PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut server = Self { dir, port, child, log };
        server.wait_for_log("Server listening");
        server
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until sshd has said something.
    pub(crate) fn wait_for_log(&mut self, words: &str) {
        let start = Instant::now();
        while !self.log().contains(words) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < Duration::from_secs(20), "sshd has not said `{words}`: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The line of a public key file for a known_hosts file.
    pub(crate) fn known_line(&self, key: &str) -> String {
        let text = fs::read_to_string(self.at(&format!("{key}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {}", self.port, text.trim())
    }

    /// A target with the given user and key, all host keys known.
    pub(crate) fn target(&self, user: &str, key: &str) -> Target {
        let known: Vec<String> = ["host_ed25519", "host_ecdsa", "host_rsa"].map(|key| self.known_line(key)).to_vec();
        fs::write(self.at("known_hosts"), known.join("\n")).unwrap();
        Target {
            name: "db1".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: self.port,
            user: user.to_owned(),
            identities: if key.is_empty() { vec![] } else { vec![self.at(key)] },
            required_identity: (!key.is_empty()).then(|| self.at(key)),
            identities_only: false,
            agent_socket: None,
            password: None,
            jump: vec![],
            known_hosts: vec![self.at("known_hosts")],
            host_key_alias: None,
            unknown_keys: UnknownKeys::Refuse,
            connect_timeout: None,
            forgets_host_keys: false,
            proxy_command: None,
            offers_keys: true,
            offers_password: true,
            keepalive: None,
            keepalive_max: None,
            ignored: vec![],
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options { passphrase: Arc::new(|_| Some(Secret::new("opensesame"))), ..Options::new(self.at("pinned")) }
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::new(self.options())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its sessions end with their connections; the namespace ends with the last of them.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) fn keygen(arguments: &[&str]) {
    let output = Command::new("ssh-keygen").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether the real ssh would connect without a question.
pub(crate) fn ssh_accepts(server: &Server, known_hosts: &Path) -> bool {
    let option = |text: String| ["-o".to_owned(), text];
    let output = Command::new("ssh")
        .args(["-F", "none", "-p", &server.port.to_string(), "-l", "root", "-i"])
        .arg(server.at("id_ed25519"))
        .args(option("BatchMode=yes".to_owned()))
        .args(option("StrictHostKeyChecking=yes".to_owned()))
        .args(option(format!("UserKnownHostsFile={}", known_hosts.display())))
        .args(option("GlobalKnownHostsFile=/dev/null".to_owned()))
        .args(option("UpdateHostKeys=no".to_owned()))
        .args(["127.0.0.1", "true"])
        .output()
        .unwrap();
    output.status.success()
}

/// An ssh-agent with one key, ended by its own process id.
pub(crate) struct KeyAgent {
    pub(crate) socket: PathBuf,
    child: Child,
}

impl KeyAgent {
    pub(crate) fn start(server: &Server, key: &str) -> Self {
        let socket = server.at(&format!("agent-{key}.sock"));
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let agent = Self { socket, child };
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
            assert!(start.elapsed() < Duration::from_secs(5), "the ssh-agent does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        let added = Command::new("ssh-add").arg("-q").arg(server.at(key)).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        agent
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A listener that treats every connection as told, for servers that are not well.
pub(crate) fn listener(treat: impl Fn(usize, TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            treat(number, stream);
        }
    });
    port
}
