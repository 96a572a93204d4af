//! `user`.

use pgfleet_protocol::modules::account::User;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &User, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}
