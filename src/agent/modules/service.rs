//! `service`.

use pgfleet_protocol::modules::services::Service;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Service, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
