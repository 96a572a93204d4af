//! `probe`.

use pgfleet_protocol::modules::cluster::Probe;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Probe, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
