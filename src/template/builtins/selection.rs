//! Filters that apply other filters and tests to each element: `map`, `select`, `groupby` and their kin.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::{Arguments, Builtin, defined};
use super::lists::attribute_of;
use super::python::{self, fail, get_path, items_of, list};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("map", map),
    ("select", |state, call| select(state, call, true)),
    ("reject", |state, call| select(state, call, false)),
    ("selectattr", |state, call| select_attribute(state, call, true)),
    ("rejectattr", |state, call| select_attribute(state, call, false)),
    ("groupby", groupby),
    ("attr", attr),
];

fn name_of(value: Option<&Value>, what: &str) -> Result<String, Error> {
    python::expect_str(value.ok_or_else(|| fail(format!("{what} requires an argument")))?, what)
}

/// The values of a call to another filter or test.
fn call_values(item: Value, positional: &[Value], named: &[(String, Value)]) -> Vec<Value> {
    let mut values: Vec<Value> = std::iter::once(item).chain(positional.iter().cloned()).collect();
    if !named.is_empty() {
        values.push(Value::from(named.iter().cloned().collect::<Kwargs>()));
    }
    values
}

fn map(state: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let items = items_of(&call.input()?)?;
    if let Some(attribute) = call.keyword("attribute").filter(|_| call.positional.len() == 1) {
        if let Some((name, _)) = call.named.iter().find(|(name, _)| name != "attribute" && name != "default") {
            return Err(fail(format!("Unexpected keyword argument '{name}'")));
        }
        // An absent attribute stays undefined: `select('defined')` may follow. A default that is none is no default.
        let default = call.keyword("default").filter(|default| !default.is_none());
        let values = items.iter().map(|item| match (get_path(&defined(item)?, attribute), default) {
            (Ok(value), Some(default)) if value.is_undefined() => Ok(default.clone()),
            (Err(_), Some(default)) => Ok(default.clone()),
            (value, _) => value,
        });
        return values.collect::<Result<Vec<_>, Error>>().map(list);
    }
    let filter = name_of(call.positional.get(1), "map")?;
    let values = items.into_iter().map(|item| state.apply_filter(&filter, &call_values(item, &call.positional[2..], &call.named)));
    values.collect::<Result<Vec<_>, Error>>().map(list)
}

fn passes(state: &mut State<'_, '_>, call: &Arguments, item: Value, first: usize) -> Result<bool, Error> {
    match call.positional.get(first) {
        None => Ok(python::truth(&defined(&item)?)),
        Some(test) => {
            let test = name_of(Some(test), "select")?;
            state.perform_test(&test, &call_values(item, &call.positional[first + 1..], &call.named))
        }
    }
}

fn select(state: &mut State<'_, '_>, call: &Arguments, wanted: bool) -> Result<Value, Error> {
    let mut selected = Vec::new();
    for item in items_of(&call.input()?)? {
        if passes(state, call, item.clone(), 1)? == wanted {
            selected.push(item);
        }
    }
    Ok(list(selected))
}

fn select_attribute(state: &mut State<'_, '_>, call: &Arguments, wanted: bool) -> Result<Value, Error> {
    let attribute = call.positional.get(1).ok_or_else(|| fail("Missing parameter for attribute name"))?.clone();
    let mut selected = Vec::new();
    for item in items_of(&call.input()?)? {
        let value = get_path(&defined(&item)?, &attribute)?;
        let absent = value.is_undefined();
        let passed = passes(state, call, value, 2).map_err(|error| {
            if absent && error.kind() == ErrorKind::UndefinedError { python::no_attribute(&item, &attribute) } else { error }
        })?;
        if passed == wanted {
            selected.push(item);
        }
    }
    Ok(list(selected))
}

fn attr(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, name] = call.bind(["obj", "name"])?;
    let value = value.required()?;
    // Attributes, not items: data has none.
    if python::is_mapping(&value) { Ok(Value::UNDEFINED) } else { python::get(&value, &name.required()?) }
}

/// What `groupby` gives: a pair that also has names.
struct Group {
    grouper: Value,
    list: Value,
}

impl fmt::Debug for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "({:?}, {:?})", self.grouper, self.list)
    }
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_str(), key.as_usize()) {
            (Some("grouper"), _) | (None, Some(0)) => Some(self.grouper.clone()),
            (Some("list"), _) | (None, Some(1)) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

fn groupby(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, attribute, default, case_sensitive] = call.bind(["value", "attribute", "default", "case_sensitive"])?;
    let (items, attribute) = (items_of(&value.required()?)?, attribute.required()?);
    let mut keys = Vec::new();
    for item in &items {
        let key = match default.some() {
            Some(default) => Some(get_path(item, &attribute)?).filter(|key| !key.is_undefined()).unwrap_or(default),
            None => attribute_of(item, &attribute)?,
        };
        keys.push((python::fold_case(&key, case_sensitive.flag(false)), key));
    }
    let rows: Vec<Value> = keys.iter().zip(&items).map(|((_, key), item)| list(vec![key.clone(), item.clone()])).collect();
    let folded: Vec<Vec<Value>> = keys.into_iter().map(|(folded, _)| vec![folded]).collect();
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for row in python::sort_by_keys(rows, folded, false)? {
        let (key, item) = (python::get(&row, &Value::from(0))?, python::get(&row, &Value::from(1))?);
        let folded = python::fold_case(&key, case_sensitive.flag(false));
        match groups.last_mut() {
            Some((other, _, members)) if *other == folded => members.push(item),
            _ => groups.push((folded, key, vec![item])),
        }
    }
    Ok(groups.into_iter().map(|(_, grouper, members)| Value::from_object(Group { grouper, list: list(members) })).collect())
}
