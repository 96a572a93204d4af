//! The items of a loop.

use std::sync::Arc;

use pgfleet_playbook::{Loop, LoopKind};
use pgfleet_template::{Expression, Problem, Raw, Scope, Text, Value, Vars, is_omit, mapping, to_exact_json, to_json};
use serde_json::Value as Json;

use crate::actions::is_one_template;
use crate::attempt::all_hold;
use crate::play::truth;
use crate::run::Run;

/// What a task is repeated over, ready to be.
pub(crate) struct Items<'a> {
    repeat: &'a Loop,
    /// The name of the item's variable.
    variable: String,
    items: Vec<Value>,
    extended: bool,
    with_all: bool,
}

impl<'a> Items<'a> {
    /// Renders the items of a loop.
    pub(crate) fn of(repeat: &'a Loop, scope: &Scope, run: &Run) -> Result<Self, Problem> {
        let value = written_by(&repeat.items, scope).map_err(|problem| problem.at(&repeat.place))?;
        let items = expand(repeat, &value, scope, run).map_err(|problem| problem.at(&repeat.place))?;
        let switch = |raw: &Option<Raw>, otherwise| raw.as_ref().map_or(Ok(otherwise), |raw| truth(raw, scope));
        let (extended, with_all) = (switch(&repeat.extended, false)?, switch(&repeat.extended_allitems, true)?);
        let variable = match Text::is_template(&repeat.variable) {
            true => Text::parse(&repeat.variable, &repeat.place)?.evaluate(scope).map_err(|problem| problem.at(&repeat.place))?.to_string(),
            false => repeat.variable.clone(),
        };
        Ok(Self { repeat, variable, items, extended, with_all })
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn item(&self, index: usize) -> Value {
        self.items.get(index).cloned().unwrap_or(Value::UNDEFINED)
    }

    /// The item as a person reads it, in Python's notation: its label, where the loop has one. `scope` knows the item.
    pub(crate) fn text(&self, index: usize, scope: &Scope) -> Result<String, Problem> {
        match &self.repeat.label {
            None => pgfleet_template::in_python(&self.item(index)),
            Some(label) => label.evaluate(scope).map(|label| label.to_string()),
        }
    }

    /// True after an item that ends the loop.
    pub(crate) fn ends(&self, scope: &Scope) -> Result<bool, Problem> {
        Ok(!self.repeat.break_when.is_empty() && all_hold(&self.repeat.break_when, scope)?)
    }

    /// The variables that an item gives.
    pub(crate) fn variables(&self, index: usize) -> Vars {
        let item = self.item(index);
        let mut vars = Vars::new();
        vars.insert(self.variable.clone(), Raw::from(item));
        vars.insert("ansible_loop_var".to_owned(), Raw::from(Value::from(self.variable.clone())));
        if let Some(name) = &self.repeat.index_variable {
            vars.insert(name.clone(), Raw::from(Value::from(index)));
            vars.insert("ansible_index_var".to_owned(), Raw::from(Value::from(name.clone())));
        }
        if self.extended {
            vars.insert("ansible_loop".to_owned(), Raw::from(self.position(index)));
        }
        vars
    }

    /// The names that a result keeps of its item, with their values.
    pub(crate) fn remembered(&self, index: usize) -> Vec<(String, Json)> {
        let json = |value: &Value| to_exact_json(value).unwrap_or(Json::Null);
        let mut entries =
            vec![(self.variable.clone(), json(&self.item(index))), ("ansible_loop_var".to_owned(), Json::from(self.variable.clone()))];
        if let Some(name) = &self.repeat.index_variable {
            entries.extend([(name.clone(), Json::from(index)), ("ansible_index_var".to_owned(), Json::from(name.clone()))]);
        }
        if self.extended {
            entries.push(("ansible_loop".to_owned(), json(&self.position(index))));
        }
        entries
    }

    fn position(&self, index: usize) -> Value {
        let length = self.items.len();
        let mut entries = vec![
            ("index", Value::from(index + 1)),
            ("index0", Value::from(index)),
            ("first", Value::from(index == 0)),
            ("last", Value::from(index + 1 == length)),
            ("length", Value::from(length)),
            ("revindex", Value::from(length - index)),
            ("revindex0", Value::from(length - index - 1)),
        ];
        if self.with_all {
            entries.push(("allitems", Value::from(self.items.clone())));
        }
        if index + 1 < length {
            entries.push(("nextitem", self.item(index + 1)));
        }
        if index > 0 {
            entries.push(("previtem", self.item(index - 1)));
        }
        mapping(entries)
    }
}

/// The items as they are written. Texts that templates write into are nobody's expressions, as those are that come from a host.
fn written_by(raw: &Raw, scope: &Scope) -> Result<Value, Problem> {
    match raw {
        Raw::List(items) => {
            let items = items.iter().map(|item| written_by(item, scope)).filter(|item| !item.as_ref().is_ok_and(is_omit));
            Ok(Value::from(items.collect::<Result<Vec<_>, _>>()?))
        }
        Raw::Map(entries) => {
            let entries = entries.iter().map(|(key, item)| Ok((key.evaluate(scope)?, written_by(item, scope)?)));
            let kept = entries.filter(|entry| !entry.as_ref().is_ok_and(|(_, item)| is_omit(item)));
            Ok(Value::from_pairs(kept.collect::<Result<Vec<_>, Problem>>()?))
        }
        Raw::Text(_) => {
            let value = raw.evaluate(scope)?;
            let is_marked = value.as_str().is_some() && raw.as_written().as_str().is_some_and(|text| !is_one_template(text));
            Ok(if is_marked { Value::from_safe_string(value.to_string()) } else { value })
        }
        raw => raw.evaluate(scope),
    }
}

fn expand(repeat: &Loop, value: &Value, scope: &Scope, run: &Run) -> Result<Vec<Value>, Problem> {
    let list = match (value.kind(), value.try_iter()) {
        (pgfleet_template::ValueKind::Seq | pgfleet_template::ValueKind::Iterable, Ok(items)) => Some(items.collect::<Vec<_>>()),
        _ => None,
    };
    let lookup = match (&repeat.kind, list) {
        (LoopKind::List, Some(items)) => return Ok(items),
        (LoopKind::List, None) => {
            let json = to_json(value)?;
            let problem = Problem::new(format!("'loop' needs a list, but this is {}", kind_of(&json)));
            return Err(if json.is_object() { problem.with_hint("use '| dict2items' to loop over a mapping") } else { problem });
        }
        (LoopKind::Lookup(lookup), list) => (lookup.as_str(), list.unwrap_or_else(|| vec![value.clone()])),
    };
    match lookup {
        ("inventory_hostnames", terms) => {
            let patterns: Vec<&str> = terms.iter().filter_map(Value::as_str).collect();
            let inventory = run.inventory.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok(inventory.select(&patterns.join(","))?.hosts.iter().map(|host| Value::from(host.to_string())).collect())
        }
        (name, terms) => looked_up(name, terms, scope, &repeat.place),
    }
}

/// What a lookup makes of its terms.
fn looked_up(name: &str, terms: Vec<Value>, scope: &Scope, place: &pgfleet_template::Place) -> Result<Vec<Value>, Problem> {
    let mut call = format!("query('{name}'");
    let mut vars = Vars::new();
    for (number, term) in terms.into_iter().enumerate() {
        call.push_str(&format!(", term_{number}_of_loop"));
        vars.insert(format!("term_{number}_of_loop"), Raw::from(term));
    }
    call.push(')');
    let found = Expression::parse(&call, place)?.evaluate(&scope.over(Arc::new(vars)))?;
    let items = found.try_iter().map_err(|error| Problem::new(error.to_string()))?;
    // Rows that a lookup makes are lists to a task.
    let listed = |item: Value| match (item.kind(), item.try_iter()) {
        (pgfleet_template::ValueKind::Seq, Ok(row)) => Value::from(row.collect::<Vec<_>>()),
        _ => item,
    };
    Ok(items.map(listed).collect())
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

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn wildcards_match_names() {
        for (pattern, text, expect) in [("*.yml", "a.yml", true), ("a?.yml", "ab.yml", true), ("*.yml", "a.yaml", false), ("*", "", true)] {
            assert_eq!(wildcard(pattern, text), expect, "{pattern} {text}");
        }
    }
}
