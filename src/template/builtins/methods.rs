//! Python's methods of text, lists and dictionaries, and lists and dictionaries that change in place.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::arguments::Arguments;
use super::dicts::pair_list;
use super::equality;
use super::python::{self, fail, items_of, list, pairs_of, tuple};
use super::text::{Side, pad, split_lines, split_text, strip};

/// What the engine calls for a method that an object does not have itself.
pub(crate) fn unknown_method(state: &mut State<'_, '_>, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let call = Arguments::new(arguments.to_vec())?;
    let known = match value.kind() {
        ValueKind::String => text_method(value.as_str().unwrap_or_default(), method, &call)?,
        ValueKind::Seq | ValueKind::Iterable => list_method(&items_of(value)?, method, &call)?,
        ValueKind::Map => dict_method(value, method, &call)?,
        _ => None,
    };
    match known {
        Some(result) => Ok(result),
        None => pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

fn position(index: Option<usize>, source: &str) -> i64 {
    index.map_or(-1, |index| i64::try_from(source[..index].chars().count()).unwrap_or(-1))
}

fn partition(source: &str, at: Option<usize>, separator: &str, from_right: bool) -> Value {
    let parts = match at {
        Some(at) => [&source[..at], separator, &source[at + separator.len()..]],
        None if from_right => ["", "", source],
        None => [source, "", ""],
    };
    tuple(parts.into_iter().map(Value::from).collect())
}

fn text_method(source: &str, method: &str, call: &Arguments) -> Result<Option<Value>, Error> {
    let first = || python::expect_str(call.positional.first().ok_or_else(|| fail(format!("{method}() needs an argument")))?, method);
    let not_found = || fail("substring not found");
    Ok(Some(match method {
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = call.bind(["chars"])?;
            let chars = chars.some().map(|chars| python::text(&chars));
            strip(source, chars.as_deref(), method != "rstrip", method != "lstrip").into()
        }
        "split" => {
            let [separator, limit] = call.bind(["sep", "maxsplit"])?;
            split_text(source, separator.some().map(|separator| python::text(&separator)).as_deref(), limit.integer(-1)?)?
        }
        "rsplit" => {
            let [separator, limit] = call.bind(["sep", "maxsplit"])?;
            let limit = usize::try_from(limit.integer(-1)?).unwrap_or(usize::MAX);
            let mut parts: Vec<&str> = match separator.some().map(|separator| python::text(&separator)) {
                Some(separator) => source.rsplitn(limit.saturating_add(1), separator.as_str()).collect(),
                None => {
                    let mut parts = Vec::new();
                    let mut rest = source.trim_end();
                    while !rest.is_empty() {
                        let cut = if parts.len() == limit { None } else { rest.rfind(char::is_whitespace) };
                        let start = cut.map_or(0, |cut| cut + rest[cut..].chars().next().map_or(1, char::len_utf8));
                        parts.push(&rest[start..]);
                        rest = rest[..start].trim_end();
                    }
                    parts
                }
            };
            parts.reverse();
            parts.into_iter().map(Value::from).collect()
        }
        "splitlines" => {
            let [keep] = call.bind(["keepends"])?;
            split_lines(source, keep.flag(false)).into_iter().map(Value::from).collect()
        }
        "ljust" | "rjust" | "center" => {
            let [width, fill] = call.bind(["width", "fillchar"])?;
            let side = match method {
                "ljust" => Side::Right,
                "rjust" => Side::Left,
                _ => Side::Both,
            };
            let width = usize::try_from(width.required().and_then(|_| width.integer(0))?).unwrap_or(0);
            pad(source, width, fill.text(" ").chars().next().unwrap_or(' '), side).into()
        }
        "zfill" => {
            let [width] = call.bind(["width"])?;
            let width = usize::try_from(width.integer(0)?).unwrap_or(0);
            let (sign, digits) = source.strip_prefix(['-', '+']).map_or(("", source), |digits| (&source[..1], digits));
            format!("{sign}{}", pad(digits, width.saturating_sub(sign.len()), '0', Side::Left)).into()
        }
        "index" => position(Some(source.find(&first()?).ok_or_else(not_found)?), source).into(),
        "rindex" => position(Some(source.rfind(&first()?).ok_or_else(not_found)?), source).into(),
        "find" if call.positional.len() == 1 => position(source.find(&first()?), source).into(),
        "partition" => {
            let separator = first()?;
            partition(source, source.find(&separator), &separator, false)
        }
        "rpartition" => {
            let separator = first()?;
            partition(source, source.rfind(&separator), &separator, true)
        }
        "removeprefix" => source.strip_prefix(first()?.as_str()).unwrap_or(source).into(),
        "removesuffix" => source.strip_suffix(first()?.as_str()).unwrap_or(source).into(),
        "format" => super::format::str_format(source, call)?,
        "startswith" | "endswith" if call.positional.len() > 1 => {
            let (start, end) = (call.positional.get(1).and_then(Value::as_i64), call.positional.get(2).and_then(Value::as_i64));
            let length = source.chars().count();
            let from = start.and_then(|start| resolve(start, length)).unwrap_or(0).min(length);
            let to = end.and_then(|end| resolve(end, length)).unwrap_or(length).min(length);
            let part: String = source.chars().take(to).skip(from).collect();
            let affix = first()?;
            if method == "startswith" { part.starts_with(&affix) } else { part.ends_with(&affix) }.into()
        }
        "istitle" => (super::text::title(source) == source && source.chars().any(char::is_alphabetic)).into(),
        "decode" => source.into(),
        "swapcase" => {
            let swap = |c: char| -> String { if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() } };
            source.chars().map(swap).collect::<String>().into()
        }
        "casefold" => source.to_lowercase().into(),
        "capitalize" => super::text::capitalize(source).into(),
        "isdigit" | "isdecimal" => (!source.is_empty() && source.chars().all(|c| c.is_ascii_digit())).into(),
        "isidentifier" => {
            let starts = source.starts_with(|c: char| c.is_alphabetic() || c == '_');
            (starts && source.chars().all(|c| c.is_alphanumeric() || c == '_')).into()
        }
        "expandtabs" => {
            let [size] = call.bind(["tabsize"])?;
            expand_tabs(source, usize::try_from(size.integer(8)?).unwrap_or(0)).into()
        }
        "encode" => source.into(),
        "join" => {
            let parts = items_of(call.positional.first().ok_or_else(|| fail("join() needs an argument"))?)?;
            let parts = parts.iter().map(|part| python::expect_str(part, "join")).collect::<Result<Vec<_>, _>>()?;
            parts.join(source).into()
        }
        _ => return Ok(None),
    }))
}

