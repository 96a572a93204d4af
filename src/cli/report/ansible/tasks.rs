//! A whole run as one JSON value: plays, their tasks, each host's result, and the numbers of the recap.

use pgfleet_engine::{Counts, Event, Recap, TaskResult};
use serde_json::{Map, Value, json};

use super::result::Task;
use super::{View, dump, origin};
use crate::report::Reporter;
use crate::screen;

pub(super) struct Tasks {
    view: View,
    plays: Vec<Value>,
    task: Task,
}

impl Tasks {
    pub(super) fn new(view: View) -> Self {
        Self { view, plays: Vec::new(), task: Task::default() }
    }

    fn last_task(&mut self) -> Option<&mut Map<String, Value>> {
        self.plays.last_mut()?.get_mut("tasks")?.as_array_mut()?.last_mut()?.as_object_mut()
    }

    fn keep(&mut self, host: &str, result: &TaskResult) {
        let mut entries = result.variables();
        entries.retain(|name, _| !name.starts_with("_ansible_"));
        entries.insert("action".to_owned(), Value::from(self.task.module.clone()));
        if result.is_bad() {
            entries.extend(self.task.entries(result, &self.view));
        }
        if let Some(hosts) = self.last_task().and_then(|task| task.get_mut("hosts")).and_then(Value::as_object_mut) {
            hosts.insert(host.to_owned(), Value::Object(entries));
        }
    }
}

impl Reporter for Tasks {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, .. } => self.plays.push(json!({"play": {"name": name}, "tasks": []})),
            Event::TaskStarted { name, module, place, .. } => {
                self.task = Task { name: name.clone(), module: module.clone(), place: place.clone() };
                let path = origin::absolute(place);
                let path = path.rsplit_once(':').map_or(path.as_str(), |(path, _)| path).to_owned();
                let task = json!({"task": {"name": name, "path": path}, "hosts": {}});
                if let Some(tasks) = self.plays.last_mut().and_then(|play| play.get_mut("tasks")).and_then(Value::as_array_mut) {
                    tasks.push(task);
                }
            }
            Event::HostDone { host, result, .. } => self.keep(host, result),
            Event::DuplicateKey { .. } | Event::Warning { .. } => {
                screen::note(&format!("[WARNING]: {}", event.warning().unwrap_or_default()))
            }
            Event::Finished { recap, .. } => {
                let plays = std::mem::take(&mut self.plays);
                let whole = json!({"custom_stats": {}, "global_custom_stats": {}, "plays": plays, "stats": numbers(recap)});
                screen::line(&dump::json(&whole, Some(4)));
            }
            _ => {}
        }
    }
}

fn numbers(recap: &Recap) -> Value {
    let one = |counts: &Counts| {
        json!({"changed": counts.changed, "failures": counts.failed, "ignored": counts.ignored, "ok": counts.ok,
               "rescued": counts.rescued, "skipped": counts.skipped, "unreachable": counts.unreachable})
    };
    recap.hosts.iter().map(|(host, counts)| (host.clone(), one(counts))).collect::<Map<_, _>>().into()
}
