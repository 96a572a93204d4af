//! A role's arguments against its own list of them.

use pgfleet_protocol::Argument;
use pgfleet_template::{Problem, Scope, to_json};
use serde_json::Value as Json;

use crate::attempt::Attempt;
use crate::{Ending, TaskResult};

impl Attempt<'_> {
    /// `validate_argument_spec`: every option that the list requires is there, and each has its type and is one of its choices.
    pub(crate) fn validate_argument_spec(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let spec = match self.raw_argument("argument_spec") {
            Some(raw) => to_json(&raw.evaluate(scope)?)?,
            None => return Err(Problem::new("module 'validate_argument_spec' needs the argument 'argument_spec'")),
        };
        let given = match self.raw_argument("provided_arguments") {
            Some(raw) => to_json(&raw.evaluate(scope)?)?,
            None => Json::Null,
        };
        let mut errors = Vec::new();
        let mut missing = Vec::new();
        for (name, option) in spec.as_object().into_iter().flatten() {
            let value = match given.get(name) {
                Some(value) => Some(value.clone()),
                None => scope.get(name)?.map(|value| to_json(&value)).transpose()?,
            };
            match value {
                Some(value) if !value.is_null() => errors.extend(misfit(name, option, &value)),
                _ if option.get("required").and_then(Json::as_bool) == Some(true) => missing.push(name.clone()),
                _ => {}
            }
        }
        if !missing.is_empty() {
            missing.sort();
            errors.insert(0, format!("missing required arguments: {}", missing.join(", ")));
        }
        if errors.is_empty() {
            return Ok(TaskResult::new(Ending::Ok).with("msg", "The arg spec validation passed"));
        }
        let message = format!("Validation of arguments failed:\n{}", errors.join("\n"));
        Ok(TaskResult::failed(message).with("argument_errors", errors))
    }
}

/// Why a value does not fit its option.
fn misfit(name: &str, option: &Json, value: &Json) -> Option<String> {
    let kind = option.get("type").and_then(Json::as_str).unwrap_or("str");
    let fits = match kind {
        "int" => i64::read(value).is_ok(),
        "float" => f64::read(value).is_ok(),
        "bool" => bool::read(value).is_ok(),
        "list" => value.is_array() || value.is_string() || value.is_number(),
        "dict" => value.is_object() || value.is_string(),
        _ => true,
    };
    if !fits {
        let found = type_name(value);
        return Some(format!("argument '{name}' is of type {found} and we were unable to convert to {kind}"));
    }
    let choices = option.get("choices").and_then(Json::as_array)?;
    let items = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
    let shown = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let wrong = items.iter().find(|item| !choices.iter().any(|choice| shown(choice) == shown(item)))?;
    let listed: Vec<String> = choices.iter().map(shown).collect();
    Some(format!("value of {name} must be one of: {}, got: {}", listed.join(", "), shown(wrong)))
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}
