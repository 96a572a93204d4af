//! `group`.

use pgfleet_protocol::modules::account::Group;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Group, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
