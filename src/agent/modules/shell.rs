//! `shell`.

use pgfleet_protocol::modules::command::Shell;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Shell, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