fn expand_tabs(source: &str, size: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for character in source.chars() {
        match character {
            '\t' => {
                let width = if size == 0 { 0 } else { size - column % size };
                out.push_str(&" ".repeat(width));
                column += width;
            }
            character => {
                out.push(character);
                column = if matches!(character, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    out
}

fn list_method(items: &[Value], method: &str, call: &Arguments) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "index" => {
            let [wanted] = call.bind(["value"])?;
            let wanted = wanted.required()?;
            equality::position(items, &wanted)?.map(Value::from).ok_or_else(|| fail(format!("{wanted:?} is not in list")))?
        }
        "count" => {
            let [wanted] = call.bind(["value"])?;
            let wanted = wanted.required()?;
            equality::count(items, &wanted)?.into()
        }
        "copy" => list(items.to_vec()),
        // Elements of an immutable list can be changed where the result is used; in place they cannot.
        "append" | "extend" | "insert" | "pop" | "remove" | "sort" | "reverse" | "clear" => {
            return Err(fail(format!("'{method}' changes a list that this template did not make; build a new list with '+' or a filter")));
        }
        _ => return Ok(None),
    }))
}

fn dict_method(value: &Value, method: &str, call: &Arguments) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "keys" => list(pairs_of(value)?.into_iter().map(|(key, _)| key).collect()),
        "values" => list(pairs_of(value)?.into_iter().map(|(_, item)| item).collect()),
        "items" => pair_list(pairs_of(value)?),
        "get" => {
            let [key, default] = call.bind_undefined(["key", "default"])?;
            let found = python::get(value, &key.required()?)?;
            if found.is_undefined() { default.value().unwrap_or_else(|| Value::from(())) } else { found }
        }
        "copy" => python::dictionary(pairs_of(value)?),
        "update" | "pop" | "popitem" | "setdefault" | "clear" | "__setitem__" => {
            return Err(fail(format!("'{method}' changes a dictionary that this template did not make; use the filter 'combine'")));
        }
        _ => return Ok(None),
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A list that a template made and may change.
pub(crate) struct MutableList(Mutex<Vec<Value>>);

/// A dictionary that a template made and may change.
pub(crate) struct MutableDict(Mutex<IndexMap<Value, Value>>);

/// The function behind list literals of templates.
pub(crate) fn make_list(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let items = call.positional.first().map_or_else(|| Ok(Vec::new()), items_of)?;
    Ok(Value::from_object(MutableList(Mutex::new(items))))
}

/// The function behind dictionary literals of templates.
pub(crate) fn make_dict(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let pairs = call.positional.first().map_or_else(|| Ok(Vec::new()), pairs_of)?;
    Ok(Value::from_object(MutableDict(Mutex::new(pairs.into_iter().collect()))))
}

/// The function behind what is assigned in a template that changes lists or dictionaries: a plain one becomes
/// changeable, and those in it; anything else stays what it is.
pub(crate) fn own(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    if call.positional.is_empty() {
        let named = call.named.iter().map(|(name, value)| (name.clone(), owned(value)));
        return Ok(Value::from(named.collect::<minijinja::value::Kwargs>()));
    }
    Ok(owned(&call.positional[0]))
}

fn owned(value: &Value) -> Value {
    if value.is_tuple() {
        return value.clone();
    }
    if let Some(items) = value.downcast_object_ref::<Vec<Value>>() {
        return Value::from_object(MutableList(Mutex::new(items.iter().map(owned).collect())));
    }
    if let Some(entries) = value.downcast_object_ref::<IndexMap<Value, Value>>() {
        return Value::from_object(MutableDict(Mutex::new(entries.iter().map(|(key, item)| (key.clone(), owned(item))).collect())));
    }
    value.clone()
}

