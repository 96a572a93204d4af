//! `pgfleet history`.

use pgfleet_engine::Stop;
use pgfleet_workflows::{Operation, Project, WorkflowError};
use serde_json::Value;

use super::look::{Looked, look, print};
use crate::args::HistoryArgs;
use crate::exit::Exit;
use crate::settings;
use crate::table::Table;

pub(crate) async fn run(project: Project, args: HistoryArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    let operation = Operation { name: "history", looks_only: true, ..Operation::default() };
    let operated = match look(&wish, &operation, &stop, |_| {}).await? {
        Looked::Found(operated) => operated,
        Looked::Ended(exit) => return Ok(exit),
    };
    let found = operated.results.get("patroni_history").cloned().unwrap_or_default();
    let rows = found.get("history").cloned().unwrap_or_default();
    print(args.output, &rows, || lines(&rows, found.get("leader").unwrap_or(&Value::Null)))?;
    Ok(Exit::Done)
}

fn lines(rows: &Value, leader: &Value) -> Vec<String> {
    let mut table = Table::new(&["TL", "LSN", "Time", "New leader", "Reason"]);
    let text = |row: &Value, name: &str| match &row[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows {
        let time = text(row, "time").get(..19).map(|time| time.replace('T', " ")).unwrap_or_default();
        table.row(vec![text(row, "timeline"), text(row, "lsn"), time, text(row, "new_leader"), text(row, "reason")]);
    }
    let mut lines = if rows.is_empty() { vec!["No failover or switchover so far.".to_owned()] } else { table.lines() };
    if let Some(name) = leader["name"].as_str() {
        lines.push(format!("\n{name} leads on timeline {}.", leader["timeline"]));
    }
    lines
}
