//! The settings that all nodes share: what a person wrote becomes one patch, and each change is told with what it takes to count.

use serde_json::{Map, Value};

use crate::restart::SHARED_MEMORY;

/// Patroni's own settings, beside `postgresql`.
const PATRONI: [&str; 21] = [
    "check_timeline",
    "failsafe_mode",
    "ignore_slots",
    "loop_wait",
    "master_start_timeout",
    "master_stop_timeout",
    "max_timelines_history",
    "maximum_lag_on_failover",
    "maximum_lag_on_syncnode",
    "member_slots_ttl",
    "pause",
    "postgresql",
    "primary_start_timeout",
    "primary_stop_timeout",
    "retry_timeout",
    "slots",
    "standby_cluster",
    "synchronous_mode",
    "synchronous_mode_strict",
    "synchronous_node_count",
    "ttl",
];

/// What may stand below `postgresql`. Passwords and addresses are each node's own.
const POSTGRESQL: [&str; 8] = [
    "parameters",
    "pg_hba",
    "pg_ident",
    "recovery_conf",
    "remove_data_directory_on_diverged_timelines",
    "remove_data_directory_on_rewind_failure",
    "use_pg_rewind",
    "use_slots",
];

/// Parameters that Patroni sets by itself, whatever is asked for.
const PATRONIS_OWN: [&str; 11] = [
    "cluster_name",
    "config_file",
    "data_directory",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_target_timeline",
];

/// A parameter as `pg_settings` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value, in its unit.
    pub setting: String,
    /// `kB`, `8kB`, `ms` ...; empty for none.
    pub unit: String,
    /// `postmaster`, `sighup`, `user` ...
    pub context: String,
    /// `bool`, `integer`, `real`, `string`, `enum`.
    pub vartype: String,
    /// The smallest value.
    pub min: Option<String>,
    /// The largest value.
    pub max: Option<String>,
    /// The words that it takes.
    pub words: Vec<String>,
}

/// What a change takes to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Patroni reads it in its next round.
    Patroni,
    /// PostgreSQL reads it while it runs.
    Reload,
    /// PostgreSQL reads it when it starts.
    Restart,
    /// The same; replicas must not have less than their leader, so it is raised on them first.
    RestartReplicasFirst,
    /// The same; the leader goes first, since it is lowered.
    RestartLeaderFirst,
}

/// One setting that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place: `postgresql.parameters.work_mem`.
    pub path: String,
    /// The parameter's name, where it is one of PostgreSQL's.
    pub parameter: Option<String>,
    /// Null for none.
    pub before: Value,
    /// Null for none.
    pub after: Value,
    /// What it takes.
    pub takes: Takes,
}

/// What is wrong with a setting, and the nearest name that would not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What.
    pub reason: String,
    /// Names that are known, where the name is not.
    pub known: Vec<String>,
}

impl Wrong {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), known: Vec::new() }
    }
}

/// `key=value` as a patch. A key is a path with dots, or the name of one of PostgreSQL's parameters; `null` takes a setting away.
///
/// # Errors
/// What is wrong with it.
pub fn read_assignment(text: &str, parameters: &[Parameter]) -> Result<Value, Wrong> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Wrong::new(format!("'{text}' is no setting: write key=value, or key=null to take it away")));
    };
    let (key, text) = (key.trim(), value.trim());
    let name = key.strip_prefix("postgresql.parameters.").unwrap_or(key);
    let is_text = parameters.iter().any(|parameter| parameter.name.eq_ignore_ascii_case(name) && parameter.vartype == "string");
    // `archive_command=false` is the command of that name.
    let is_itself = |value: &Value| !is_text || value.is_string() || value.is_null();
    let value = serde_json::from_str(text).ok().filter(is_itself).unwrap_or_else(|| Value::from(text));
    let first = key.split('.').next().unwrap_or_default();
    let path: Vec<&str> = if let Some(name) = key.strip_prefix("postgresql.parameters.") {
        vec!["postgresql", "parameters", name]
    } else if PATRONI.contains(&first) {
        key.split('.').collect()
    } else if key.contains('.') || parameters.iter().any(|parameter| parameter.name.eq_ignore_ascii_case(key)) {
        vec!["postgresql", "parameters", key]
    } else {
        let known = PATRONI.iter().map(|name| (*name).to_owned()).chain(parameters.iter().map(|parameter| parameter.name.clone()));
        return Err(Wrong { reason: format!("neither Patroni nor PostgreSQL has a setting '{key}'"), known: known.collect() });
    };
    if path.iter().any(|part| part.is_empty()) {
        return Err(Wrong::new(format!("'{key}' is no setting: a part of it is empty")));
    }
    Ok(path.iter().rev().fold(value, |value, part| Value::Object(Map::from_iter([((*part).to_owned(), value)]))))
}

/// A document with a merge patch (RFC 7396) applied.
#[must_use]
pub fn merged(before: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut after = before.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        if value.is_null() {
            after.shift_remove(name);
        } else {
            let merged = merged(after.get(name).unwrap_or(&Value::Null), value);
            after.insert(name.clone(), merged);
        }
    }
    Value::Object(after)
}

