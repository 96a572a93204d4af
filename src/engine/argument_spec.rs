//! A role's arguments against its own list of them.

use pgfleet_protocol::{Argument, Map};
use pgfleet_template::{Problem, Scope, to_json};
use serde_json::Value as Json;

use crate::attempt::Attempt;
use crate::{Ending, TaskResult};

impl Attempt<'_> {
    /// `validate_argument_spec`: every option that the list requires is there, and each has its type and is one of its choices.
    pub(crate) fn validate_argument_spec(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let spec = match self.raw_argument("argument_spec") {
            Some(raw) => to_json(&raw.evaluate(scope)?)?,
            None => return Err(Problem::new("module 'validate_argument_spec': missing required arguments: argument_spec")),
        };
        let given = match self.raw_argument("provided_arguments") {
            Some(raw) => to_json(&raw.evaluate(scope)?)?,
            None => Json::Null,
        };
        let mut values = Map::new();
        for name in spec.as_object().into_iter().flatten().map(|(name, _)| name) {
            let value = match given.get(name) {
                Some(value) => Some(value.clone()),
                None => scope.get(name)?.map(|value| to_json(&value)).transpose()?,
            };
            values.extend(value.map(|value| (name.clone(), value)));
        }
        let errors = misfits(&spec, &values, &[]);
        let mut result = match errors.is_empty() {
            true => TaskResult::new(Ending::Ok).with("msg", "The arg spec validation passed"),
            false => {
                let message = format!("Validation of arguments failed:\n{}", errors.join("\n"));
                TaskResult::failed(message).with("argument_errors", errors).with("argument_spec_data", spec)
            }
        };
        if let Some(raw) = self.raw_argument("validate_args_context") {
            result = result.with("validate_args_context", to_json(&raw.evaluate(scope)?)?);
        }
        Ok(result)
    }
}

/// What is wrong with values, those of the options that stand within other options among them.
fn misfits(spec: &Json, values: &Map, around: &[&str]) -> Vec<String> {
    let options = || spec.as_object().into_iter().flatten();
    let mut errors = Vec::new();
    let is_missing = |name: &str, option: &Json| flag(option, "required") && !values.contains_key(name);
    let mut missing: Vec<&str> = options().filter(|(name, option)| is_missing(name, option)).map(|(name, _)| name.as_str()).collect();
    missing.sort_unstable();
    if !missing.is_empty() {
        let inside = if around.is_empty() { String::new() } else { format!(" found in {}", around.join(" -> ")) };
        errors.push(format!("missing required arguments: {}{inside}", missing.join(", ")));
    }
    if !around.is_empty() {
        let is_known = |name: &str| {
            let is_alias =
                |option: &Json| option.get("aliases").and_then(Json::as_array).is_some_and(|names| names.iter().any(|known| known == name));
            spec.get(name).is_some() || options().any(|(_, option)| is_alias(option))
        };
        for name in values.keys().filter(|name| !is_known(name)) {
            let mut known: Vec<&str> = options().map(|(name, _)| name.as_str()).collect();
            known.sort_unstable();
            errors.push(format!("{}.{name}. Supported parameters include: {}.", around.join("."), known.join(", ")));
        }
    }
    for (name, option) in options() {
        // Nothing at all is as good as absent, unless it is required.
        let Some(value) = values.get(name).filter(|value| !value.is_null() || flag(option, "required")) else { continue };
        match misfit(name, option, value, around) {
            Some(error) => errors.push(error),
            None => errors.extend(below(name, option, value, around)),
        }
    }
    errors
}

/// What is wrong with the options that stand within an option: of its mapping, or of each mapping of its list.
fn below(name: &str, option: &Json, value: &Json, around: &[&str]) -> Vec<String> {
    let Some(spec) = option.get("options").filter(|spec| spec.is_object()) else { return Vec::new() };
    let inside: Vec<&str> = around.iter().copied().chain([name]).collect();
    let single = std::slice::from_ref(value);
    let items = value.as_array().map_or(single, Vec::as_slice);
    items.iter().filter_map(Json::as_object).flat_map(|values| misfits(spec, values, &inside)).collect()
}

fn flag(option: &Json, name: &str) -> bool {
    option.get(name).and_then(Json::as_bool) == Some(true)
}

/// Why a value does not fit its option.
fn misfit(name: &str, option: &Json, value: &Json, around: &[&str]) -> Option<String> {
    let kind = option.get("type").and_then(Json::as_str).unwrap_or("str");
    let fits = is_of(kind, value);
    if !fits {
        let found = type_name(value);
        let inside = if around.is_empty() { String::new() } else { format!(" found in '{}'.", around.join(" -> ")) };
        let reason = unconverted(kind, value);
        return Some(format!("argument '{name}' is of type {found}{inside} and we were unable to convert to {kind}: {reason}"));
    }
    if let Some(elements) = option.get("elements").and_then(Json::as_str)
        && let Some(item) = value.as_array().into_iter().flatten().find(|item| !is_of(elements, item))
    {
        let reason = unconverted(elements, item);
        return Some(format!(
            "Elements value for option '{name}' is of type {} and we were unable to convert to {elements}: {reason}",
            type_name(item)
        ));
    }
    let choices = option.get("choices").and_then(Json::as_array)?;
    let items = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
    let shown = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let wrong = items.iter().find(|item| !choices.iter().any(|choice| shown(choice) == shown(item)))?;
    let listed: Vec<String> = choices.iter().map(shown).collect();
    Some(format!("value of {name} must be one of: {}, got: {}", listed.join(", "), shown(wrong)))
}

/// Whether a value can be taken for one of a type.
fn is_of(kind: &str, value: &Json) -> bool {
    match kind {
        "int" => i64::read(value).is_ok(),
        "float" => f64::read(value).is_ok(),
        "bool" => bool::read(value).is_ok(),
        "list" => value.is_array() || value.is_string() || value.is_number(),
        "dict" => value.is_object() || value.as_str().is_some_and(|text| text.trim_start().starts_with('{') || text.contains('=')),
        "str" | "path" => !value.is_null(),
        _ => true,
    }
}

/// Why a value is none of that type.
fn unconverted(kind: &str, value: &Json) -> String {
    let shown = pgfleet_template::from_json(value);
    let class = format!("<class '{}'>", type_name(value));
    match kind {
        "int" => format!(
            "\"{}\" cannot be converted to an int",
            if value.is_null() { "None".to_owned() } else { value.to_string().replace('"', "'") }
        ),
        "float" => format!("{class} cannot be converted to a float"),
        "bool" => format!("The value '{shown}' is not a valid boolean."),
        "dict" if value.is_string() => "dictionary requested, could not parse JSON or key=value".to_owned(),
        "list" | "dict" => format!("{class} cannot be converted to a {kind}"),
        _ => format!(
            "'{}' is not a string and conversion is not allowed",
            if value.is_null() { "None".to_owned() } else { shown.to_string() }
        ),
    }
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
