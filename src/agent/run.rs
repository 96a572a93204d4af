//! Does one call: reads the arguments, lets the module plan, and applies the plan unless checking.

use std::path::Path;

use pgfleet_protocol::{Call, Map, Outcome, Status, only_reads};

use crate::module::{Context, Failure, Plan, Planned};
use crate::modules;

/// Does one call. Whatever goes wrong in it is its outcome; panics are seen to by [`crate::defect`].
pub(crate) fn run(module: &str, arguments: &Map, context: &Context) -> Outcome {
    let mut outcome = attempt(module, arguments, context).unwrap_or_else(Outcome::from);
    if !context.diff {
        outcome.diff.clear();
    }
    outcome
}

fn is_given(arguments: &Map, name: &str) -> bool {
    arguments.get(name).is_some_and(|value| !value.is_null())
}

/// The outcome of a call that would change nothing; `None` for one that would, or that fails. Nothing is applied but what only reads.
pub(crate) fn look(module: &str, arguments: &Map, context: &Context) -> Option<Outcome> {
    if only_reads(module, arguments) {
        return attempt(module, arguments, context).ok().filter(|outcome| outcome.status != Status::Failed);
    }
    match planned(module, arguments, context) {
        Ok(Plan::Done(mut outcome)) if outcome.is_without_effect() => {
            outcome.diff.clear();
            Some(outcome)
        }
        _ => None,
    }
}

fn attempt(module: &str, arguments: &Map, context: &Context) -> Result<Outcome, Failure> {
    match planned(module, arguments, context)? {
        Plan::Done(outcome) => Ok(outcome),
        // The one place that withholds effects.
        Plan::Change(outcome, _) if context.mode.is_check() => Ok(outcome),
        Plan::Change(outcome, apply) => apply(context, outcome),
    }
}

fn planned(module: &str, arguments: &Map, context: &Context) -> Planned {
    let call = Call::read(module, arguments)
        .ok_or_else(|| Failure::new(format!("the agent has no module '{module}'")))?
        .map_err(|problem| Failure::new(problem.to_string()))?;
    // Only where such contexts and flags are can they be set; elsewhere contexts are accepted, as Ansible does.
    if let Some(name) = ["attributes", "attr"].into_iter().find(|name| is_given(arguments, name) && !matches!(call, Call::Stat(_))) {
        return Err(Failure::new(format!("the argument '{name}' is not supported; run chattr as a command")));
    }
    if let Some(name) = ["selevel", "serole", "setype", "seuser"].into_iter().find(|name| is_given(arguments, name))
        && context.system.exists(Path::new("/sys/fs/selinux/enforce"))
    {
        return Err(Failure::new(format!("the argument '{name}' is not supported on a host with SELinux; run chcon as a command")));
    }
    #[cfg(debug_assertions)]
    if context.environment.iter().any(|(name, value)| name == "PGFLEET_FAILPOINT" && value == "panic") {
        panic!("asked for by PGFLEET_FAILPOINT");
    }
    modules::plan(&call, context)
}
