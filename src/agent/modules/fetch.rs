//! `fetch`.

use pgfleet_protocol::modules::files::Fetch;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Fetch, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
