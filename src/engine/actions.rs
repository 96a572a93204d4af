//! Modules that the engine does itself: no host is touched, no round trip made.

use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_playbook::{Arguments, Engine, Task};
use pgfleet_protocol::{Argument, Map};
use pgfleet_template::{
    Condition, Expression, Node, NodeKind, Place, Problem, Raw, Scope, Value, ValueKind, is_omit, is_unsafe, to_exact_json, to_json,
};
use serde_json::Value as Json;

use crate::attempt::Attempt;
use crate::call::not_a_mapping;
use crate::hosts::HostState;
use crate::play::{active, truth};
use crate::{Ending, TaskResult};

impl Attempt<'_> {
    pub(crate) async fn act(&self, action: Engine, scope: &Scope) -> Result<TaskResult, Problem> {
        if let Arguments::Whole(place, raw, beside) = &self.task.arguments {
            let given = raw.evaluate(scope).map_err(|problem| problem.at(place))?;
            let task = Arc::new(self.task_with(place, &given, beside)?);
            return Box::pin(Attempt { task: &task, ..*self }.act(action, scope)).await;
        }
        match action {
            Engine::Assert => self.assert(scope),
            Engine::Debug => self.debug(scope),
            Engine::Fail => self.fail(scope),
            Engine::SetFact => self.set_fact(scope),
            Engine::IncludeVars => self.include_vars(scope),
            Engine::AddHost => self.add_host(scope),
            Engine::GroupBy => self.group_by(scope),
            Engine::Pause => Box::pin(self.pause(scope)).await,
            Engine::Reboot => Box::pin(self.reboot(scope)).await,
            Engine::WaitForConnection => Box::pin(self.wait_for_connection(scope)).await,
            Engine::SetStats => self.set_stats(scope),
            Engine::ValidateArgumentSpec => self.validate_argument_spec(scope),
            Engine::IncludeRole | Engine::ImportRole | Engine::IncludeTasks | Engine::ImportTasks | Engine::Meta => {
                Err(Problem::new(format!("'{}' cannot be done here", self.task.module_name)))
            }
        }
    }

    /// The task with the arguments that a template gave, under those that stand beside it.
    fn task_with(&self, place: &Place, given: &Value, beside: &IndexMap<String, (Place, Raw)>) -> Result<Task, Problem> {
        let module = &self.task.module;
        let mut named = beside.clone();
        match given.kind() {
            ValueKind::Map => {
                for key in given.try_iter().into_iter().flatten() {
                    let value = given.get_item(&key).unwrap_or_default();
                    let name = key.to_string();
                    let name = module.argument(&name).map_or(name.as_str(), |argument| argument.name).to_owned();
                    if !is_omit(&value) {
                        named.entry(name).or_insert_with(|| (place.clone(), Raw::from(value)));
                    }
                }
            }
            ValueKind::None => {}
            _ if is_omit(given) => {}
            _ => return Err(Problem::new(not_a_mapping(self.task, &to_json(given)?)).at(place)),
        }
        Ok(Task { arguments: Arguments::Named(named), ..(**self.task).clone() })
    }

    pub(crate) fn raw_argument(&self, name: &str) -> Option<&Raw> {
        match &self.task.arguments {
            Arguments::Named(named) => named.get(name).map(|(_, raw)| raw),
            Arguments::Whole(_, _, named) => named.get(name).map(|(_, raw)| raw),
        }
    }

    /// An argument as text; a list's items are lines.
    pub(crate) fn text(&self, scope: &Scope, name: &str) -> Result<Option<String>, Problem> {
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
        let Some(raw) = self.raw_argument("that") else { return Err(Problem::new("module 'assert': missing required arguments: that")) };
        let quiet = self.raw_argument("quiet").map_or(Ok(false), |raw| truth(raw, scope))?;
        let written = raw.as_written();
        let (conditions, rendered) = match (items_of(&written), written.as_str()) {
            (Some(items), _) => (items, false),
            // A template on its own may give the list.
            (None, Some(text)) if is_one_template(text) => match items_of(&raw.evaluate(scope)?) {
                Some(items) => (items, true),
                None => (vec![written.clone()], false),
            },
            (None, _) => (vec![written.clone()], false),
        };
        for value in conditions {
            if value.as_str().is_some() && rendered {
                Expression::parse_given(&value, &self.task.place)?;
            }
            let written = to_json(&value)?;
            let condition = Condition::read(&Node {
                place: self.task.place.clone(),
                tag: None,
                kind: NodeKind::Scalar { text: shown(&written), value },
            })?;
            if !condition.holds(scope)? {
                let message = match self.raw_argument("fail_msg") {
                    Some(raw) => to_json(&raw.evaluate(scope)?)?,
                    None => Json::from("Assertion failed"),
                };
                let result = TaskResult::new(Ending::Failed).with("evaluated_to", false).with("assertion", written);
                return Ok(result.with("msg", message));
            }
        }
        let message = match self.raw_argument("success_msg") {
            Some(raw) => to_json(&raw.evaluate(scope)?)?,
            None => Json::from("All assertions passed"),
        };
        let result = TaskResult::new(Ending::Ok).with("msg", message);
        Ok(if quiet { result } else { result.with("_ansible_verbose_always", true) })
    }

    fn fail(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let message = match self.raw_argument("msg") {
            Some(raw) => to_json(&raw.evaluate(scope)?)?,
            None => Json::from("Failed as requested from task"),
        };
        Ok(TaskResult::new(Ending::Failed).with("msg", message))
    }

    fn debug(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        if let Some(raw) = self.raw_argument("verbosity") {
            let wanted = u64::read(&to_json(&raw.evaluate(scope)?)?).map_err(Problem::new)?;
            if u64::from(self.run.options.verbosity) < wanted {
                let skipped = TaskResult::new(Ending::Skipped).with("skipped_reason", "Verbosity threshold not met.");
                return Ok(skipped.with("failed", false));
            }
        }
        let given = |name: &str| -> Result<Option<(&Raw, Value)>, Problem> {
            let given = self.raw_argument(name).map(|raw| Ok((raw, raw.evaluate(scope)?))).transpose()?;
            Ok(given.filter(|(_, value)| !is_omit(value)))
        };
        let (raw, written) = match (given("var")?, given("msg")?) {
            (Some(_), Some(_)) => return Err(Problem::new("parameters are mutually exclusive: msg|var")),
            (Some(var), None) => var,
            (None, Some((_, message))) => return Ok(TaskResult::new(Ending::Ok).with("msg", to_exact_json(&message)?)),
            (None, None) => return Ok(TaskResult::new(Ending::Ok).with("msg", "Hello world!")),
        };
        let written = if is_constant(raw) { Value::from_safe_string(written.to_string()) } else { written };
        let name = match written.as_str() {
            Some(name) => name.to_owned(),
            None if matches!(raw, Raw::List(_) | Raw::Map(_))
                || matches!(raw, Raw::Value(value) if items_of(value).is_some() || value.kind() == ValueKind::Map) =>
            {
                return Ok(TaskResult::failed(format!("argument 'var': '{written}' is not a string and conversion is not allowed")));
            }
            None => return Ok(TaskResult::new(Ending::Ok).with("var", to_exact_json(&written)?)),
        };
        let parsed = match raw {
            Raw::Value(_) if !is_unsafe(&written) => Expression::parse(&name, &self.task.place),
            _ => Expression::parse_given(&written, &self.task.place),
        };
        let value = match parsed?.evaluate(scope) {
            Ok(value) if is_omit(&value) => {
                let warning = "The result of the `var` expression could not be omitted; a placeholder was used instead.";
                return Ok(TaskResult::new(Ending::Ok).with(&name, "<<Omit>>").with("warnings", vec![warning]));
            }
            Ok(value) => to_exact_json(&value)?,
            Err(problem) if problem.is_undefined() => {
                let warning = format!("Encountered 1 template error: {}", problem.message);
                let shown = Json::from(format!("<< error 1 - {} >>", problem.message));
                return Ok(TaskResult::new(Ending::Ok).with(&name, shown).with("warnings", vec![warning]));
            }
            Err(problem) => return Err(problem),
        };
        Ok(TaskResult::new(Ending::Ok).with(&name, value))
    }

    fn set_fact(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut facts = Map::new();
        let mut values = self.values(scope)?;
        values.shift_remove("cacheable");
        for (name, value) in &values {
            if !is_variable(name) {
                return Err(Problem::new(format!("Invalid variable name '{name}'.")));
            }
            facts.insert(name.clone(), to_exact_json(value)?);
        }
        if facts.is_empty() {
            return Err(Problem::new("'set_fact' needs at least one variable"));
        }
        let is_fact = self.raw_argument("cacheable").map_or(Ok(false), |raw| truth(raw, scope))?;
        self.run.warn_of_reserved(facts.keys().map(String::as_str), &self.task.place);
        for host in self.owners(scope)? {
            if is_fact {
                self.run.learn(&host, &facts);
            }
            for (name, value) in &values {
                host.set_variable(name, Raw::from(value.clone()));
            }
        }
        Ok(TaskResult::new(Ending::Ok).with("ansible_facts", Json::Object(facts)))
    }

    /// Whose variables the task sets: with `delegate_facts` the delegate's, with `run_once` those of all hosts.
    pub(crate) fn owners(&self, scope: &Scope) -> Result<Vec<Arc<HostState>>, Problem> {
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
}

pub(crate) fn shown(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Letters, digits and underscores, not beginning with a digit.
pub(crate) fn is_variable(text: &str) -> bool {
    let is_inner = |character: char| character.is_alphanumeric() || character == '_';
    text.chars().all(is_inner) && text.starts_with(|first: char| !first.is_ascii_digit()) && !["true", "false", "none"].contains(&text)
}

/// The items of a list; `None` for anything else.
fn items_of(value: &Value) -> Option<Vec<Value>> {
    let is_list = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    value.try_iter().ok().filter(|_| is_list).map(Iterator::collect)
}

/// True for a template that is nothing but a text in quotes. Nobody vouches for what a template writes.
fn is_constant(raw: &Raw) -> bool {
    let written = raw.as_written();
    let inner = written.as_str().and_then(|text| text.trim().strip_prefix("{{")?.strip_suffix("}}")).map(str::trim);
    let is_quoted = |text: &str, quote: &str| text.len() > 1 && text.starts_with(quote) && text[1..].find(quote) == Some(text.len() - 2);
    matches!(raw, Raw::Text(_)) && inner.is_some_and(|text| is_quoted(text, "'") || is_quoted(text, "\""))
}

pub(crate) fn is_one_template(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1
}
