//! `uri`.

use pgfleet_protocol::modules::network::Uri;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Uri, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
