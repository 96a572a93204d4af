//! Durable files: secrets, the journal of runs, the lock of a project. Written whole or not at all.

mod backups;
mod durable;
mod journal;
mod lock;
mod secrets;
mod stamp;

use std::path::{Path, PathBuf};

pub use backups::{
    Backups, Database, Draft, DumpFile, Entry, Extension, Format, Manifest, Proof, Retention, Status, Table, free_bytes, seconds_of,
    surplus, time_now, time_of,
};
pub use durable::{create_folder, replace, write};
pub use journal::{Journal, RunId};
pub use lock::{Holder, Lock, user};
pub use secrets::{Seal, Secrets, make_password};

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
    fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }
}
