//! Modules that only look, or nearly so.

use crate::Items;
use crate::arguments::{arguments, choice};

arguments! {
    /// Answers, to show that the host can be reached and the agent runs.
    pub struct Ping = "ping" {
        /// What to answer; `crash` fails on purpose.
        data: String = "pong".to_owned();
    }
}

choice! {
    /// What is done about a job.
    pub enum AsyncMode {
        /// Tell how far it is.
        Status = "status",
        /// Remove what it left behind.
        Cleanup = "cleanup",
    }
}

arguments! {
    /// Looks at a task that runs detached.
    pub struct AsyncStatus = "async_status" {
        /// The name of the job.
        jid: String;
        /// Look at it, or forget it.
        mode: AsyncMode = AsyncMode::Status;
    }
}

arguments! {
    /// Gathers facts about the host.
    pub struct Setup = "setup" {
        /// Which facts: `all`, `min`, or subsets; `!name` leaves one out.
        gather_subset: Items = vec!["all".to_owned()];
        /// Only facts whose names match one of these shell patterns.
        filter: Items = Vec::new();
        /// Seconds that one fact may take.
        gather_timeout: u64 = 10;
        /// Folder of local facts.
        fact_path: String = "/etc/ansible/facts.d".to_owned();
    }
}
