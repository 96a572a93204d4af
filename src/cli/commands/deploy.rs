//! `pgfleet deploy`.

use pgfleet_engine::Stop;
use pgfleet_workflows::{Project, WorkflowError, deploy};

use crate::args::DeployArgs;
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::report::Reporting;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: DeployArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish(project, &args.run, stop.clone())?;
    let reporting = Reporting::begin(&wish.project, "deploy", &args.run);
    let finished = until_done(deploy(&wish, reporting.report()), &stop).await;
    reporting.end();
    let Some(finished) = finished else { return Ok(Exit::Interrupted) };
    let finished = finished?;
    if finished.interrupted {
        screen::hint("run the same command again: it goes on where this run ended");
    }
    Ok(Exit::of_run(&finished, args.run.exit_code))
}
