//! What a rotation of passwords is about, as its playbook's modules are told: which, what they become, what they were.

use std::collections::BTreeMap;

use pgfleet_protocol::Map;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One password that changes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Change {
    /// What it becomes.
    pub(crate) password: String,
    /// PostgreSQL's verifier of it.
    pub(crate) verifier: String,
    /// What it was, or would have become, before a rotation that goes back.
    pub(crate) other: String,
}

/// All of them by name.
pub(crate) type Rotation = BTreeMap<String, Change>;

/// Reads it from an argument.
pub(crate) fn read(argument: Map) -> Result<Rotation, String> {
    serde_json::from_value(Value::Object(argument)).map_err(|error| format!("argument 'rotation': {error}"))
}

/// The passwords that Patroni's configuration has.
pub(crate) const OF_PATRONI: [&str; 5] = ["superuser", "replication", "rewind", "patroni_rest", "etcd"];
