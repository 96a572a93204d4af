//! Ansible's filters, tests, functions and lookups, and Python's methods, as ansible-core 2.19 evaluates them.

mod arguments;
mod controller;
mod dicts;
mod encryption;
mod equality;
mod format;
mod format_spec;
mod hash;
mod json;
mod json_text;
mod lists;
mod lookups;
mod methods;
mod network;
mod numbers;
mod password;
mod paths;
mod python;
mod query;
mod random;
mod regex;
mod selection;
mod sequence;
mod tables;
mod tests;
mod text;
mod time;
mod version;
mod yaml;

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};

use arguments::{Arguments, Builtin};
pub(crate) use equality::{bounded, contains, equals};
pub(crate) use json_text::read as json_value;
pub(crate) use methods::unknown_method;
pub(crate) use python::{compare, fail, lack, python_output, python_str, subtract, type_name};
pub(crate) use time::{Moment, timestamp};
pub(crate) use yaml::written as yaml_written;

type Table = &'static [(&'static str, Builtin)];

const FILTERS: [Table; 15] = [
    dicts::FILTERS,
    encryption::FILTERS,
    hash::FILTERS,
    json::FILTERS,
    lists::FILTERS,
    network::FILTERS,
    numbers::FILTERS,
    paths::FILTERS,
    query::FILTERS,
    random::FILTERS,
    regex::FILTERS,
    selection::FILTERS,
    text::FILTERS,
    time::FILTERS,
    yaml::FILTERS,
];

const TESTS: [Table; 2] = [tests::TESTS, network::TESTS];

/// Adds everything to an environment, under the short names and under `ansible.builtin`.
pub(crate) fn install(environment: &mut Environment<'_>) {
    for (name, builtin) in FILTERS.into_iter().flatten().copied() {
        for name in names(name) {
            environment.add_filter(name, move |state: &mut State<'_, '_>, values: Rest<ValueOrKwargs>| invoke(builtin, state, values));
        }
    }
    for (name, builtin) in TESTS.into_iter().flatten().copied() {
        for name in names(name) {
            environment.add_test(name, move |state: &mut State<'_, '_>, values: Rest<ValueOrKwargs>| invoke(builtin, state, values));
        }
    }
    environment.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    for (name, builtin) in FUNCTIONS.iter().copied() {
        environment.add_function(name, move |state: &mut State<'_, '_>, values: Rest<ValueOrKwargs>| invoke(builtin, state, values));
    }
}

const FUNCTIONS: &[(&str, Builtin)] = &[
    ("lookup", lookups::lookup),
    ("query", lookups::query),
    ("q", lookups::query),
    ("now", time::now),
    ("undef", |_, call| call.bind(["hint"]).map(|_| Value::UNDEFINED)),
    ("dict", dict),
    ("range", range),
    ("__mod__", format::modulo),
    ("__list__", methods::make_list),
    ("__dict__", methods::make_dict),
    ("__own__", methods::own),
];

/// Short names of the filters that stand here.
pub(crate) fn filter_names() -> impl Iterator<Item = &'static str> {
    FILTERS.into_iter().flatten().map(|(name, _)| *name)
}

/// Short names of the tests that stand here.
pub(crate) fn test_names() -> impl Iterator<Item = &'static str> {
    TESTS.into_iter().flatten().map(|(name, _)| *name)
}

/// Names of the functions.
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// Names of the lookups.
pub(crate) fn lookup_names() -> impl Iterator<Item = &'static str> {
    lookups::NAMES.iter().copied().chain(["cartesian"])
}

/// The name, and the same in the collections that hold the built-in plugins.
fn names(name: &'static str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains('.') {
        names.extend([format!("ansible.builtin.{name}"), format!("ansible.legacy.{name}")]);
    }
    names
}

fn invoke(builtin: Builtin, state: &mut State<'_, '_>, values: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    builtin(state, &Arguments::new(values.0.into_iter().map(ValueOrKwargs::into_value).collect())?)
}

fn dict(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let pairs = match call.positional.first() {
        None => Vec::new(),
        Some(value) if python::is_mapping(value) => python::pairs_of(value)?,
        Some(value) => methods::pairs_from(value)?,
    };
    let named = call.named.iter().map(|(name, value)| (Value::from(name.as_str()), value.clone()));
    Ok(python::dictionary(pairs.into_iter().chain(named)))
}

fn range(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let numbers = call.positional.iter().map(|value| {
        let number = value.as_i64().filter(|_| value.is_integer());
        number.ok_or_else(|| python::fail(format!("'{}' object cannot be interpreted as an integer", python::type_name(value))))
    });
    let (start, stop, step) = match numbers.collect::<Result<Vec<_>, _>>()?[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] if step != 0 => (start, stop, step),
        [_, _, _] => return Err(python::fail("range() arg 3 must not be zero")),
        _ => return Err(python::fail("range expected 1 to 3 arguments")),
    };
    let length = if step > 0 { (stop - start + step - 1) / step } else { (start - stop - step - 1) / -step }.max(0);
    if length > 10_000_000 {
        return Err(python::fail("range is too long"));
    }
    Ok((0..length).map(|index| start + index * step).collect())
}
