//! `pgfleet state`.

use pgfleet_engine::Stop;
use pgfleet_workflows::{Project, Recovered, WorkflowError, recover};
use serde_json::json;

use crate::args::{StateArgs, StateCommand, TextOutput};
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: StateArgs) -> Result<Exit, WorkflowError> {
    let StateCommand::Recover { from, force, output, source, connection } = args.command;
    let stop = Stop::default();
    let mut wish = settings::wish_to_look(project, &source, &connection, stop.clone())?;
    wish.limit = Some(from.clone());
    let Some(recovered) = until_done(recover(&wish, &from, force), &stop).await else { return Ok(Exit::Interrupted) };
    let recovered = recovered?;
    if output == TextOutput::Json {
        let named = |(name, text): &(String, String)| json!({"name": name, "follows": text});
        let brought = recovered.brought.iter().map(|(what, file)| json!({"what": what, "file": file}));
        let shown = json!({
            "brought": brought.collect::<Vec<_>>(),
            "same": recovered.same,
            "aside": recovered.aside,
            "lacking": recovered.lacking.iter().map(named).collect::<Vec<_>>(),
            "differences": recovered.differences,
        });
        screen::line(&shown.to_string());
    } else {
        lines(&recovered, &from).iter().for_each(|line| screen::line(line));
    }
    Ok(Exit::Done)
}

fn lines(recovered: &Recovered, from: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut part = |title: String, rows: Vec<String>| {
        if !rows.is_empty() {
            lines.push(title);
            lines.extend(rows.into_iter().map(|row| format!("  {row}")));
        }
    };
    let brought = recovered.brought.iter().map(|(what, file)| format!("{what}: {}", file.display()));
    part(format!("Brought back from {from}:"), brought.collect());
    part("Here already, the same:".to_owned(), recovered.same.clone());
    part("Made room, and kept:".to_owned(), recovered.aside.iter().map(|path| path.display().to_string()).collect());
    part("Not to be had from a node:".to_owned(), recovered.lacking.iter().map(|(name, follows)| format!("{name}: {follows}")).collect());
    part("The inventory and the cluster differ:".to_owned(), recovered.differences.clone());
    lines.push("Next: 'pgfleet deploy --check', which should find nothing to change.".to_owned());
    lines
}
