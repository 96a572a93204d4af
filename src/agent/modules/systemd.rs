//! `systemd`.

use pgfleet_protocol::modules::services::Systemd;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Systemd, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
