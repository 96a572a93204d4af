//! `file`.

use pgfleet_protocol::modules::files::File;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &File, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
