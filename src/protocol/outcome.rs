//! What one call did on one host.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Map;

/// How a call ended. Unreachable hosts have no outcome: the engine reports those itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The host already was as wished.
    #[default]
    Unchanged,
    /// Something was changed, or would be in check mode.
    Changed,
    /// The module chose to do nothing (`creates:` exists, say).
    Skipped,
    /// The wish could not be fulfilled.
    Failed,
}

/// Before and after of one thing that a call changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// What the left side is: a path, usually.
    pub before_header: String,
    /// What the right side is.
    pub after_header: String,
    /// The state found.
    pub before: String,
    /// The state wished for.
    pub after: String,
    /// Both states by name, where attributes are compared; the texts have them as lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Box<[Map; 2]>>,
}

/// The answer to one call. `data` holds the module's own results under Ansible's names
/// (`stdout`, `rc`, `stat`, `ansible_facts` ...), without `changed`, `failed`, `skipped`, `msg` and `diff`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// A sentence for a person; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What changed, where a diff was asked for and makes sense.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<Diff>,
    /// The module's results.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map,
}

impl Outcome {
    /// Nothing had to be done.
    #[must_use]
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// Something was (or would be) changed.
    #[must_use]
    pub fn changed() -> Self {
        Self { status: Status::Changed, ..Self::default() }
    }

    /// True when nothing was changed, and nothing went wrong.
    #[must_use]
    pub fn is_without_effect(&self) -> bool {
        matches!(self.status, Status::Unchanged | Status::Skipped)
    }

    /// Changed when `changed` is true, else unchanged.
    #[must_use]
    pub fn changed_if(changed: bool) -> Self {
        if changed { Self::changed() } else { Self::unchanged() }
    }

    /// The module had nothing to do, for the reason given.
    #[must_use]
    pub fn skipped(message: impl Into<String>) -> Self {
        Self { status: Status::Skipped, message: message.into(), ..Self::default() }
    }

    /// The call failed, for the reason given.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: Status::Failed, message: message.into(), ..Self::default() }
    }

    /// The same outcome with one more result.
    #[must_use]
    pub fn with(self, name: &str, value: impl Into<Value>) -> Self {
        self.with_value(name, value.into())
    }

    #[inline(never)]
    fn with_value(mut self, name: &str, value: Value) -> Self {
        self.data.insert(name.to_owned(), value);
        self
    }

    /// The same outcome with a message.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same outcome with one more diff.
    #[must_use]
    pub fn showing(mut self, diff: Diff) -> Self {
        self.diff.push(diff);
        self
    }

    /// True when the status is [`Status::Changed`].
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.status == Status::Changed
    }

    /// True when the status is [`Status::Failed`].
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.status == Status::Failed
    }
}
