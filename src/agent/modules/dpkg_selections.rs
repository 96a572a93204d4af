//! `dpkg_selections`.

use pgfleet_protocol::modules::packages::DpkgSelections;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &DpkgSelections, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
