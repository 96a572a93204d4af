//! `set_stats`: numbers and texts about a run, shown at its end.

use pgfleet_protocol::{Argument, Map};
use pgfleet_template::{Problem, Raw, Scope, from_json, to_exact_json, to_json};
use serde_json::Value as Json;

use crate::actions::is_variable;
use crate::attempt::Attempt;
use crate::{Ending, TaskResult};

impl Attempt<'_> {
    pub(crate) fn set_stats(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let flag = |name: &str, otherwise| -> Result<bool, Problem> {
            let Some(raw) = self.raw_argument(name) else { return Ok(otherwise) };
            // What is neither true nor false counts as false.
            Ok(bool::read(&to_json(&raw.evaluate(scope)?)?).unwrap_or(false))
        };
        let given = match self.raw_argument("data") {
            Some(raw) => to_exact_json(&raw.evaluate(scope)?)?,
            None => Json::Null,
        };
        let mut data = Map::new();
        match given {
            Json::Object(entries) => {
                for (name, value) in entries {
                    let name = Raw::from_text(&name, &self.task.place)?.evaluate(scope)?.to_string();
                    if !is_variable(&name) {
                        return Ok(TaskResult::failed(format!("Invalid variable name '{name}'.")));
                    }
                    data.insert(name, to_exact_json(&from_json(&value))?);
                }
            }
            Json::Null => {}
            _ => return Ok(TaskResult::failed("The 'data' option needs to be a dictionary/hash")),
        }
        let stats = serde_json::json!({
            "data": data,
            "per_host": flag("per_host", false)?,
            "aggregate": flag("aggregate", true)?,
        });
        Ok(TaskResult::new(Ending::Ok).with("ansible_stats", stats))
    }
}
