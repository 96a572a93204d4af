//! Whether values are equal, with a limit to what is compared: lists that hold each other double with each.

use std::collections::HashSet;

use minijinja::Error;
use minijinja::value::{ObjectRepr, ValueKind};

use super::python::{fail, items_of, type_name};
use crate::Value;
use crate::limits::Compared;

/// Whether what a list holds itself is counted; what is further in always is.
#[derive(Clone, Copy, PartialEq)]
enum Depth {
    First,
    Further,
}

/// `left == right`.
pub(crate) fn equals(left: &Value, right: &Value) -> Result<bool, Error> {
    equal_within(left, right, Depth::First, &mut Compared::new())
}

/// The place of the first equal value.
pub(crate) fn position(items: &[Value], wanted: &Value) -> Result<Option<usize>, Error> {
    let mut count = Compared::new();
    for (at, item) in items.iter().enumerate() {
        if equal_within(item, wanted, Depth::Further, &mut count)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// How many of the values are equal to one.
pub(crate) fn count(items: &[Value], wanted: &Value) -> Result<usize, Error> {
    let mut count = Compared::new();
    let mut found = 0;
    for item in items {
        found += usize::from(equal_within(item, wanted, Depth::Further, &mut count)?);
    }
    Ok(found)
}

/// `needle in haystack`.
pub(crate) fn contains(haystack: &Value, needle: &Value) -> Result<bool, Error> {
    match haystack.kind() {
        ValueKind::String => match (haystack.as_str(), needle.as_str()) {
            (Some(haystack), Some(needle)) => Ok(haystack.contains(needle)),
            _ => Err(fail(format!("'in <string>' requires string as left operand, not {}", type_name(needle)))),
        },
        ValueKind::Map => Ok(haystack.as_object().is_some_and(|object| object.get_value(needle).is_some())),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut count = Compared::new();
            for item in haystack.try_iter()? {
                if equal_within(&item, needle, Depth::Further, &mut count)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(position(&items_of(haystack)?, needle)?.is_some()),
    }
}

/// The first of each group of equal values, in order.
pub(crate) fn distinct(items: impl IntoIterator<Item = Value>) -> Result<Vec<Value>, Error> {
    Ok(firsts(items.into_iter().map(|item| (item.clone(), item)))?.into_iter().map(|(_, item)| item).collect())
}

/// The first of each group with equal keys, in order.
pub(crate) fn firsts<T>(items: impl IntoIterator<Item = (Value, T)>) -> Result<Vec<(Value, T)>, Error> {
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    let mut count = Compared::new();
    for (key, item) in items {
        weigh(&key, &mut count)?;
        if seen.insert(key.clone()) {
            first.push((key, item));
        }
    }
    Ok(first)
}

/// Whether Python could keep the value in a set.
pub(crate) fn is_hashable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Map => false,
        ValueKind::Seq | ValueKind::Iterable => value.is_tuple() && items_of(value).is_ok_and(|items| items.iter().all(is_hashable)),
        _ => true,
    }
}

/// Refuses a value of too many parts; comparing it would visit each.
pub(crate) fn bounded(value: &Value) -> Result<(), Error> {
    weigh(value, &mut Compared::new())
}

fn equal_within(left: &Value, right: &Value, depth: Depth, count: &mut Compared) -> Result<bool, Error> {
    let (Some(a), Some(b)) = (left.as_object(), right.as_object()) else { return Ok(left == right) };
    if left.is_tuple() != right.is_tuple() {
        return Ok(false);
    }
    match (a.repr(), b.repr()) {
        (ObjectRepr::Map, ObjectRepr::Map) => {
            let lengths = a.enumerator_len().zip(b.enumerator_len());
            if lengths.is_some_and(|(left, right)| left != right) {
                return Ok(false);
            }
            let Some(pairs) = a.try_iter_pairs() else { return Ok(false) };
            let mut length = 0;
            for (key, value) in pairs {
                length += 1;
                if depth == Depth::Further {
                    count.one()?;
                }
                match b.get_value(&key) {
                    Some(other) if equal_within(&value, &other, Depth::Further, count)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(lengths.is_some() || b.try_iter().is_some_and(|keys| keys.count() == length))
        }
        (ObjectRepr::Seq | ObjectRepr::Iterable, ObjectRepr::Seq | ObjectRepr::Iterable) => {
            let (Some(mut left), Some(mut right)) = (a.try_iter(), b.try_iter()) else { return Ok(false) };
            loop {
                if depth == Depth::Further {
                    count.one()?;
                }
                match (left.next(), right.next()) {
                    (None, None) => return Ok(true),
                    (Some(left), Some(right)) if equal_within(&left, &right, Depth::Further, count)? => {}
                    _ => return Ok(false),
                }
            }
        }
        _ => Ok(left == right),
    }
}

/// Counts the parts of a value.
fn weigh(value: &Value, count: &mut Compared) -> Result<(), Error> {
    let Some(object) = value.as_object() else { return Ok(()) };
    let mut part = |value: &Value| count.one().and_then(|()| weigh(value, count));
    match object.repr() {
        ObjectRepr::Map => object.try_iter_pairs().into_iter().flatten().try_for_each(|(_, value)| part(&value)),
        ObjectRepr::Seq | ObjectRepr::Iterable => object.try_iter().into_iter().flatten().try_for_each(|item| part(&item)),
        _ => Ok(()),
    }
}
