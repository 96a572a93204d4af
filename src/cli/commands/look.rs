//! Commands that only look: nothing on the way is shown but what failed, and what was found is printed as asked for.

use std::sync::{Arc, Mutex, PoisonError};

use pgfleet_engine::{Event, Report, Stop};
use pgfleet_workflows::{Operated, Operation, Wish, WorkflowError, operate};
use serde_json::Value;

use crate::args::LookOutput;
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::screen;

/// How a look ended.
pub(super) enum Looked {
    /// With results.
    Found(Operated),
    /// Without; why was told.
    Ended(Exit),
}

/// A reason, and what to do.
type Failure = (String, Option<String>);

/// Runs an operation in silence. `hear` gets what its module says on the way.
pub(super) async fn look(
    wish: &Wish,
    operation: &Operation,
    stop: &Stop,
    hear: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Looked, WorkflowError> {
    let failure: Arc<Mutex<Option<Failure>>> = Arc::default();
    let sink = failure.clone();
    let report: Report = Arc::new(move |event: &Event| match event {
        Event::Said { text, .. } => hear(text),
        Event::HostDone { result, ignored: false, .. } if result.is_bad() => {
            let reason = result.message().unwrap_or("no reason was given").to_owned();
            sink.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((reason, result.hint.clone()));
        }
        _ => {}
    });
    let Some(operated) = until_done(operate(wish, operation, report), stop).await else { return Ok(Looked::Ended(Exit::Interrupted)) };
    let operated = operated?;
    let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((reason, hint)) = failure else { return Ok(Looked::Found(operated)) };
    screen::mistake(&reason);
    if let Some(hint) = hint {
        screen::hint(&hint);
    }
    Ok(Looked::Ended(Exit::of_run(&operated.finished, false)))
}

/// Prints a value as JSON or YAML, or else these lines.
pub(super) fn print(output: LookOutput, value: &Value, lines: impl FnOnce() -> Vec<String>) -> Result<(), WorkflowError> {
    match output {
        LookOutput::Table => lines().iter().for_each(|line| screen::line(line)),
        LookOutput::Json => {
            let text = serde_json::to_string_pretty(value).map_err(|error| WorkflowError::Failed(error.to_string()))?;
            screen::line(&text);
        }
        LookOutput::Yaml => screen::text(&serde_yaml::to_string(value).map_err(|error| WorkflowError::Failed(error.to_string()))?),
    }
    Ok(())
}
