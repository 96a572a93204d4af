//! The items of a loop.

use pgfleet_playbook::{Loop, LoopKind};
use pgfleet_template::{Problem, Raw, Scope, Value, Vars, from_json, mapping, to_json};
use serde_json::Value as Json;

use crate::run::Run;

/// What a task is repeated over, ready to be.
pub(crate) struct Items<'a> {
    repeat: &'a Loop,
    items: Vec<Value>,
    scope: &'a Scope,
}

impl<'a> Items<'a> {
    /// Renders the items of a loop.
    pub(crate) fn of(repeat: &'a Loop, scope: &'a Scope, run: &Run) -> Result<Self, Problem> {
        let value = repeat.items.evaluate(scope).map_err(|problem| problem.at(&repeat.place))?;
        let items = expand(repeat.kind, &value, run).map_err(|problem| problem.at(&repeat.place))?;
        Ok(Self { repeat, items, scope })
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn item(&self, index: usize) -> Value {
        self.items.get(index).cloned().unwrap_or(Value::UNDEFINED)
    }

    /// The item as a person reads it: its label, where the loop has one.
    pub(crate) fn text(&self, index: usize) -> String {
        let label = self.repeat.label.as_ref().and_then(|label| {
            let scope = self.scope.over(std::sync::Arc::new(self.variables(index)));
            label.evaluate(&scope).ok()
        });
        label.unwrap_or_else(|| self.item(index)).to_string()
    }

    /// The variables that an item gives.
    pub(crate) fn variables(&self, index: usize) -> Vars {
        let item = self.item(index);
        let mut vars = Vars::new();
        vars.insert(self.repeat.variable.clone(), Raw::from(item));
        vars.insert("ansible_loop_var".to_owned(), Raw::from(Value::from(self.repeat.variable.clone())));
        if let Some(name) = &self.repeat.index_variable {
            vars.insert(name.clone(), Raw::from(Value::from(index)));
            vars.insert("ansible_index_var".to_owned(), Raw::from(Value::from(name.clone())));
        }
        if self.repeat.extended {
            vars.insert("ansible_loop".to_owned(), Raw::from(self.extended(index)));
        }
        vars
    }

    fn extended(&self, index: usize) -> Value {
        let length = self.items.len();
        let mut entries = vec![
            ("allitems", Value::from(self.items.clone())),
            ("index", Value::from(index + 1)),
            ("index0", Value::from(index)),
            ("revindex", Value::from(length - index)),
            ("revindex0", Value::from(length - index - 1)),
            ("first", Value::from(index == 0)),
            ("last", Value::from(index + 1 == length)),
            ("length", Value::from(length)),
        ];
        if index > 0 {
            entries.push(("previtem", self.item(index - 1)));
        }
        if index + 1 < length {
            entries.push(("nextitem", self.item(index + 1)));
        }
        mapping(entries)
    }
}

fn expand(kind: LoopKind, value: &Value, run: &Run) -> Result<Vec<Value>, Problem> {
    let json = to_json(value)?;
    let items = match kind {
        LoopKind::List => match json {
            Json::Array(_) => return value.try_iter().map(Iterator::collect).map_err(|error| Problem::new(error.to_string())),
            other => {
                let problem = Problem::new(format!("'loop' needs a list, but this is {}", kind_of(&other)));
                return Err(if other.is_object() { problem.with_hint("use '| dict2items' to loop over a mapping") } else { problem });
            }
        },
        LoopKind::Items => listed(json).into_iter().flat_map(listed).collect(),
        LoopKind::Flattened => flattened(json),
        LoopKind::IndexedItems => {
            listed(json).into_iter().flat_map(listed).enumerate().map(|(index, item)| Json::from(vec![Json::from(index), item])).collect()
        }
        LoopKind::Dict => match json {
            Json::Object(map) => map.into_iter().map(|(key, value)| serde_json::json!({"key": key, "value": value})).collect(),
            other => return Err(Problem::new(format!("'with_dict' needs a mapping, but this is {}", kind_of(&other)))),
        },
        LoopKind::Nested => listed(json).into_iter().map(listed).fold(vec![Vec::new()], combined).into_iter().map(Json::from).collect(),
        LoopKind::Together => {
            let lists: Vec<Vec<Json>> = listed(json).into_iter().map(listed).collect();
            let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
            (0..longest)
                .map(|index| Json::from(lists.iter().map(|list| list.get(index).cloned().unwrap_or(Json::Null)).collect::<Vec<_>>()))
                .collect()
        }
        LoopKind::Sequence => sequence(&json)?,
        LoopKind::Subelements => subelements(json)?,
        LoopKind::Fileglob => {
            listed(json).iter().filter_map(Json::as_str).flat_map(|pattern| matching(pattern, run)).map(Json::from).collect()
        }
        LoopKind::FirstFound => vec![first_found(json, run)?],
        LoopKind::InventoryHostnames => {
            let patterns = listed(json).iter().filter_map(Json::as_str).collect::<Vec<_>>().join(",");
            let inventory = run.inventory.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            inventory.select(&patterns)?.hosts.iter().map(|host| Json::from(host.to_string())).collect()
        }
    };
    Ok(items.iter().map(from_json).collect())
}

fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a mapping",
    }
}

