//! What can go wrong in the lab, in the user's words. Hints and exit codes are added by the command line.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Every failure of the lab.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Namespaces, bridges and mounts are root's.
    #[error("the lab needs root: run the command with sudo")]
    NotRoot,
    /// Programs that the lab calls are not installed.
    #[error("missing on this machine: {}; install with: apt-get install {}", programs.join(", "), packages.join(" "))]
    MissingPrograms {
        /// What was looked for in PATH.
        programs: Vec<String>,
        /// Debian packages that bring them.
        packages: Vec<String>,
    },
    /// A lab's name becomes part of interface names, so it is short and plain.
    #[error("'{name}' cannot be a lab's name: 1 to 7 of a-z, 0-9 and '-', beginning with a letter")]
    BadName {
        /// As given.
        name: String,
    },
    /// Only IPv4 networks of 256 addresses are laid out.
    #[error("'{subnet}' cannot be a lab's subnet: a private IPv4 network such as 172.28.0.0/24 is needed")]
    BadSubnet {
        /// As given.
        subnet: String,
    },
    /// Not one of the Debian releases that guests can run.
    #[error("unknown suite '{suite}': the lab has trixie (Debian 13) and bookworm (Debian 12)")]
    BadSuite {
        /// As given.
        suite: String,
    },
    /// Characters that the kernel's mount options cannot carry.
    #[error("{} cannot hold the lab: a path with ':', ',' or '\\' does not fit into mount options", path.display())]
    BadPath {
        /// State or cache directory.
        path: PathBuf,
    },
    /// A rate or a delay that `tc` would refuse.
    #[error("'{value}' is no {what}; for example {example}")]
    BadValue {
        /// `rate` or `delay` or `snapshot name`.
        what: &'static str,
        /// As given.
        value: String,
        /// One that would do.
        example: &'static str,
    },
    /// The kernel refuses bridges.
    #[error("this machine's kernel cannot make a network bridge (module 'bridge'): {cause}")]
    NoBridge {
        /// What `ip` said.
        cause: String,
    },
    /// The kernel, or the file system below the state directory, refuses overlays.
    #[error("cannot mount an overlay in {} (module 'overlay', on a file system such as ext4, xfs or btrfs): {cause}", path.display())]
    NoOverlay {
        /// Where it was tried.
        path: PathBuf,
        /// What `mount` said.
        cause: String,
    },
    /// Somebody else uses these addresses.
    #[error("subnet {subnet} is already in use on this machine by {user}: choose another with --subnet")]
    SubnetInUse {
        /// The lab's.
        subnet: String,
        /// Interface or route.
        user: String,
    },
    /// A lab of the same name runs from another state directory.
    #[error("{what} exists already and is not of this lab's making: another lab named '{name}' runs from another folder")]
    NameInUse {
        /// The lab's name.
        name: String,
        /// Bridge or nft table.
        what: String,
    },
    /// The base image could not be fetched.
    #[error("no Debian mirror: {mirror} cannot be reached ({cause})")]
    NoMirror {
        /// Its address.
        mirror: String,
        /// The network's answer.
        cause: String,
    },
    /// The base image could not be built.
    #[error("the base image could not be made: mmdebstrap ended with {code}; its last lines:\n{tail}")]
    Base {
        /// Exit code in words.
        code: String,
        /// The end of its messages.
        tail: String,
    },
    /// A program failed.
    #[error("`{command}` failed ({code}): {stderr}")]
    Command {
        /// Program and arguments.
        command: String,
        /// Exit code in words.
        code: String,
        /// What it said.
        stderr: String,
    },
    /// A program could not be started.
    #[error("cannot start `{command}`")]
    Start {
        /// Program and arguments.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or folder could not be handled.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read`, `write`, `create` ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The lab's own record cannot be understood.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Another command works on the same lab.
    #[error("another command is working on the lab '{name}': wait for it, or end it")]
    Busy {
        /// The lab's name.
        name: String,
    },
    /// The lab exists with other settings.
    #[error("the lab '{name}' exists with {what} {has}, not {wanted}: take it down first")]
    Differs {
        /// The lab's name.
        name: String,
        /// Setting.
        what: &'static str,
        /// Of the running lab.
        has: String,
        /// Of this command.
        wanted: String,
    },
    /// Nothing was ever brought up.
    #[error("the lab '{name}' is not up")]
    NotUp {
        /// The lab's name.
        name: String,
    },
    /// No such guest.
    #[error("the lab has no host '{host}': it has {}", known.join(", "))]
    UnknownHost {
        /// As given.
        host: String,
        /// The lab's hosts.
        known: Vec<String>,
    },
    /// The guest has no processes.
    #[error("{host} is not running")]
    NotRunning {
        /// Its name.
        host: String,
    },
    /// The guest did not come up in time.
    #[error("{host} did not {missing} within {} s; the end of its console:\n{console}", waited.as_secs())]
    Boot {
        /// Its name.
        host: String,
        /// What was waited for.
        missing: String,
        /// For how long.
        waited: Duration,
        /// Last lines of the console.
        console: String,
    },
    /// A process survived its end.
    #[error("process {pid} of {host} does not end")]
    Stubborn {
        /// Its guest.
        host: String,
        /// Which.
        pid: i32,
    },
    /// No such snapshot.
    #[error("the lab has no snapshot '{name}': it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    NoSnapshot {
        /// As given.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Snapshots are never overwritten silently.
    #[error("the lab has a snapshot '{name}' already")]
    SnapshotExists {
        /// As given.
        name: String,
    },
    /// The kernel has no netem.
    #[error("this machine's kernel cannot delay packets (module 'sch_netem'): a rate works, a delay does not")]
    NoDelay,
}

impl LabError {
    /// For `map_err` on what the standard library says of one path.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
