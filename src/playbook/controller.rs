//! The modules that the controller does itself, for all hosts of a play at once: what a cluster is asked and told.

use pgfleet_protocol::{ArgumentSpec, ModuleSpec};

use crate::catalog::engine_spec;

/// Their names and arguments. `src/workflows/actions` does them.
pub(crate) const CONTROLLER: &[ModuleSpec] = &[
    engine_spec!("patroni_checkpoint", "Writes out what is in memory, on one node after the other.", free None, ["nodes" !true]),
    engine_spec!("patroni_switchover", "Lets another node lead, and waits until the cluster says that it does.", free None, ["candidate", "at", "probe"]),
];
