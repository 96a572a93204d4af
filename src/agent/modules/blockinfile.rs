//! `blockinfile`.

use pgfleet_protocol::modules::content::Blockinfile;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Blockinfile, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
