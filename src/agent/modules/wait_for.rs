//! `wait_for`.

use pgfleet_protocol::modules::network::WaitFor;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &WaitFor, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
