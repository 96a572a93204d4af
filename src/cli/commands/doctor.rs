//! `pgfleet doctor`.

use std::time::Duration;

use console::Style;
use pgfleet_cluster::Outcome;
use pgfleet_engine::Stop;
use pgfleet_workflows::{Project, WorkflowError, diagnosis};
use serde_json::json;

use crate::args::{DoctorArgs, TextOutput};
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::table::Table;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: DoctorArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let mut wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    // A host that is gone shall be a row soon, not a wait.
    wish.connect_timeout = wish.connect_timeout.or(Some(Duration::from_secs(4)));
    let Some(diagnosis) = until_done(diagnosis(&wish), &stop).await else { return Ok(Exit::Interrupted) };
    let diagnosis = diagnosis?;
    if args.output == TextOutput::Json {
        let shown = json!({"healthy": diagnosis.healthy, "summary": diagnosis.summary, "checks": diagnosis.checks});
        screen::line(&shown.to_string());
    } else {
        let shown: Vec<_> = diagnosis.checks.iter().filter(|check| args.all || check.result != Outcome::Pass).collect();
        if !shown.is_empty() {
            let mut table = Table::new(&["Node", "Check", "Result", "What", "What to do"]);
            for check in shown {
                let cells = [&check.node, &check.check, &word(check.result), &screen::plain(&check.seen), &check.todo];
                table.row(cells.map(String::clone).to_vec());
            }
            table.lines().iter().for_each(|line| screen::line(line));
            screen::line("");
        }
        let more = if args.all { "" } else { "; --all shows every check" };
        screen::line(&format!("{}{more}", diagnosis.summary));
    }
    Ok(if diagnosis.healthy { Exit::Done } else { Exit::NotHealthy })
}

fn word(result: Outcome) -> String {
    match result {
        Outcome::Pass => Style::new().green().apply_to("Pass").to_string(),
        Outcome::Warn => Style::new().yellow().apply_to("Warn").to_string(),
        Outcome::Fail => Style::new().red().bold().apply_to("Fail").to_string(),
    }
}
