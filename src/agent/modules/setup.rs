//! `setup`.

use pgfleet_protocol::modules::facts::Setup;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Setup, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
