//! `pgfleet playbook`.

use std::path::Path;

use pgfleet_engine::Stop;
use pgfleet_playbook::{Play, Step, TagSelection};
use pgfleet_workflows::{Additions, Project, Wish, WorkflowError, check_playbook, run_playbook};

use crate::args::PlaybookArgs;
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::report::Reporting;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: PlaybookArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish(project, &args.run, stop.clone())?;
    // All playbooks are read before the first one runs.
    for playbook in &args.playbooks {
        look(&wish, playbook, &args)?;
    }
    if args.syntax_check || args.list_hosts || args.list_tasks {
        return Ok(Exit::Done);
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
    let (read, inventory) = check_playbook(wish, playbook)?;
    if args.list_hosts || args.list_tasks {
        screen::line(&format!("\nplaybook: {}", playbook.display()));
        for (number, play) in read.plays.iter().enumerate() {
            list(play, number + 1, &inventory, wish, args)?;
        }
    } else if args.syntax_check {
        screen::line(&format!("\nplaybook: {}", playbook.display()));
    }
    Ok(())
}

fn list(
    play: &Play,
    number: usize,
    inventory: &pgfleet_inventory::Inventory,
    wish: &Wish,
    args: &PlaybookArgs,
) -> Result<(), WorkflowError> {
    let pattern = play.hosts.as_written().to_string();
    let name = play.name.as_ref().map_or_else(|| pattern.clone(), |name| name.as_written().to_string());
    let tags = play.settings.tags.join(", ");
    screen::line(&format!("\n  play #{number} ({pattern}): {name}\tTAGS: [{tags}]"));
    if args.list_hosts {
        let mut hosts = inventory.select(&pattern)?.hosts;
        if let Some(limit) = &wish.limit {
            let limited = inventory.select(limit)?.hosts;
            hosts.retain(|host| limited.contains(host));
        }
        screen::line(&format!("    pattern: ['{pattern}']\n    hosts ({}):", hosts.len()));
        hosts.iter().for_each(|host| screen::line(&format!("      {host}")));
    }
    if args.list_tasks {
        screen::line("    tasks:");
        for steps in [&play.pre_tasks, &play.tasks, &play.post_tasks] {
            list_steps(steps, &wish.tags);
        }
    }
    Ok(())
}

fn list_steps(steps: &[Step], tags: &TagSelection) {
    for step in steps {
        match step {
            Step::Task(task) if tags.selects(&task.settings.tags) && task.module.name != "meta" => {
                let name = task.name.as_ref().map_or_else(|| task.module_name.clone(), |name| name.as_written().to_string());
                screen::line(&format!("      {name}\tTAGS: [{}]", task.settings.tags.join(", ")));
            }
            Step::Task(_) => {}
            Step::Block(block) => [&block.block, &block.rescue, &block.always].into_iter().for_each(|steps| list_steps(steps, tags)),
        }
    }
}
