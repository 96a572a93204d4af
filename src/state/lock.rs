//! One run at a time on one project: a file lock that ends with the process that holds it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{StateError, durable};

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub process: u32,
    /// Its user.
    pub user: String,
    /// What it does.
    pub what: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} by {} (process {})", self.what, self.user, self.process)
    }
}

/// A held lock; dropping it lets go, and so does the end of the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a state folder.
    ///
    /// # Errors
    /// [`StateError::Locked`] with its holder when another process has it.
    pub fn take(state: &Path, what: &str) -> Result<Self, StateError> {
        durable::create_folder(state)?;
        let path = state.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(StateError::write(&path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(StateError::read(&path))?;
            let unknown = Holder { process: 0, user: "unknown".to_owned(), what: "a run".to_owned() };
            return Err(StateError::Locked(serde_json::from_str(&text).unwrap_or(unknown)));
        }
        let holder = Holder { process: std::process::id(), user: user(), what: what.to_owned() };
        let text = serde_json::to_vec(&holder).map_err(|error| StateError::write(&path)(error.into()))?;
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text));
        written.map_err(StateError::write(&path))?;
        // Nobody else writes now: what is half written was left by a run that died.
        durable::sweep(state);
        Ok(Self { _file: file })
    }
}

/// Who works here, as the environment has it.
#[must_use]
pub fn user() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Lock;
    use crate::StateError;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let state = std::env::temp_dir().join(format!("pgfleet-lock-{}", std::process::id()));
        let lock = Lock::take(&state, "deploy").expect("takes");
        match Lock::take(&state, "status") {
            Err(StateError::Locked(holder)) => assert_eq!((holder.process, holder.what.as_str()), (std::process::id(), "deploy")),
            other => panic!("expected a refusal, got {other:?}"),
        }
        drop(lock);
        Lock::take(&state, "status").expect("takes after release");
        std::fs::remove_dir_all(state).expect("cleans up");
    }
}
