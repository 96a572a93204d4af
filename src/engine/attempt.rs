//! One task on one host: conditions, items, tries, and what counts as changed or failed.

use std::sync::Arc;
use std::time::Duration;

use pgfleet_playbook::{Kind, Task};
use pgfleet_template::{Condition, Problem, Raw, Scope, Vars, from_json};
use serde_json::Value;

use crate::hosts::HostState;
use crate::items::Items;
use crate::play::{Playing, number, truth};
use crate::redact::{censored, is_hidden};
use crate::run::Run;
use crate::steps::Following;
use crate::{Ending, Event, TaskResult};

/// Tries after the first where `until` is given and `retries` is not.
const RETRIES: f64 = 3.0;
/// Seconds between tries where `delay` is not given.
const DELAY: f64 = 5.0;

/// Seconds that a task's `timeout` may be at most.
const LONGEST: f64 = 100_000_000.0;

/// A task on a host.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) run: &'a Arc<Run>,
    pub(crate) playing: &'a Playing,
    pub(crate) task: &'a Arc<Task>,
    pub(crate) number: usize,
    pub(crate) host: &'a Arc<HostState>,
    /// What comes after it.
    pub(crate) following: Following<'a>,
}

impl Attempt<'_> {
    /// The result over all items, and the host that did the work where that is another one.
    pub(crate) async fn run_all(&self) -> (TaskResult, Option<String>) {
        match self.try_all().await {
            Ok(done) => done,
            Err(problem) => (TaskResult::from(problem.at(&self.task.place)), None),
        }
    }

    async fn try_all(&self) -> Result<(TaskResult, Option<String>), Problem> {
        let scope = self.run.scope(self.playing, self.host, Some(self.task))?;
        let Some(repeat) = &self.task.repeat else { return self.once(&scope).await };
        // A loop whose items cannot be rendered is no failure when a condition rules the task out anyway.
        let items = match Items::of(repeat, &scope, self.run) {
            Ok(items) => items,
            Err(problem) => match self.ruled_out(&scope) {
                Ok(Some(result)) => return Ok((result, None)),
                _ => return Err(problem),
            },
        };
        if items.len() == 0 {
            let nothing = TaskResult::new(Ending::Skipped).with("skipped_reason", "No items in the list");
            return Ok((nothing.with("results", Vec::<Value>::new()), None));
        }
        Box::pin(self.repeated(&items, scope)).await
    }

    /// The task for each item. A later item sees what an earlier one registered and set.
    async fn repeated(&self, items: &Items<'_>, mut outer: Scope) -> Result<(TaskResult, Option<String>), Problem> {
        let pause = self.task.repeat.as_ref().and_then(|repeat| repeat.pause.as_ref());
        let pause = pause.map(|raw| number(raw, &outer)).transpose()?.flatten().unwrap_or_default();
        let mut generation = self.host.generation();
        let mut results = Vec::new();
        let mut delegate = None;
        for index in 0..items.len() {
            if index > 0 && pause > 0.0 {
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            }
            if generation != self.host.generation() {
                generation = self.host.generation();
                outer = self.run.scope(self.playing, self.host, Some(self.task))?;
            }
            let before = match results.last() {
                Some(last) => self.with_result(&outer, last),
                None => outer.clone(),
            };
            let scope = before.over(Arc::new(items.variables(index)));
            let (mut result, other) = match self.once(&scope).await {
                Ok(done) => done,
                Err(problem) => (TaskResult::from(problem.at(&self.task.place)), None),
            };
            delegate = delegate.or(other);
            result.data.extend(items.remembered(index));
            let scope = self.with_result(&scope, &result);
            let label = items.text(index, &scope).unwrap_or_else(|problem| {
                result.end_as(Ending::Failed);
                let problem = Problem { place: None, ..problem };
                result.data.insert("msg".to_owned(), Value::from(format!("Failed to template loop_control.label: {problem}")));
                items.item(index).to_string()
            });
            self.tell_item(&scope, &label, &result);
            let lost = result.ending == Ending::Unreachable;
            results.push(result);
            if lost || items.ends(&scope)? {
                break;
            }
        }
        Ok((summed(results), delegate))
    }

    fn tell_item(&self, scope: &Scope, item: &str, result: &TaskResult) {
        let item = if self.hides(scope) { "(censored due to no_log)".to_owned() } else { self.run.options.redactor.text(item) };
        let ignored = result.ending == Ending::Failed && holds(&self.task.settings.ignore_errors, scope);
        let host = self.host.name.clone();
        self.run.tell(&Event::ItemDone { task: self.number, host, item, result: self.shown(scope, result), ignored });
    }

    /// What of a result may be told.
    fn shown(&self, scope: &Scope, result: &TaskResult) -> TaskResult {
        let redactor = &self.run.options.redactor;
        if self.hides(scope) || is_hidden(result) { redactor.result(&censored(result)) } else { redactor.result(result) }
    }

    fn hides(&self, scope: &Scope) -> bool {
        hides(&self.task.settings.no_log, scope)
    }

    /// Why the task is not done on this host; `None` when all conditions hold.
    pub(crate) fn ruled_out(&self, scope: &Scope) -> Result<Option<TaskResult>, Problem> {
        for condition in &self.task.settings.when {
            if !condition.holds(scope)? {
                let written = match condition {
                    Condition::Always(holds) => Value::Bool(*holds),
                    other => Value::from(other.source()),
                };
                return Ok(Some(TaskResult::skipped("Conditional result was False").with("false_condition", written)));
            }
        }
        Ok(None)
    }

    async fn once(&self, scope: &Scope) -> Result<(TaskResult, Option<String>), Problem> {
        if let Some(result) = self.ruled_out(scope)? {
            return Ok((result, None));
        }
        let delegate = self.delegate(scope)?;
        let Some(until) = &self.task.until else { return Ok((self.judged(scope, delegate.as_deref(), None).await?, delegate)) };
        let keyword = |raw: &Option<Raw>, otherwise| {
            raw.as_ref().map_or(Ok(otherwise), |raw| number(raw, scope).map(|number| number.unwrap_or(otherwise)))
        };
        let retries = keyword(&until.retries, RETRIES)?.max(0.0) as u64;
        let delay = Duration::from_secs_f64(keyword(&until.delay, DELAY)?.max(0.0));
        let mut tries = 0;
        loop {
            tries += 1;
            let mut result = self.judged(scope, delegate.as_deref(), Some(tries)).await?;
            let done = match (until.until.as_slice(), result.ending) {
                (_, Ending::Skipped | Ending::Unreachable) => true,
                ([], ending) => ending != Ending::Failed,
                (conditions, _) => all_hold(conditions, &self.with_result(scope, &result))?,
            };
            if done {
                return Ok((result, delegate));
            }
            if tries > retries || self.run.options.stop.is_asked() {
                result.data.insert("attempts".to_owned(), Value::from(tries.saturating_sub(1).max(1)));
                // What `failed_when` calls no failure is none, however often it was tried.
                if !result.is_bad() && !result.data.contains_key("failed_when_result") {
                    let was_changed = result.has_changed();
                    result.end_as(Ending::Failed);
                    result.data.insert("changed".to_owned(), Value::Bool(was_changed));
                }
                return Ok((result, delegate));
            }
            let told = self.shown(scope, &result);
            self.run.tell(&Event::Retrying { task: self.number, host: self.host.name.clone(), left: retries + 1 - tries, result: told });
            tokio::time::sleep(delay).await;
            // Whoever waits for something expects things to change.
            self.run.had_effect();
        }
    }

    pub(crate) fn delegate(&self, scope: &Scope) -> Result<Option<String>, Problem> {
        let Some(raw) = &self.task.settings.delegate_to else { return Ok(None) };
        let name = raw.evaluate(scope)?;
        let name = name.as_str().map(str::trim).unwrap_or_default();
        if name.is_empty() {
            return Err(Problem::new("'delegate_to' names a host, and this is empty"));
        }
        Ok((name != self.host.name).then(|| name.to_owned()))
    }

    /// One try, with `changed_when` and `failed_when` applied; they may ask which it was.
    async fn judged(&self, scope: &Scope, delegate: Option<&str>, tries: Option<u64>) -> Result<TaskResult, Problem> {
        if let Some(problem) = &self.task.refused {
            return Err(problem.as_ref().clone());
        }
        let mut result = self.done(scope, delegate).await?;
        if let Some(tries) = tries {
            result.data.insert("attempts".to_owned(), Value::from(tries));
        }
        if matches!(result.ending, Ending::Unreachable | Ending::Skipped) {
            return Ok(result);
        }
        if let Some(conditions) = &self.task.changed_when {
            let changed = match all_hold(conditions, &self.with_result(scope, &result)) {
                Ok(changed) => changed,
                Err(problem) => return Ok(unjudged(result, "changed_when_result", &problem)),
            };
            if result.ending != Ending::Failed {
                result.end_as(if changed { Ending::Changed } else { Ending::Ok });
            } else {
                result.data.insert("changed".to_owned(), Value::Bool(changed));
            }
        }
        if let Some(conditions) = &self.task.failed_when {
            let failed = match all_hold(conditions, &self.with_result(scope, &result)) {
                Ok(failed) => failed,
                Err(problem) => return Ok(unjudged(result, "failed_when_result", &problem)),
            };
            let was_changed = result.data.get("changed").and_then(Value::as_bool).unwrap_or(false);
            let had_failed = result.ending == Ending::Failed;
            let otherwise = if was_changed { Ending::Changed } else { Ending::Ok };
            result.end_as(if failed { Ending::Failed } else { otherwise });
            result.data.insert("changed".to_owned(), Value::Bool(was_changed));
            result.data.insert("failed_when_result".to_owned(), Value::Bool(failed));
            if had_failed && !failed {
                result.data.insert("failed_when_suppressed_exception".to_owned(), Value::from(crate::result::NO_TRACEBACK));
            }
        }
        Ok(result)
    }

    /// The scope in which the result already has its name.
    fn with_result(&self, scope: &Scope, result: &TaskResult) -> Scope {
        let Some(name) = &self.task.register else { return scope.clone() };
        let vars = Vars::from_iter([(name.clone(), Raw::from(from_json(&Value::Object(result.variables()))))]);
        scope.over(Arc::new(vars))
    }

    async fn done(&self, scope: &Scope, delegate: Option<&str>) -> Result<TaskResult, Problem> {
        let limit = self.task.settings.timeout.as_ref().map(|raw| number(raw, scope)).transpose()?.flatten();
        if let Some(seconds) = limit.filter(|seconds| !(0.0..=LONGEST).contains(seconds)) {
            return Err(Problem::new(format!("Timeout {seconds} is invalid, it must be between 0 and {LONGEST}.")));
        }
        let limit = limit.filter(|seconds| *seconds > 0.0);
        let detachment = self.detachment(scope)?;
        // What waits for others is large; boxed, it takes no room in the many tasks that wait for nothing.
        let work = async {
            match self.task.kind {
                _ if detachment.is_some() => Box::pin(self.detached(detachment.unwrap_or_default(), scope, delegate)).await,
                Kind::Engine(action) => self.act(action, scope).await,
                Kind::Controller => Box::pin(self.control(scope)).await,
                kind => Box::pin(self.call(kind, scope, delegate)).await,
            }
        };
        match limit {
            None => work.await,
            Some(seconds) => match tokio::time::timeout(Duration::from_secs_f64(seconds), work).await {
                Ok(result) => result,
                Err(_) => {
                    let limit = serde_json::json!({"period": seconds as u64});
                    Ok(TaskResult::failed(format!("Task failed: Timed out after {} second(s).", seconds as u64)).with("timedout", limit))
                }
            },
        }
    }
}

