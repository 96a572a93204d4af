//! `pgfleet drill`: a failure on purpose, and what clients saw of it.

use std::path::Path;

use pgfleet_cluster::{DRILLS, drill_named};
use pgfleet_lab::{Lab, LabName, Settings as LabSettings};
use pgfleet_workflows::{Operated, Project, WorkflowError};
use serde_json::Value;

use super::members::{operation, summary};
use super::operate::{self, Consent};
use crate::args::{DrillArgs, RunArgs, RunOutput};
use crate::exit::Exit;
use crate::table::Table;
use crate::{page, screen};

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
    let power = lab_of(&project, &args.run).map(Value::from);
    let variables = [("drill_name", Some(Value::from(name))), ("drill_seconds", args.seconds.map(Value::from)), ("drill_power", power)];
    let operation = operation("drill", variables);
    let because = "A failure will be made on purpose: sessions break, and writes may wait for up to a minute";
    let consent = Consent::Typed { given: args.yes, because };
    operate::run(project, &args.run, operation, consent, told).await
}

/// The words that switch hosts of the inventory's lab off and on, where it is a lab's.
fn lab_of(project: &Project, args: &RunArgs) -> Option<Vec<String>> {
    let real = |path: &Path| path.canonicalize().ok();
    let folders = std::fs::read_dir(project.state().join("lab")).ok()?;
    for folder in folders.flatten().map(|entry| entry.path()) {
        let Ok(name) = folder.file_name().unwrap_or_default().to_string_lossy().parse::<LabName>() else { continue };
        let mut settings = LabSettings::of_project(project.root()).ok()?;
        (settings.name, settings.state_dir) = (name.clone(), folder.clone());
        let Some(inventory) = Lab::existing(settings).ok().and_then(|lab| real(&lab.inventory())) else { continue };
        let is_it = |given: &String| real(Path::new(given)).is_some_and(|given| given == inventory || given.parent() == Some(&inventory));
        if args.source.inventory.iter().any(is_it) {
            let program = std::env::current_exe().ok()?.display().to_string();
            let (root, state) = (project.root().display().to_string(), folder.display().to_string());
            return Some(
                [program, "--project".into(), root, "lab".into(), "--name".into(), name.to_string(), "--state".into(), state].into(),
            );
        }
    }
    None
}

/// The last lines: the report, and where its page is.
fn told(operated: &Operated) -> Vec<String> {
    let mut lines = summary(operated, "cluster_drill");
    if let Some(page) = page_of(operated) {
        lines.push(page.map_or_else(|reason| format!("No page: {reason}"), |path| format!("Page: {path}")));
    }
    lines
}

/// Writes the page where there is a report.
fn page_of(operated: &Operated) -> Option<Result<String, String>> {
    let file = operated.results.get("cluster_drill")?.get("file")?.as_str()?;
    Some(page::beside(Path::new(file)))
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
