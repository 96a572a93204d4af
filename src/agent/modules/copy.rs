//! `copy`.

use pgfleet_protocol::modules::files::Copy;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Copy, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
