//! Does one call: reads the arguments, lets the module plan, and applies the plan unless checking.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pgfleet_protocol::{Call, Map, Outcome};

use crate::module::{Context, Failure, Plan};
use crate::modules;

/// Does one call. Whatever goes wrong in it, panics included, is its outcome.
pub(crate) fn run(module: &str, arguments: &Map, context: &Context) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| attempt(module, arguments, context)))
        .unwrap_or_else(|panic| Err(Failure::new(format!("module '{module}' has a defect: {}", words(panic.as_ref())))));
    let mut outcome = outcome.unwrap_or_else(Outcome::from);
    if !context.diff {
        outcome.diff.clear();
    }
    outcome
}

fn attempt(module: &str, arguments: &Map, context: &Context) -> Result<Outcome, Failure> {
    let call = Call::read(module, arguments)
        .ok_or_else(|| Failure::new(format!("the agent has no module '{module}'")))?
        .map_err(|problem| Failure::new(problem.to_string()))?;
    match modules::plan(&call, context)? {
        Plan::Done(outcome) => Ok(outcome),
        // The one place that withholds effects.
        Plan::Change(outcome, _) if context.mode.is_check() => Ok(outcome),
        Plan::Change(outcome, apply) => apply(context, outcome),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}
