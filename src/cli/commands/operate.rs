//! What the commands of day two have in common: a run of their playbook, shown and kept, then what came of it.

use pgfleet_engine::Stop;
use pgfleet_workflows::{Operated, Operation, Project, WorkflowError, cluster_name, operate};

use crate::args::{RunArgs, RunOutput};
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::report::Reporting;
use crate::{prompt, screen, settings};

/// Whether a person must type the cluster's name before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// No.
    NotNeeded,
    /// Yes, unless `--yes` was given.
    Typed {
        /// `--yes`.
        given: bool,
        /// What will happen, in one sentence.
        because: &'static str,
    },
}

/// Runs an operation and shows what came of it; `tell` makes the last lines from the results; JSON output goes without them.
pub(crate) async fn run(
    project: Project,
    args: &RunArgs,
    operation: Operation,
    consent: Consent,
    tell: impl FnOnce(&Operated) -> Vec<String>,
) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish(project, args, stop.clone())?;
    if let Consent::Typed { given: false, because } = consent
        && !args.check
    {
        agreed(&cluster_name(&wish)?, because, "--yes")?;
    }
    let reporting = Reporting::begin(&wish.project, operation.name, args);
    let operated = until_done(operate(&wish, &operation, reporting.report()), &stop).await;
    reporting.end();
    let Some(operated) = operated else { return Ok(Exit::Interrupted) };
    let operated = operated?;
    let lines = tell(&operated);
    if args.output != RunOutput::Json {
        lines.iter().for_each(|line| screen::line(line));
    }
    Ok(Exit::of_run(&operated.finished, args.exit_code))
}

/// Asks for the cluster's name; `option` agrees beforehand.
pub(super) fn agreed(name: &str, because: &str, option: &str) -> Result<(), WorkflowError> {
    let refused = |reason: String, hint: String| WorkflowError::Refused { reason, hint };
    let beforehand = format!("give {option} to agree beforehand");
    if !prompt::is_possible() {
        return Err(refused(format!("{because}; and nobody is here to agree to it"), beforehand));
    }
    screen::note(&format!("{because}."));
    let typed = prompt::line(&format!("Type the cluster's name ({name}) to go on: "))
        .map_err(|error| refused(format!("no answer: {error}"), beforehand))?;
    if typed.trim() == name {
        Ok(())
    } else {
        Err(refused(format!("'{}' is not '{name}'", typed.trim()), "nothing was touched".to_owned()))
    }
}
