//! The playbooks, templates and the agent that the program carries.

use std::borrow::Cow;

use pgfleet_ssh::AgentBinary;

include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// Playbooks and templates: paths relative to a project, and content.
#[must_use]
pub fn carried_files() -> &'static [(&'static str, &'static [u8])] {
    FILES
}

/// The agent; `None` in a program that was built without one.
#[must_use]
pub fn carried_agent() -> Option<AgentBinary> {
    AGENT.map(|(gzip, sha256)| AgentBinary { gzip: Cow::Borrowed(gzip), sha256: sha256.to_owned(), architecture: Cow::Borrowed("x86_64") })
}
