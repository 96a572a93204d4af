//! `mount`.

use pgfleet_protocol::modules::system::Mount;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Mount, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
