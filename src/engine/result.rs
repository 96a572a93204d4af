//! What a task did on one host, as variables and events carry it.

use pgfleet_protocol::{Diff, Map, Outcome, Status};
use pgfleet_template::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What stands for a traceback, which there never is.
pub(crate) const NO_TRACEBACK: &str = "(traceback unavailable)";

/// How a task ended on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Done, nothing changed.
    Ok,
    /// Done, something changed.
    Changed,
    /// Not done.
    Skipped,
    /// Failed.
    Failed,
    /// The host was not reached, or lost.
    Unreachable,
}

/// How `register` stores diffs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiffShape {
    /// A mapping: the diff of the content, or that of attributes.
    #[default]
    One,
    /// A list wherever the content differs.
    List,
}

impl DiffShape {
    /// That of a module.
    #[must_use]
    pub fn of(module: &str) -> Self {
        if ["blockinfile", "copy", "lineinfile", "template"].contains(&module) { Self::List } else { Self::One }
    }
}

/// A task's result on one host. `data` is what `register` stores: the module's results with `changed`, `failed`,
/// `skipped` and `msg` among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// How it ended.
    pub ending: Ending,
    /// Under Ansible's names.
    pub data: Map,
    /// Before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<Diff>,
    /// How a task that looks at the diffs finds them.
    #[serde(skip)]
    pub diff_shape: DiffShape,
    /// Where the cause stands, when it stands in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What to do next, after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl TaskResult {
    /// A result of the engine itself.
    #[must_use]
    pub fn new(ending: Ending) -> Self {
        let mut result = Self { ending, data: Map::new(), diff: Vec::new(), diff_shape: DiffShape::One, place: None, hint: None };
        result.settle();
        result
    }

    /// A failure with its reason.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Ending::Failed).with("msg", message.into())
    }

    /// A task that is not done, with its reason.
    #[must_use]
    pub fn skipped(reason: &str) -> Self {
        Self::new(Ending::Skipped).with("skip_reason", reason)
    }

    /// The same result with one more entry.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// Ends otherwise, `changed`, `failed` and `skipped` kept true.
    pub fn end_as(&mut self, ending: Ending) {
        self.ending = ending;
        self.settle();
    }

    /// The message, if there is one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.data.get("msg").and_then(Value::as_str)
    }

    /// True for failed and unreachable.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        matches!(self.ending, Ending::Failed | Ending::Unreachable)
    }

    /// True when something changed, be it before a failure.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.data.get("changed").and_then(Value::as_bool).unwrap_or(false)
    }

    /// What `register` stores: `stdout_lines` and `stderr_lines` stand beside texts that have none yet.
    #[must_use]
    pub fn variables(&self) -> Map {
        let mut data = self.data.clone();
        for name in ["stdout", "stderr"] {
            let lines = format!("{name}_lines");
            if let (Some(Value::String(text)), false) = (data.get(name), data.contains_key(&lines)) {
                let split: Vec<Value> = text.lines().map(Value::from).collect();
                data.insert(lines, split.into());
            }
        }
        // A command that has nothing to say says so.
        if data.contains_key("cmd") && data.contains_key("rc") && !data.contains_key("msg") {
            data.insert("msg".to_owned(), Value::from(""));
        }
        data.retain(|name, _| !name.starts_with("_ansible_"));
        if self.ending == Ending::Failed {
            self.explain(&mut data);
        }
        if !self.diff.is_empty() && !data.contains_key("results") {
            data.insert("diff".to_owned(), self.registered_diff());
        }
        data
    }

    /// The diffs as a task finds them: one that stands before attributes stands for them all.
    fn registered_diff(&self) -> Value {
        let is_of_content = |diff: &Diff| diff.attributes.is_none();
        let several = self.diff.iter().skip(1).any(is_of_content);
        match self.diff.first() {
            Some(first) if !several && (self.diff_shape == DiffShape::One || !is_of_content(first)) => registered(first),
            _ => self.diff.iter().map(registered).collect(),
        }
    }

    /// What a failure says of itself: a task that could not be understood says so, and there is never a traceback.
    fn explain(&self, data: &mut Map) {
        if let (Some(Value::String(message)), true) = (data.get("msg"), self.place.is_some())
            && !message.starts_with("Task failed: ")
        {
            let message = about_arguments(message).map_or_else(|| format!("Task failed: {message}"), str::to_owned);
            data.insert("msg".to_owned(), Value::from(message));
        }
        data.entry("exception").or_insert_with(|| Value::from(NO_TRACEBACK));
    }

    fn settle(&mut self) {
        self.data.insert("changed".to_owned(), Value::Bool(self.ending == Ending::Changed));
        if self.ending == Ending::Skipped {
            self.data.shift_remove("failed");
        } else {
            self.data.insert("failed".to_owned(), Value::Bool(self.ending == Ending::Failed));
        }
        for (name, ending) in [("skipped", Ending::Skipped), ("unreachable", Ending::Unreachable)] {
            if self.ending == ending {
                self.data.insert(name.to_owned(), Value::Bool(true));
            } else {
                self.data.shift_remove(name);
            }
        }
    }
}

impl From<Outcome> for TaskResult {
    fn from(outcome: Outcome) -> Self {
        let ending = match outcome.status {
            Status::Unchanged => Ending::Ok,
            Status::Changed => Ending::Changed,
            Status::Skipped => Ending::Skipped,
            Status::Failed => Ending::Failed,
        };
        let mut data = outcome.data;
        if !outcome.message.is_empty() {
            data.insert("msg".to_owned(), Value::String(outcome.message));
        }
        // A command that ran and failed has changed something, as far as anyone knows.
        let ran = ending == Ending::Failed && data.contains_key("rc") && data.contains_key("delta");
        let mut result = Self { ending, data, diff: outcome.diff, diff_shape: DiffShape::One, place: None, hint: None };
        result.settle();
        if ran {
            result.data.insert("changed".to_owned(), Value::Bool(true));
        }
        result
    }
}

fn registered(diff: &Diff) -> Value {
    let Some(attributes) = &diff.attributes else {
        return serde_json::json!({
            "before_header": diff.before_header, "before": diff.before, "after_header": diff.after_header, "after": diff.after,
        });
    };
    let side = |own: &Map| {
        let mut side = Map::new();
        side.insert("path".to_owned(), Value::from(diff.before_header.as_str()));
        side.extend(own.clone());
        side
    };
    let [before, after] = &**attributes;
    serde_json::json!({"before": side(before), "after": side(after)})
}

/// What a module itself says of arguments that it cannot take: playbooks look for the whole of it.
fn about_arguments(message: &str) -> Option<&str> {
    let own = message.strip_prefix("module '").and_then(|rest| Some(rest.split_once("': ")?.1)).unwrap_or(message);
    let begins = ["Unsupported parameters for (", "missing required arguments: ", "parameters are mutually exclusive: "];
    begins.iter().any(|words| own.starts_with(words)).then_some(own)
}

impl From<Problem> for TaskResult {
    fn from(problem: Problem) -> Self {
        let place = problem.place.as_ref().map(ToString::to_string);
        let hint = problem.hint.clone();
        let message = Problem { place: None, ..problem }.to_string();
        Self { place, hint, ..Self::failed(message) }
    }
}
