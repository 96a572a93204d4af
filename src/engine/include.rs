//! Files of tasks and roles that are chosen at run time, for each host on its own.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_playbook::{Arguments, Engine, Included, Kind, MAX_INCLUDE_DEPTH, Role, RoleChoice, Settings, Task};
use pgfleet_template::{Place, Problem, Raw, Scope, Vars};

use crate::hosts::{Fate, HostState};
use crate::items::Items;
use crate::play::{Playing, active, truth};
use crate::run::Run;
use crate::steps::Following;
use crate::{Event, TaskResult};

/// What is included.
#[derive(Clone)]
enum Target {
    File(PathBuf),
    Role(RoleChoice),
}

impl Target {
    /// As shown.
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Role(choice) => choice.name.clone(),
        }
    }
}

/// One file or role for one item: hosts that include the same are run together.
struct Inclusion {
    target: Target,
    vars: Vars,
    /// The item of a loop, as its label shows it.
    item: Option<String>,
    hosts: Vec<Arc<HostState>>,
}

/// Number and label of an item of a loop.
type Item = (usize, String);
/// What a host includes, for which item, with which variables.
type Wanted = (Target, Option<Item>, Vars);

impl Run {
    pub(crate) async fn include(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Arc<Task>,
        hosts: Vec<Arc<HostState>>,
        following: Following<'_>,
        handler: bool,
    ) -> Result<(), Problem> {
        if !self.options.tags.selects(&task.settings.tags) {
            return Ok(());
        }
        let number = self.announce(playing, task, &hosts, handler)?;
        let once = match (&task.settings.run_once, hosts.first()) {
            (Some(raw), Some(host)) => truth(raw, &self.scope(playing, host, Some(task))?).map_err(|problem| problem.at(&task.place))?,
            _ => false,
        };
        let all = hosts.clone();
        let mut inclusions: IndexMap<(String, Option<Item>), Inclusion> = IndexMap::new();
        for host in hosts.into_iter().take(if once { 1 } else { usize::MAX }) {
            let begin = std::time::Instant::now();
            match self.wanted(playing, task, &host) {
                Ok(wanted) if wanted.is_empty() => {
                    let result = TaskResult::skipped("Conditional result was False");
                    self.conclude(playing, task, number, &host, result, begin)?;
                }
                Ok(wanted) => {
                    for (target, item, vars) in wanted {
                        let label = item.as_ref().map(|(_, label)| label.clone());
                        let key = match &target {
                            Target::File(_) => target.name(),
                            Target::Role(choice) => format!("{choice:?}"),
                        };
                        let inclusion =
                            inclusions.entry((key, item)).or_insert_with(|| Inclusion { target, vars, item: label, hosts: Vec::new() });
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
            match self.read(playing, task, &inclusion) {
                Ok(included) => ready.push((inclusion, included)),
                Err(problem) => {
                    for host in inclusion.hosts.drain(..).filter(|host| host.is_active()) {
                        self.conclude(playing, task, number, &host, TaskResult::from(problem.clone()), std::time::Instant::now())?;
                    }
                }
            }
        }
        let asked = |host: &Arc<HostState>| -> Result<bool, Problem> {
            let Some(raw) = &task.settings.any_errors_fatal else { return Ok(false) };
            truth(raw, &self.scope(playing, host, Some(task))?).map_err(|problem| problem.at(&task.place))
        };
        if let Some(lost) = all.iter().find(|host| host.is_lost())
            && asked(lost)?
        {
            active(&playing.batch).iter().for_each(|host| host.meet(Fate::Failed));
        }
        for (inclusion, _) in &ready {
            let hosts = active(&inclusion.hosts);
            if hosts.is_empty() || self.options.stop.is_asked() {
                continue;
            }
            hosts.iter().for_each(|host| host.count(|counts| counts.ok += 1));
            let file = self.options.redactor.text(&inclusion.target.name());
            let item = inclusion.item.as_ref().map(|item| self.options.redactor.text(item));
            self.tell(&Event::Included { file, hosts: hosts.iter().map(|host| host.name.clone()).collect(), item });
        }
        // Where hosts include different files, what comes next of one is another's file.
        let following = if ready.len() == 1 { following } else { Following::default() };
        for (inclusion, included) in ready {
            let hosts = active(&inclusion.hosts);
            if hosts.is_empty() || self.options.stop.is_asked() {
                continue;
            }
            playing.roles.add(&included);
            self.steps(playing, &included.steps, hosts, following).await?;
        }
        Ok(())
    }

    fn read(&self, playing: &Playing, task: &Task, inclusion: &Inclusion) -> Result<Included, Problem> {
        let mut inherited: Settings = task.included.as_deref().cloned().unwrap_or_default();
        if inherited.parameters.len() > MAX_INCLUDE_DEPTH {
            return Err(Problem::new(format!("includes nest deeper than {MAX_INCLUDE_DEPTH} files")).at(&task.place));
        }
        inherited.parameters.push(Arc::new(inclusion.vars.clone()));
        let read = match &inclusion.target {
            Target::File(path) => self.options.loader.tasks(path, &inherited, &playing.play),
            Target::Role(choice) => self.options.loader.role(choice.clone(), &task.place, &inherited, &playing.play),
        };
        read.map_err(|problems| {
            let more = problems.len().saturating_sub(1);
            let first = problems.into_iter().next().unwrap_or_else(|| Problem::new("unreadable tasks"));
            if more > 0 { first.within(format!("and {more} more problems in that file")) } else { first }
        })
    }

    /// Files that a host includes, with the item that led to each.
    fn wanted(self: &Arc<Self>, playing: &Playing, task: &Task, host: &HostState) -> Result<Vec<Wanted>, Problem> {
        let scope = self.scope(playing, host, Some(task))?;
        let Some(repeat) = &task.repeat else {
            return Ok(self.wanted_once(playing, task, &scope)?.map(|target| (target, None, Vars::new())).into_iter().collect());
        };
        let items = Items::of(repeat, &scope, self)?;
        let hidden = task.settings.no_log.as_ref().map_or(Ok(false), |raw| truth(raw, &scope))?;
        let mut wanted = Vec::new();
        for index in 0..items.len() {
            let vars = items.variables(index);
            let scope = scope.over(Arc::new(vars.clone()));
            if let Some(target) = self.wanted_once(playing, task, &scope)? {
                let label = if hidden { "(censored due to no_log)".to_owned() } else { items.text(index, &scope)? };
                wanted.push((target, Some((index, label)), vars));
            }
        }
        Ok(wanted)
    }

    fn wanted_once(&self, playing: &Playing, task: &Task, scope: &Scope) -> Result<Option<Target>, Problem> {
        for condition in &task.settings.when {
            if !condition.holds(scope)? {
                return Ok(None);
            }
        }
        let Arguments::Named(arguments) = &task.arguments else { return Err(Problem::new("an include takes a file or a role")) };
        if task.kind == Kind::Engine(Engine::IncludeRole) {
            return role_choice(arguments, scope).map(|choice| Some(Target::Role(choice)));
        }
        let Some((place, raw)) = arguments.get("file") else { return Err(Problem::new("include_tasks takes a file")) };
        let name = text_value(raw, scope).map_err(|problem| problem.at(place))?;
        match self.options.loader.find_tasks(&name, &task.folder, task.settings.role.as_deref().map(Role::folder), &playing.play.folder) {
            Some(path) => Ok(Some(Target::File(path))),
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

fn text_value(raw: &Raw, scope: &Scope) -> Result<String, Problem> {
    let value = raw.evaluate(scope)?;
    value.as_str().map(str::to_owned).ok_or_else(|| Problem::new(format!("the name of what is included is text, not {value}")))
}

/// The role that an include asks for.
fn role_choice(arguments: &IndexMap<String, (Place, Raw)>, scope: &Scope) -> Result<RoleChoice, Problem> {
    let text = |key: &str| -> Result<Option<String>, Problem> {
        let Some((place, raw)) = arguments.get(key) else { return Ok(None) };
        text_value(raw, scope).map(Some).map_err(|problem| problem.at(place))
    };
    let flag = |key: &str| -> Result<Option<bool>, Problem> {
        let Some((place, raw)) = arguments.get(key) else { return Ok(None) };
        truth(raw, scope).map(Some).map_err(|problem| problem.at(place))
    };
    Ok(RoleChoice {
        name: text("name")?.ok_or_else(|| Problem::new("include_role takes the name of a role"))?,
        tasks_from: text("tasks_from")?,
        vars_from: text("vars_from")?,
        defaults_from: text("defaults_from")?,
        handlers_from: text("handlers_from")?,
        allow_duplicates: flag("allow_duplicates")?,
        public: flag("public")?,
        unchecked: flag("rolespec_validate")? == Some(false),
    })
}
