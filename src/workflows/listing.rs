//! What a playbook would do, without doing it: its plays with their hosts, tasks and tags.

use std::path::Path;
use std::sync::Arc;

use pgfleet_playbook::{Engine, Kind, Play, Step, TagSelection, Task};
use pgfleet_template::{Raw, Scope, to_json};

use crate::play::{Prepared, Purpose, Wish, prepare_for};
use crate::{WorkflowError, reach};

/// A play as listed.
#[derive(Clone, Debug)]
pub struct ListedPlay {
    /// Its patterns.
    pub patterns: Vec<String>,
    /// Its name, or its patterns where it has none.
    pub name: String,
    /// Its own tags.
    pub tags: Vec<String>,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its tasks with their tags, sorted; those that are chosen and that are always run.
    pub tasks: Vec<(String, Vec<String>)>,
}

impl ListedPlay {
    /// All tags of the play and its tasks, sorted.
    #[must_use]
    pub fn all_tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = self.tasks.iter().flat_map(|(_, tags)| tags.iter().cloned()).chain(self.tags.iter().cloned()).collect();
        tags.sort();
        tags.dedup();
        tags
    }
}

/// A playbook as listed.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its plays.
    pub plays: Vec<ListedPlay>,
    /// What is wrong with tasks that may never run, and keys that stand twice.
    pub warnings: Vec<String>,
}

/// Reads a playbook with everything that it imports, as for a run or for a listing. Nothing connects.
///
/// # Errors
/// Every problem found.
pub fn list_playbook(wish: &Wish, playbook: &Path, purpose: Purpose) -> Result<Listing, WorkflowError> {
    let prepared = prepare_for(wish, playbook, purpose)?;
    let plays = prepared.playbook.plays.iter().map(|play| listed(wish, &prepared, play)).collect::<Result<_, _>>()?;
    let files = prepared.loader.files();
    let duplicates = files.shelf().iter().flat_map(|shelf| shelf.take_duplicates()).map(|found| found.problem()).collect::<Vec<_>>();
    Ok(Listing { plays, warnings: duplicates.iter().chain(&prepared.playbook.deferred).map(ToString::to_string).collect() })
}

fn listed(wish: &Wish, prepared: &Prepared, play: &Play) -> Result<ListedPlay, WorkflowError> {
    let scope = Scope::new(&prepared.language, vec![play.folder.to_path_buf()]).over(prepared.defaults.clone());
    let scope = scope.over(play.vars.clone()).over(Arc::new(prepared.extra.clone()));
    let patterns = match rendered(&play.hosts, &scope) {
        serde_json::Value::Array(parts) => parts.iter().map(text).collect(),
        other => vec![text(&other)],
    };
    let inventory = &prepared.inventory;
    let pattern = patterns.join(",");
    let mut hosts: Vec<String> = inventory.select(&pattern)?.hosts.iter().map(ToString::to_string).collect();
    if hosts.is_empty() && reach::CONTROLLER.contains(&pattern.trim()) {
        hosts.push(pattern.trim().to_owned());
    }
    if let Some(limit) = &wish.limit {
        let limited = inventory.select(limit)?.hosts;
        hosts.retain(|host| limited.iter().any(|limited| limited.as_str() == host));
    }
    let name = play.name.as_ref().map_or_else(|| pattern.clone(), |name| text(&rendered(name, &scope)));
    let mut tasks = Vec::new();
    for steps in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
        list_steps(steps, &wish.tags, &mut tasks);
    }
    let mut tags = play.settings.tags.clone();
    tags.sort();
    tags.dedup();
    Ok(ListedPlay { patterns, name, tags, hosts, tasks })
}

/// What is rescued and what is always done is no part of a listing.
fn list_steps(steps: &[Step], tags: &TagSelection, tasks: &mut Vec<(String, Vec<String>)>) {
    for step in steps {
        match step {
            Step::Task(task) if tags.selects(&task.settings.tags) => {
                let mut tags = task.settings.tags.clone();
                tags.sort();
                tags.dedup();
                tasks.push((shown_name(task), tags));
            }
            Step::Task(_) => {}
            Step::Block(block) => list_steps(&block.block, tags, tasks),
        }
    }
}

fn shown_name(task: &Task) -> String {
    let Some(name) = task.name.as_ref().map(|name| text(&to_json(&name.as_written()).unwrap_or_default())) else {
        return task.module_name.clone();
    };
    match &task.settings.role {
        Some(role) if task.kind != Kind::Engine(Engine::IncludeRole) => format!("{} : {name}", role.origin.name),
        _ => name,
    }
}

/// A keyword's value with the variables of play and command line, or as written where others are needed.
fn rendered(raw: &Raw, scope: &Scope) -> serde_json::Value {
    let value = raw.evaluate(scope).unwrap_or_else(|_| raw.as_written());
    to_json(&value).unwrap_or_default()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
