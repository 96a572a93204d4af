//! What `set_stats` tasks said about a run, added up.

use std::collections::BTreeMap;

use pgfleet_engine::TaskResult;
use serde_json::{Map, Value};

use super::dump;

/// The name under which stand those of the run as a whole.
const RUN: &str = "_run";

/// By host, or of the run.
#[derive(Debug, Default)]
pub(super) struct Stats(BTreeMap<String, Map<String, Value>>);

impl Stats {
    /// Takes in what a result says.
    pub(super) fn take(&mut self, host: &str, result: &TaskResult) {
        let items = result.data.get("results").and_then(Value::as_array).into_iter().flatten().filter_map(|item| item.get("ansible_stats"));
        for stats in result.data.get("ansible_stats").into_iter().chain(items) {
            let flag = |name: &str, otherwise| stats.get(name).and_then(Value::as_bool).unwrap_or(otherwise);
            let whose = if flag("per_host", false) { host } else { RUN };
            let kept = self.0.entry(whose.to_owned()).or_default();
            for (name, value) in stats.get("data").and_then(Value::as_object).into_iter().flatten() {
                let sum = match kept.get(name) {
                    Some(before) if flag("aggregate", true) => added(before, value),
                    _ => Some(value.clone()),
                };
                if let Some(sum) = sum {
                    kept.insert(name.clone(), sum);
                }
            }
        }
    }

    /// The lines that show them; none where there are none.
    pub(super) fn lines(&self) -> Vec<String> {
        let shown = |map: &Map<String, Value>| dump::json(&Value::Object(map.clone()), Some(1)).replace('\n', "");
        let hosts = self.0.iter().filter(|(host, _)| *host != RUN);
        let mut lines: Vec<String> = hosts.map(|(host, map)| format!("\t{host}: {}", shown(map))).collect();
        if let Some(map) = self.0.get(RUN) {
            lines.extend([String::new(), format!("\tRUN: {}", shown(map))]);
        }
        lines
    }
}

/// Two values of one name; those of different kinds cannot be added, and the first stays.
fn added(before: &Value, value: &Value) -> Option<Value> {
    match (before, value) {
        (Value::Number(before), Value::Number(value)) => Some(match (before.as_i64(), value.as_i64()) {
            (Some(before), Some(value)) => Value::from(before.saturating_add(value)),
            _ => Value::from(before.as_f64()? + value.as_f64()?),
        }),
        (Value::String(before), Value::String(value)) => Some(Value::from(format!("{before}{value}"))),
        (Value::Array(before), Value::Array(value)) => Some(before.iter().chain(value).cloned().collect()),
        (Value::Object(before), Value::Object(value)) => Some(Value::Object(before.clone().into_iter().chain(value.clone()).collect())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use pgfleet_engine::{Ending, TaskResult};
    use serde_json::json;

    use super::Stats;

    #[test]
    fn stats_are_added_up() {
        let mut stats = Stats::default();
        for (number, per_host) in [(10, false), (15, false), (1, true)] {
            let said = json!({"data": {"n": number, "t": "x"}, "per_host": per_host, "aggregate": true});
            stats.take("a", &TaskResult::new(Ending::Ok).with("ansible_stats", said));
        }
        assert_eq!(stats.lines(), ["\ta: { \"n\": 1, \"t\": \"x\"}", "", "\tRUN: { \"n\": 25, \"t\": \"xx\"}"]);
        assert!(Stats::default().lines().is_empty());
    }
}
