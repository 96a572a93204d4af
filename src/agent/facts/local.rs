//! Facts that the host's owner wrote: `*.fact` files, JSON, INI or programs that print either.

use std::path::Path;
use std::time::Duration;

use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::Source;
use crate::system::{Access, Program};

/// Adds `local`.
pub(super) fn gather(source: &Source<'_>, folder: &str, timeout: Duration, facts: &mut Map) {
    let mut local = Map::new();
    for name in source.list(folder) {
        let Some(stem) = name.strip_suffix(".fact") else { continue };
        let path = format!("{folder}/{name}");
        local.insert(stem.to_owned(), read(source, &path, timeout));
    }
    facts.insert("local".to_owned(), local.into());
}

/// One file's facts, or a sentence in their place that says why there are none, as Ansible has it.
fn read(source: &Source<'_>, path: &str, timeout: Duration) -> Value {
    if let Err(error) = source.system.stat(Path::new(path)) {
        return json!(format!("Could not stat fact ({path}): {error}"));
    }
    let is_program = source.system.stat(Path::new(path)).is_ok_and(|found| found.mode & 0o111 != 0)
        && source.system.access(Path::new(path), Access::Execute);
    let text = if is_program {
        match source.system.run(&Program::new([path]).timeout(timeout)) {
            Ok(finished) if finished.is_success() => finished.stdout_text(),
            Ok(finished) => {
                return json!(format!("Failure executing fact script ({path}), rc: {}, err: {}", finished.status, finished.stderr_text()));
            }
            Err(error) => return json!(format!("Could not execute fact script ({path}): {error}")),
        }
    } else {
        match source.text(path) {
            Some(text) => text,
            None => return json!(format!("error loading facts as it cannot be read: {path}")),
        }
    };
    serde_json::from_str(&text)
        .ok()
        .or_else(|| {
            let sections = parse_ini(&text)?;
            // A lone percent sign means that a value stands there, and none does.
            let is_bare = |value: &Value| value.as_str().is_some_and(|text| text.replace("%%", "").contains('%'));
            let is_bad = sections.values().filter_map(Value::as_object).flat_map(Map::values).any(is_bare);
            Some(if is_bad { json!(format!("error loading facts as ini - please check content: {path}")) } else { Value::Object(sections) })
        })
        .unwrap_or_else(|| json!(format!("error loading facts as JSON or ini - please check content: {path}")))
}

/// Sections and options as Python's configparser reads them: option names in lower case.
fn parse_ini(text: &str) -> Option<Map> {
    let mut sections = Map::new();
    let mut current: Option<String> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.entry(name).or_insert_with(|| json!({}));
            current = Some(name.to_owned());
            continue;
        }
        let (name, value) = line.split_once(['=', ':'])?;
        let section = sections.get_mut(current.as_ref()?)?.as_object_mut()?;
        section.insert(name.trim().to_lowercase(), json!(value.trim()));
    }
    (!sections.is_empty()).then_some(sections)
}
