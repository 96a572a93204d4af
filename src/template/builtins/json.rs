//! JSON filters, written as Python's `json.dumps` writes.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin, undefined};
use super::python::{self, as_float, fail, float_repr, items_of, pairs_of, text, type_name};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("to_json", |_, call| dump_filter(call, None, false)),
    ("to_nice_json", |_, call| dump_filter(call, Some("    ".to_owned()), true)),
    ("tojson", tojson),
    ("from_json", from_json),
];

/// How JSON is written.
struct Style {
    indent: Option<String>,
    sort_keys: bool,
    ascii: bool,
    item: String,
    key: String,
}

fn dump_filter(call: &Arguments, indent: Option<String>, sort_keys: bool) -> Result<Value, Error> {
    let nice = indent.is_some();
    let value = call.input()?;
    let option = |index: usize, name: &str| call.positional.get(index).filter(|_| nice).or_else(|| call.keyword(name));
    let indent = match option(1, "indent") {
        Some(value) => indent_of(value)?,
        None => indent,
    };
    let separators = call.keyword("separators").filter(|value| !nice && !value.is_none()).map(items_of).transpose()?;
    let default_item = if indent.is_some() || nice { "," } else { ", " };
    let separator =
        |index: usize, default: &str| separators.as_ref().and_then(|values| values.get(index)).map_or_else(|| default.to_owned(), text);
    let style = Style {
        sort_keys: option(2, "sort_keys").map_or(sort_keys, python::truth),
        ascii: call.keyword("ensure_ascii").is_none_or(python::truth),
        item: separator(0, default_item),
        key: separator(1, ": "),
        indent,
    };
    let mut out = String::new();
    write_value(&value, &style, 0, &mut out)?;
    Ok(out.into())
}

fn indent_of(value: &Value) -> Result<Option<String>, Error> {
    match value.kind() {
        ValueKind::None => Ok(None),
        ValueKind::String => Ok(Some(text(value))),
        _ => value
            .as_i64()
            .map(|width| Some(" ".repeat(usize::try_from(width).unwrap_or(0))))
            .ok_or_else(|| fail(format!("indent must be a number or text, not {}", type_name(value)))),
    }
}

/// Jinja's own filter: keys sorted, characters that matter in HTML escaped.
fn tojson(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, indent] = call.bind(["value", "indent"])?;
    let indent = indent.some().map_or(Ok(None), |indent| indent_of(&indent))?;
    let item = if indent.is_some() { "," } else { ", " }.to_owned();
    let style = Style { indent, sort_keys: true, ascii: true, item, key: ": ".to_owned() };
    let mut out = String::new();
    write_value(&value.required()?, &style, 0, &mut out)?;
    Ok(out.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027").into())
}

fn write_value(value: &Value, style: &Style, depth: usize, out: &mut String) -> Result<(), Error> {
    crate::limits::text(out.len())?;
    match value.kind() {
        ValueKind::Undefined => return Err(undefined(value)),
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String | ValueKind::Bytes => write_text(&text(value), style.ascii, out),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = items_of(value)?;
            write_group(['[', ']'], items.len(), style, depth, out, |index, out| write_value(&items[index], style, depth + 1, out))?;
        }
        ValueKind::Map => {
            let mut pairs = pairs_of(value)?;
            if style.sort_keys {
                let keys = pairs.iter().map(|(key, _)| vec![key.clone()]).collect();
                let rows = pairs.iter().map(|(key, item)| python::tuple(vec![key.clone(), item.clone()])).collect();
                let sorted = python::sort_by_keys(rows, keys, false)?;
                pairs = sorted
                    .iter()
                    .map(|row| Ok((row.get_item(&Value::from(0))?, row.get_item(&Value::from(1))?)))
                    .collect::<Result<_, Error>>()?;
            }
            write_group(['{', '}'], pairs.len(), style, depth, out, |index, out| {
                let (key, item) = &pairs[index];
                let name = match key.kind() {
                    ValueKind::None => "null".to_owned(),
                    ValueKind::Bool => text(key).to_lowercase(),
                    ValueKind::Number => number(key),
                    _ => text(key),
                };
                write_text(&name, style.ascii, out);
                out.push_str(&style.key);
                write_value(item, style, depth + 1, out)
            })?;
        }
        ValueKind::Invalid => python::check(value)?,
        _ if let Some(moment) = value.downcast_object_ref::<super::time::Moment>() => write_text(&moment.iso('T'), style.ascii, out),
        _ => return Err(fail(format!("Object of type {} is not JSON serializable", type_name(value)))),
    }
    Ok(())
}

fn write_group(
    [open, close]: [char; 2],
    count: usize,
    style: &Style,
    depth: usize,
    out: &mut String,
    mut write: impl FnMut(usize, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push(open);
    for index in 0..count {
        if index > 0 {
            out.push_str(&style.item);
        }
        if let Some(indent) = &style.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth + 1));
        }
        write(index, out)?;
    }
    if let Some(indent) = style.indent.as_ref().filter(|_| count > 0) {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
    out.push(close);
    Ok(())
}

fn number(value: &Value) -> String {
    match as_float(value) {
        Some(float) if !value.is_integer() && float.is_nan() => "NaN".to_owned(),
        Some(float) if !value.is_integer() && float.is_infinite() => if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Some(float) if !value.is_integer() => float_repr(float),
        _ => value.to_string(),
    }
}

fn write_text(source: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in source.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ascii && !(' '..='\u{7e}').contains(&c)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn from_json(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    let source =
        value.as_str().ok_or_else(|| fail(format!("the JSON object must be str, bytes or bytearray, not {}", type_name(&value))))?;
    super::json_text::read(source).map_err(|error| fail(format!("from_json: {}", error.detail().unwrap_or_default())))
}

/// A JSON value.
pub(crate) fn from_parsed(parsed: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match parsed {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(flag),
        Json::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .unwrap_or_else(|| Value::from(number.as_f64().unwrap_or(f64::NAN))),
        Json::String(text) => Value::from(text),
        Json::Array(items) => items.into_iter().map(from_parsed).collect(),
        Json::Object(entries) => Value::from_pairs(entries.into_iter().map(|(key, item)| (Value::from(key), from_parsed(item)))),
    }
}
