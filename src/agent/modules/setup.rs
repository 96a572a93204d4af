//! `setup`: facts about the host.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::facts::Setup;

use crate::facts;
use crate::module::{Context, Plan, Planned};

pub(crate) fn plan(arguments: &Setup, context: &Context) -> Planned {
    let facts = facts::gather(arguments, context.environment, context.system)?;
    Ok(Plan::Done(Outcome::unchanged().with("ansible_facts", facts)))
}
