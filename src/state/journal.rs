//! The journal of a run: one line of JSON an event, under `runs/<id>/`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use crate::stamp::stamp;
use crate::{StateError, durable};

/// Runs whose journals are kept.
const KEPT: usize = 200;

/// The name of a run: when it began, in UTC, and what made it: `20261121T143501-deploy-1a2b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// A new name.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let what: String = what.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let suffix = (now.subsec_micros() ^ std::process::id()) & 0xffff;
        Self(format!("{}-{what}-{suffix:04x}", stamp(now.as_secs())))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The journal of one run, open for writing.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Begins the journal of a run below `state`, and lets go of the oldest ones beyond 200.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(state: &Path, id: &RunId) -> Result<Self, StateError> {
        let runs = state.join("runs");
        let folder = runs.join(id.as_str());
        durable::create_folder(&folder)?;
        forget_oldest(&runs);
        let path = folder.join("journal.jsonl");
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(StateError::write(&path))?;
        Ok(Self { path, file: Mutex::new(file) })
    }

    /// Adds one event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add<E: Serialize>(&self, event: &E) -> Result<(), StateError> {
        let mut line = serde_json::to_vec(event).map_err(|error| StateError::write(&self.path)(error.into()))?;
        line.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).map_err(StateError::write(&self.path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn forget_oldest(runs: &Path) {
    let Ok(entries) = std::fs::read_dir(runs) else { return };
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    folders.sort();
    let surplus = folders.len().saturating_sub(KEPT);
    for folder in &folders[..surplus] {
        // A journal that cannot be removed is met again at the next run.
        drop(std::fs::remove_dir_all(folder));
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, RunId};

    #[test]
    fn events_are_lines() {
        let state = std::env::temp_dir().join(format!("pgfleet-journal-{}", std::process::id()));
        let journal = Journal::begin(&state, &RunId::new("deploy")).expect("begins");
        journal.add(&serde_json::json!({"event": "a"})).expect("adds");
        journal.add(&serde_json::json!({"event": "b"})).expect("adds");
        let text = std::fs::read_to_string(journal.path()).expect("reads");
        assert_eq!(text, "{\"event\":\"a\"}\n{\"event\":\"b\"}\n");
        std::fs::remove_dir_all(state).expect("cleans up");
    }
}
