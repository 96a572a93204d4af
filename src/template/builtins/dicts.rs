//! Filters on dictionaries, and those that choose or require a value: `default`, `ternary`, `mandatory`.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::{Arguments, Builtin, defined, undefined};
use super::equality::bounded;
use super::lists::flatten_into;
use super::python::{self, defined_items, dictionary, fail, items_of, list, pairs_of, text, tuple, type_name};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("default", default),
    ("d", default),
    ("mandatory", mandatory),
    ("ternary", ternary),
    ("type_debug", |_, call| Ok(call.positional.first().map_or("UndefinedMarker", type_name).into())),
    ("items", |_, call| Ok(pair_list(pairs_of(&call.input()?)?))),
    ("dictsort", dictsort),
    ("combine", combine),
    ("dict2items", dict2items),
    ("items2dict", items2dict),
    ("subelements", subelements),
    ("extract", extract),
    ("rekey_on_member", rekey_on_member),
];

/// Pairs as a list of tuples.
pub(crate) fn pair_list(pairs: Vec<(Value, Value)>) -> Value {
    pairs.into_iter().map(|(key, value)| tuple(vec![key, value])).collect()
}

fn default(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, default, boolean] = call.bind_undefined(["value", "default_value", "boolean"])?;
    let value = value.required()?;
    if value.is_undefined() || crate::access::is_nothing(&value) || (boolean.flag(false) && !python::truth(&value)) {
        return Ok(default.value().unwrap_or_else(|| Value::from("")));
    }
    Ok(value)
}

fn mandatory(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, message] = call.bind_undefined(["a", "msg"])?;
    let value = value.required()?;
    match message.some() {
        _ if !value.is_undefined() => Ok(value),
        Some(message) => Err(Error::new(ErrorKind::UndefinedError, text(&message))),
        None => Err(Error::new(ErrorKind::UndefinedError, "Mandatory variable not defined.")),
    }
}

fn ternary(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, yes, no, none] = call.bind_undefined(["value", "true_val", "false_val", "none_val"])?;
    let value = defined(&value.required()?)?;
    match none.some() {
        Some(none) if value.is_none() => Ok(none),
        _ if python::truth(&value) => yes.required(),
        _ => no.required(),
    }
}

fn dictsort(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, case_sensitive, by, reverse] = call.bind(["value", "case_sensitive", "by", "reverse"])?;
    let by_value = match by.text("key").as_str() {
        "key" => false,
        "value" => true,
        _ => return Err(fail("You can only sort by either \"key\" or \"value\"")),
    };
    let pairs = pairs_of(&value.required()?)?;
    let key_of = |(key, value): &(Value, Value)| vec![python::fold_case(if by_value { value } else { key }, case_sensitive.flag(false))];
    let keys = pairs.iter().map(key_of).collect();
    let items = pairs.into_iter().map(|(key, value)| tuple(vec![key, value])).collect();
    python::sort_by_keys(items, keys, reverse.flag(false)).map(list)
}

fn combine(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    if call.named.iter().any(|(name, _)| name != "recursive" && name != "list_merge") {
        return Err(fail("'recursive' and 'list_merge' are the only valid keyword arguments"));
    }
    let recursive = call.keyword("recursive").is_some_and(python::truth);
    let list_merge = call.keyword("list_merge").map_or_else(|| "replace".to_owned(), text);
    if !["replace", "keep", "append", "prepend", "append_rp", "prepend_rp"].contains(&list_merge.as_str()) {
        return Err(fail("'list_merge' can only be 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'"));
    }
    let mut terms = Vec::new();
    flatten_into(&list(call.positional.clone()), Some(1), true, &mut terms)?;
    let mut terms = terms.into_iter();
    let Some(mut merged) = terms.next() else { return Ok(dictionary([])) };
    for term in terms {
        merged = merge(&merged, &term, recursive, &list_merge)?;
    }
    Ok(merged)
}

/// The second dictionary laid over the first.
fn merge(low: &Value, high: &Value, recursive: bool, list_merge: &str) -> Result<Value, Error> {
    if !python::is_mapping(low) || !python::is_mapping(high) {
        let message = format!("failed to combine variables, expected dicts but got a '{}' and a '{}'.", type_name(low), type_name(high));
        return Err(fail(message));
    }
    let mut merged: indexmap::IndexMap<Value, Value> = pairs_of(low)?.into_iter().collect();
    for (key, value) in pairs_of(high)? {
        let combined = match merged.get(&key) {
            Some(old) if recursive && python::is_mapping(old) && python::is_mapping(&value) => merge(old, &value, recursive, list_merge)?,
            Some(old) if python::is_sequence(old) && python::is_sequence(&value) => merge_lists(old, &value, list_merge)?,
            _ => value,
        };
        merged.insert(key, combined);
    }
    Ok(dictionary(merged))
}

fn merge_lists(low: &Value, high: &Value, how: &str) -> Result<Value, Error> {
    let (low_items, high_items) = (items_of(low)?, items_of(high)?);
    low_items.iter().chain(&high_items).try_for_each(bounded)?;
    let kept = || low_items.iter().filter(|item| !high_items.contains(item)).cloned();
    Ok(match how {
        "keep" => low.clone(),
        "append" => low_items.iter().chain(&high_items).cloned().collect(),
        "prepend" => high_items.iter().chain(&low_items).cloned().collect(),
        "append_rp" => kept().chain(high_items.iter().cloned()).collect(),
        "prepend_rp" => high_items.iter().cloned().chain(kept()).collect(),
        _ => high.clone(),
    })
}

