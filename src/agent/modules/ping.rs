//! `ping`: answers.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::facts::Ping;

use crate::module::{Failure, Plan, Planned};

pub(crate) fn plan(arguments: &Ping) -> Planned {
    if arguments.data == "crash" {
        return Err(Failure::new("Task failed: Module failed: boom"));
    }
    Ok(Plan::Done(Outcome::unchanged().with("ping", arguments.data.as_str())))
}
