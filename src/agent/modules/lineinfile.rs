//! `lineinfile`.

use pgfleet_protocol::modules::content::Lineinfile;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Lineinfile, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
