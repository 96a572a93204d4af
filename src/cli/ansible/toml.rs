//! Values as TOML, laid out as the library lays them out that the real `ansible-inventory` uses.

use pgfleet_template::{Value, ValueKind, in_python};

/// The widest table that stands on one line.
const WIDEST: usize = 100;

/// A mapping as a document.
///
/// # Errors
/// What TOML cannot hold: keys that are no text, and nothing at all.
pub(super) fn document(value: &Value) -> Result<String, String> {
    let mut text = String::new();
    table(value, "", Header::Named, &mut text)?;
    Ok(text)
}

/// What stands above a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Named,
    /// One of several tables under one name.
    OfMany,
}

fn table(value: &Value, name: &str, header: Header, text: &mut String) -> Result<(), String> {
    let mut plain = Vec::new();
    let mut tables = Vec::new();
    for (key, item) in entries(value)? {
        if item.kind() == ValueKind::Map {
            tables.push((key, item, Header::Named));
        } else if are_tables(&item)? {
            tables.extend(items(&item).map(|item| (key.clone(), item, Header::OfMany)));
        } else {
            plain.push((key, item));
        }
    }
    let begin = text.len();
    if header == Header::OfMany {
        text.push_str(&format!("[[{name}]]\n"));
    } else if !name.is_empty() && (!plain.is_empty() || tables.is_empty()) {
        text.push_str(&format!("[{name}]\n"));
    }
    for (key, item) in plain {
        text.push_str(&format!("{key} = {}\n", literal(&item, 0)?));
    }
    for (key, item, header) in tables {
        if text.len() > begin {
            text.push('\n');
        }
        table(&item, &if name.is_empty() { key } else { format!("{name}.{key}") }, header, text)?;
    }
    Ok(())
}

/// True for a list of mappings that stand below headers of their own, one of them being too wide for a line.
fn are_tables(value: &Value) -> Result<bool, String> {
    if !is_list(value) || value.len() == Some(0) || !items(value).all(|item| item.kind() == ValueKind::Map) {
        return Ok(false);
    }
    for item in items(value) {
        let line = literal(&item, 0)?;
        if line.contains('\n') || line.chars().count() + "    ,".len() > WIDEST {
            return Ok(true);
        }
    }
    Ok(false)
}

fn literal(value: &Value, depth: usize) -> Result<String, String> {
    match value.kind() {
        ValueKind::Bool => Ok(value.is_true().to_string()),
        ValueKind::String => Ok(quoted(value.as_str().unwrap_or_default())),
        ValueKind::Map => {
            let parts = entries(value)?.into_iter().map(|(key, item)| Ok(format!("{key} = {}", literal(&item, 0)?)));
            let parts = parts.collect::<Result<Vec<_>, String>>()?;
            Ok(if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) })
        }
        _ if is_list(value) => {
            let margin = "    ".repeat(depth);
            let parts = items(value).map(|item| Ok(format!("{margin}    {},\n", literal(&item, depth + 1)?)));
            let parts = parts.collect::<Result<String, String>>()?;
            Ok(if parts.is_empty() { "[]".to_owned() } else { format!("[\n{parts}{margin}]") })
        }
        ValueKind::None => Err("TOML has nothing for a value that is null".to_owned()),
        // Numbers and dates.
        _ => in_python(value).map_err(|problem| problem.message),
    }
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn items(value: &Value) -> impl Iterator<Item = Value> {
    value.try_iter().into_iter().flatten()
}

/// The entries of a mapping, keys as they are written.
fn entries(value: &Value) -> Result<Vec<(String, Value)>, String> {
    let entry = |key: Value| {
        let Some(name) = key.as_str() else { return Err(format!("TOML has no key that is not text: {key}")) };
        let is_bare = !name.is_empty() && name.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign));
        let written = if is_bare { name.to_owned() } else { quoted(name) };
        Ok((written, value.get_item(&key).map_err(|error| error.to_string())?))
    };
    items(value).map(entry).collect()
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            '\u{8}' => quoted.push_str("\\b"),
            '\n' => quoted.push_str("\\n"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push('\t'),
            '\0'..=' ' | '\u{7f}' if sign != ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(sign))),
            _ => quoted.push(sign),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use pgfleet_template::{Value, from_json};
    use serde_json::json;

    use super::document;

    /// Recorded from tomli_w 1.2.
    #[test]
    fn documents_are_laid_out_as_tables() {
        let long = "a text that makes the table in which it stands too wide for one line of a hundred columns";
        let value = json!({
            "web": {"hosts": {"w1": {"port": 80, "ratio": 1.5, "tags": ["a", "b\"c"], "nested": [[1], []]}, "w 2": {}}},
            "all": {"children": ["web"], "vars": {"few": [{"a": 1, "b": {"c": true}}], "many": [{"t": long}, {"x": {"y": {}}}]}},
        });
        let expect = concat!(
            "[web.hosts.w1]\nport = 80\nratio = 1.5\ntags = [\n    \"a\",\n    \"b\\\"c\",\n]\nnested = [\n    [\n        1,\n    ],\n    [],\n]\n",
            "\n[web.hosts.\"w 2\"]\n",
            "\n[all]\nchildren = [\n    \"web\",\n]\n",
            "\n[all.vars]\nfew = [\n    { a = 1, b = { c = true } },\n]\n",
            "\n[[all.vars.many]]\nt = \"a text that makes the table in which it stands too wide for one line of a hundred columns\"\n",
            "\n[[all.vars.many]]\n\n[all.vars.many.x.y]\n",
        );
        assert_eq!(document(&from_json(&value)).expect("writes"), expect);
    }

    #[test]
    fn what_toml_cannot_hold_is_refused() {
        for value in [from_json(&json!({"a": null})), Value::from_pairs([(Value::from(false), Value::from(1))])] {
            assert!(document(&value).is_err(), "{value}");
        }
        assert_eq!(document(&from_json(&json!({"t": "a\tb\u{1}\u{7f} c\n"}))).as_deref(), Ok("t = \"a\tb\\u0001\\u007f c\\n\"\n"));
    }
}
