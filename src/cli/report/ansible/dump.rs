//! Values as Python prints them: JSON with sorted names, and YAML.

use pgfleet_template::wide;
use serde_json::{Map, Value};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON.
    #[default]
    Json,
    /// YAML, which is easier to read where texts have many lines.
    Yaml,
}

/// JSON on one line, or indented; names are sorted, as Python's `json.dumps(sort_keys=True)` prints it.
pub(crate) fn json(value: &Value, indent: Option<usize>) -> String {
    let mut text = String::new();
    write(&mut text, value, indent, 0);
    text
}

/// The same on one line without blanks after commas, as a program prints that removes line ends from indented JSON.
pub(crate) fn json_tight(value: &Value) -> String {
    json(value, Some(0)).replace('\n', "")
}

fn write(text: &mut String, value: &Value, indent: Option<usize>, depth: usize) {
    match value {
        Value::Array(items) if items.is_empty() => text.push_str("[]"),
        Value::Object(map) if map.is_empty() => text.push_str("{}"),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                next(text, index, indent, depth + 1);
                write(text, item, indent, depth + 1);
            }
            line(text, indent, depth);
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (index, (name, value)) in sorted(map).into_iter().enumerate() {
                next(text, index, indent, depth + 1);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push_str(": ");
                write(text, value, indent, depth + 1);
            }
            line(text, indent, depth);
            text.push('}');
        }
        Value::Number(number) if number.is_f64() => text.push_str(&float(number.as_f64().unwrap_or_default())),
        other => text.push_str(&wide::written(other).map_or_else(|| other.to_string(), str::to_owned)),
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

fn next(text: &mut String, index: usize, indent: Option<usize>, depth: usize) {
    if index > 0 {
        text.push_str(if indent.is_some() { "," } else { ", " });
    }
    line(text, indent, depth);
}

fn line(text: &mut String, indent: Option<usize>, depth: usize) {
    if let Some(width) = indent {
        text.push('\n');
        text.push_str(&" ".repeat(width * depth));
    }
}

/// A number as Python's `repr` has it.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |rest| ("-", rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = number.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// A result as YAML: an indented mapping that begins on a line of its own.
pub(crate) fn yaml(map: &Map<String, Value>) -> String {
    let mut map = map.clone();
    // What stands in a text need not stand in its lines again.
    for name in ["stdout", "stderr"] {
        let lines = format!("{name}_lines");
        if map.contains_key(name) && map.contains_key(&lines) {
            map.insert(lines, Value::from("<omitted>"));
        }
    }
    let mut value = Value::Object(map);
    value.sort_all_objects();
    let mut text = String::new();
    block(&mut text, &value, 4, false);
    text
}

/// Entries of a mapping or list, each on lines of their own.
fn block(text: &mut String, value: &Value, indent: usize, in_list: bool) {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (index, (name, value)) in map.iter().enumerate() {
                if !(in_list && index == 0) {
                    text.push('\n');
                    text.push_str(&margin);
                }
                text.push_str(&scalar(&Value::from(name.as_str()), indent));
                text.push(':');
                nested(text, value, indent);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push('\n');
                text.push_str(&margin);
                text.push('-');
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        text.push_str("   ");
                        block(text, item, indent + 4, true);
                    }
                    item => nested(text, item, indent),
                }
            }
        }
        other => text.push_str(&scalar(other, indent)),
    }
}

fn nested(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => block(text, value, indent + 4, false),
        Value::Array(items) if !items.is_empty() => block(text, value, indent, false),
        other => {
            text.push(' ');
            text.push_str(&scalar(other, indent));
        }
    }
}

fn scalar(value: &Value, indent: usize) -> String {
    match wide::written(value) {
        Some("Infinity") => return ".inf".to_owned(),
        Some("-Infinity") => return "-.inf".to_owned(),
        Some("NaN") => return ".nan".to_owned(),
        Some(digits) => return digits.to_owned(),
        None => {}
    }
    match value {
        Value::String(text) if text.trim_end().contains('\n') => literal(text, indent + 4),
        Value::String(text) => quoted(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// A text of several lines.
fn literal(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| line.trim_end().replace('\t', "        "))
        .map(|line| if line.is_empty() { line } else { format!("{margin}{line}") })
        .collect();
    format!("|-\n{}", lines.join("\n"))
}

/// Text that would be read as something else, in quotes.
fn quoted(text: &str) -> String {
    let special = text.starts_with(|sign: char| "!&*-?:,[]{}#|>@`\"'%".contains(sign))
        && !text.starts_with(|sign: char| "-?:".contains(sign) && text.len() > 1 && !text[1..].starts_with(' '));
    let words = [
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "no", "No", "NO", "on",
        "On", "ON", "off", "Off", "OFF", "=",
    ];
    let number = text.parse::<f64>().is_ok() && text.starts_with(|sign: char| sign.is_ascii_digit() || "+-.".contains(sign));
    if text.contains(|sign: char| sign.is_control()) {
        return Value::from(text).to_string();
    }
    if special
        || words.contains(&text)
        || number
        || text.contains(": ")
        || text.contains(" #")
        || text.ends_with(':')
        || text.trim() != text
    {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{json, json_tight, yaml};

    #[test]
    fn json_is_printed_as_python_prints_it() {
        let value = json!({"b": [1, 2.5, 1e16, 1e-5], "a": {"x": null, "e": {}}, "t": "a\u{fc}\n\u{1b}\""});
        let expect = "{\"a\": {\"e\": {}, \"x\": null}, \"b\": [1, 2.5, 1e+16, 1e-05], \"t\": \"a\u{fc}\\n\\u001b\\\"\"}";
        assert_eq!(json(&value, None), expect);
        assert_eq!(json(&json!({"b": [], "a": [1]}), Some(4)), "{\n    \"a\": [\n        1\n    ],\n    \"b\": []\n}");
        let wide = json!(["\u{fdd0}99999999999999999999", "\u{fdd0}NaN", "NaN"]);
        assert_eq!(json(&wide, None), "[99999999999999999999, NaN, \"NaN\"]");
        assert_eq!(json_tight(&json!({"b": 1, "a": [1, 2]})), "{\"a\": [1,2],\"b\": 1}");
    }

    #[test]
    fn yaml_shows_lines_as_lines() {
        let value = json!({"msg": "one\ntwo\n", "list": ["a", {"k": 1, "v": ["\u{fdd0}-Infinity"]}], "flag": true, "text": "yes"});
        let expect = "\n    flag: true\n    list:\n    - a\n    -   k: 1\n        v:\n        - -.inf\n    msg: |-\n        one\n        two\n    text: 'yes'";
        assert_eq!(yaml(value.as_object().expect("a mapping")), expect);
    }
}
