//! What the rewritten instructions call: access that lets undefined through, and checks that do not.

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::Value;
use crate::builtins::{bounded, compare, contains, equals, lack, subtract};
use crate::evaluate::{inner_problem, note_undefined};

/// `value.name`, also where `value` is undefined.
#[derive(Debug)]
pub(crate) struct Attribute {
    name: &'static str,
    key: Value,
    path: &'static str,
}

impl Attribute {
    /// `path` is the whole access as written.
    pub(crate) fn new(name: &'static str, path: &'static str) -> Self {
        Self { name, key: Value::from(name), path }
    }
}

impl Object for Attribute {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let Some(value) = args.first().filter(|value| !value.is_undefined()) else { return Ok(Value::UNDEFINED) };
        let found = match value.as_object() {
            Some(object) => object.get_value_by_str(self.name),
            None => Some(value.get_item(&self.key)?),
        };
        finish(state, found.unwrap_or(Value::UNDEFINED), self.path, || lack(value, &self.key))
    }
}

/// Gives back its argument, unless that is undefined.
#[derive(Debug)]
pub(crate) struct Checked;

impl Object for Checked {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        match args.first() {
            Some(value) if !value.is_undefined() => Ok(value.clone()),
            _ => Err(ErrorKind::UndefinedError.into()),
        }
    }
}

/// Adds what the rewritten instructions name.
pub(crate) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("__item__", item);
    environment.add_filter("__concat__", concat);
    environment.add_filter("__eq__", |a: &Value, b: &Value| defined(a, b).and_then(|()| equals(a, b)));
    environment.add_filter("__ne__", |a: &Value, b: &Value| defined(a, b).and_then(|()| equals(a, b)).map(|equal| !equal));
    environment.add_filter("__bounded__", |value: &Value| bounded(value).map(|()| value.clone()));
    environment.add_filter("__lt__", |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_lt));
    environment.add_filter("__le__", |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_le));
    environment.add_filter("__gt__", |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_gt));
    environment.add_filter("__ge__", |a: &Value, b: &Value| ordered(a, b).map(Ordering::is_ge));
    environment.add_filter("__in__", |item: &Value, all: &Value| defined(item, all).and_then(|()| contains(all, item)));
    environment.add_filter("__sub__", |a: &Value, b: &Value| defined(a, b).and_then(|()| subtract(a, b)));
    environment.add_filter("__filter__", filter);
    environment.add_filter("__test__", test);
}

fn defined(left: &Value, right: &Value) -> Result<(), Error> {
    if left.is_undefined() || right.is_undefined() { Err(ErrorKind::UndefinedError.into()) } else { Ok(()) }
}

/// Python's order: what cannot be compared is an error.
fn ordered(left: &Value, right: &Value) -> Result<Ordering, Error> {
    defined(left, right)?;
    compare(left, right)
}

/// What an inline `if` without `else` gives when its condition is false.
#[derive(Debug)]
struct Nothing;

impl Object for Nothing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

pub(crate) fn nothing() -> Value {
    Value::from_object(Nothing)
}

/// True for what an inline `if` without `else` gives when its condition is false.
pub(crate) fn is_nothing(value: &Value) -> bool {
    value.downcast_object_ref::<Nothing>().is_some()
}

fn item(state: &mut State<'_, '_>, value: &Value, key: &Value, path: &Value) -> Result<Value, Error> {
    if key.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    if value.is_undefined() {
        return Ok(Value::UNDEFINED);
    }
    let found = value.get_item(key)?;
    finish(state, found, path.as_str().unwrap_or_default(), || lack(value, key))
}

/// `a ~ b`: minijinja would write what is undefined further in as if it were a value.
fn concat(left: &Value, right: &Value) -> Result<Value, Error> {
    if left.is_undefined() || right.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let (left, right) = (crate::value::as_text(left)?, crate::value::as_text(right)?);
    crate::limits::text(left.len() + right.len())?;
    Ok(Value::from(left + &right))
}

fn finish(state: &State<'_, '_>, found: Value, path: &str, lacking: impl FnOnce() -> String) -> Result<Value, Error> {
    if found.is_undefined() {
        note_undefined(state, path, None, Some(lacking()));
        return Ok(found);
    }
    match valid(found) {
        // A member whose template names something undefined is undefined itself.
        Err(error) if error.kind() == ErrorKind::UndefinedError => {
            note_undefined(state, path, inner_problem(&error), None);
            Ok(Value::UNDEFINED)
        }
        result => result,
    }
}

/// A value that carries an error shows it only when iterated with care.
pub(crate) fn valid(value: Value) -> Result<Value, Error> {
    if value.kind() != minijinja::value::ValueKind::Invalid {
        return Ok(value);
    }
    match Value::from(vec![value]).try_iter()?.checked().next() {
        Some(result) => result,
        None => Err(Error::new(ErrorKind::InvalidOperation, "invalid value")),
    }
}

/// The name is the last argument.
fn checked(args: Rest<ValueOrKwargs>) -> Result<(Value, Vec<Value>), Error> {
    let mut args = args.into_values();
    let name = args.pop().ok_or(ErrorKind::MissingArgument)?;
    if args.iter().any(Value::is_undefined) {
        return Err(ErrorKind::UndefinedError.into());
    }
    Ok((name, args))
}

fn filter(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (name, args) = checked(args)?;
    let name = name.as_str().unwrap_or_default();
    state.apply_filter(name, &args).map_err(|error| named(error, ErrorKind::UnknownFilter, "filter", name))
}

fn test(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<bool, Error> {
    let (name, args) = checked(args)?;
    let name = name.as_str().unwrap_or_default();
    state.perform_test(name, &args).map_err(|error| named(error, ErrorKind::UnknownTest, "test", name))
}

fn named(error: Error, kind: ErrorKind, what: &str, name: &str) -> Error {
    if error.kind() == kind && error.detail().is_none() { Error::new(kind, format!("{what} {name} is unknown")) } else { error }
}
