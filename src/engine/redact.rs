//! Keeps secrets out of events.

use pgfleet_protocol::{Map, Secret};
use serde_json::Value;

use crate::{DiffShape, Ending, TaskResult};

const MASK: &str = "********";

/// Texts that no event may carry.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    /// Hides these texts. Texts under four characters would hide too much and are left.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets.into_iter().filter(|secret| secret.reveal().len() >= 4).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        Self { secrets }
    }

    /// The text without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, secret| if text.contains(secret.reveal()) { text.replace(secret.reveal(), MASK) } else { text })
    }

    /// The result without secrets.
    #[must_use]
    pub fn result(&self, result: &TaskResult) -> TaskResult {
        if self.secrets.is_empty() {
            return result.clone();
        }
        let mut result = result.clone();
        result.data.values_mut().for_each(|value| self.value(value));
        result.hint = result.hint.map(|hint| self.text(&hint));
        for diff in &mut result.diff {
            diff.before = self.text(&diff.before);
            diff.after = self.text(&diff.after);
        }
        result
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.value(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The entry of a result that is not to be shown, whatever the task says.
pub(crate) const HIDDEN: &str = "_ansible_no_log";

/// True for a result that says of itself that it is not to be shown.
pub(crate) fn is_hidden(result: &TaskResult) -> bool {
    result.data.get(HIDDEN).and_then(Value::as_bool).unwrap_or(false)
}

/// What remains of a result under `no_log`. Why a host was not reached is no output of the task, and remains.
pub(crate) fn censored(result: &TaskResult) -> TaskResult {
    let mut data = Map::new();
    if let Some(reason) = result.data.get("msg").filter(|_| result.ending == Ending::Unreachable) {
        data.insert("msg".to_owned(), reason.clone());
    }
    data.insert(
        "censored".to_owned(),
        Value::from("the output has been hidden due to the fact that 'no_log: true' was specified for this result"),
    );
    for name in ["changed", "failed", "skipped", "unreachable", "attempts"] {
        if let Some(value) = result.data.get(name) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    TaskResult { ending: result.ending, data, diff: Vec::new(), diff_shape: DiffShape::One, place: result.place.clone(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::Redactor;
    use crate::TaskResult;
    use pgfleet_protocol::Secret;
    use serde_json::json;

    #[test]
    fn secrets_leave_nested_values() {
        let redactor = Redactor::new([Secret::new("hunter22"), Secret::new("ab")]);
        let result = TaskResult::failed("login as hunter22 ab").with("nested", json!({"list": ["x hunter22 y"]}));
        let shown = redactor.result(&result);
        assert_eq!(shown.message(), Some("login as ******** ab"));
        assert_eq!(shown.data["nested"], json!({"list": ["x ******** y"]}));
    }
}
