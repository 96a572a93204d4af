//! `sysctl`.

use pgfleet_protocol::modules::system::Sysctl;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Sysctl, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
