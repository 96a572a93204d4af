//! What can go wrong on the way to a host, in the user's words, and the next step for each.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a host could not be reached or used. Every text names the host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshError {
    /// A line of an ssh configuration file cannot be understood.
    #[error("{file}:{line}: {message}")]
    Configuration { file: String, line: usize, message: String },
    /// An option in the inventory's ssh arguments is not one that pgfleet knows.
    #[error("{host}: the ssh argument `{argument}` in {from} is not supported")]
    Argument { host: String, from: String, argument: String },
    /// A jump host cannot be read.
    #[error("{host}: `{hop}` is not a jump host: it reads [user@]host[:port]")]
    Hop { host: String, hop: String },
    /// The ProxyCommand cannot be started.
    #[error("{host}: the ProxyCommand `{command}` cannot be started")]
    ProxyCommand {
        host: String,
        command: String,
        #[source]
        source: io::Error,
    },
    /// The ProxyCommand ended before the host had answered.
    #[error("{host}: the ProxyCommand `{command}` does not lead to an SSH server{}", after_colon(.said))]
    ProxyEnded { host: String, command: String, said: String },
    /// The jump hosts lead in a circle.
    #[error("{host}: the jump hosts lead in a circle at {hop}")]
    JumpCircle { host: String, hop: String },
    /// A jump host failed.
    #[error("{host}: the jump host {hop} failed")]
    Jump {
        host: String,
        hop: String,
        #[source]
        source: Box<SshError>,
    },
    /// The name has no address.
    #[error("{host}: the name {address} cannot be resolved")]
    Resolve {
        host: String,
        address: String,
        #[source]
        source: io::Error,
    },
    /// No TCP connection.
    #[error("{host}: no connection to {address} port {port}")]
    Connect {
        host: String,
        address: String,
        port: u16,
        #[source]
        source: io::Error,
    },
    /// The time limit of a phase has passed.
    #[error("{host}: no answer within {seconds} s while {phase}")]
    Timeout { host: String, phase: Phase, seconds: u64 },
    /// The host closed the connection before anyone was authenticated.
    #[error("{host}: the connection was closed while {phase}{}", after_colon(.detail))]
    Closed { host: String, phase: Phase, detail: String },
    /// Something that is not SSH answered.
    #[error("{host}: what answers on {address} port {port} is not SSH")]
    NotSsh { host: String, address: String, port: u16 },
    /// The two sides could not agree on a secure channel.
    #[error("{host}: the secure channel could not be set up")]
    Handshake {
        host: String,
        #[source]
        source: russh::Error,
    },
    /// The host key is not known yet.
    #[error("{host}: the host key of {name} is not known: {algorithm} {fingerprint}")]
    UnknownHostKey { host: String, name: String, algorithm: Box<str>, fingerprint: Box<str> },
    /// The host key is another than the known one.
    #[error("{host}: the host key of {name} has changed: it presents {algorithm} {fingerprint}, another key is listed in {}:{line}", .file.display())]
    ChangedHostKey { host: String, name: String, algorithm: Box<str>, fingerprint: Box<str>, file: PathBuf, line: usize },
    /// The host key is revoked.
    #[error("{host}: the host key {fingerprint} of {name} is revoked in {}:{line}", .file.display())]
    RevokedHostKey { host: String, name: String, fingerprint: Box<str>, file: PathBuf, line: usize },
    /// A listed authority signed the host's certificate, but it is not acceptable.
    #[error("{host}: the host certificate of {name} is refused: {reason}")]
    HostCertificate { host: String, name: String, reason: &'static str },
    /// A known_hosts file cannot be read or written.
    #[error("{host}: the known_hosts file {} cannot be used", .file.display())]
    KnownHostsFile {
        host: String,
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A private key cannot be read.
    #[error("{host}: the key {} cannot be read", .path.display())]
    KeyUnreadable {
        host: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Others may read the private key.
    #[error("{host}: the key {} is refused: its mode {mode:04o} lets others read it", .path.display())]
    KeyPermissions { host: String, path: PathBuf, mode: u32 },
    /// The file is no private key that can be used.
    #[error("{host}: the file {} is not a usable private key: {reason}", .path.display())]
    KeyFormat { host: String, path: PathBuf, reason: String },
    /// The key has a passphrase and nobody gave it.
    #[error("{host}: the key {} has a passphrase, and none was given", .path.display())]
    PassphraseNeeded { host: String, path: PathBuf },
    /// The passphrase does not open the key.
    #[error("{host}: wrong passphrase for the key {}", .path.display())]
    WrongPassphrase { host: String, path: PathBuf },
    /// No key or password was accepted.
    #[error("{host}: permission denied for user {user} (tried: {tried}; the host takes: {offered})")]
    PermissionDenied { host: String, user: String, tried: String, offered: String },
    /// The connection ended in the middle of the work.
    #[error("{host}: the connection was lost: {reason}")]
    Lost { host: String, reason: String },
    /// The host refused to open a channel or to run a command.
    #[error("{host}: the host refuses to {what}: {reason}")]
    Refused { host: String, what: &'static str, reason: String },
    /// Reading or writing the streams of a command failed.
    #[error("{host}: the streams of the remote command broke")]
    Stream {
        host: String,
        #[source]
        source: io::Error,
    },
    /// A command whose output is kept in memory says more than that.
    #[error("{host}: the command was ended, since it wrote more than {limit} bytes")]
    TooMuch { host: String, limit: usize },
    /// sudo wants a password and there is none.
    #[error("sudo on {host} asks for a password")]
    SudoPasswordNeeded { host: String },
    /// sudo did not take the password.
    #[error("sudo on {host} does not accept the password of {user}")]
    SudoWrongPassword { host: String, user: String },
    /// The sudoers file does not allow it.
    #[error("sudo on {host} does not let {user} become {target}: {said}")]
    SudoRefused { host: String, user: String, target: String, said: String },
    /// There is no sudo.
    #[error("there is no sudo on {host}")]
    SudoMissing { host: String },
    /// There is no such user to become.
    #[error("there is no user {user} on {host}")]
    BecomeUserUnknown { host: String, user: String },
    /// The host's processor or system is another than the agent's.
    #[error("{host} is {found}, and the agent is built for {expected}")]
    Architecture { host: String, found: String, expected: String },
    /// A program that the delivery needs is missing.
    #[error("there is no {program} on {host}")]
    ProgramMissing { host: String, program: String },
    /// No space for the agent.
    #[error("{host}: no space left for the agent in {folder}")]
    DiskFull { host: String, folder: String },
    /// The agent is there but the file system does not run programs.
    #[error("{host}: the agent cannot be run from {folder}: {said}")]
    NotExecutable { host: String, folder: String, said: String },
    /// What arrived is not what was sent.
    #[error("{host}: the agent arrived damaged: its SHA-256 is {found}, {expected} was sent")]
    AgentDamaged { host: String, found: String, expected: String },
    /// The delivery failed for another reason.
    #[error("{host}: the agent could not be placed in {folder}: {said}")]
    Delivery { host: String, folder: String, said: String },
    /// The command that starts the agent ended without a sign of it.
    #[error("{host}: the agent did not start (exit status {status}){}", after_colon(.said))]
    AgentStart { host: String, status: String, said: String },
}

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The TCP connection, or the jump host's tunnel.
    Connecting,
    /// Waiting for the server's first line.
    Banner,
    /// The key exchange.
    KeyExchange,
    /// The authentication.
    Authentication,
    /// The start of a command.
    Command,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Connecting => "connecting",
            Self::Banner => "waiting for the SSH greeting",
            Self::KeyExchange => "exchanging keys",
            Self::Authentication => "authenticating",
            Self::Command => "starting the command",
        })
    }
}

