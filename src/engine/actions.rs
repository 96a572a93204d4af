//! Modules that the engine does itself: no host is touched, no round trip made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pgfleet_inventory::read_variables;
use pgfleet_playbook::{Arguments, Engine, Task};
use pgfleet_protocol::{Argument, Map};
use pgfleet_template::{Condition, Expression, Node, NodeKind, Problem, Raw, Scope, Value, Vars, from_json, to_json};
use serde_json::Value as Json;

use crate::attempt::Attempt;
use crate::hosts::{Fate, HostState};
use crate::play::{Playing, active, truth};
use crate::run::Run;
use crate::{Ending, TaskResult};

impl Attempt<'_> {
    pub(crate) async fn act(&self, action: Engine, scope: &Scope) -> Result<TaskResult, Problem> {
        match action {
            Engine::Assert => self.assert(scope),
            Engine::Debug => self.debug(scope),
            Engine::Fail => Ok(TaskResult::failed(self.text(scope, "msg")?.unwrap_or_else(|| "Failed as requested from task".to_owned()))),
            Engine::SetFact => self.set_fact(scope),
            Engine::IncludeVars => self.include_vars(scope),
            Engine::AddHost => self.add_host(scope),
            Engine::GroupBy => self.group_by(scope),
            Engine::Pause => self.pause(scope).await,
            Engine::ValidateArgumentSpec => self.validate_argument_spec(scope),
            Engine::IncludeRole | Engine::ImportRole | Engine::IncludeTasks | Engine::ImportTasks | Engine::Meta => {
                Err(Problem::new(format!("'{}' cannot be done here", self.task.module_name)))
            }
        }
    }

    pub(crate) fn raw_argument(&self, name: &str) -> Option<&Raw> {
        match &self.task.arguments {
            Arguments::Named(named) => named.get(name).map(|(_, raw)| raw),
            Arguments::Whole(..) => None,
        }
    }

    fn text(&self, scope: &Scope, name: &str) -> Result<Option<String>, Problem> {
        let Some(raw) = self.raw_argument(name) else { return Ok(None) };
        Ok(Some(match to_json(&raw.evaluate(scope)?)? {
            Json::String(text) => text,
            Json::Array(lines) => {
                lines.iter().map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned)).collect::<Vec<_>>().join("\n")
            }
            other => other.to_string(),
        }))
    }

    fn assert(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let Some(raw) = self.raw_argument("that") else { return Err(Problem::new("module 'assert' needs the argument 'that'")) };
        let conditions = match to_json(&raw.as_written())? {
            Json::Array(items) => items,
            one => vec![one],
        };
        for written in conditions {
            let condition = Condition::read(&Node {
                place: self.task.place.clone(),
                tag: None,
                kind: NodeKind::Scalar { text: shown(&written), value: from_json(&written) },
            })?;
            if !condition.holds(scope)? {
                let message = self.text(scope, "fail_msg")?.unwrap_or_else(|| "Assertion failed".to_owned());
                return Ok(TaskResult::failed(message).with("assertion", written).with("evaluated_to", false));
            }
        }
        let message = self.text(scope, "success_msg")?.unwrap_or_else(|| "All assertions passed".to_owned());
        Ok(TaskResult::new(Ending::Ok).with("msg", message))
    }

    fn debug(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        if let Some(raw) = self.raw_argument("verbosity") {
            let wanted = u64::read(&to_json(&raw.evaluate(scope)?)?).map_err(Problem::new)?;
            if u64::from(self.run.options.verbosity) < wanted {
                return Ok(TaskResult::skipped("Verbosity threshold not met."));
            }
        }
        let Some(raw) = self.raw_argument("var") else {
            let message = match self.raw_argument("msg") {
                Some(raw) => to_json(&raw.evaluate(scope)?)?,
                None => Json::from("Hello world!"),
            };
            return Ok(TaskResult::new(Ending::Ok).with("msg", message));
        };
        let written = raw.evaluate(scope)?;
        let name = match written.as_str() {
            Some(name) => name.to_owned(),
            None => return Ok(TaskResult::new(Ending::Ok).with("var", to_json(&written)?)),
        };
        let value = match Expression::parse(&name, &self.task.place)?.evaluate(scope) {
            Ok(value) => to_json(&value)?,
            Err(problem) => Json::from(format!("VARIABLE IS NOT DEFINED!: {}", problem.message)),
        };
        Ok(TaskResult::new(Ending::Ok).with(&name, value))
    }

    fn set_fact(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut facts = Map::new();
        for (name, value) in self.arguments(scope)? {
            if name != "cacheable" {
                facts.insert(name, value);
            }
        }
        if facts.is_empty() {
            return Err(Problem::new("'set_fact' needs at least one variable"));
        }
        for host in self.owners(scope)? {
            for (name, value) in &facts {
                host.set_variable(name, Raw::from(from_json(value)));
            }
        }
        Ok(TaskResult::new(Ending::Ok).with("ansible_facts", Json::Object(facts)))
    }

    fn include_vars(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let loader = &self.run.options.loader;
        let paths = match (self.text(scope, "file")?, self.text(scope, "dir")?) {
            (Some(file), _) => vec![self.find_vars(&file)?],
            (None, Some(folder)) => {
                let folder = self.find_vars(&folder)?;
                let readable = |path: &PathBuf| {
                    path.extension().is_some_and(|extension| ["yml", "yaml", "json"].iter().any(|known| extension == *known))
                };
                loader
                    .files()
                    .list(&folder)
                    .map_err(|error| Problem::new(format!("cannot read {}: {error}", folder.display())))?
                    .into_iter()
                    .filter(readable)
                    .collect()
            }
            (None, None) => return Err(Problem::new("'include_vars' takes a file or a folder")),
        };
        let mut vars = Vars::new();
        for path in &paths {
            vars.extend(read_variables(&**loader.files(), path, loader.vault())?);
        }
        let shown: Map = vars.iter().map(|(name, raw)| (name.clone(), to_json(&raw.as_written()).unwrap_or(Json::Null))).collect();
        if let Some(name) = self.text(scope, "name")? {
            let entries = vars.into_iter().map(|(name, raw)| (Raw::from(Value::from(name)), raw)).collect();
            vars = Vars::from_iter([(name, Raw::Map(Arc::new(entries)))]);
        }
        for host in self.owners(scope)? {
            host.include(vars.clone());
        }
        let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        Ok(TaskResult::new(Ending::Ok).with("ansible_facts", Json::Object(shown)).with("ansible_included_var_files", files))
    }

    /// Whose variables the task sets: with `delegate_facts` the delegate's, with `run_once` those of all hosts.
    fn owners(&self, scope: &Scope) -> Result<Vec<Arc<HostState>>, Problem> {
        let flag = |raw: &Option<Raw>| raw.as_ref().map_or(Ok(false), |raw| truth(raw, scope));
        if flag(&self.task.settings.delegate_facts)?
            && let Some(name) = self.delegate(scope)?
        {
            return Ok(vec![self.run.delegate_host(&name)?]);
        }
        if flag(&self.task.settings.run_once)? {
            return Ok(active(&self.playing.batch));
        }
        Ok(vec![self.host.clone()])
    }

    fn find_vars(&self, name: &str) -> Result<PathBuf, Problem> {
        let files = self.run.options.loader.files();
        let folders = self.run.folders(self.playing, Some(self.task));
        let candidates = folders.iter().flat_map(|folder| [folder.join("vars").join(name), folder.join(name)]);
        let exists = |path: &PathBuf| files.is_file(path) || files.is_folder(path);
        candidates
            .into_iter()
            .find(exists)
            .ok_or_else(|| Problem::new(format!("there is no file of variables '{name}' in {}", self.task.folder.display())))
    }

    fn add_host(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut name = None;
        let mut groups = Vec::new();
        let mut vars = Vars::new();
        for (key, value) in self.arguments(scope)? {
            match key.as_str() {
                "name" => name = Some(shown(&value)),
                "groups" => groups = pgfleet_protocol::Items::read(&value).map_err(Problem::new)?,
                _ => drop(vars.insert(key, Raw::from(from_json(&value)))),
            }
        }
        let name = name.ok_or_else(|| Problem::new("'add_host' needs a name"))?;
        let changed = self.run.inventory.write().unwrap_or_else(std::sync::PoisonError::into_inner).add_host(&name, &groups, vars)?;
        self.run.renew()?;
        Ok(TaskResult::new(if changed { Ending::Changed } else { Ending::Ok }))
    }

    fn group_by(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let key = self.text(scope, "key")?.ok_or_else(|| Problem::new("'group_by' needs a key"))?.replace(' ', "-");
        let changed = self.run.inventory.write().unwrap_or_else(std::sync::PoisonError::into_inner).add_to_group(&self.host.name, &key)?;
        self.run.renew()?;
        Ok(TaskResult::new(if changed { Ending::Changed } else { Ending::Ok }))
    }

    async fn pause(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let seconds = |name: &str| -> Result<f64, Problem> {
            let Some(raw) = self.raw_argument(name) else { return Ok(0.0) };
            f64::read(&to_json(&raw.evaluate(scope)?)?).map_err(Problem::new)
        };
        let total = seconds("seconds")? + 60.0 * seconds("minutes")?;
        if total <= 0.0 {
            return Err(Problem::new("'pause' needs seconds or minutes; asking a person is not supported"));
        }
        // Short steps, so that a person who wants to stop need not wait for the end.
        let end = tokio::time::Instant::now() + Duration::from_secs_f64(total);
        while tokio::time::Instant::now() < end && !self.run.options.stop.is_asked() {
            tokio::time::sleep_until(end.min(tokio::time::Instant::now() + Duration::from_millis(200))).await;
        }
        Ok(TaskResult::new(Ending::Ok).with("delta", total))
    }
}

