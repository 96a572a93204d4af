//! `reboot` and `wait_for_connection`: hosts that go away and come back.

use std::time::Duration;

use pgfleet_protocol::{Argument, Map};
use pgfleet_template::{Problem, Scope, to_json};
use serde_json::Value;
use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::{Contact, Ending, TaskResult};

/// Seconds between looks at a host that is away.
const PAUSE: Duration = Duration::from_secs(1);

impl Attempt<'_> {
    fn seconds(&self, scope: &Scope, name: &str, otherwise: f64) -> Result<Duration, Problem> {
        let Some(raw) = self.raw_argument(name) else { return Ok(Duration::from_secs_f64(otherwise)) };
        let seconds = f64::read(&to_json(&raw.evaluate(scope)?)?);
        let seconds = seconds.map_err(|reason| Problem::new(format!("argument '{name}': {reason}")))?;
        Ok(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
    }

    pub(crate) async fn wait_for_connection(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let begin = Instant::now();
        if self.mode(scope)?.is_check() {
            return Ok(TaskResult::new(Ending::Ok).with("elapsed", 0));
        }
        let (timeout, pause) = (self.seconds(scope, "timeout", 600.0)?, self.seconds(scope, "sleep", 1.0)?);
        let each = self.seconds(scope, "connect_timeout", 5.0)?;
        tokio::time::sleep(self.seconds(scope, "delay", 0.0)?).await;
        let contact = self.contact(scope, self.delegate(scope)?.as_deref())?;
        let waiting = Instant::now();
        let last = loop {
            let answer = tokio::time::timeout(each.max(Duration::from_secs(1)), self.send("ping", Map::new(), &contact, scope, None, None));
            let reason = match answer.await {
                Ok(Ok(result)) if !result.is_bad() => break None,
                Ok(Ok(result)) => result.message().unwrap_or_default().to_owned(),
                Ok(Err(problem)) => return Err(problem),
                Err(_) => format!("{}: no answer within {} s", contact.host, each.as_secs()),
            };
            if waiting.elapsed() + pause > timeout || self.run.options.stop.is_asked() {
                break Some(reason);
            }
            self.run.fleet.reset(&contact).await;
            tokio::time::sleep(pause).await;
        };
        let elapsed = begin.elapsed().as_secs();
        Ok(match last {
            None => TaskResult::new(Ending::Ok).with("elapsed", elapsed),
            Some(reason) => TaskResult::failed(format!("timed out waiting for ping module test: {reason}")).with("elapsed", elapsed),
        })
    }

    pub(crate) async fn reboot(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let contact = self.contact(scope, self.delegate(scope)?.as_deref())?;
        let rebooted = |begin: Instant| TaskResult::new(Ending::Changed).with("rebooted", true).with("elapsed", begin.elapsed().as_secs());
        if contact.variables.get("ansible_connection").and_then(Value::as_str) == Some("local") {
            let refused = TaskResult::failed("Running reboot with local connection would reboot the control node.");
            return Ok(refused.with("rebooted", false).with("elapsed", 0));
        }
        let begin = Instant::now();
        if self.mode(scope)?.is_check() {
            return Ok(rebooted(begin));
        }
        let text = |name: &str, otherwise: &str| -> Result<String, Problem> {
            Ok(self.text(scope, name)?.filter(|text| !text.is_empty()).unwrap_or_else(|| otherwise.to_owned()))
        };
        let boot_time = text("boot_time_command", "cat /proc/sys/kernel/random/boot_id")?;
        let before = self.shell(&boot_time, &contact, scope).await?;
        if before.is_bad() {
            return Ok(before.with("rebooted", false));
        }
        let delay = self.seconds(scope, "pre_reboot_delay", 0.0)?.as_secs() / 60;
        let message = text("msg", "Reboot initiated by Ansible")?.replace('\'', "");
        let command = text("reboot_command", &format!("shutdown -r +{delay} '{message}'"))?;
        let asked = self.shell(&command, &contact, scope).await?;
        // Whoever goes down at once gives no answer any more.
        if asked.ending == Ending::Failed {
            let reason = asked.message().unwrap_or_default().to_owned();
            return Ok(asked.with("msg", format!("Reboot command failed: {reason}")).with("rebooted", false));
        }
        tokio::time::sleep(self.seconds(scope, "post_reboot_delay", 0.0)?).await;
        let timeout = self.seconds(scope, "reboot_timeout", 600.0)?;
        let test = text("test_command", "whoami")?;
        let back = tokio::time::timeout(timeout, self.back(&boot_time, &output_of(&before), &test, &contact, scope)).await;
        match back {
            Ok(done) => done.map(|()| rebooted(begin)),
            Err(_) => {
                let failed = TaskResult::failed(format!("Timed out waiting for last boot time check (timeout={})", timeout.as_secs()));
                Ok(failed.with("rebooted", true).with("changed", true).with("elapsed", begin.elapsed().as_secs()))
            }
        }
    }

    /// Returns when the host has started anew and the test succeeds.
    async fn back(&self, boot_time: &str, before: &str, test: &str, contact: &Contact, scope: &Scope) -> Result<(), Problem> {
        loop {
            self.run.fleet.reset(contact).await;
            let now = tokio::time::timeout(Duration::from_secs(10), self.shell(boot_time, contact, scope)).await;
            if let Ok(now) = now
                && let now = now?
                && !now.is_bad()
                && output_of(&now) != before
                && !self.shell(test, contact, scope).await?.is_bad()
            {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn shell(&self, command: &str, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut arguments = Map::new();
        arguments.insert("_raw_params".to_owned(), Value::from(command));
        self.send("shell", arguments, contact, scope, None, None).await
    }
}

fn output_of(result: &TaskResult) -> String {
    result.data.get("stdout").and_then(Value::as_str).unwrap_or_default().trim().to_owned()
}
