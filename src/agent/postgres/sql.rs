//! Names and values as they stand in statements, so that no value can become a command.

use std::fmt::Write;

use pgfleet_protocol::Map;
use serde_json::Value;

/// A name in double quotes.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name with dots between its parts: `schema.table`. Parts that are quoted already stay as they are.
pub(crate) fn path(name: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = name;
    loop {
        if let Some(end) = end_of_quoted(rest) {
            parts.push(rest[..end].to_owned());
            match rest[end..].strip_prefix('.') {
                Some(next) => rest = next,
                None => break,
            }
        } else {
            match rest.split_once('.').filter(|(first, next)| !first.is_empty() && !next.is_empty()) {
                Some((first, next)) => {
                    parts.push(identifier(first));
                    rest = next;
                }
                None => {
                    parts.push(identifier(rest));
                    break;
                }
            }
        }
    }
    parts.join(".")
}

/// Where a well-formed quoted name at the beginning ends, when a dot or nothing follows it.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut at = 1;
    let inner = text.strip_prefix('"')?;
    let mut characters = inner.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        if character == '"' {
            if characters.peek().is_some_and(|(_, next)| *next == '"') {
                characters.next();
                continue;
            }
            at += place + 1;
            return (text.len() == at || text[at..].starts_with('.')).then_some(at);
        }
    }
    None
}

/// A text in single quotes, whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// Texts as an array of `text`.
pub(crate) fn array<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| literal(item.as_ref())).collect();
    format!("ARRAY[{}]::text[]", items.join(","))
}

/// What stands for the placeholders of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arguments {
    /// For `%s`, in order.
    Positional(Vec<Value>),
    /// For `%(name)s`.
    Named(Map),
}

/// A statement with its placeholders filled in, as psycopg does: `%s`, `%(name)s`, and `%%` for a per cent sign.
pub(crate) fn fill(statement: &str, arguments: &Arguments) -> Result<String, String> {
    let mut filled = String::with_capacity(statement.len());
    let mut used = 0;
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once('%') {
        filled.push_str(before);
        if let Some(next) = after.strip_prefix('%') {
            filled.push('%');
            rest = next;
            continue;
        }
        let (value, next) = match arguments {
            Arguments::Positional(values) => {
                let next = after.strip_prefix('s').ok_or_else(|| unknown(after))?;
                used += 1;
                let value = values.get(used - 1).ok_or_else(|| "not all arguments converted: there are more %s than values".to_owned())?;
                (value, next)
            }
            Arguments::Named(values) => {
                let inner = after.strip_prefix('(').ok_or_else(|| unknown(after))?;
                let (name, next) = inner.split_once(")s").ok_or_else(|| unknown(after))?;
                (values.get(name).ok_or_else(|| format!("named_args has no '{name}'"))?, next)
            }
        };
        let _ = write!(filled, "{}", constant(value));
        rest = next;
    }
    filled.push_str(rest);
    match arguments {
        Arguments::Positional(values) if used < values.len() => {
            Err(format!("not all arguments converted: the statement has {used} placeholders, {} values were given", values.len()))
        }
        _ => Ok(filled),
    }
}

fn unknown(after: &str) -> String {
    let start: String = after.chars().take(12).collect();
    format!("'%{start}' is no placeholder: write %s with positional_args, %(name)s with named_args, and %% for a per cent sign")
}

/// A value as a constant of SQL.
fn constant(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        // A space keeps 'a-%s' from becoming a comment.
        Value::Number(number) if number.to_string().starts_with('-') => format!(" {number}"),
        Value::Number(number) => number.to_string(),
        Value::String(text) => literal(text),
        Value::Array(items) => literal(&array_text(items)),
        Value::Object(_) => literal(&value.to_string()),
    }
}

/// A list in PostgreSQL's notation, `{1,2}`, which takes the type of the place where it stands.
fn array_text(items: &[Value]) -> String {
    let item = |item: &Value| match item {
        Value::Null => "NULL".to_owned(),
        Value::Bool(_) | Value::Number(_) => item.to_string(),
        Value::Array(inner) => array_text(inner),
        Value::String(text) => quoted_item(text),
        Value::Object(_) => quoted_item(&item.to_string()),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

fn quoted_item(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What `trust_input: false` refuses: quotes before a comment, set operations, further statements.
pub(crate) fn is_dangerous(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let after = |start: &str, words: &[&str]| upper.split_once(start).is_some_and(|(_, rest)| words.iter().any(|word| rest.contains(word)));
    after("'", &["--"])
        || after("\"", &["--"])
        || ["UNION", "INTERSECT", "EXCEPT"].iter().any(|word| after(word, &["SELECT"]))
        || after(";", &["SELECT", "UPDATE", "INSERT", "DELETE", "DROP", "TRUNCATE", "ALTER"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Arguments, fill, identifier, is_dangerous, literal, path};

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("we\"ird-Name"), "\"we\"\"ird-Name\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b'"), "E'a\\\\b'''");
        for (input, expect) in [
            ("a", "\"a\""),
            ("a.b", "\"a\".\"b\""),
            ("\"A.b\".c", "\"A.b\".\"c\""),
            ("\"a\"b", "\"\"\"a\"\"b\""),
            ("a.", "\"a.\""),
            ("\"a\"\"b\"", "\"a\"\"b\""),
        ] {
            assert_eq!(path(input), expect, "{input}");
        }
    }

    #[test]
    fn placeholders_are_filled() {
        let positional = |values: serde_json::Value| Arguments::Positional(values.as_array().cloned().expect("a list"));
        let filled = fill("SELECT %s, %s, %s, '%%' || %s - %s", &positional(json!([1, "o'x", null, [1, 2], -3])));
        assert_eq!(filled.as_deref(), Ok("SELECT 1, 'o''x', NULL, '%' || '{1,2}' -  -3"));
        let named = Arguments::Named(json!({"a": true, "b": {"x": 1}}).as_object().cloned().expect("a mapping"));
        assert_eq!(fill("%(b)s %(a)s %(a)s", &named).as_deref(), Ok("'{\"x\":1}' true true"));
        for (statement, arguments) in [("%s %s", json!([1])), ("%s", json!([1, 2])), ("%d", json!([1])), ("LIKE 'a%'", json!([]))] {
            assert!(fill(statement, &positional(arguments)).is_err(), "{statement}");
        }
        assert!(fill("%(c)s", &named).is_err());
    }

    #[test]
    fn dangerous_texts_are_told_apart() {
        for text in ["a' --", "x union select 1", "a; drop table b"] {
            assert!(is_dangerous(text), "{text}");
        }
        for text in ["a", "it's", "a--b", "reunion", "a;b"] {
            assert!(!is_dangerous(text), "{text}");
        }
    }
}
