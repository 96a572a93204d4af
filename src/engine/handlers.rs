//! Handlers: who was notified, and running those in the order in which the play names them.

use std::sync::{Arc, PoisonError};

use pgfleet_playbook::Task;
use pgfleet_template::{Problem, Scope, to_json};

use crate::hosts::{Fate, HostState};
use crate::play::{Playing, text_of};
use crate::run::Run;

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
        let scope = self.play_scope(&playing.play.folder, &playing.play.vars);
        let handlers = &playing.play.handlers;
        let named = |handler: &Task| handler.name.as_ref().and_then(|raw| text_of(raw, &scope)).is_some_and(|own| own == name);
        // Of several handlers with one name the last counts; all that listen do.
        let last = handlers.iter().rposition(|handler| named(handler));
        let listening =
            handlers.iter().enumerate().filter(|(_, handler)| handler.listen.iter().any(|topic| topic == name)).map(|(index, _)| index);
        let wanted: Vec<usize> = last.into_iter().chain(listening).collect();
        if wanted.is_empty() {
            let known: Vec<String> =
                handlers.iter().filter_map(|handler| handler.name.as_ref().and_then(|raw| text_of(raw, &scope))).collect();
            let problem = Problem::new(format!("no handler is called '{name}'")).at(&task.place);
            return Err(problem.did_you_mean(name, known.iter().map(String::as_str)));
        }
        let mut notified = playing.notified.lock().unwrap_or_else(PoisonError::into_inner);
        for index in wanted {
            notified.entry(index).or_default().insert(host.name.clone());
        }
        Ok(())
    }

    /// Runs the handlers that were notified since the last time.
    pub(crate) async fn flush_handlers(self: &Arc<Self>, playing: &Playing, hosts: &[Arc<HostState>]) -> Result<(), Problem> {
        let forced = self.forces_handlers(playing)?;
        for (index, handler) in playing.play.handlers.iter().enumerate() {
            let goes_on = |host: &HostState| host.is_active() || (forced && host.fate() == Fate::Failed);
            let chosen: Vec<_> = {
                let mut notified = playing.notified.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(wanted) = notified.get_mut(&index) else { continue };
                hosts.iter().filter(|host| wanted.remove(&host.name) && goes_on(host)).cloned().collect()
            };
            if chosen.is_empty() || self.options.stop.is_asked() {
                continue;
            }
            self.task_or_include(playing, handler, chosen, true).await?;
        }
        Ok(())
    }
}
