//! `cron`.

use pgfleet_protocol::modules::system::Cron;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Cron, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
