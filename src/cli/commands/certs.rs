//! `pgfleet certs`.

use pgfleet_engine::Stop;
use pgfleet_protocol::Map;
use pgfleet_workflows::{Project, Renewal, WorkflowError, certificates, cluster_name, rotate_certificates};
use serde_json::Value;

use super::operate::agreed;
use super::secrets::ended;
use crate::args::{CertsArgs, CertsCommand, RunArgs, TextOutput};
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::report::Reporting;
use crate::table::Table;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: CertsArgs) -> Result<Exit, WorkflowError> {
    if let Some(CertsCommand::Rotate { authority, yes, run }) = args.command {
        return rotate(project, if authority { Renewal::Authority } else { Renewal::Nodes }, yes, &run).await;
    }
    let stop = Stop::default();
    let wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    let Some(told) = until_done(certificates(&wish), &stop).await else { return Ok(Exit::Interrupted) };
    let told = told?;
    let rows: Vec<&Value> =
        told.get("authority").into_iter().chain(told.get("nodes").and_then(Value::as_array).into_iter().flatten()).collect();
    match args.output {
        TextOutput::Json => screen::line(&shown(&told).to_string()),
        TextOutput::Text => table(&rows),
    }
    Ok(if rows.iter().all(|row| row["state"] == "good") { Exit::Done } else { Exit::NotHealthy })
}

fn shown(told: &Map) -> Value {
    let part = |name: &str| (name.to_owned(), told.get(name).cloned().unwrap_or_default());
    Value::Object(["authority", "nodes"].map(part).into_iter().collect())
}

fn table(rows: &[&Value]) {
    let mut table = Table::new(&["Node", "State", "Days left", "Issuer", "Names", "Number"]);
    for row in rows.iter().filter(|row| row.is_object()) {
        let text = |name: &str| screen::plain(row[name].as_str().unwrap_or_default());
        let names: Vec<&str> = row["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let days = row["days_left"].as_u64().map(|days| days.to_string()).unwrap_or_default();
        let cells = [text("node"), text("state"), days, text("issuer"), screen::plain(&names.join(" ")), text("serial")];
        table.row(cells.to_vec());
    }
    table.lines().iter().for_each(|line| screen::line(line));
}

async fn rotate(project: Project, renewal: Renewal, yes: bool, run: &RunArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish(project, run, stop.clone())?;
    if renewal == Renewal::Authority && !yes && !run.check {
        let because = "A new authority signs from now on: clients that verify the server must be given its certificate";
        agreed(&cluster_name(&wish)?, because, "--yes")?;
    }
    let reporting = Reporting::begin(&wish.project, "certs-rotate", run);
    let rotated = until_done(rotate_certificates(&wish, renewal, reporting.report()), &stop).await;
    reporting.end();
    let Some(rotated) = rotated else { return Ok(Exit::Interrupted) };
    Ok(ended(&rotated?, run))
}
