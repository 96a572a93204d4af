//! Modules that look at a node of a cluster; pgfleet's own.

use serde_json::Value;

use crate::Items;
use crate::arguments::arguments;

arguments! {
    /// Looks at a node in one go: HTTP answers, commands, units and files, side by side.
    pub struct Probe = "probe" {
        /// Addresses to ask, by name: `{"patroni": "http://127.0.0.1:8008/patroni"}`. Answers are `{status, body, error}`.
        http: Option<Value>;
        /// Commands to run, by name: `{"etcd": ["etcdctl", "member", "list"]}`. Answers are `{rc, stdout, stderr}`.
        commands: Option<Value>;
        /// Units whose state is wanted. Answers are `{active, sub, enabled, since}`.
        units: Items = Vec::new();
        /// Seconds that any of it may take.
        timeout: u64 = 5;
    }
}

arguments! {
    /// Says why something on this node does not work: units, journals, ports, disk, cluster.
    pub struct Diagnose = "diagnose" {
        /// Units to look at.
        units: Items = Vec::new();
        /// Ports that should answer.
        ports: Vec<i64> = Vec::new();
        /// Folder of the database.
        data_dir: Option<String>;
        /// Journal lines a unit.
        lines: u64 = 20;
    }
}