/// A list as it is; anything else as the only item of one.
fn listed(value: Json) -> Vec<Json> {
    match value {
        Json::Array(items) => items,
        Json::Null => Vec::new(),
        other => vec![other],
    }
}

fn flattened(value: Json) -> Vec<Json> {
    match value {
        Json::Array(items) => items.into_iter().flat_map(flattened).collect(),
        other => vec![other],
    }
}

fn combined(rows: Vec<Vec<Json>>, list: Vec<Json>) -> Vec<Vec<Json>> {
    rows.iter().flat_map(|row| list.iter().map(|item| row.iter().cloned().chain([item.clone()]).collect())).collect()
}

/// `start=1 end=5 stride=2 format=host%02d`, also as a mapping.
fn sequence(value: &Json) -> Result<Vec<Json>, Problem> {
    let mut settings = std::collections::BTreeMap::new();
    match value {
        Json::Object(map) => {
            settings.extend(map.iter().map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))))
        }
        Json::String(text) => {
            for word in text.split_whitespace() {
                let (name, value) = word.split_once('=').ok_or_else(|| {
                    Problem::new(format!("'with_sequence' takes start=, end=, count=, stride= and format=, not '{word}'"))
                })?;
                settings.insert(name.to_owned(), value.to_owned());
            }
        }
        other => return Err(Problem::new(format!("'with_sequence' takes text, not {}", kind_of(other)))),
    }
    let number = |name: &str, otherwise: Option<i64>| match settings.get(name) {
        Some(text) => text.parse::<i64>().map_err(|_| Problem::new(format!("'with_sequence': {name}={text} is no number"))),
        None => otherwise.ok_or_else(|| Problem::new(format!("'with_sequence' needs {name}= or count="))),
    };
    let (start, stride) = (number("start", Some(1))?, number("stride", Some(1))?);
    let end = if settings.contains_key("count") { start + (number("count", None)? - 1) * stride } else { number("end", None)? };
    if stride == 0 || (end - start) / stride > 1_000_000 {
        return Err(Problem::new("'with_sequence' would have over a million items"));
    }
    let format = settings.get("format").map_or("%d", String::as_str);
    let mut items = Vec::new();
    let mut current = start;
    while (stride > 0 && current <= end) || (stride < 0 && current >= end) {
        items.push(Json::from(printed(format, current)));
        current += stride;
    }
    Ok(items)
}

/// `%d`, `%02d`, `%x` in a text.
fn printed(format: &str, number: i64) -> String {
    let Some((before, rest)) = format.split_once('%') else { return format.to_owned() };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let width: usize = digits.parse().unwrap_or_default();
    let zero = digits.starts_with('0');
    let mut tail = rest[digits.len()..].chars();
    let text = match (tail.next(), zero) {
        (Some('x'), true) => format!("{number:0width$x}"),
        (Some('x'), false) => format!("{number:width$x}"),
        (_, true) => format!("{number:0width$}"),
        (_, false) => format!("{number:width$}"),
    };
    format!("{before}{text}{}", tail.as_str())
}

