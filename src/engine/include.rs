//! Tasks of files that are chosen at run time, for each host on its own.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_playbook::{MAX_INCLUDE_DEPTH, Settings, Step, Task};
use pgfleet_template::{Problem, Raw, Scope, Vars};

use crate::hosts::HostState;
use crate::items::Items;
use crate::play::{Playing, active, truth};
use crate::run::Run;
use crate::{Event, TaskResult};

/// One file for one item: hosts that include the same are run together.
struct Inclusion {
    path: PathBuf,
    vars: Vars,
    hosts: Vec<Arc<HostState>>,
}

impl Run {
    pub(crate) async fn include(self: &Arc<Self>, playing: &Playing, task: &Arc<Task>, hosts: Vec<Arc<HostState>>) -> Result<(), Problem> {
        if !self.options.tags.selects(&task.settings.tags) {
            return Ok(());
        }
        let number = self.announce(playing, task, &hosts, false)?;
        let once = match (&task.settings.run_once, hosts.first()) {
            (Some(raw), Some(host)) => truth(raw, &self.scope(playing, host, Some(task))?).map_err(|problem| problem.at(&task.place))?,
            _ => false,
        };
        let mut inclusions: IndexMap<(PathBuf, String), Inclusion> = IndexMap::new();
        for host in hosts.into_iter().take(if once { 1 } else { usize::MAX }) {
            let begin = std::time::Instant::now();
            match self.wanted(playing, task, &host) {
                Ok(wanted) if wanted.is_empty() => {
                    let result = TaskResult::skipped("Conditional result was False");
                    self.conclude(playing, task, number, &host, result, begin)?;
                }
                Ok(wanted) => {
                    for (path, item, vars) in wanted {
                        let inclusion =
                            inclusions.entry((path.clone(), item)).or_insert_with(|| Inclusion { path, vars, hosts: Vec::new() });
                        inclusion.hosts.push(host.clone());
                    }
                }
                Err(problem) => {
                    let result = TaskResult::from(problem.at(&task.place));
                    self.conclude(playing, task, number, &host, result, begin)?;
                }
            }
        }
        // All files are read before the tasks of any run, so that a mistake in one is told at once.
        let mut ready = Vec::new();
        for mut inclusion in inclusions.into_values() {
            match self.read(task, &inclusion) {
                Ok(steps) => ready.push((inclusion, steps)),
                Err(problem) => {
                    for host in inclusion.hosts.drain(..).filter(|host| host.is_active()) {
                        self.conclude(playing, task, number, &host, TaskResult::from(problem.clone()), std::time::Instant::now())?;
                    }
                }
            }
        }
        let mut including: IndexMap<String, Arc<HostState>> = IndexMap::new();
        for host in ready.iter().flat_map(|(inclusion, _)| active(&inclusion.hosts)) {
            including.insert(host.name.clone(), host);
        }
        including.values().for_each(|host| host.count(|counts| counts.ok += 1));
        for (inclusion, steps) in ready {
            let hosts = active(&inclusion.hosts);
            if hosts.is_empty() || self.options.stop.is_asked() {
                continue;
            }
            let file = self.options.redactor.text(&inclusion.path.display().to_string());
            self.tell(&Event::Included { file, hosts: hosts.iter().map(|host| host.name.clone()).collect() });
            self.steps(playing, &steps, hosts).await?;
        }
        Ok(())
    }

    fn read(&self, task: &Task, inclusion: &Inclusion) -> Result<Vec<Step>, Problem> {
        let mut inherited: Settings = task.included.as_deref().cloned().unwrap_or_default();
        if inherited.parameters.len() > MAX_INCLUDE_DEPTH {
            return Err(Problem::new(format!("includes nest deeper than {MAX_INCLUDE_DEPTH} files")).at(&task.place));
        }
        inherited.parameters.push(Arc::new(inclusion.vars.clone()));
        self.options.loader.tasks(&inclusion.path, &inherited).map_err(|problems| {
            let more = problems.len().saturating_sub(1);
            let first = problems.into_iter().next().unwrap_or_else(|| Problem::new("unreadable tasks"));
            if more > 0 { first.within(format!("and {more} more problems in that file")) } else { first }
        })
    }

    /// Files that a host includes, with the item that led to each.
    fn wanted(self: &Arc<Self>, playing: &Playing, task: &Task, host: &HostState) -> Result<Vec<(PathBuf, String, Vars)>, Problem> {
        let scope = self.scope(playing, host, Some(task))?;
        let Some(repeat) = &task.repeat else {
            return Ok(self.wanted_once(playing, task, &scope)?.map(|path| (path, String::new(), Vars::new())).into_iter().collect());
        };
        let items = Items::of(repeat, &scope, self)?;
        let mut wanted = Vec::new();
        for index in 0..items.len() {
            let vars = items.variables(index);
            let scope = scope.over(Arc::new(vars.clone()));
            if let Some(path) = self.wanted_once(playing, task, &scope)? {
                wanted.push((path, format!("{index} {}", items.text(index, &scope)?), vars));
            }
        }
        Ok(wanted)
    }

    fn wanted_once(&self, playing: &Playing, task: &Task, scope: &Scope) -> Result<Option<PathBuf>, Problem> {
        for condition in &task.settings.when {
            if !condition.holds(scope)? {
                return Ok(None);
            }
        }
        let pgfleet_playbook::Arguments::Named(arguments) = &task.arguments else { return Err(Problem::new("include_tasks takes a file")) };
        let Some((place, raw)) = arguments.get("file") else { return Err(Problem::new("include_tasks takes a file")) };
        let name = file_name(raw, scope).map_err(|problem| problem.at(place))?;
        match self.options.loader.find_tasks(&name, &task.folder, &playing.play.folder) {
            Some(path) => Ok(Some(path)),
            None => {
                Err(Problem::new(format!("there is no file of tasks '{name}' in {} or in the playbook's tasks", task.folder.display()))
                    .at(place))
            }
        }
    }

    /// Counts and tells how an engine task ended on a host.
    pub(crate) fn conclude(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Task,
        number: usize,
        host: &HostState,
        result: TaskResult,
        begin: std::time::Instant,
    ) -> Result<(), Problem> {
        self.settle(
            playing,
            task,
            host,
            &result,
            crate::task::Shown { number, delegate: None, looped: false, milliseconds: crate::run::milliseconds(begin) },
        )
    }
}

fn file_name(raw: &Raw, scope: &Scope) -> Result<String, Problem> {
    let value = raw.evaluate(scope)?;
    value.as_str().map(str::to_owned).ok_or_else(|| Problem::new(format!("the name of a file is text, not {value}")))
}
