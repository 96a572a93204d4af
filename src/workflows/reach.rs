//! Whom a run would reach, and with which files: what can be known to be wrong before anything connects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_inventory::{Inventory, read_variables};
use pgfleet_playbook::{Play, Playbook};
use pgfleet_template::{Files, Place, Problem, Raw, SourceFile, Vault, to_json};

use crate::WorkflowError;
use crate::play::{Prepared, Wish};

/// Names of the controller, which every inventory has.
pub(crate) const CONTROLLER: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A limit that matches nothing, and a playbook none of whose plays has a host, are mistakes.
pub(crate) fn check_reach(wish: &Wish, prepared: &Prepared) -> Result<(), WorkflowError> {
    let inventory = &prepared.inventory;
    let limited = match &wish.limit {
        Some(limit) => {
            let hosts = inventory.select(limit)?.hosts;
            if hosts.is_empty() && !CONTROLLER.contains(&limit.trim()) {
                return Err(like_a_name(Problem::new(format!("the limit '{limit}' matches no host")), limit, inventory).into());
            }
            Some(hosts)
        }
        None => None,
    };
    let files = wish.project.files();
    let mut problems = Vec::new();
    for play in &prepared.playbook.plays {
        // A pattern with variables is known when the play begins.
        let Some(pattern) = pattern(play) else { return Ok(()) };
        if CONTROLLER.contains(&pattern.trim()) {
            return Ok(());
        }
        let explain = |problem: Problem| explained(problem.at(&play.place), &*files);
        let selection = inventory.select(&pattern).map_err(explain)?;
        let kept = selection.hosts.iter().any(|host| limited.as_ref().is_none_or(|limited| limited.contains(host)));
        if kept {
            return Ok(());
        }
        problems.push(explain(empty_play(&pattern, selection.hosts.is_empty(), wish, inventory)));
    }
    if inventory.hosts().next().is_none() {
        let sources = wish.inventories.join(", ");
        return Err(Problem::new(format!("the inventory has no hosts: {sources}"))
            .with_hint("name them there, or give another with -i")
            .into());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

/// Why a play has no host.
fn empty_play(pattern: &str, matches_nothing: bool, wish: &Wish, inventory: &Inventory) -> Problem {
    let limit = wish.limit.as_deref().filter(|_| !matches_nothing);
    if let Some(limit) = limit {
        return Problem::new(format!("no host of '{pattern}' is within the limit '{limit}', so there is nothing to do"));
    }
    if inventory.groups().any(|group| group.name.as_str() == pattern) {
        return Problem::new(format!("the group '{pattern}' has no hosts, so there is nothing to do"));
    }
    like_a_name(Problem::new(format!("'{pattern}' matches no host, so there is nothing to do")), pattern, inventory)
}

/// Suggests the host or group whose name is most like the word.
fn like_a_name(problem: Problem, word: &str, inventory: &Inventory) -> Problem {
    let hosts = inventory.hosts().map(|host| host.name.to_string());
    let known: Vec<String> = hosts.chain(inventory.groups().map(|group| group.name.to_string())).collect();
    problem.did_you_mean(word, known.iter().map(String::as_str))
}

/// The pattern of a play, where no variable is in it.
pub(crate) fn pattern(play: &Play) -> Option<String> {
    if !play.hosts.variables().is_empty() {
        return None;
    }
    match to_json(&play.hosts.as_written()).ok()? {
        serde_json::Value::String(pattern) if !pattern.contains("{{") => Some(pattern),
        serde_json::Value::Array(parts) => Some(parts.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(",")),
        _ => None,
    }
}

/// What is wrong with the files of variables whose names are known. That one is missing counts only in the first
/// play: an earlier play may make it for a later one.
pub(crate) fn vars_files_problems(playbook: &Playbook, files: &dyn Files, vault: &Arc<Vault>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for (number, play) in playbook.plays.iter().enumerate() {
        for (place, raw) in &play.vars_files {
            let Some(names) = names(raw) else { continue };
            let problem = match find(files, &play.folder, &names) {
                Some(path) => read_variables(files, &path, vault).err(),
                None if number == 0 => {
                    let problem = Problem::new(format!("there is no file of variables '{}'", names.join("' or '")));
                    Some(explained(problem.with_hint("it is looked for beside the playbook, and in 'vars' there").at(place), files))
                }
                None => None,
            };
            problems.extend(problem.filter(|problem| !problems.contains(problem)));
        }
    }
    problems
}

fn names(raw: &Raw) -> Option<Vec<String>> {
    let is_plain = |name: &String| !name.contains("{{") && !name.contains("{%");
    let names = match to_json(&raw.as_written()).ok()? {
        serde_json::Value::String(name) => vec![name],
        serde_json::Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => return None,
    };
    (names.iter().all(is_plain) && !names.is_empty()).then_some(names)
}

fn find(files: &dyn Files, folder: &Path, names: &[String]) -> Option<PathBuf> {
    let candidates = names.iter().flat_map(|name| [folder.join("vars").join(name), folder.join(name)]);
    let path = candidates.into_iter().find(|path| files.is_file(path))?;
    let shorter = path.strip_prefix(".").ok().filter(|path| files.is_file(path)).map(Path::to_path_buf);
    Some(shorter.unwrap_or(path))
}

/// The problem with the line that its place names.
pub(crate) fn explained(problem: Problem, files: &dyn Files) -> Problem {
    let file = problem.place.as_ref().map(|Place { file, .. }| PathBuf::from(&**file));
    match file.and_then(|file| SourceFile::read(files, &file, &Vault::none()).ok()) {
        Some(source) => source.explain(problem),
        None => problem,
    }
}
