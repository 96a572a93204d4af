//! Modules that the controller does, for all hosts of a play at once.

use std::sync::Arc;

use futures::future::BoxFuture;
use pgfleet_protocol::{Map, Mode};
use pgfleet_template::{Problem, Scope, to_json};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::play::active;
use crate::{Contact, Ending, Event, Fleet, Redactor, Report, Stop, TaskResult};

/// The variable of each host that a module of the controller is given.
const NODE: &str = "cluster_node";

/// Does the modules of the controller.
pub trait Controller: Send + Sync {
    /// Does one task.
    fn act(&self, action: Action) -> BoxFuture<'_, TaskResult>;
}

/// One task for all hosts of the play.
pub struct Action {
    /// The module.
    pub module: &'static str,
    /// Its arguments, rendered.
    pub arguments: Map,
    /// Apply or check.
    pub mode: Mode,
    /// The hosts.
    pub hosts: Vec<ActionHost>,
    /// The way to them.
    pub fleet: Arc<dyn Fleet>,
    /// Tells how far the work is.
    pub teller: Teller,
    /// Asks for an early end.
    pub stop: Stop,
}

/// A host as a module of the controller sees it.
#[derive(Clone, Debug)]
pub struct ActionHost {
    /// How it is reached.
    pub contact: Contact,
    /// Its variable `cluster_node`, rendered.
    pub node: Value,
}

/// Tells how far a task is, while it works.
#[derive(Clone)]
pub struct Teller {
    task: usize,
    report: Report,
    redactor: Redactor,
}

impl Teller {
    /// Tells a sentence about the work.
    pub fn say(&self, text: &str) {
        (self.report)(&Event::Said { task: self.task, text: self.redactor.text(text) });
    }

    /// Tells how much is done; a total of `None` is not known.
    pub fn progress(&self, what: &str, done: u64, total: Option<u64>) {
        (self.report)(&Event::Progress { task: self.task, what: what.to_owned(), done, total });
    }
}

impl Attempt<'_> {
    /// Gives the task to the controller.
    pub(crate) async fn control(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut hosts = Vec::new();
        for host in active(&self.playing.batch) {
            let attempt = Attempt { host: &host, ..*self };
            let scope = self.run.scope(self.playing, &host, Some(self.task))?;
            let node = scope.get(NODE)?.map(|value| to_json(&value)).transpose()?.unwrap_or(Value::Null);
            hosts.push(ActionHost { contact: attempt.contact(&scope, None)?, node });
        }
        // Where hosts do not wait for each other, others are at work meanwhile.
        if self.playing.is_free() {
            self.run.had_effect();
        }
        let options = &self.run.options;
        let action = Action {
            module: self.task.module.name,
            arguments: self.task.module.canonical(&self.arguments(scope)?).map_err(|problem| Problem::new(problem.to_string()))?,
            mode: self.mode(scope)?,
            hosts,
            fleet: self.run.fleet.clone(),
            teller: Teller { task: self.number, report: self.run.report(), redactor: options.redactor.clone() },
            stop: options.stop.clone(),
        };
        let result = options.controller.act(action).await;
        if result.ending != Ending::Ok {
            self.run.had_effect();
        }
        Ok(result)
    }
}
