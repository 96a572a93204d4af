//! Patroni, etcd and HAProxy as one immutable view, and what may be said of it.
//!
//! This crate performs no input or output: it says what to ask each node, and reads the answers.

mod answers;
mod connection;
mod doctor;
mod drill;
mod dynamic;
mod failover;
mod findings;
mod leaving;
mod leftovers;
mod questions;
mod restart;
mod safety;
mod sizes;
mod source;
mod switchover;
mod view;
mod voters;

pub use answers::{CertificateLife, NodeAnswer, Unit};
pub use connection::{Endpoints, Format, Role, Through, Way, node_for, ways, written};
pub use doctor::{Check, Examined, Kept, Outcome, doctor, worst};
pub use drill::{Attempt, DRILLS, Drill, Event, Fault, Gap, Leaders, Reply, Track, Usage, broken, drill_named, two_leaders};
pub use dynamic::{Change, Parameter, Takes, Wrong, changes, joined, may_be_shared, merged, patch_between, plain, read_assignment};
pub use failover::{Standing, Successor, Witnesses, choose_successor};
pub use findings::{Finding, Severity};
pub use leaving::{Leaving, no_slots_kept, slot_of, slots_kept_again};
pub use leftovers::{Leftovers, Policy, Remains, leftovers};
pub use questions::{Questions, leaders_at, questions, questions_at};
pub use restart::{RestartPlan, RestartWish, SHARED_MEMORY, lowered, plan_restart};
pub use safety::Objection;
pub use sizes::shown_bytes;
pub use source::backup_sources;
pub use switchover::{Backlog, LeaderFacts, Standby, Switchover, SwitchoverLimits, may_switch_over};
pub use view::{ClusterView, EtcdMember, Lease, Member, Node, Scheduled};
pub use voters::{EtcdMove, etcd_move};
