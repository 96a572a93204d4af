//! Modules that only look.

use crate::Items;
use crate::arguments::arguments;

arguments! {
    /// Answers, to show that the host can be reached and the agent runs.
    pub struct Ping = "ping" {
        /// What to answer; `crash` fails on purpose.
        data: String = "pong".to_owned();
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
