//! `get_url`.

use pgfleet_protocol::modules::network::GetUrl;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &GetUrl, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
