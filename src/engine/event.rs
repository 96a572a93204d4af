//! What happens in a run, told as it happens to whoever shows or stores it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Recap, TaskResult};

/// Receives events, in order. Nothing comes back.
pub type Report = Arc<dyn Fn(&Event) + Send + Sync>;

/// Something that happened. Secrets are already hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A play begins.
    PlayStarted {
        /// Its name.
        name: String,
        /// Its hosts.
        hosts: Vec<String>,
    },
    /// A play has no hosts to run on.
    PlayEmpty {
        /// Its name.
        name: String,
    },
    /// A task begins.
    TaskStarted {
        /// Number of the task in this run, from 1.
        task: usize,
        /// Its name.
        name: String,
        /// Its module.
        module: String,
        /// `file:line:column`; empty for the engine's own.
        place: String,
        /// True for a handler.
        handler: bool,
    },
    /// A host begins with the task.
    HostStarted {
        /// The task.
        task: usize,
        /// The host.
        host: String,
    },
    /// One item of a loop is done.
    ItemDone {
        /// The task.
        task: usize,
        /// The host.
        host: String,
        /// The item, as a person reads it.
        item: String,
        /// What it did.
        result: TaskResult,
        /// The failure counts for nothing.
        #[serde(default)]
        ignored: bool,
    },
    /// A try has not succeeded yet.
    Retrying {
        /// The task.
        task: usize,
        /// The host.
        host: String,
        /// Tries left.
        left: u64,
        /// What the last one did.
        result: TaskResult,
    },
    /// A host is done with the task.
    HostDone {
        /// The task.
        task: usize,
        /// The host.
        host: String,
        /// The host that did the work, where that is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delegate: Option<String>,
        /// What it did.
        result: TaskResult,
        /// The failure counts for nothing.
        #[serde(default)]
        ignored: bool,
        /// Its items were told one by one before.
        #[serde(default)]
        looped: bool,
        /// Milliseconds that it took.
        milliseconds: u64,
    },
    /// What a task has to tell while it works.
    Said {
        /// The task.
        task: usize,
        /// A sentence.
        text: String,
    },
    /// How far a task is. It is shown, not kept.
    Progress {
        /// The task.
        task: usize,
        /// Of what.
        what: String,
        /// Bytes, or whatever is counted.
        done: u64,
        /// Of how many, where that is known.
        total: Option<u64>,
    },
    /// A file of tasks is included.
    Included {
        /// The file.
        file: String,
        /// For whom.
        hosts: Vec<String>,
        /// The item of a loop that it is for, as its label shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<String>,
    },
    /// A key stands twice in a mapping of a file; the last value counts.
    DuplicateKey {
        /// As Python shows it.
        key: String,
        /// Where it stands again, `file:line:column`.
        place: String,
        /// The line on which it stands first.
        first: usize,
    },
    /// Something that a person should know.
    Warning {
        /// What.
        message: String,
    },
    /// All hosts of a play are lost; the run ends.
    NoHostsLeft,
    /// The person asked the run to end; it does after the tasks that are running.
    Interrupted,
    /// The run is over.
    Finished {
        /// What it did.
        recap: Recap,
        /// Milliseconds that it took.
        milliseconds: u64,
    },
}

impl Event {
    /// What a person should know, as one sentence; nothing for other events.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Warning { message } => Some(message.clone()),
            Self::DuplicateKey { key, place, first } => {
                Some(format!("{place}: duplicate key {key}, first on line {first}; the last value counts"))
            }
            _ => None,
        }
    }
}
