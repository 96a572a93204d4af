//! `hostname`.

use pgfleet_protocol::modules::system::Hostname;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Hostname, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
