//! Modules that look at a node of a cluster; pgfleet's own.

use serde_json::Value;

use crate::arguments::{arguments, choice};
use crate::{HostPath, Items, Map, Secret};

choice! {
    /// What shall become of a cluster's lease on this host.
    pub enum LeaseState {
        /// This conversation has it.
        Held = "held",
        /// This conversation has it no more.
        Released = "released",
        /// Nobody has it; whoever has it loses the connection that it came over.
        Ended = "ended",
        /// As it is: who has it is told.
        Told = "told",
    }
}

arguments! {
    /// Keeps a cluster for one run at a time. A lease ends with its conversation, and when its controller is silent for too long.
    pub struct Lease = "lease" {
        /// The cluster.
        name: String;
        /// What shall become of it.
        state: LeaseState = LeaseState::Told;
        /// Who takes it: `{"token": "unlike any other run's", ...}`; the rest is told to others.
        holder: Option<Map>;
        /// Seconds without a word from the controller after which it ends.
        limit: u64 = 60;
        /// It was held before: where somebody else had it since, it is lost.
        again: bool = false;
    }
}

arguments! {
    /// Looks at a node in one go: HTTP answers, commands, units and files, side by side.
    pub struct Probe = "probe" {
        /// Addresses to ask, by name: `{"patroni": "http://127.0.0.1:8008/patroni"}`. Answers are `{status, body, error}`.
        http: Option<Value>;
        /// Commands to run, by name: `{"etcd": ["etcdctl", "member", "list"]}`. Answers are `{rc, stdout, stderr}`.
        commands: Option<Value>;
        /// Sockets of daemons to speak to, by name: `{"haproxy": {"path": "/run/haproxy/admin.sock", "send": "show stat\n"}}`. Answers are `{answer, error}`.
        sockets: Option<Value>;
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

arguments! {
    /// Writes numbered rows through several ways at once until it is told to end, and says which were acknowledged and when.
    pub struct WriteProbe = "write_probe" {
        /// The ways, by name: `{"leader port": {"host": "127.0.0.1", "port": 5000}}`. A way with `"reads": true` reads instead, one with `"spares_standbys": true` writes only where a leader is, and `"interval"` is its own.
        ways: Value;
        /// Who writes.
        user: String;
        /// The password; it goes through the environment.
        password: Secret;
        /// Database of the table.
        database: String = "postgres".to_owned();
        /// A table with the columns `way text, n int`.
        table: String;
        /// Milliseconds between two rows.
        interval: u64 = 20;
        /// It ends when this file is there.
        until: HostPath;
        /// Seconds after which it ends all the same.
        limit: u64 = 120;
        /// Tell of every attempt when it began, how long it took, and how it ended.
        traced: bool = false;
    }
}
