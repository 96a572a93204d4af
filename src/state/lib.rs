//! Durable files: secrets, the journal of runs, the lock of a project. Written whole or not at all.

mod backups;
mod disk;
mod durable;
mod journal;
mod lock;
mod secrets;
mod stamp;

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use backups::{
    Backups, Database, Draft, DumpFile, Entry, Extension, Format, Manifest, Proof, Retention, Status, Table, free_bytes, seconds_of,
    surplus, time_now, time_of,
};
pub use durable::{create_folder, replace, write};
pub use journal::{Journal, RunId};
pub use lock::{Holder, Lock, user};
pub use secrets::{Seal, Secrets, make_password, put_aside};

/// What state can get wrong. The path is always named.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A secret is empty or holds what no password holds.
    #[error("{path} holds no usable secret: {reason}")]
    Secret {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// There is no such backup, or it is of no use.
    #[error("backup '{id}': {reason}")]
    Backup {
        /// The id that was asked for.
        id: String,
        /// Why.
        reason: String,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers from the operating system: {0}")]
    Random(String),
    /// Another run works on the same project.
    #[error("another run works on this project: {0}")]
    Locked(Holder),
}

impl StateError {
    /// The next step, where one is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let (Self::Read { path, source } | Self::Write { path, source }) = self else {
            return match self {
                Self::Locked(_) => Some("wait for it to end; its lock goes with it".to_owned()),
                Self::Secret { reason, .. } if *reason == secrets::CUT_SHORT => Some(
                    "bring the file back, or fetch it from a node with 'pgfleet state recover --from HOST --force'; if it is whole, end its line"
                        .to_owned(),
                ),
                _ => None,
            };
        };
        match source.kind() {
            ErrorKind::PermissionDenied => Some(owner_hint(path)),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Some("make room on that disk and do the same again; what the file held before is still there".to_owned())
            }
            ErrorKind::ReadOnlyFilesystem => Some("its disk is mounted read-only: see what the kernel says of it ('dmesg')".to_owned()),
            _ => None,
        }
    }

    fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }
}

/// Whose a path is, or what is there of it.
fn owner_hint(path: &Path) -> String {
    let there = path.ancestors().find_map(|path| Some((path, std::fs::symlink_metadata(path).ok()?.uid())));
    let myself = rustix::process::geteuid().as_raw();
    match there {
        Some((there, owner)) if owner != myself => format!(
            "{0} belongs to user {owner}, and this is user {myself}: work as that user, or give it away with 'chown -R {myself} {0}'",
            there.display()
        ),
        Some((there, _)) => format!("{0} is closed to its own user: 'chmod u+rwX {0}' opens it", there.display()),
        None => "see whose the folder is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Path, StateError};

    #[test]
    fn what_stops_at_the_disk_says_what_to_do() {
        let hint = |kind: std::io::Error, path: &str| StateError::write(Path::new(path))(kind).hint().unwrap_or_default();
        assert!(hint(rustix::io::Errno::NOSPC.into(), "/x").contains("make room"));
        assert!(hint(rustix::io::Errno::ROFS.into(), "/x").contains("read-only"));
        // Root's for certain, and this user may be root.
        let told = hint(rustix::io::Errno::ACCESS.into(), "/proc/1/nothing/there");
        assert!(told.contains("/proc/1") && (told.contains("belongs to user 0") || told.contains("chmod u+rwX")), "{told}");
        assert_eq!(StateError::read(Path::new("/x"))(rustix::io::Errno::IO.into()).hint(), None);
    }
}
