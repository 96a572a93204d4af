//! Does one call: reads the arguments, lets the module plan, and applies the plan unless checking.

use pgfleet_protocol::{Call, Map, Outcome};

use crate::module::{Context, Failure, Plan};
use crate::modules;

/// Does one call. Whatever goes wrong in it is its outcome; panics are seen to by [`crate::defect`].
pub(crate) fn run(module: &str, arguments: &Map, context: &Context) -> Outcome {
    let mut outcome = attempt(module, arguments, context).unwrap_or_else(Outcome::from);
    if !context.diff {
        outcome.diff.clear();
    }
    outcome
}

fn attempt(module: &str, arguments: &Map, context: &Context) -> Result<Outcome, Failure> {
    let call = Call::read(module, arguments)
        .ok_or_else(|| Failure::new(format!("the agent has no module '{module}'")))?
        .map_err(|problem| Failure::new(problem.to_string()))?;
    #[cfg(debug_assertions)]
    if context.environment.iter().any(|(name, value)| name == "PGFLEET_FAILPOINT" && value == "panic") {
        panic!("asked for by PGFLEET_FAILPOINT");
    }
    match modules::plan(&call, context)? {
        Plan::Done(outcome) => Ok(outcome),
        // The one place that withholds effects.
        Plan::Change(outcome, _) if context.mode.is_check() => Ok(outcome),
        Plan::Change(outcome, apply) => apply(context, outcome),
    }
}
