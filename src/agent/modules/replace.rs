//! `replace`.

use pgfleet_protocol::modules::content::Replace;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Replace, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
