//! What of a result Ansible shows, and the words it uses for failures.

use std::sync::Arc;

use pgfleet_engine::{Ending, TaskResult};
use pgfleet_template::Files;
use serde_json::{Map, Value};

use crate::screen;

use super::{Format, View, dump, origin};

/// Modules whose failures are those of an action on the controller.
const ACTIONS: [&str; 10] =
    ["add_host", "assert", "debug", "fail", "group_by", "include_vars", "pause", "set_fact", "validate_argument_spec", "set_stats"];
/// What a debug task hides beside its variable.
const HIDDEN_IN_DEBUG: [&str; 6] = ["changed", "skip_reason", "ansible_loop_var", "ansible_index_var", "ansible_loop", "invocation"];

/// The task that a result is one of.
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    /// Its name.
    pub(super) name: String,
    /// Its module.
    pub(super) module: String,
    /// `file:line:column`.
    pub(super) place: String,
}

impl Task {
    /// The entries that are shown.
    pub(super) fn entries(&self, result: &TaskResult, view: &View) -> Map<String, Value> {
        let mut data = result.variables();
        data.retain(|name, _| !name.starts_with("_ansible_"));
        for name in ["failed", "skipped", "warnings", "deprecations", "exception", "verdict"] {
            data.shift_remove(name);
        }
        if view.verbosity < 3 {
            data.shift_remove("invocation");
            data.shift_remove("diff");
        }
        if self.module == "debug" && result.ending != Ending::Skipped {
            if data.contains_key("msg") {
                data.retain(|name, _| name == "msg");
            } else {
                data.retain(|name, _| !HIDDEN_IN_DEBUG.contains(&name.as_str()));
            }
        }
        if result.is_bad() {
            data.insert("msg".to_owned(), Value::from(self.message(result)));
            if self.never_ran(result) {
                data.shift_remove("changed");
            } else {
                data.entry("changed").or_insert(Value::Bool(false));
            }
        }
        data
    }

    /// True where the task itself could not be understood on the host.
    fn never_ran(&self, result: &TaskResult) -> bool {
        result.ending == Ending::Failed && result.place.is_some()
    }

    /// True where the results are shown without `-v`.
    pub(super) fn tells_all(&self, result: &TaskResult) -> bool {
        match self.module.as_str() {
            _ if self.never_ran(result) => false,
            "debug" => result.ending != Ending::Skipped,
            "assert" => result.data.get("_ansible_verbose_always").and_then(Value::as_bool).unwrap_or(true),
            _ => false,
        }
    }

    /// Whether an ending that is no failure has its results shown.
    pub(super) fn is_shown(&self, result: &TaskResult, view: &View) -> bool {
        self.module != "setup" && (view.verbosity > 0 || self.tells_all(result))
    }

    /// Results as text, beginning with a line end where YAML is wanted.
    pub(super) fn text(&self, result: &TaskResult, view: &View) -> String {
        let entries = self.entries(result, view);
        if view.format == Format::Yaml {
            return dump::yaml(&entries);
        }
        let wide = view.pretty.unwrap_or(self.tells_all(result) || view.verbosity > 2);
        dump::json(&Value::Object(entries), wide.then_some(4))
    }

    /// The message of a failure as results have it.
    fn message(&self, result: &TaskResult) -> String {
        let message = match result.data.get("msg") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => dump::json(other, None),
            None => String::new(),
        };
        match result.ending {
            Ending::Unreachable if !message.starts_with("Task failed: ") => format!("Task failed: {}", lost(&message)),
            _ if self.never_ran(result) && !message.starts_with("Task failed: ") => format!("Task failed: {message}"),
            _ => message,
        }
    }

    /// The error that stands before a failure: what failed, and where it stands.
    pub(super) fn error(&self, result: &TaskResult, view: &View, files: &Arc<dyn Files>) -> String {
        let message = self.message(result);
        let message = if message.starts_with("Task failed: ") {
            message
        } else if ACTIONS.contains(&self.module.as_str()) {
            format!("Task failed: Action failed: {message}")
        } else {
            format!("Task failed: Module failed: {message}")
        };
        if let Some(task) = &view.adhoc {
            return format!("[ERROR]: {message}\nOrigin: <adhoc '{}' task>\n\n{task}\n", self.module);
        }
        let hidden = result.data.contains_key("censored");
        let message = if hidden { "Task failed: output censored".to_owned() } else { message };
        origin::error(&message, &self.place, files)
    }
}

/// Warnings that came with a result.
pub(super) fn warnings(result: &TaskResult) -> Vec<String> {
    let list = result.data.get("warnings").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Why a host was not reached, in the words of ssh.
fn lost(message: &str) -> String {
    let reason = message.split_once(": ").map_or(message, |(_, reason)| reason);
    let reason = match reason.strip_prefix("no connection to ") {
        Some(rest) => format!("ssh: connect to host {rest}"),
        None => reason.to_owned(),
    };
    format!("Failed to connect to the host via ssh: {}", screen::plain(&reason))
}

#[cfg(test)]
mod tests {
    use pgfleet_engine::{Ending, TaskResult};
    use serde_json::json;

    use super::{Task, View};

    fn task(module: &str) -> Task {
        Task { module: module.to_owned(), ..Task::default() }
    }

    #[test]
    fn results_show_what_ansible_shows_of_them() {
        let view = View::default();
        let debug = TaskResult::new(Ending::Ok).with("msg", "hi");
        assert_eq!(task("debug").text(&debug, &view), "{\n    \"msg\": \"hi\"\n}");
        let failed = TaskResult::failed("no good").with("_ansible_x", 1);
        assert_eq!(task("fail").text(&failed, &view), "{\"changed\": false, \"msg\": \"no good\"}");
        let lost = TaskResult::new(Ending::Unreachable).with("msg", "dead: no connection to 127.0.0.1 port 1: Connection refused");
        let shown = task("ping").entries(&lost, &view);
        let message = "Task failed: Failed to connect to the host via ssh: ssh: connect to host 127.0.0.1 port 1: Connection refused";
        assert_eq!(serde_json::Value::Object(shown), json!({"changed": false, "msg": message, "unreachable": true}));
    }
}
