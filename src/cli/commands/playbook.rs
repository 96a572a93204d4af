//! `pgfleet playbook`.

use std::path::Path;

use pgfleet_engine::Stop;
use pgfleet_workflows::{Additions, ListedPlay, Project, Purpose, Wish, WorkflowError, check_playbook, list_playbook, run_playbook};

use crate::args::PlaybookArgs;
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::report::Reporting;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: PlaybookArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish(project, &args.run, stop.clone())?;
    // All playbooks are read before the first one runs.
    let lists = args.list_hosts || args.list_tasks || args.list_tags;
    for playbook in &args.playbooks {
        look(&wish, playbook, &args).inspect_err(|error| super::lint::beside(&wish, &args, error))?;
    }
    if lists || args.syntax_check {
        return Ok(Exit::Done);
    }
    if let Some(exit) = super::lint::before_run(&wish, &args.playbooks, &args.run) {
        return Ok(exit);
    }
    let mut exit = Exit::Done;
    for playbook in &args.playbooks {
        let name = playbook.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let reporting = Reporting::begin(&wish.project, &name, &args.run);
        let finished = until_done(run_playbook(&wish, playbook, Additions::default(), reporting.report()), &stop).await;
        reporting.end();
        let Some(finished) = finished else { return Ok(Exit::Interrupted) };
        exit = Exit::of_run(&finished?, args.run.exit_code);
        if exit != Exit::Done {
            break;
        }
    }
    Ok(exit)
}

/// Reads a playbook, and lists what is asked for.
pub(crate) fn look(wish: &Wish, playbook: &Path, args: &PlaybookArgs) -> Result<(), WorkflowError> {
    let lists = args.list_hosts || args.list_tasks || args.list_tags;
    if !lists && !args.syntax_check {
        return check_playbook(wish, playbook).map(drop);
    }
    // A playbook is right or wrong whatever hosts the inventory has; what would fail for certain is wrong.
    let listing = list_playbook(wish, playbook, if lists { Purpose::List } else { Purpose::Run })?;
    listing.warnings.iter().for_each(|warning| screen::note(&format!("warning: {warning}")));
    screen::line(&format!("\nplaybook: {}", playbook.display()));
    if lists {
        listing.plays.iter().enumerate().for_each(|(number, play)| list(play, number + 1, args));
    }
    Ok(())
}

/// Prints a play as `ansible-playbook` does.
fn list(play: &ListedPlay, number: usize, args: &PlaybookArgs) {
    let mut text = format!("\n  play #{number} ({}): {}\tTAGS: [{}]", play.patterns.join(","), play.name, play.tags.join(","));
    if args.list_hosts {
        let patterns: Vec<String> = play.patterns.iter().map(|pattern| quoted(pattern)).collect();
        text.push_str(&format!("\n    pattern: [{}]\n    hosts ({}):", patterns.join(", "), play.hosts.len()));
        play.hosts.iter().for_each(|host| text.push_str(&format!("\n      {host}")));
    }
    screen::line(&text);
    if !args.list_tasks && !args.list_tags {
        return;
    }
    let mut text = String::new();
    if args.list_tasks {
        text.push_str("    tasks:\n");
        for (name, tags) in &play.tasks {
            text.push_str(&format!("      {name}\tTAGS: [{}]\n", tags.join(", ")));
        }
    }
    if args.list_tags {
        text.push_str(&format!("      TASK TAGS: [{}]\n", play.all_tags().join(", ")));
    }
    screen::line(text.trim_end_matches('\n'));
}

/// As Python shows a text.
fn quoted(text: &str) -> String {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let text = text.replace('\\', "\\\\");
    if mark == '"' { format!("\"{text}\"") } else { format!("'{}'", text.replace('\'', "\\'")) }
}
