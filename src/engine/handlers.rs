//! Handlers: who was notified, and running those in the order in which the play names them.

use std::sync::{Arc, PoisonError};

use pgfleet_playbook::{Arguments, Task};
use pgfleet_template::{Problem, Raw, Scope, to_json};

use crate::hosts::{Fate, HostState};
use crate::play::Playing;
use crate::run::Run;
use crate::steps::{Following, is_include};

impl Run {
    /// Notes that a changed task notifies its handlers for a host.
    pub(crate) fn notify(self: &Arc<Self>, playing: &Playing, task: &Task, host: &HostState, scope: &Scope) -> Result<(), Problem> {
        for raw in &task.settings.notify {
            let value = to_json(&raw.evaluate(scope).map_err(|problem| problem.at(&task.place))?)?;
            let names = match value {
                serde_json::Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
                serde_json::Value::String(name) => vec![name],
                other => return Err(Problem::new(format!("'notify' names handlers, not {other}")).at(&task.place)),
            };
            for name in names {
                self.notify_one(playing, task, host, &name)?;
            }
        }
        Ok(())
    }

    fn notify_one(self: &Arc<Self>, playing: &Playing, task: &Task, host: &HostState, name: &str) -> Result<(), Problem> {
        if self.handlers_called(playing, name).is_empty() {
            let known: Vec<String> = playing.roles.handlers().iter().filter_map(|handler| self.handler_name(playing, handler)).collect();
            let unheard =
                format!("The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list");
            if self.options.habits.forgive_missing_handlers {
                self.warn(unheard);
                return Ok(());
            }
            let problem = Problem::new(unheard).at(&task.place);
            return Err(problem.did_you_mean(name, known.iter().map(String::as_str)));
        }
        // Which handler that is shows when it runs: a role that is included meanwhile may bring one of that name.
        let mut pending = playing.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.insert((host.name.clone(), name.to_owned()));
        Ok(())
    }

    /// Finds the handlers for the names that were notified since the last time.
    fn assign_handlers(self: &Arc<Self>, playing: &Playing) {
        let pending = std::mem::take(&mut *playing.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut found: std::collections::BTreeMap<String, Vec<usize>> = std::collections::BTreeMap::new();
        let mut notified = playing.notified.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, name) in pending {
            for index in found.entry(name).or_insert_with_key(|name| self.handlers_called(playing, name)) {
                notified.entry(*index).or_default().insert(host.clone());
            }
        }
    }

    /// Handlers that answer to a name: of several that are called so the first of the last list that has one, and of those that listen so one of each name.
    fn handlers_called(self: &Arc<Self>, playing: &Playing, name: &str) -> Vec<usize> {
        let handlers = playing.roles.handlers();
        let names: Vec<Option<String>> = handlers.iter().map(|handler| self.handler_name(playing, handler)).collect();
        let is_called = |index: &usize| {
            let Some(own) = &names[*index] else { return false };
            let role = handlers[*index].settings.role.iter().flat_map(|role| [&role.origin.name, &role.origin.short]);
            own == name || role.into_iter().any(|role| format!("{role} : {own}") == name)
        };
        let order = by_list(&handlers);
        let mut wanted: Vec<usize> = order.iter().copied().find(is_called).into_iter().collect();
        let mut seen = std::collections::BTreeSet::new();
        for index in order {
            let handler = &handlers[index];
            let role = || handler.settings.role.iter().flat_map(|role| [&role.origin.name, &role.origin.short]);
            let listens = |topic: &String| topic == name || role().any(|role| format!("{role} : {topic}") == name);
            if handler.listen.iter().any(listens) && (names[index].is_none() || seen.insert(&names[index])) {
                wanted.push(index);
            }
        }
        wanted
    }

    fn handler_name(self: &Arc<Self>, playing: &Playing, handler: &Task) -> Option<String> {
        let raw = match handler.name.as_ref()? {
            // Most names have nothing to render in them.
            Raw::Value(name) => return Some(name.to_string()),
            raw => raw,
        };
        match raw.evaluate(&self.handler_scope(playing, handler)) {
            Ok(name) => Some(name.to_string()),
            Err(problem) => {
                let written = raw.as_written().to_string();
                if handler.listen.is_empty() {
                    let why = "it listens to nothing, and its name cannot be rendered (it may not depend on the host)";
                    self.warn_once(format!("Handler '{written}' is unusable: {why}: {}", problem.message));
                }
                Some(written)
            }
        }
    }

    /// Runs the handlers that were notified since the last time.
    pub(crate) async fn flush_handlers(self: &Arc<Self>, playing: &Playing, hosts: &[Arc<HostState>]) -> Result<(), Problem> {
        let forced = self.forces_handlers(playing)?;
        for (index, handler) in playing.roles.handlers().iter().enumerate() {
            self.assign_handlers(playing);
            let goes_on = |host: &HostState| host.is_active() || (forced && host.fate() == Fate::Failed);
            let chosen: Vec<_> = {
                let mut notified = playing.notified.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(wanted) = notified.get_mut(&index) else { continue };
                hosts.iter().filter(|host| wanted.remove(&host.name) && goes_on(host)).cloned().collect()
            };
            if chosen.is_empty() || self.options.stop.is_asked() {
                continue;
            }
            if is_flush(handler) {
                return Err(Problem::new("flush_handlers cannot be used as a handler").at(&handler.place));
            }
            // Tasks that are included run only on hosts that go on.
            let failed: Vec<_> = chosen.iter().filter(|host| is_include(handler) && host.fate() == Fate::Failed).cloned().collect();
            failed.iter().for_each(|host| host.meet(Fate::Active));
            let done = self.task_or_include(playing, handler, chosen, Following::default(), true).await;
            failed.iter().filter(|host| host.is_active()).for_each(|host| host.meet(Fate::Failed));
            done?;
        }
        Ok(())
    }
}

/// True for `meta: flush_handlers`.
fn is_flush(task: &Task) -> bool {
    let written = |arguments: &Arguments| match arguments {
        Arguments::Named(named) => named.get("_raw_params").map(|(_, raw)| raw.as_written()),
        Arguments::Whole(..) => None,
    };
    task.module.name == "meta" && written(&task.arguments).is_some_and(|wish| wish.as_str() == Some("flush_handlers"))
}

/// The numbers of handlers, those of the list that was read last first, each list in its own order.
fn by_list(handlers: &[Arc<Task>]) -> Vec<usize> {
    let of_one_list = |(_, one): &(usize, &Arc<Task>), (_, next): &(usize, &Arc<Task>)| {
        let role = |task: &Task| task.settings.role.as_ref().map(|role| role.identity.clone());
        let goes_on = one.place.file != next.place.file || one.place.line < next.place.line;
        role(one) == role(next) && goes_on
    };
    let all: Vec<(usize, &Arc<Task>)> = handlers.iter().enumerate().collect();
    let lists: Vec<&[(usize, &Arc<Task>)]> = all.chunk_by(of_one_list).collect();
    lists.into_iter().rev().flatten().map(|(index, _)| *index).collect()
}
