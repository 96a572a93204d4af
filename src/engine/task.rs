//! One task on all its hosts at once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use pgfleet_playbook::{Arguments, Engine, Kind, Task};
use pgfleet_template::{Problem, Raw, Scope, from_json, to_json};

use crate::attempt::{Attempt, hides, holds};
use crate::hosts::{Fate, HostState};
use crate::play::{Playing, active, number, text_of, truth};
use crate::redact::{censored, is_hidden};
use crate::run::{Run, milliseconds};
use crate::steps::Following;
use crate::{Ending, Event, TaskResult};

/// How a result is told.
pub(crate) struct Shown {
    pub(crate) number: usize,
    pub(crate) delegate: Option<String>,
    pub(crate) looped: bool,
    pub(crate) milliseconds: u64,
}

impl Run {
    /// Tells that a task begins; its number.
    pub(crate) fn announce(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Task,
        hosts: &[Arc<HostState>],
        handler: bool,
    ) -> Result<usize, Problem> {
        let number = self.next_number();
        if self.options.habits.warn_of_reserved {
            for vars in &task.settings.vars {
                self.warn_of_reserved(vars.keys().map(String::as_str), &task.place);
            }
        }
        let name = match (&task.name, hosts.first()) {
            (Some(raw), Some(host)) => text_of(raw, &self.scope(playing, host, Some(task))?).unwrap_or_default(),
            _ => unnamed(task),
        };
        let name = match &task.settings.role {
            // An include names the role that it brings, not the one that it stands in.
            Some(role) if task.kind != Kind::Engine(Engine::IncludeRole) => format!("{} : {name}", role.origin.name),
            _ => name,
        };
        let late = task.late.as_ref().zip(hosts.first()).map(|(late, host)| Ok((late, self.scope(playing, host, Some(task))?)));
        let late = late.transpose()?.and_then(|(late, scope)| late.name.evaluate(&scope).ok()?.as_str().map(str::to_owned));
        let module = late.unwrap_or_else(|| task.module.name.to_owned());
        self.tell(&Event::TaskStarted {
            task: number,
            name: self.options.redactor.text(&name),
            module,
            place: task.place.to_string(),
            handler,
        });
        Ok(number)
    }

    /// Runs a task on hosts, as many at a time as the run may.
    pub(crate) async fn task(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Arc<Task>,
        hosts: Vec<Arc<HostState>>,
        following: Following<'_>,
        handler: bool,
    ) -> Result<(), Problem> {
        let Some(first) = hosts.first() else { return Ok(()) };
        let number_of_task = self.announce(playing, task, &hosts, handler)?;
        if task.module.name == "meta" && matches!(task.kind, Kind::Engine(_)) {
            return Box::pin(self.meta(playing, task, number_of_task, &hosts)).await;
        }
        let first_scope = self.scope(playing, first, Some(task))?;
        let flag =
            |raw: &Option<Raw>| raw.as_ref().map_or(Ok(false), |raw| truth(raw, &first_scope)).map_err(|problem| problem.at(&task.place));
        let asked_once = flag(&task.settings.run_once)?;
        if asked_once && playing.is_free() {
            self.warn("'run_once' has no effect with the strategy 'free': the task is done for every host");
        }
        let by_itself = task.kind == Kind::Controller || matches!(task.kind, Kind::Engine(Engine::AddHost | Engine::Pause));
        let once = by_itself && !playing.is_free() || asked_once && !playing.is_free();
        let chosen = if once { &hosts[..1] } else { &hosts[..] };
        let throttle = task
            .settings
            .throttle
            .as_ref()
            .map(|raw| self::number(raw, &first_scope))
            .transpose()
            .map_err(|problem| {
                let message = match problem.message.strip_prefix("expected a number, found ") {
                    Some(found) => format!("invalid literal for int() with base 10: {found}"),
                    None => problem.message.clone(),
                };
                Problem { message: format!("Failed to convert the throttle value to an integer: {message}"), ..problem }.at(&task.place)
            })?
            .flatten()
            .map_or(0, |limit| limit.max(0.0) as usize);
        let at_once = if throttle > 0 { throttle.min(self.options.forks) } else { self.options.forks }.max(1);
        // Hosts that do not wait for each other come here one by one.
        let gate = (throttle > 0 && playing.is_free()).then(|| playing.gate(task, throttle));
        let mut waiting = chosen.iter();
        let mut running: FuturesUnordered<BoxFuture<'_, _>> = FuturesUnordered::new();
        let mut failed = false;
        loop {
            while running.len() < at_once
                && let Some(host) = waiting.next()
            {
                let gate = gate.clone();
                running.push(Box::pin(async move {
                    // It is never closed.
                    let _pass = match gate {
                        Some(gate) => gate.acquire_owned().await.ok(),
                        None => None,
                    };
                    self.on_host(playing, task, number_of_task, host, following).await
                }));
            }
            let Some(done) = running.next().await else { break };
            let (host, result): (&Arc<HostState>, TaskResult) = done?;
            failed |= host.is_lost();
            if once {
                self.share(task, &hosts, host, &result);
            }
        }
        drop(running);
        if failed && (once || flag(&task.settings.any_errors_fatal)?) {
            active(&playing.batch).iter().for_each(|host| host.meet(Fate::Failed));
        }
        Ok(())
    }

