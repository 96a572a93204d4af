//! How rendered values become typed arguments: lenient as Ansible is, never guessing.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::{Argument, Kind, Map, Secret};

/// An absolute path on a host. A leading `~` stays: the agent knows whose home it means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPath(String);

impl HostPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<std::path::Path> for HostPath {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&str> for HostPath {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A list of texts; a single text is split at its commas.
pub type Items = Vec<String>;

/// The text of a scalar, as a person would have written it.
pub(crate) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn expected(what: &str, value: &Value) -> String {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => format!("expected {what}, found {value}"),
        other => format!("expected {what}, found {}", kind_of(other)),
    }
}

impl Argument for String {
    const KIND: Kind = Kind::Text;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(true) => Ok("True".to_owned()),
            Value::Bool(false) => Ok("False".to_owned()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Array(_) | Value::Object(_) => Ok(value.to_string()),
            Value::Null => Err(expected("text", value)),
        }
    }
}

impl Argument for HostPath {
    const KIND: Kind = Kind::Path;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text.is_empty() => Err("the path is empty".to_owned()),
            Value::String(text) => Ok(Self(text.clone())),
            other => Err(expected("a path", other)),
        }
    }
}

impl Argument for Secret {
    const KIND: Kind = Kind::Text;

    fn read(value: &Value) -> Result<Self, String> {
        String::read(value).map(Self::new).map_err(|_| "expected text".to_owned())
    }
}

impl Argument for bool {
    const KIND: Kind = Kind::Bool;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true),
            Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Ok(true),
                "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Ok(false),
                _ => Err(expected("true or false", value)),
            },
            other => Err(expected("true or false", other)),
        }
    }
}

impl Argument for i64 {
    const KIND: Kind = Kind::Int;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => {
                number.as_i64().or_else(|| number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as Self))
            }
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .ok_or_else(|| expected("a whole number", value))
    }
}

impl Argument for u64 {
    const KIND: Kind = Kind::Int;

    fn read(value: &Value) -> Result<Self, String> {
        i64::read(value).and_then(|number| Self::try_from(number).map_err(|_| format!("{number} is negative")))
    }
}

impl Argument for u32 {
    const KIND: Kind = Kind::Int;

    fn read(value: &Value) -> Result<Self, String> {
        i64::read(value).and_then(|number| Self::try_from(number).map_err(|_| format!("{number} is out of range")))
    }
}

impl Argument for u16 {
    const KIND: Kind = Kind::Int;

    fn read(value: &Value) -> Result<Self, String> {
        i64::read(value).and_then(|number| Self::try_from(number).map_err(|_| format!("{number} is not between 0 and 65535")))
    }
}

impl Argument for f64 {
    const KIND: Kind = Kind::Float;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .ok_or_else(|| expected("a number", value))
    }
}

impl Argument for Items {
    const KIND: Kind = Kind::List;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(items) => items.iter().map(String::read).collect(),
            Value::String(text) => Ok(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()),
            Value::Number(_) | Value::Bool(_) => String::read(value).map(|item| vec![item]),
            other => Err(expected("a list", other)),
        }
    }
}

impl Argument for Vec<i64> {
    const KIND: Kind = Kind::List;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(items) => items.iter().map(i64::read).collect(),
            Value::String(text) => text.split(',').map(|item| i64::read(&Value::from(item.trim()))).collect(),
            other => i64::read(other).map(|item| vec![item]),
        }
    }
}

impl Argument for Map {
    const KIND: Kind = Kind::Map;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Object(map) => Ok(map.clone()),
            other => Err(expected("a mapping", other)),
        }
    }
}

impl Argument for BTreeMap<String, String> {
    const KIND: Kind = Kind::Map;

    fn read(value: &Value) -> Result<Self, String> {
        Map::read(value)?.iter().map(|(name, value)| Ok((name.clone(), String::read(value)?))).collect()
    }
}

impl Argument for Value {
    const KIND: Kind = Kind::Any;

    fn read(value: &Value) -> Result<Self, String> {
        Ok(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{Argument, Items};

    #[test]
    fn booleans_take_the_words_that_people_write() {
        for (input, expect) in [(json!("yes"), Ok(true)), (json!(0), Ok(false)), (json!("Off"), Ok(false)), (json!("maybe"), Err(()))] {
            assert_eq!(bool::read(&input).map_err(drop), expect, "{input}");
        }
    }

    #[test]
    fn lists_split_at_commas() {
        let expect: Items = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(Items::read(&json!("a, b")), Ok(expect.clone()));
        assert_eq!(Items::read(&json!(["a", "b"])), Ok(expect));
    }

    #[test]
    fn a_number_is_never_guessed() {
        assert!(i64::read(&json!("12x")).is_err());
        assert!(i64::read(&Value::Null).is_err());
        assert_eq!(i64::read(&json!(" 12 ")), Ok(12));
    }
}
