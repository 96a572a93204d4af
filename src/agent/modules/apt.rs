//! `apt`.

use pgfleet_protocol::modules::packages::Apt;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Apt, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