/// Two patches as one; the second wins.
#[must_use]
pub fn joined(first: &Value, second: &Value) -> Value {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => {
            let mut joint = first.clone();
            for (name, value) in second {
                let value = joint.get(name).map_or_else(|| value.clone(), |before| joined(before, value));
                joint.insert(name.clone(), value);
            }
            Value::Object(joint)
        }
        (_, second) => second.clone(),
    }
}

/// The merge patch that makes one document of another.
#[must_use]
pub fn patch_between(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let mut patch = Map::new();
    for (name, value) in new {
        match old.get(name) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if value.is_object() => drop(patch.insert(name.clone(), patch_between(before, value))),
            _ => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    patch.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null)));
    Value::Object(patch)
}

/// The changes between two documents, in the order of their paths.
///
/// # Errors
/// Everything that is wrong with them.
pub fn changes(before: &Value, after: &Value, parameters: &[Parameter]) -> Result<Vec<Change>, Vec<Wrong>> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    let mut pairs = Vec::new();
    compare(&mut Vec::new(), before, after, &mut pairs);
    for (path, before, after) in pairs {
        match change(&path, before, after, parameters) {
            Ok(change) => found.push(change),
            Err(why) => wrong.push(why),
        }
    }
    if found.iter().any(|change| TIMES.iter().any(|(name, ..)| change.path == *name)) {
        wrong.extend(times(after).err());
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

/// Patroni's times: name, default, smallest.
const TIMES: [(&str, i64, i64); 3] = [("ttl", 30, 20), ("loop_wait", 10, 1), ("retry_timeout", 10, 3)];

/// Patroni takes times that do not fit for others, and tells only its log.
fn times(config: &Value) -> Result<(), Wrong> {
    let mut seconds = [0; 3];
    for ((name, default, least), seconds) in TIMES.iter().zip(&mut seconds) {
        *seconds = match config.get(name) {
            None | Some(Value::Null) => *default,
            Some(value) => value.as_i64().ok_or_else(|| Wrong::new(format!("{name} is a number of seconds, not '{}'", plain(value))))?,
        };
        if *seconds < *least {
            return Err(Wrong::new(format!("{name} is at least {least} seconds, not {seconds}")));
        }
    }
    let [ttl, wait, retry] = seconds;
    if wait + 2 * retry <= ttl {
        return Ok(());
    }
    Err(Wrong::new(format!(
        "ttl ({ttl}) must be at least loop_wait + 2 x retry_timeout ({wait} + 2 x {retry}): a leader would lose its place in a short trouble"
    )))
}

type Pair = (Vec<String>, Value, Value);

fn compare(path: &mut Vec<String>, before: &Value, after: &Value, pairs: &mut Vec<Pair>) {
    let is_leaf = |value: &Value| !value.is_object() && !value.is_null();
    if before == after {
        return;
    }
    if path.len() >= 3 || is_leaf(before) || is_leaf(after) {
        return pairs.push((path.clone(), before.clone(), after.clone()));
    }
    let empty = Map::new();
    let (old, new) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut names: Vec<&String> = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
    names.sort();
    for name in names {
        path.push(name.clone());
        compare(path, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null), pairs);
        path.pop();
    }
}

fn change(path: &[String], before: Value, after: Value, parameters: &[Parameter]) -> Result<Change, Wrong> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let full = path.join(".");
    let done = |parameter, takes| Ok(Change { path: full.clone(), parameter, before: before.clone(), after: after.clone(), takes });
    match words.as_slice() {
        ["postgresql", "parameters", name] => {
            let takes = parameter(name, &before, &after, parameters)?;
            done(Some((*name).to_owned()), takes)
        }
        ["postgresql", "authentication", ..] => {
            Err(Wrong::new(format!("{full}: passwords are each node's own; 'pgfleet secrets' changes them")))
        }
        ["postgresql", "pg_hba" | "pg_ident", ..] => done(None, Takes::Reload),
        ["postgresql", name, ..] if !POSTGRESQL.contains(name) => Err(Wrong {
            reason: format!("'{full}' is no setting that nodes share"),
            known: POSTGRESQL.iter().map(|name| format!("postgresql.{name}")).collect(),
        }),
        [name, ..] if PATRONI.contains(name) => done(None, Takes::Patroni),
        _ => Err(Wrong {
            reason: format!("Patroni has no setting '{full}'"),
            known: PATRONI.iter().map(|name| (*name).to_owned()).collect(),
        }),
    }
}

/// Whether a parameter may be one that nodes share.
///
/// # Errors
/// Patroni sets it by itself.
pub fn may_be_shared(name: &str) -> Result<(), Wrong> {
    if PATRONIS_OWN.contains(&name) { Err(Wrong::new(format!("{name}: Patroni sets it by itself, on each node"))) } else { Ok(()) }
}

