//! What a person is asked: `pause`, and the variables that a play wants before it begins.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use pgfleet_playbook::{Hashing, Play};
use pgfleet_protocol::Argument;
use pgfleet_template::{Place, Problem, Raw, Scope, Value, to_json};

use crate::attempt::Attempt;
use crate::play::{text_of, truth};
use crate::run::Run;
use crate::scopes::vars;
use crate::{Ending, TaskResult};

/// What a person answers, some time.
pub type Answer<'a> = BoxFuture<'a, Option<String>>;

/// Asks a person at the terminal.
pub trait Asker: Send + Sync {
    /// The line that was typed, without its end; `None` when the person wants the run to end.
    fn ask<'a>(&'a self, question: &'a str, hidden: bool) -> Answer<'a>;
}

impl Run {
    /// The play with the variables that it asks for; those given with `-e` are not asked.
    pub(crate) async fn prompted(self: &Arc<Self>, play: &Play) -> Result<Play, Problem> {
        let mut play = play.clone();
        for prompt in play.prompts.clone() {
            if self.options.extra.contains_key(&prompt.name) {
                continue;
            }
            let scope = self.play_scope(&play.folder, &play.vars);
            let default =
                prompt.default.as_ref().map(|raw| raw.evaluate(&scope)).transpose().map_err(|problem| problem.at(&prompt.place))?;
            let question = text_of(&prompt.question, &scope).unwrap_or_default();
            let shown = default.as_ref().filter(|default| default.is_true()).map(|default| format!(" [{default}]")).unwrap_or_default();
            let question = format!("{question}{shown}: ");
            let typed = match &self.options.asker {
                Some(asker) => self.typed(&**asker, &question, &prompt).await,
                None => {
                    self.warn("Not prompting as we are not in interactive mode");
                    Some(String::new())
                }
            };
            let Some(typed) = typed else {
                self.options.stop.ask();
                return Ok(play);
            };
            let value = match default {
                Some(default) if typed.is_empty() => default,
                _ => Value::from(typed),
            };
            let value = match &prompt.encrypt {
                Some(hashing) => hashed(value, hashing, &scope).map_err(|problem| problem.at(&prompt.place))?,
                None => value,
            };
            Arc::make_mut(&mut play.vars).insert(prompt.name.clone(), Raw::from(value));
        }
        Ok(play)
    }

    async fn typed(&self, asker: &dyn Asker, question: &str, prompt: &pgfleet_playbook::Prompt) -> Option<String> {
        loop {
            let first = asker.ask(question, prompt.private).await?;
            if !prompt.confirm || asker.ask(&format!("confirm {question}"), prompt.private).await? == first {
                return Some(first);
            }
            self.warn("***** VALUES ENTERED DO NOT MATCH ****");
        }
    }
}

/// The hash of an answer, made by the filter of that name.
fn hashed(value: Value, hashing: &Hashing, scope: &Scope) -> Result<Value, Problem> {
    let given = vars([
        ("answer", value),
        ("kind", Value::from(hashing.kind.as_str())),
        ("salt", hashing.salt.as_deref().map_or(Value::from(()), Value::from)),
        ("salt_size", Value::from(hashing.salt_size.unwrap_or(16))),
    ]);
    let place = Place::new("", 0, 0);
    Raw::from_text("{{ answer | password_hash(kind, salt, salt_size) }}", &place)?.evaluate(&scope.over(Arc::new(given)))
}

impl Attempt<'_> {
    pub(crate) async fn pause(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let number = |name: &str| -> Result<Option<f64>, Problem> {
            let Some(raw) = self.raw_argument(name) else { return Ok(None) };
            let value = to_json(&raw.evaluate(scope)?)?;
            if value.is_null() {
                return Ok(None);
            }
            let whole = i64::read(&value).map(|number| number as f64).or_else(|_| f64::read(&value));
            whole.map(Some).map_err(|reason: String| Problem::new(format!("argument '{name}': {reason}")))
        };
        let echo = self.raw_argument("echo").map_or(Ok(true), |raw| truth(raw, scope))?;
        let (minutes, seconds) = (number("minutes")?, number("seconds")?);
        let limit = minutes.map(|minutes| minutes * 60.0).or(seconds).map(|seconds| seconds.max(1.0));
        let begin = (std::time::SystemTime::now(), tokio::time::Instant::now());
        let mut typed = String::new();
        match (limit, &self.run.options.asker) {
            (Some(limit), _) => self.wait(limit).await,
            (None, Some(asker)) => {
                let prompt = self.text(scope, "prompt")?.unwrap_or_else(|| "Press enter to continue, Ctrl+C to interrupt".to_owned());
                let name = self.task.name.as_ref().and_then(|name| text_of(name, scope)).unwrap_or_else(|| self.task.module_name.clone());
                let hidden = if echo { "" } else { " (output is hidden)" };
                match asker.ask(&format!("[{name}]\n{prompt}{hidden}:"), !echo).await {
                    Some(line) => typed = line,
                    None => return Ok(TaskResult::failed("user requested abort!")),
                }
            }
            (None, None) => self.run.warn("Not waiting for response to prompt as stdin is not interactive"),
        }
        let duration = begin.1.elapsed().as_secs_f64();
        let (amount, unit) = if seconds.is_some() && minutes.is_none() { (duration, "seconds") } else { (duration / 60.0, "minutes") };
        let amount = (amount * 100.0).round() / 100.0;
        let moment = |at: std::time::SystemTime| crate::moment::local(at);
        Ok(TaskResult::new(Ending::Ok)
            .with("rc", 0)
            .with("stderr", "")
            .with("stdout", format!("Paused for {amount:?} {unit}"))
            .with("start", moment(begin.0))
            .with("stop", moment(std::time::SystemTime::now()))
            .with("delta", duration as u64)
            .with("echo", echo)
            .with("user_input", typed))
    }

    /// Waits in short steps, so that a person who wants to stop need not wait for the end.
    async fn wait(&self, seconds: f64) {
        let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        while tokio::time::Instant::now() < end && !self.run.options.stop.is_asked() {
            tokio::time::sleep_until(end.min(tokio::time::Instant::now() + Duration::from_millis(200))).await;
        }
    }
}