impl SshError {
    /// The next step for the user, if one is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownHostKey { name, .. } => format!(
                "compare the fingerprint with the host's own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on it), then connect once with ssh \
                 to {name}, or give --accept-new-host-keys"
            ),
            Self::ChangedHostKey { file, line, .. } => format!(
                "if the host was installed anew, remove line {line} of {} and connect again; if not, somebody may be between you and the host",
                file.display()
            ),
            Self::RevokedHostKey { file, line, .. } => {
                format!("the key was withdrawn on purpose; give the host a new key, or correct {}:{line}", file.display())
            }
            Self::HostCertificate { .. } => "have the certificate authority sign the host's key again".to_owned(),
            Self::ProxyCommand { .. } | Self::ProxyEnded { .. } => {
                "try the command by hand: the host's SSH greeting shall appear".to_owned()
            }
            Self::Argument { .. } => "remove it there; `-o Keyword=value` takes what ssh_config(5) says about a connection".to_owned(),
            Self::Resolve { .. } => "set ansible_host to the host's address".to_owned(),
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                "the host is up but nothing listens there: is sshd running, and is the port right (ansible_port)?".to_owned()
            }
            Self::Connect { .. } | Self::Timeout { phase: Phase::Connecting, .. } => {
                "is the host up, is the address right, and does a firewall let SSH through?".to_owned()
            }
            Self::Timeout { .. } => "the host answers on the network but sshd does not: look at its load and its console".to_owned(),
            Self::Closed { .. } => {
                "look at sshd's log on the host (`journalctl -u ssh`): MaxStartups, PerSourcePenalties, AllowUsers, TCP wrappers".to_owned()
            }
            Self::NotSsh { .. } => "is the port right (ansible_port)?".to_owned(),
            Self::KeyUnreadable { .. } => "is ansible_ssh_private_key_file (or IdentityFile) right?".to_owned(),
            Self::KeyPermissions { path, .. } => format!("chmod 600 {}", path.display()),
            Self::KeyFormat { .. } => "`ssh-keygen -y -f FILE` says whether ssh can read it".to_owned(),
            Self::PassphraseNeeded { path, .. } => format!("load it into the agent: ssh-add {}", path.display()),
            Self::WrongPassphrase { path, .. } => format!("try it with: ssh-keygen -y -f {}", path.display()),
            Self::PermissionDenied { user, .. } => {
                format!("is ansible_user right, and is the public key in {user}'s ~/.ssh/authorized_keys on the host?")
            }
            Self::SudoPasswordNeeded { .. } => "give one with -K or ansible_become_password".to_owned(),
            Self::SudoWrongPassword { .. } => "give the right one with -K or ansible_become_password".to_owned(),
            Self::SudoRefused { user, .. } => format!("allow it in /etc/sudoers.d/ on the host, or connect as another user than {user}"),
            Self::SudoMissing { .. } => "install sudo on the host, or connect as root".to_owned(),
            Self::ProgramMissing { program, .. } => format!("install {program} on the host"),
            Self::DiskFull { folder, .. } => format!("make room: df -h {folder}"),
            Self::NotExecutable { folder, .. } => format!("is it mounted noexec? findmnt -T {folder}"),
            Self::Jump { source, .. } => return source.hint(),
            _ => return None,
        })
    }

    /// Whether the same attempt, made again a moment later, may well work.
    pub(crate) fn transient(&self) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Connect { source, .. } => {
                matches!(source.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe)
            }
            Self::Jump { source, .. } => source.transient(),
            _ => false,
        }
    }
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
