//! Values across the border: JSON in and out, computed mappings, `omit`.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::Error;
use minijinja::value::{Object, ObjectRepr, ValueKind};

use crate::access::valid;
use crate::lazy::{ComputedMap, LazyMap};
use crate::limits::Values;
use crate::{Problem, Value, wide};

/// A value as YAML that means the same in YAML 1.1 and 1.2, in blocks and with sorted keys.
///
/// # Errors
/// When something in it is undefined, or rendering fails.
pub fn to_yaml(value: &Value) -> Result<String, Problem> {
    crate::builtins::yaml_written(value).map_err(|error| Problem::new(error.detail().unwrap_or("the value cannot be written as YAML")))
}

/// A value as JSON, everything lazy in it rendered. Numbers that `serde_json` does not hold become text: that of all their digits, or Python's
/// word for them.
///
/// # Errors
/// When something in it is undefined, or rendering fails.
pub fn to_json(value: &Value) -> Result<serde_json::Value, Problem> {
    part_to_json(value, Keep::Text, &mut Values::new())
}

/// The same with such numbers as [`crate::wide`] has them: for what is shown, registered, or read again by [`from_json`].
///
/// # Errors
/// When something in it is undefined, or rendering fails.
pub fn to_exact_json(value: &Value) -> Result<serde_json::Value, Problem> {
    part_to_json(value, Keep::Number, &mut Values::new())
}

/// What becomes of numbers that `serde_json` does not hold.
#[derive(Clone, Copy)]
enum Keep {
    Text,
    Number,
}

fn part_to_json(value: &Value, keep: Keep, count: &mut Values) -> Result<serde_json::Value, Problem> {
    count.one()?;
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Problem::new("a value is undefined")),
        ValueKind::None => serde_json::Value::Null,
        ValueKind::Bool => serde_json::Value::Bool(value.is_true()),
        ValueKind::Number => number_to_json(value, keep),
        ValueKind::Seq | ValueKind::Iterable => {
            items(value)?.iter().filter(|item| !is_omit(item)).map(|item| part_to_json(item, keep, count)).collect::<Result<_, _>>()?
        }
        ValueKind::Map => {
            let mut map = serde_json::Map::new();
            for (key, value) in pairs(value)? {
                if !is_omit(&value) {
                    map.insert(key_text(&key), part_to_json(&value, keep, count)?);
                }
            }
            serde_json::Value::Object(map)
        }
        ValueKind::Invalid => return Err(invalid(value)),
        _ => match value.downcast_object_ref::<crate::builtins::Moment>() {
            Some(moment) => serde_json::Value::String(moment.iso('T')),
            None => serde_json::Value::String(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        },
    })
}

/// A value as a variable keeps it: everything lazy in it rendered, what is omitted left out. Unlike in JSON, keys, numbers and dates stay what
/// they are.
///
/// # Errors
/// When something in it is undefined, or rendering fails.
pub fn settled(value: &Value) -> Result<Value, Problem> {
    part_settled(value, &mut Values::new())
}

fn part_settled(value: &Value, count: &mut Values) -> Result<Value, Problem> {
    count.one()?;
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Problem::new("a value is undefined")),
        ValueKind::None | ValueKind::Bool | ValueKind::Number => value.clone(),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = items(value)?;
            let settled = items.iter().filter(|item| !is_omit(item)).map(|item| part_settled(item, count));
            Value::from(settled.collect::<Result<Vec<_>, _>>()?)
        }
        ValueKind::Map => {
            let mut entries = Vec::new();
            for (key, value) in pairs(value)?.into_iter().filter(|(_, value)| !is_omit(value)) {
                entries.push((key, part_settled(&value, count)?));
            }
            Value::from_pairs(entries)
        }
        ValueKind::Invalid => return Err(invalid(value)),
        _ if value.downcast_object_ref::<crate::builtins::Moment>().is_some() => value.clone(),
        _ => Value::from(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    })
}

fn number_to_json(value: &Value, keep: Keep) -> serde_json::Value {
    if value.is_integer() {
        if let Some(number) = value.as_i64() {
            return number.into();
        }
        if let Ok(number) = u64::try_from(value.clone()) {
            return number.into();
        }
    } else if let Some(number) = f64::try_from(value.clone()).ok().and_then(serde_json::Number::from_f64) {
        return number.into();
    }
    match keep {
        Keep::Text => crate::builtins::python_str(value).into(),
        Keep::Number => wide::number(&json_number(value)),
    }
}

/// A number as Python's `json.dumps` writes it.
fn json_number(value: &Value) -> String {
    match crate::builtins::python_str(value).as_str() {
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        "nan" => "NaN".to_owned(),
        number => number.to_owned(),
    }
}