impl fmt::Debug for MutableList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[...]")
    }
}

impl fmt::Debug for MutableDict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{...}")
    }
}

/// An index as Python counts it, from the end when negative.
fn resolve(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

impl Object for MutableList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let items = lock(&self.0);
        items.get(resolve(key.as_i64()?, items.len())?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(lock(&self.0).clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(lock(&self.0).len())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        let call = Arguments::new(arguments.to_vec())?;
        match method {
            "append" => {
                let item = call.input()?;
                lock(&self.0).push(item);
            }
            "extend" => {
                let more = items_of(&call.input()?)?;
                lock(&self.0).extend(more);
            }
            "insert" => {
                let [index, item] = call.bind(["index", "object"])?;
                let (index, item) = (index.integer(0)?, item.required()?);
                let mut items = lock(&self.0);
                let length = items.len();
                items.insert(resolve(index, length).unwrap_or(0).min(length), item);
            }
            "pop" => {
                let [index] = call.bind(["index"])?;
                let index = index.integer(-1)?;
                let mut items = lock(&self.0);
                let index = resolve(index, items.len()).filter(|index| *index < items.len());
                return index.map(|index| items.remove(index)).ok_or_else(|| fail("pop index out of range"));
            }
            "remove" => {
                let wanted = call.input()?;
                let mut items = lock(&self.0);
                let index = equality::position(&items, &wanted)?.ok_or_else(|| fail("list.remove(x): x not in list"))?;
                items.remove(index);
            }
            "sort" => {
                let items = lock(&self.0).clone();
                let keys = items.iter().map(|item| vec![item.clone()]).collect();
                let sorted = python::sort_by_keys(items, keys, call.keyword("reverse").is_some_and(python::truth))?;
                *lock(&self.0) = sorted;
            }
            "reverse" => lock(&self.0).reverse(),
            "clear" => lock(&self.0).clear(),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}

impl Object for MutableDict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        lock(&self.0).get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(lock(&self.0).keys().cloned().collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(lock(&self.0).len())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        let call = Arguments::new(arguments.to_vec())?;
        match method {
            "update" => {
                let more = match call.positional.first() {
                    Some(other) if python::is_mapping(other) => pairs_of(other)?,
                    Some(other) => pairs_from(other)?,
                    None => Vec::new(),
                };
                let named = call.named.iter().map(|(name, value)| (Value::from(name.as_str()), value.clone()));
                lock(&self.0).extend(more.into_iter().chain(named));
            }
            "__setitem__" => {
                let [key, item] = call.bind(["key", "value"])?;
                lock(&self.0).insert(key.required()?, item.required()?);
            }
            "setdefault" => {
                let [key, default] = call.bind(["key", "default"])?;
                let default = default.value().unwrap_or_else(|| Value::from(()));
                return Ok(lock(&self.0).entry(key.required()?).or_insert(default).clone());
            }
            "pop" => {
                let [key, default] = call.bind(["key", "default"])?;
                let key = key.required()?;
                let removed = lock(&self.0).shift_remove(&key);
                return removed.or_else(|| default.value()).ok_or_else(|| fail(format!("KeyError: {key:?}")));
            }
            "popitem" => {
                let removed = lock(&self.0).pop();
                return removed.map(|(key, item)| tuple(vec![key, item])).ok_or_else(|| fail("popitem(): dictionary is empty"));
            }
            "clear" => lock(&self.0).clear(),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}

/// Pairs from a list of pairs.
pub(crate) fn pairs_from(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    items_of(value)?
        .iter()
        .map(|pair| match items_of(pair)?.as_slice() {
            [key, item] => Ok((key.clone(), item.clone())),
            other => Err(fail(format!("dictionary update sequence element has length {}; 2 is required", other.len()))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use minijinja::Environment;

    #[test]
    fn templates_change_what_they_made() {
        let mut environment = Environment::new();
        environment.set_unknown_method_callback(super::unknown_method);
        crate::builtins::install(&mut environment);
        let render = |source: &str| environment.render_str(source, minijinja::context! { given => vec![1] });
        let list = "{% set l = __list__([3]) %}{% set _ = l.append(1) %}{% set _ = l.extend([2, 5]) %}{% set x = l.pop() %}{{ l | sort }} {{ x }} {{ l + [9] }}";
        assert_eq!(render(list).expect("list"), "[1, 2, 3] 5 [3, 1, 2, 9]");
        let dict = "{% set d = __dict__({'a': 1}) %}{% set _ = d.update({'b': 2}) %}{% set _ = d.__setitem__('c', 3) %}{{ d }} {{ d.pop('a') }} {{ d.keys() | list }}";
        assert_eq!(render(dict).expect("dictionary"), "{'a': 1, 'b': 2, 'c': 3} 1 ['b', 'c']");
        let error = render("{% set _ = given.append(2) %}").expect_err("a given list does not change").to_string();
        assert!(error.contains("changes a list that this template did not make"), "{error}");
    }
}
