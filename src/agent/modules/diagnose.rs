//! `diagnose`.

use pgfleet_protocol::modules::cluster::Diagnose;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Diagnose, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