/// A result of which nobody can say what it counts as: a failure that keeps what was done.
fn unjudged(mut result: TaskResult, name: &str, problem: &Problem) -> TaskResult {
    let was_changed = result.has_changed();
    result.end_as(Ending::Failed);
    result.data.insert("changed".to_owned(), Value::Bool(was_changed));
    let message = match problem.is_undefined() {
        true => format!("Error while evaluating conditional: {}", problem.message),
        false => problem.message.clone(),
    };
    result.data.insert(name.to_owned(), Value::from(message));
    result.data.entry("msg").or_insert_with(|| Value::from(""));
    result
}

/// Whether a switch is on; one that cannot be rendered is off.
pub(crate) fn holds(raw: &Option<Raw>, scope: &Scope) -> bool {
    raw.as_ref().is_some_and(|raw| truth(raw, scope).unwrap_or(false))
}

/// Whether `no_log` is on; one that cannot be rendered hides rather than shows.
pub(crate) fn hides(raw: &Option<Raw>, scope: &Scope) -> bool {
    raw.as_ref().is_some_and(|raw| truth(raw, scope).unwrap_or(true))
}

/// Whether all of the conditions hold.
pub(crate) fn all_hold(conditions: &[Condition], scope: &Scope) -> Result<bool, Problem> {
    for condition in conditions {
        if !condition.holds(scope)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The result of a loop from those of its items.
fn summed(results: Vec<TaskResult>) -> TaskResult {
    let has = |ending| results.iter().any(|result| result.ending == ending);
    let ending = if has(Ending::Unreachable) {
        Ending::Unreachable
    } else if has(Ending::Failed) {
        Ending::Failed
    } else if has(Ending::Changed) {
        Ending::Changed
    } else if results.iter().all(|result| result.ending == Ending::Skipped) {
        Ending::Skipped
    } else {
        Ending::Ok
    };
    let message = match ending {
        Ending::Failed => Some("One or more items failed"),
        Ending::Skipped => Some("All items skipped"),
        Ending::Ok | Ending::Changed => Some("All items completed"),
        Ending::Unreachable => None,
    };
    let any_changed = results.iter().any(TaskResult::has_changed);
    let all_skipped = results.iter().all(|result| result.ending == Ending::Skipped);
    let hint = results.iter().find_map(|result| result.hint.clone());
    let diff = results.iter().flat_map(|result| result.diff.iter().cloned()).collect();
    let list: Vec<Value> = results.into_iter().map(|result| Value::Object(result.variables())).collect();
    let mut summed = TaskResult { diff, hint, ..TaskResult::new(ending).with("results", list) };
    if let Some(message) = message {
        summed.data.insert("msg".to_owned(), Value::from(message));
    }
    summed.data.insert("changed".to_owned(), Value::Bool(any_changed));
    summed.data.insert("skipped".to_owned(), Value::Bool(all_skipped));
    if ending != Ending::Failed {
        summed.data.shift_remove("failed");
    }
    summed
}
