//! `ansible-playbook`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::Vault;
use pgfleet_workflows::{Additions, Wish, check_playbook, load_inventory, run_playbook};

use super::config::Config;
use super::grammar::Given;
use super::{Code, Stop, code_of, sources, wish};
use crate::args::{PlaybookArgs, RunArgs};
use crate::commands;
use crate::interrupt::until_done;
use crate::report::Reporting;

pub(super) fn run(given: &Given, config: &Config) -> Result<Code, Stop> {
    let playbooks: Vec<PathBuf> = given.words.iter().map(PathBuf::from).collect();
    for playbook in &playbooks {
        found(playbook)?;
    }
    let mut wish = wish::wish(given, config)?;
    wish.habits.brief = wish.verbosity == 0 && config.text("stdout_callback").is_none_or(|name| name == "default");
    wish.limit = sources::limit(wish.limit.as_deref())?;
    wish.inventories = sources::readable(given, config, &Arc::new(Vault::none()))?;
    let inventory = load_inventory(&wish)?;
    sources::warn_of_group_names(&inventory, config);
    sources::warn_if_empty(&inventory, config);
    sources::check_limit(&inventory, wish.limit.as_deref(), "all")?;
    let args = PlaybookArgs {
        playbooks,
        syntax_check: given.has("syntax-check"),
        list_hosts: given.has("list-hosts"),
        list_tasks: given.has("list-tasks"),
        list_tags: given.has("list-tags"),
        run: RunArgs::default(),
    };
    if args.syntax_check || args.list_hosts || args.list_tasks || args.list_tags {
        for playbook in &args.playbooks {
            commands::playbook::look(&wish, playbook, &args)?;
        }
        return Ok(Code::Done);
    }
    let view = wish::view(given, config);
    let mut code = Code::Done;
    for playbook in &args.playbooks {
        let (read, _) = check_playbook(&wish, playbook)?;
        let plays = read.plays.len();
        drop(read);
        if wish.verbosity > 0 {
            commands::lint::as_warnings(&wish, playbook);
        }
        if view.verbosity > 1 {
            crate::report::ansible::opening(playbook, plays);
        }
        code = play(&wish, playbook, &view)?;
        if code != Code::Done {
            break;
        }
    }
    Ok(code)
}

fn play(wish: &Wish, playbook: &Path, view: &crate::report::ansible::View) -> Result<Code, Stop> {
    let reporting = Reporting::as_ansible(view.clone(), &wish.project);
    let work = async {
        let run = run_playbook(wish, playbook, Additions::default(), reporting.report());
        let finished = until_done(run, &wish.stop).await;
        reporting.end();
        finished.transpose()
    };
    let finished = commands::with_runtime(work)?;
    Ok(finished.map_or(Code::Interrupted, |finished| code_of(&finished)))
}

fn found(playbook: &Path) -> Result<(), Stop> {
    let name = playbook.display();
    if !playbook.exists() {
        return Err(Stop::Said(Code::Error, format!("the playbook: {name} could not be found")));
    }
    if playbook.is_dir() {
        return Err(Stop::Said(Code::Error, format!("the playbook: {name} does not appear to be a file")));
    }
    Ok(())
}