fn parameter(name: &str, before: &Value, after: &Value, parameters: &[Parameter]) -> Result<Takes, Wrong> {
    may_be_shared(name)?;
    let Some(known) = parameters.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name)) else {
        // An extension's setting is known only where the extension is loaded.
        if name.contains('.') || after.is_null() {
            return Ok(Takes::Reload);
        }
        let known = parameters.iter().map(|parameter| parameter.name.clone()).collect();
        return Err(Wrong { reason: format!("PostgreSQL has no parameter '{name}'"), known });
    };
    if known.context == "internal" {
        return Err(Wrong::new(format!("{name} was fixed when the cluster or its programs were made")));
    }
    if !after.is_null() {
        known.check(after)?;
    }
    // What runs already waits for nothing.
    if known.context != "postmaster" || known.is(after, &known.setting) {
        return Ok(Takes::Reload);
    }
    let number = |value: &Value| known.number(&plain(value));
    // Without a value before, what counts is the one that runs.
    let old = number(before).or_else(|| known.setting.parse().ok());
    Ok(match (SHARED_MEMORY.contains(&name), old, number(after)) {
        (true, Some(old), Some(new)) if new < old => Takes::RestartLeaderFirst,
        (true, Some(old), Some(new)) if new > old => Takes::RestartReplicasFirst,
        _ => Takes::Restart,
    })
}

/// A value as PostgreSQL's configuration has it.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        other => other.to_string(),
    }
}

impl Parameter {
    /// True when a value is what `setting` says.
    #[must_use]
    pub fn is(&self, value: &Value, setting: &str) -> bool {
        let text = plain(value);
        match self.vartype.as_str() {
            "bool" => truth(&text).is_some() && truth(&text) == truth(setting),
            "integer" | "real" => match (self.number(&text), self.number(setting)) {
                // PostgreSQL rounds to whole units.
                (Some(wanted), Some(found)) => (wanted - found).abs() < if self.vartype == "integer" { 1.0 } else { 1e-9 },
                _ => false,
            },
            "enum" => text.eq_ignore_ascii_case(setting) || truth(&text).is_some() && truth(&text) == truth(setting),
            _ => text == setting,
        }
    }

    fn check(&self, value: &Value) -> Result<(), Wrong> {
        let text = plain(value);
        let name = &self.name;
        if value.is_object() || value.is_array() {
            return Err(Wrong::new(format!("{name} takes one value")));
        }
        match self.vartype.as_str() {
            "bool" if truth(&text).is_none() => Err(Wrong::new(format!("{name} is on or off, not '{text}'"))),
            "enum" if truth(&text).is_none() && !self.words.iter().any(|word| word.eq_ignore_ascii_case(&text)) => {
                Err(Wrong::new(format!("{name} is one of {}, not '{text}'", self.words.join(", "))))
            }
            "integer" | "real" => {
                let unit = if self.unit.is_empty() { "a number".to_owned() } else { format!("a number, with a unit or in {}", self.unit) };
                let Some(number) = self.number(&text) else { return Err(Wrong::new(format!("{name} is {unit}, not '{text}'"))) };
                let limit = |limit: &Option<String>| limit.as_deref().and_then(|limit| limit.parse::<f64>().ok());
                let (min, max) = (limit(&self.min), limit(&self.max));
                if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
                    let shown = |limit: &Option<String>| limit.clone().unwrap_or_default();
                    let unit = if self.unit.is_empty() { String::new() } else { format!(" (in {})", self.unit) };
                    return Err(Wrong::new(format!("{name} is from {} to {}{unit}, not {text}", shown(&self.min), shown(&self.max))));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A number with or without a unit, in the parameter's own unit.
    fn number(&self, text: &str) -> Option<f64> {
        let text = text.trim();
        if let Some(number) = whole(text).filter(|_| self.vartype == "integer") {
            return Some(number);
        }
        let end = text.find(|sign: char| sign.is_ascii_alphabetic() && !matches!(sign, 'e' | 'E' | 'x' | 'X')).unwrap_or(text.len());
        let (digits, unit) = (text[..end].trim(), text[end..].trim());
        let number: f64 = digits.parse().ok()?;
        if unit.is_empty() {
            return Some(number);
        }
        Some(number * size_of(unit)? / size_of(&self.unit)?)
    }
}

/// A whole number in C's other ways of writing: `0640` in base 8, `0x1F` in base 16.
fn whole(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('0')?;
    let number = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => u32::from_str_radix(digits, 8),
    };
    number.ok().map(f64::from)
}

/// How much a unit is: bytes for memory, microseconds for time. `8kB` is a unit too.
fn size_of(unit: &str) -> Option<f64> {
    let end = unit.find(|sign: char| !sign.is_ascii_digit())?;
    let count: f64 = if end == 0 { 1.0 } else { unit[..end].parse().ok()? };
    let one: f64 = match &unit[end..] {
        "B" => 1.0,
        "kB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        "TB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "min" => 60e6,
        "h" => 3600e6,
        "d" => 86_400e6,
        _ => return None,
    };
    Some(count * one)
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some(true),
        "off" | "false" | "no" | "0" | "f" | "n" => Some(false),
        _ => None,
    }
}
