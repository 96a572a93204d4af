//! `stat`.

use pgfleet_protocol::modules::files::Stat;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Stat, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