    /// The task itself, or the one that it becomes on a host when the name of its module is a template.
    fn named(self: &Arc<Self>, playing: &Playing, task: &Arc<Task>, host: &HostState) -> Result<Arc<Task>, Problem> {
        let Some(late) = &task.late else { return Ok(task.clone()) };
        let name = late.name.evaluate(&self.scope(playing, host, Some(task))?)?;
        let Some(name) = name.as_str() else { return Err(Problem::new(format!("the name of a module is text, not {name}"))) };
        self.options.loader.named(late, name.trim(), &playing.play).map_err(|problems| {
            let first = problems.into_iter().next();
            first.unwrap_or_else(|| Problem::new(format!("no module is called '{name}'")))
        })
    }

    /// Gives a result that was had once to the other hosts.
    fn share(&self, task: &Task, hosts: &[Arc<HostState>], first: &HostState, result: &TaskResult) {
        for host in hosts.iter().filter(|host| host.name != first.name) {
            self.remember(task, host, result);
        }
    }

    async fn on_host<'h>(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Arc<Task>,
        number: usize,
        host: &'h Arc<HostState>,
        following: Following<'_>,
    ) -> Result<(&'h Arc<HostState>, TaskResult), Problem> {
        let begin = Instant::now();
        self.tell(&Event::HostStarted { task: number, host: host.name.clone() });
        let (result, delegate) = match self.named(playing, task, host) {
            Ok(task) => Attempt { run: self, playing, task: &task, number, host, following }.run_all().await,
            Err(problem) => (TaskResult::from(problem.at(&task.place)), None),
        };
        let looped = task.repeat.is_some() && result.data.contains_key("results");
        if let (Some(role), false) = (&task.settings.role, matches!(result.ending, Ending::Skipped | Ending::Unreachable)) {
            playing.roles.note_run(role, host);
        }
        self.settle(playing, task, host, &result, Shown { number, delegate, looped, milliseconds: milliseconds(begin) })?;
        if self.is_last(task) {
            self.fleet.leave(&host.name);
        }
        Ok((host, result))
    }

    /// Stores, counts and tells a host's final result of a task.
    pub(crate) fn settle(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Task,
        host: &HostState,
        result: &TaskResult,
        shown: Shown,
    ) -> Result<(), Problem> {
        self.remember(task, host, result);
        let mut result = Cow::Borrowed(result);
        let renders = result.is_bad() || task.settings.no_log.is_some() || !task.settings.notify.is_empty();
        let scope = match renders {
            true => self.scope(playing, host, Some(task))?,
            // Nothing of this task is rendered from here on.
            false => Scope::new(&self.options.language, []),
        };
        if result.ending == Ending::Changed
            && let Err(problem) = self.notify(playing, task, host, &scope)
        {
            result = Cow::Owned(TaskResult::from(problem));
        }
        let ignored = match result.ending {
            Ending::Failed => holds(&task.settings.ignore_errors, &scope),
            Ending::Unreachable => holds(&task.settings.ignore_unreachable, &scope),
            _ => false,
        };
        host.count(|counts| match result.ending {
            Ending::Ok => counts.ok += 1,
            Ending::Changed => {
                counts.ok += 1;
                counts.changed += 1;
            }
            // What steers the play is counted nowhere.
            Ending::Skipped => counts.skipped += usize::from(task.kind != Kind::Engine(Engine::Meta)),
            Ending::Failed | Ending::Unreachable if ignored => {
                counts.ok += 1;
                counts.ignored += 1;
                counts.changed += usize::from(result.has_changed());
            }
            Ending::Failed => counts.failed += 1,
            Ending::Unreachable => counts.unreachable += 1,
        });
        if result.is_bad() && !ignored {
            self.judge(&result);
            host.meet(if result.ending == Ending::Failed { Fate::Failed } else { Fate::Unreachable });
            let failed_result = Raw::from(from_json(&serde_json::Value::Object(result.variables())));
            host.set_variable("ansible_failed_result", failed_result);
            let name = task.name.as_ref().and_then(|name| text_of(name, &scope)).unwrap_or_default();
            host.set_variable(
                "ansible_failed_task",
                Raw::from(from_json(&serde_json::json!({
                    "name": name,
                    "action": task.module_name,
                    "args": written(task),
                    "register": task.register,
                    "tags": task.settings.tags,
                    "path": task.place.to_string(),
                }))),
            );
        }
        let hidden = hides(&task.settings.no_log, &scope) || is_hidden(&result);
        let told = if hidden { self.options.redactor.result(&censored(&result)) } else { self.options.redactor.result(&result) };
        let Shown { number, delegate, looped, milliseconds } = shown;
        self.tell(&Event::HostDone {
            task: number,
            host: host.name.clone(),
            delegate,
            result: told,
            ignored,
            looped: looped && !hidden,
            milliseconds,
        });
        Ok(())
    }

    /// Stores what a result leaves behind: the registered variable and facts.
    fn remember(&self, task: &Task, host: &HostState, result: &TaskResult) {
        if let Some(name) = &task.register {
            host.set_variable(name, Raw::from(from_json(&serde_json::Value::Object(result.variables()))));
        }
        // Two have stored their variables already, where such variables belong; what `debug` shows is nobody's fact.
        if matches!(task.module.name, "set_fact" | "include_vars" | "debug") {
            return;
        }
        let facts = |data: &pgfleet_protocol::Map| data.get("ansible_facts").and_then(serde_json::Value::as_object).cloned();
        let items = result.data.get("results").and_then(serde_json::Value::as_array).into_iter().flatten();
        for facts in facts(&result.data).into_iter().chain(items.filter_map(|item| facts(item.as_object()?))) {
            if task.module.name == "setup" {
                host.gathered();
            }
            self.learn(host, &facts);
        }
    }
}

/// A task's arguments as written.
fn written(task: &Task) -> serde_json::Value {
    let (Arguments::Named(named) | Arguments::Whole(_, _, named)) = &task.arguments;
    named.iter().map(|(name, (_, raw))| (name.clone(), to_json(&raw.as_written()).unwrap_or_default())).collect()
}

/// How a task is shown that has no name.
fn unnamed(task: &Task) -> String {
    let role = match (&task.arguments, task.kind) {
        (Arguments::Named(arguments), Kind::Engine(Engine::IncludeRole)) => arguments.get("name").map(|(_, raw)| raw.as_written()),
        _ => None,
    };
    role.map_or_else(|| task.module_name.clone(), |role| format!("{} : {role}", task.module_name))
}
