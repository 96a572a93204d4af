//! Tasks that run detached: `async`, waited for with `poll` or left to `async_status`.

use std::time::Duration;

use pgfleet_playbook::Kind;
use pgfleet_protocol::{Detached, Map};
use pgfleet_template::{Problem, Scope};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::play::number;
use crate::{Contact, Ending, TaskResult};

/// Seconds between looks where `poll` does not say.
const POLL: f64 = 15.0;

/// A name that no other job has.
pub(crate) fn new_job() -> String {
    let hasher = std::collections::hash_map::RandomState::new();
    let random = std::hash::BuildHasher::hash_one(&hasher, std::time::SystemTime::now());
    format!("j{}.{}", random % 1_000_000_000_000, std::process::id())
}

impl Attempt<'_> {
    /// Seconds that the task may take detached; `None` for one that is done as usual.
    pub(crate) fn detachment(&self, scope: &Scope) -> Result<Option<u64>, Problem> {
        let Some(raw) = &self.task.detached else { return Ok(None) };
        Ok(number(raw, scope)?.filter(|seconds| *seconds > 0.0).map(|seconds| seconds.ceil() as u64))
    }

    pub(crate) async fn detached(&self, limit: u64, scope: &Scope, delegate: Option<&str>) -> Result<TaskResult, Problem> {
        if self.task.kind != Kind::Host || self.task.module.name == "async_status" {
            return Ok(TaskResult::failed(format!("This action ({}) does not support async.", self.task.module_name)));
        }
        if self.mode(scope)?.is_check() {
            return Ok(TaskResult::failed("'check mode' and 'async' cannot be used on same task."));
        }
        let poll = self.task.poll.as_ref().map(|raw| number(raw, scope)).transpose()?.flatten().unwrap_or(POLL);
        let contact = self.contact(scope, delegate)?;
        let mut request = self.request(self.task.module.name, self.arguments(scope)?, scope)?;
        let job = new_job();
        request.detached = Some(Detached { job: job.clone(), limit });
        let started = self.call_of(&contact, request, None, None).await?;
        if poll <= 0.0 || started.is_bad() {
            return Ok(started);
        }
        self.awaited(&job, limit as f64, poll, &contact, scope).await
    }

    /// Looks at the job until it has ended. A host that is lost meanwhile may come back.
    async fn awaited(&self, job: &str, limit: f64, poll: f64, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut left = limit;
        let mut last = TaskResult::new(Ending::Ok);
        while left > 0.0 && !self.run.options.stop.is_asked() {
            tokio::time::sleep(Duration::from_secs_f64(poll)).await;
            left -= poll;
            last = self.look(job, "status", contact, scope).await?;
            let finished = last.data.get("finished").and_then(Value::as_bool).unwrap_or(false);
            if last.ending == Ending::Unreachable {
                self.run.fleet.reset(contact).await;
            } else if finished || last.is_bad() {
                let cleaned = self.look(job, "cleanup", contact, scope).await?;
                return Ok(if cleaned.ending == Ending::Unreachable { cleaned } else { last });
            }
        }
        if last.ending == Ending::Unreachable {
            return Ok(last);
        }
        let message = format!("async task did not complete within the requested time - {limit}s");
        Ok(TaskResult::failed(message).with("async_result", Value::Object(last.data)))
    }

    async fn look(&self, job: &str, mode: &str, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut arguments = Map::new();
        arguments.insert("jid".to_owned(), Value::from(job));
        arguments.insert("mode".to_owned(), Value::from(mode));
        self.send("async_status", arguments, contact, scope, None, None).await
    }
}
