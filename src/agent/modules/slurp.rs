//! `slurp`.

use pgfleet_protocol::modules::files::Slurp;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Slurp, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