fn dict2items(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, key_name, value_name] = call.bind(["mydict", "key_name", "value_name"])?;
    let value = value.required()?;
    if !python::is_mapping(&value) {
        return Err(fail(format!("dict2items requires a dictionary, got {} instead.", type_name(&value))));
    }
    let (key_name, value_name) = (key_name.text("key"), value_name.text("value"));
    let entry = |(key, value)| dictionary([(Value::from(key_name.as_str()), key), (Value::from(value_name.as_str()), value)]);
    Ok(pairs_of(&value)?.into_iter().map(entry).collect())
}

fn items2dict(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, key_name, value_name] = call.bind(["mylist", "key_name", "value_name"])?;
    let value = value.required()?;
    if !python::is_sequence(&value) {
        return Err(fail(format!("items2dict requires a list, got {} instead.", type_name(&value))));
    }
    let (key_name, value_name) = (key_name.text("key"), value_name.text("value"));
    let member = |item: &Value, name: &str| match python::get(item, &Value::from(name))? {
        found if found.is_undefined() => {
            Err(fail(format!("items2dict requires each dictionary in the list to contain the keys '{key_name}' and '{value_name}'")))
        }
        found => Ok(found),
    };
    let pairs = defined_items(&value)?
        .iter()
        .map(|item| Ok((member(item, &key_name)?, member(item, &value_name)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(dictionary(pairs))
}

fn subelements(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, path, skip_missing] = call.bind(["obj", "subelements", "skip_missing"])?;
    let value = value.required()?;
    let path = path.required()?;
    let path: Vec<Value> = match path.as_str() {
        Some(path) => path.split('.').map(Value::from).collect(),
        None => items_of(&path)?,
    };
    elements_below(&value, &path, skip_missing.flag(false)).map(|rows| rows.into_iter().map(tuple).collect())
}

/// Pairs of each element and each of the elements below it.
pub(crate) fn elements_below(value: &Value, path: &[Value], skip_missing: bool) -> Result<Vec<Vec<Value>>, Error> {
    let elements = match python::is_mapping(value) {
        true => pairs_of(value)?.into_iter().map(|(_, item)| item).collect(),
        false if python::is_sequence(value) => defined_items(value)?,
        false => return Err(fail("obj must be a list of dicts or a nested dict")),
    };
    let mut rows = Vec::new();
    for element in elements {
        let mut below = element.clone();
        for key in path {
            if skip_missing && below.is_none() {
                below = list(Vec::new());
                break;
            }
            if !python::is_mapping(&below) {
                return Err(fail(format!("the key {} should point to a dictionary, got '{}'", text(key), text(&below))));
            }
            let next = python::get(&below, key)?;
            if next.is_undefined() && skip_missing {
                below = list(Vec::new());
                break;
            }
            if next.is_undefined() {
                return Err(fail(format!("could not find '{}' key in iterated item '{}'", text(key), text(&below))));
            }
            below = next;
        }
        if !python::is_sequence(&below) {
            return Err(fail(format!(
                "the key '{}' should point to a list, got '{}'",
                path.last().map(text).unwrap_or_default(),
                text(&below)
            )));
        }
        rows.extend(defined_items(&below)?.into_iter().map(|item| vec![element.clone(), item]));
    }
    Ok(rows)
}

fn extract(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [item, container, more] = call.bind(["item", "container", "morekeys"])?;
    let mut keys = vec![item.required()?];
    match more.some() {
        Some(more) if python::is_sequence(&more) => keys.extend(items_of(&more)?),
        Some(more) => keys.push(more),
        None => {}
    }
    keys.iter()
        .try_fold(container.required()?, |value, key| if value.is_undefined() { Err(undefined(&value)) } else { python::get(&value, key) })
}

fn rekey_on_member(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [data, key, duplicates] = call.bind(["data", "key", "duplicates"])?;
    let (data, key, duplicates) = (data.required()?, key.required()?, duplicates.text("error"));
    if duplicates != "error" && duplicates != "overwrite" {
        return Err(fail(format!("duplicates parameter to rekey_on_member has unknown value '{duplicates}'")));
    }
    let elements = match python::is_mapping(&data) {
        true => pairs_of(&data)?.into_iter().map(|(_, item)| item).collect(),
        false if matches!(data.kind(), ValueKind::Seq | ValueKind::Iterable) => defined_items(&data)?,
        false => return Err(fail("Type is not a valid list, set, or dict")),
    };
    let mut rekeyed = indexmap::IndexMap::new();
    for element in elements {
        if !python::is_mapping(&element) {
            return Err(fail("List item is not a valid dict"));
        }
        let name = python::get(&element, &key)?;
        if name.is_undefined() {
            return Err(fail(format!("Key '{}' was not found.", text(&key))));
        }
        if rekeyed.contains_key(&name) && duplicates == "error" {
            return Err(fail(format!("Key '{}' is not unique, cannot convert to dict.", text(&name))));
        }
        rekeyed.insert(name, element);
    }
    Ok(dictionary(rekeyed))
}
