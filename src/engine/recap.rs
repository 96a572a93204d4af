//! What a run did, counted by host.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Ansible's seven numbers of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tasks done, changed ones among them.
    pub ok: usize,
    /// Tasks that changed something.
    pub changed: usize,
    /// Tasks at which the host could not be reached.
    pub unreachable: usize,
    /// Tasks that failed and ended the host's run.
    pub failed: usize,
    /// Tasks not done.
    pub skipped: usize,
    /// Failures that a block's rescue dealt with.
    pub rescued: usize,
    /// Failures that were ignored.
    pub ignored: usize,
}

/// The counts of all hosts, in the order in which they were met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recap {
    /// By host.
    pub hosts: IndexMap<String, Counts>,
}

impl Recap {
    /// Tasks that changed something, over all hosts.
    #[must_use]
    pub fn changed(&self) -> usize {
        self.hosts.values().map(|counts| counts.changed).sum()
    }

    /// Hosts on which something failed.
    pub fn failed_hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter(|(_, counts)| counts.failed > 0).map(|(host, _)| host.as_str())
    }

    /// Hosts that could not be reached.
    pub fn unreachable_hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter(|(_, counts)| counts.unreachable > 0).map(|(host, _)| host.as_str())
    }
}