fn subelements(value: Json) -> Result<Vec<Json>, Problem> {
    let mut parts = listed(value).into_iter();
    let (Some(list), Some(Json::String(path))) = (parts.next(), parts.next()) else {
        return Err(Problem::new("'with_subelements' takes a list and the name of a key"));
    };
    let skip_missing = parts.next().and_then(|options| options.get("skip_missing").and_then(Json::as_bool)).unwrap_or(false);
    let elements = match list {
        Json::Object(map) => map.into_iter().map(|(_, value)| value).collect(),
        other => listed(other),
    };
    let mut items = Vec::new();
    for element in elements {
        match path.split('.').try_fold(&element, |value, key| value.get(key)) {
            Some(Json::Array(inner)) => items.extend(inner.iter().map(|inner| Json::from(vec![element.clone(), inner.clone()]))),
            _ if skip_missing => {}
            _ => return Err(Problem::new(format!("'with_subelements': an element has no list '{path}'"))),
        }
    }
    Ok(items)
}

fn matching(pattern: &str, run: &Run) -> Vec<String> {
    let path = std::path::Path::new(pattern);
    let (folder, name) =
        (path.parent().unwrap_or(path), path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
    let files = run.options.loader.files();
    let entries = files.list(folder).unwrap_or_default();
    let matches =
        |path: &std::path::PathBuf| path.file_name().is_some_and(|file| wildcard(&name, &file.to_string_lossy())) && files.is_file(path);
    entries.into_iter().filter(matches).map(|path| path.display().to_string()).collect()
}

/// `*` and `?` as a shell has them.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            wildcard(&pattern[1..], text) || text.chars().next().is_some_and(|first| wildcard(pattern, &text[first.len_utf8()..]))
        }
        (Some('?'), Some(found)) => wildcard(&pattern[1..], &text[found.len_utf8()..]),
        (Some(wanted), Some(found)) if wanted == found => wildcard(&pattern[wanted.len_utf8()..], &text[found.len_utf8()..]),
        _ => false,
    }
}

fn first_found(value: Json, run: &Run) -> Result<Json, Problem> {
    let names = match &value {
        Json::Object(map) => {
            let files = map.get("files").cloned().map(listed).unwrap_or_default();
            let folders = map.get("paths").cloned().map(listed).unwrap_or_default();
            if folders.is_empty() {
                files
            } else {
                let joined = |folder: &Json, file: &Json| {
                    Json::from(format!("{}/{}", folder.as_str().unwrap_or_default(), file.as_str().unwrap_or_default()))
                };
                folders.iter().flat_map(|folder| files.iter().map(move |file| joined(folder, file))).collect()
            }
        }
        _ => flattened(value.clone()),
    };
    let found = names.iter().filter_map(Json::as_str).find(|name| run.options.loader.files().is_file(std::path::Path::new(name)));
    found.map(Json::from).ok_or_else(|| Problem::new("'with_first_found': none of the files exists"))
}

#[cfg(test)]
mod tests {
    use super::{printed, sequence, wildcard};
    use serde_json::json;

    #[test]
    fn sequences_count_as_written() {
        assert_eq!(sequence(&json!("start=4 end=8 stride=2")).ok(), Some(vec![json!("4"), json!("6"), json!("8")]));
        assert_eq!(sequence(&json!("count=2 format=host%02d.lan")).ok(), Some(vec![json!("host01.lan"), json!("host02.lan")]));
        assert!(sequence(&json!("begin=1")).is_err());
        assert_eq!(printed("%x", 255), "ff");
    }

    #[test]
    fn wildcards_match_names() {
        for (pattern, text, expect) in [("*.yml", "a.yml", true), ("a?.yml", "ab.yml", true), ("*.yml", "a.yaml", false), ("*", "", true)] {
            assert_eq!(wildcard(pattern, text), expect, "{pattern} {text}");
        }
    }
}