impl Run {
    /// `meta`: steers the play rather than a host.
    pub(crate) async fn meta(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Task,
        number: usize,
        hosts: &[Arc<HostState>],
    ) -> Result<(), Problem> {
        let written = match &task.arguments {
            Arguments::Named(named) => named.get("_raw_params").map(|(_, raw)| raw.as_written().to_string()),
            Arguments::Whole(..) => None,
        };
        let wish = written.unwrap_or_default();
        let mut chosen = Vec::new();
        for host in hosts {
            let scope = self.scope(playing, host, Some(task))?;
            let mut wanted = true;
            for condition in &task.settings.when {
                wanted = wanted && condition.holds(&scope).map_err(|problem| problem.at(&task.place))?;
            }
            if wanted {
                chosen.push(host.clone());
            } else {
                let result = TaskResult::skipped("Conditional result was False");
                self.conclude(playing, task, number, host, result, std::time::Instant::now())?;
            }
        }
        match wish.as_str() {
            "noop" | "reset_connection" => {}
            "flush_handlers" => self.flush_handlers(playing, &chosen).await?,
            "end_play" | "end_batch" if !chosen.is_empty() => {
                playing.end();
                chosen.iter().for_each(|host| host.meet(Fate::Ended));
            }
            "end_play" | "end_batch" => {}
            "end_host" => chosen.iter().for_each(|host| host.meet(Fate::Ended)),
            "clear_facts" => chosen.iter().for_each(|host| host.clear_facts()),
            "clear_host_errors" => {
                let hosts = self.hosts.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                hosts.values().for_each(|host| host.meet(Fate::Active));
            }
            other => {
                let known =
                    ["flush_handlers", "noop", "end_play", "end_host", "end_batch", "clear_facts", "clear_host_errors", "reset_connection"];
                return Err(Problem::new(format!("'meta: {other}' is not known")).at(&task.place).did_you_mean(other, known));
            }
        }
        Ok(())
    }
}

fn shown(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
