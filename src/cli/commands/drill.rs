//! `pgfleet drill`: a failure on purpose, and what clients saw of it.

use pgfleet_cluster::{DRILLS, drill_named};
use pgfleet_workflows::{Project, WorkflowError};
use serde_json::Value;

use super::members::{operation, summary};
use super::operate::{self, Consent};
use crate::args::{DrillArgs, RunOutput};
use crate::exit::Exit;
use crate::screen;
use crate::table::Table;

pub(crate) async fn run(project: Project, args: DrillArgs) -> Result<Exit, WorkflowError> {
    if args.list {
        return list(args.run.output);
    }
    let name = args.name.unwrap_or_default();
    if drill_named(&name).is_none() {
        screen::mistake(&format!("'{name}' is no drill"));
        screen::hint("'pgfleet drill --list' has them");
        return Ok(Exit::Input);
    }
    let operation = operation("drill", [("drill_name", Some(Value::from(name))), ("drill_seconds", args.seconds.map(Value::from))]);
    let because = "A failure will be made on purpose: sessions break, and writes may wait for up to a minute";
    let consent = Consent::Typed { given: args.yes, because };
    operate::run(project, &args.run, operation, consent, |done| summary(done, "cluster_drill")).await
}

fn list(output: RunOutput) -> Result<Exit, WorkflowError> {
    if output == RunOutput::Json {
        screen::line(&serde_json::to_string_pretty(DRILLS).map_err(|error| WorkflowError::Failed(error.to_string()))?);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["Drill", "What is done"]);
    for drill in DRILLS {
        table.row(vec![drill.name.to_owned(), drill.does.to_owned()]);
    }
    table.lines().iter().for_each(|line| screen::line(line));
    Ok(Exit::Done)
}
