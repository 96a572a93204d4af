//! `package`.

use pgfleet_protocol::modules::packages::Package;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Package, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