/// Keys of JSON are text, as Python's `json.dumps` makes them.
fn key_text(key: &Value) -> String {
    match key.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => key.is_true().to_string(),
        ValueKind::Number => json_number(key),
        _ => key.as_str().map_or_else(|| key.to_string(), str::to_owned),
    }
}

fn invalid(value: &Value) -> Problem {
    match valid(value.clone()) {
        Err(error) => problem(&error),
        Ok(_) => Problem::new("a value cannot be computed"),
    }
}

fn problem(error: &Error) -> Problem {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(problem) = error.downcast_ref::<Problem>() {
            return problem.clone();
        }
        cause = error.source();
    }
    Problem::new(error.detail().map_or_else(|| error.to_string(), str::to_owned))
}

fn items(value: &Value) -> Result<Vec<Value>, Problem> {
    let iterator = value.try_iter().map_err(|error| problem(&error))?;
    iterator.checked().collect::<Result<_, _>>().map_err(|error| problem(&error))
}

fn pairs(value: &Value) -> Result<Vec<(Value, Value)>, Problem> {
    if let Some(map) = value.downcast_object_ref::<LazyMap>() {
        return map.pairs();
    }
    let member = |key: Value| Ok((key.clone(), value.get_item(&key).and_then(valid).map_err(|error| problem(&error))?));
    items(value)?.into_iter().map(member).collect()
}

/// A value with everything lazy in it rendered. Computed mappings (`hostvars`) stay as they are.
pub(crate) fn forced(value: Value) -> Result<Value, Problem> {
    rendered(value, &mut Values::new())
}

fn rendered(value: Value, count: &mut Values) -> Result<Value, Problem> {
    count.one()?;
    if !has_lazy(&value, &mut Values::new())? {
        return Ok(value);
    }
    if value.kind() == ValueKind::Map {
        let pairs = pairs(&value)?.into_iter().map(|(key, value)| Ok((key, rendered(value, count)?)));
        return Ok(Value::from_pairs(pairs.collect::<Result<Vec<_>, Problem>>()?));
    }
    Ok(Value::from(items(&value)?.into_iter().map(|item| rendered(item, count)).collect::<Result<Vec<_>, _>>()?))
}

/// Whether something in it is still to be rendered. A value of too many parts is refused, since whatever is done to it has no end.
fn has_lazy(value: &Value, count: &mut Values) -> Result<bool, Problem> {
    count.one()?;
    if value.downcast_object_ref::<LazyMap>().is_some() {
        return Ok(true);
    }
    if let Some(items) = value.downcast_object_ref::<Vec<Value>>() {
        return any_lazy(items.iter(), count);
    }
    value.downcast_object_ref::<IndexMap<Value, Value>>().map_or(Ok(false), |map| any_lazy(map.values(), count))
}

fn any_lazy<'v>(values: impl Iterator<Item = &'v Value>, count: &mut Values) -> Result<bool, Problem> {
    for value in values {
        if has_lazy(value, count)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A value as it stands in text: Python's notation.
pub(crate) fn as_text(value: &Value) -> Result<String, Error> {
    let value = forced(value.clone()).map_err(crate::evaluate::into_error)?;
    Ok(crate::builtins::python_str(&value))
}

/// A value in Python's notation, as it is shown.
///
/// # Errors
/// When something in it cannot be rendered.
pub fn in_python(value: &Value) -> Result<String, Problem> {
    forced(value.clone()).map(|value| crate::builtins::python_str(&value))
}

/// A value as a template puts it out: tuples as lists, and what is omitted left out.
pub(crate) fn as_output(value: &Value) -> Result<String, Error> {
    let value = forced(value.clone()).map_err(crate::evaluate::into_error)?;
    Ok(crate::builtins::python_output(&value))
}

/// A JSON value; numbers that [`crate::wide`] marked are numbers.
#[must_use]
pub fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => wide::value(text).unwrap_or_else(|| Value::from(text.as_str())),
        serde_json::Value::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), from_json(value)))),
    }
}

#[derive(Debug)]
struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<< omit >>")
    }
}

/// A mapping from names to values, in the order given.
pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::from_pairs(entries.into_iter().map(|(name, value)| (Value::from(name.into()), value)))
}

/// The sentinel that makes an argument absent.
#[must_use]
pub fn omit() -> Value {
    Value::from_object(Omit)
}

/// True for the sentinel.
#[must_use]
pub fn is_omit(value: &Value) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}

/// A mapping whose values are computed when asked for (`hostvars`). `get` gives `None` for an unknown key.
pub fn computed_map(
    get: impl Fn(&str) -> Result<Option<Value>, Problem> + Send + Sync + 'static,
    keys: impl Fn() -> Vec<Arc<str>> + Send + Sync + 'static,
) -> Value {
    Value::from_object(ComputedMap { get: Box::new(get), keys: Box::new(keys) })
}
