//! Results without plays and tasks, as `ansible` prints them: `host | CHANGED | rc=0 >>`.

use std::sync::Arc;

use pgfleet_engine::{Ending, Event, TaskResult};
use pgfleet_template::Files;
use serde_json::Value;

use super::result::{Task, warnings};
use super::{Form, Said, View, dump, unified};
use crate::report::{Reporter, words};
use crate::screen;

/// Modules whose results are shown as what a command printed.
const COMMANDS: [&str; 5] = ["command", "shell", "raw", "script", "win_command"];

pub(super) struct Brief {
    view: View,
    files: Arc<dyn Files>,
    said: Said,
    task: Task,
}

impl Brief {
    pub(super) fn new(view: View, files: Arc<dyn Files>) -> Self {
        Self { view, files, said: Said::default(), task: Task::default() }
    }

    fn result(&mut self, host: &str, result: &TaskResult) {
        warnings(result).iter().for_each(|warning| self.said.warn(warning));
        let changed: String = if result.has_changed() {
            result.diff.iter().map(|diff| unified::unified(diff, self.view.context)).collect()
        } else {
            String::new()
        };
        if !changed.is_empty() {
            screen::line(changed.strip_suffix('\n').unwrap_or(&changed));
        }
        let tight = self.view.form == Form::OneLine;
        if result.is_bad() && !tight {
            let error = self.task.error(result, &self.view, &self.files);
            self.said.error(&error, false);
        }
        let entries = self.task.entries(result, &self.view);
        let is_command = COMMANDS.contains(&self.task.module.as_str()) && !entries.contains_key("ansible_job_id");
        let text = || {
            let entries = Value::Object(entries.clone());
            if tight { dump::json_tight(&entries) } else { dump::json(&entries, Some(4)) }
        };
        let line = match (result.ending, is_command) {
            (Ending::Skipped, _) => format!("{host} | SKIPPED"),
            (Ending::Unreachable, _) if tight => format!("{host} | UNREACHABLE!: {}", string(&entries, "msg")),
            (Ending::Unreachable, _) => format!("{host} | UNREACHABLE! => {}", text()),
            (Ending::Failed, true) => printed(host, "FAILED", &entries, tight),
            (Ending::Failed, false) => format!("{host} | FAILED! => {}", text()),
            (Ending::Changed, true) => printed(host, "CHANGED", &entries, tight),
            (Ending::Changed, false) => format!("{host} | CHANGED => {}", text()),
            (Ending::Ok, true) => printed(host, "SUCCESS", &entries, tight),
            (Ending::Ok, false) => format!("{host} | SUCCESS => {}", text()),
        };
        screen::line(&words::style(result.ending, false).apply_to(line).to_string());
    }
}

/// What a command printed.
fn printed(host: &str, word: &str, entries: &serde_json::Map<String, Value>, tight: bool) -> String {
    let code = entries.get("rc").and_then(Value::as_i64).unwrap_or(-1);
    let (stdout, stderr) = (string(entries, "stdout"), string(entries, "stderr"));
    if tight {
        let flat = |text: &str| text.replace('\n', "\\n").replace('\r', "\\r");
        let errors = if stderr.is_empty() { String::new() } else { format!(" (stderr) {}", flat(&stderr)) };
        return format!("{host} | {word} | rc={code} | (stdout) {}{errors}", flat(&stdout));
    }
    format!("{host} | {word} | rc={code} >>\n{stdout}{stderr}{}", string(entries, "msg"))
}

fn string(entries: &serde_json::Map<String, Value>, name: &str) -> String {
    entries.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Reporter for Brief {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { name, module, place, .. } => {
                self.task = Task { name: name.clone(), module: module.clone(), place: place.clone() };
            }
            Event::HostDone { host, result, .. } => self.result(host, result),
            Event::DuplicateKey { .. } if !self.view.duplicates => {}
            Event::DuplicateKey { key, place, .. } => self.said.duplicate(key, place, &self.files),
            Event::Warning { message } => self.said.warn(message),
            Event::Interrupted => screen::note(" [ERROR]: User interrupted execution"),
            _ => {}
        }
    }
}
