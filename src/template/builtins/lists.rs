//! Filters on lists: order, selection, sets, combinations.

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin, Given, defined, undefined};
use super::equality::{bounded, contains, distinct, firsts, is_hashable};
use super::python::{self, as_float, as_integer, defined_items, fail, get_path, integer_value, items_of, list, text, tuple, type_name};
use crate::limits;

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("list", |_, call| Ok(list(defined_items(&call.input()?)?))),
    ("length", length),
    ("count", length),
    ("first", first),
    ("last", last),
    ("reverse", reverse),
    ("join", join),
    ("sort", sort),
    ("min", |_, call| extreme(call, std::cmp::Ordering::Less)),
    ("max", |_, call| extreme(call, std::cmp::Ordering::Greater)),
    ("sum", sum),
    ("unique", unique),
    ("union", |_, call| set_operation(call, |a, b| a.iter().chain(b).cloned().collect())),
    ("intersect", |_, call| set_operation(call, |a, b| a.iter().filter(|item| b.contains(item)).cloned().collect())),
    ("difference", |_, call| set_operation(call, |a, b| a.iter().filter(|item| !b.contains(item)).cloned().collect())),
    ("symmetric_difference", |_, call| {
        set_operation(call, |a, b| {
            a.iter().filter(|item| !b.contains(item)).chain(b.iter().filter(|item| !a.contains(item))).cloned().collect()
        })
    }),
    ("flatten", flatten),
    ("batch", batch),
    ("slice", slice),
    ("product", product),
    ("permutations", permutations),
    ("combinations", combinations),
    ("zip", zip),
    ("zip_longest", zip_longest),
];

fn length(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    match value.len() {
        Some(length) => Ok(Value::from(length)),
        None if python::is_sequence(&value) => Ok(Value::from(items_of(&value)?.len())),
        None => Err(fail(format!("object of type '{}' has no len()", type_name(&value)))),
    }
}

fn first(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    // Undefined, as in Jinja: `default` may follow, everything else refuses it.
    Ok(items_of(&call.input()?)?.into_iter().next().unwrap_or(Value::UNDEFINED))
}

fn last(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    Ok(items_of(&call.input()?)?.pop().unwrap_or(Value::UNDEFINED))
}

fn reverse(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    if let Some(text) = value.as_str() {
        return Ok(text.chars().rev().collect::<String>().into());
    }
    let mut items = items_of(&value)?;
    items.reverse();
    Ok(list(items))
}

fn join(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, separator, attribute] = call.bind(["value", "d", "attribute"])?;
    let parts: Vec<String> = items_of(&value.required()?)?
        .iter()
        .map(|item| match attribute.some() {
            Some(attribute) => attribute_of(item, &attribute).map(|item| text(&item)),
            None => defined(item).map(|item| text(&item)),
        })
        .collect::<Result<_, Error>>()?;
    Ok(parts.join(&separator.text("")).into())
}

/// The attribute of an item, which must have it.
pub(crate) fn attribute_of(item: &Value, attribute: &Value) -> Result<Value, Error> {
    match get_path(&defined(item)?, attribute)? {
        value if value.is_undefined() => Err(python::no_attribute(item, attribute)),
        value => Ok(value),
    }
}

/// The keys by which items are compared; an attribute may be a list of them, separated by commas.
fn keys_of(items: &[Value], attribute: &Given, case_sensitive: bool) -> Result<Vec<Vec<Value>>, Error> {
    let attributes: Vec<Value> = match attribute.some() {
        None => Vec::new(),
        Some(attribute) => match attribute.as_str() {
            Some(names) => names.split(',').map(Value::from).collect(),
            None => vec![attribute],
        },
    };
    items
        .iter()
        .map(|item| {
            if attributes.is_empty() {
                return Ok(vec![python::fold_case(&defined(item)?, case_sensitive)]);
            }
            attributes.iter().map(|name| Ok(python::fold_case(&attribute_of(item, name)?, case_sensitive))).collect()
        })
        .collect()
}

fn sort(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, reverse, case_sensitive, attribute] = call.bind(["value", "reverse", "case_sensitive", "attribute"])?;
    let items = items_of(&value.required()?)?;
    let keys = keys_of(&items, &attribute, case_sensitive.flag(false))?;
    python::sort_by_keys(items, keys, reverse.flag(false)).map(list)
}

fn extreme(call: &Arguments, wanted: std::cmp::Ordering) -> Result<Value, Error> {
    let [value, case_sensitive, attribute] = call.bind(["value", "case_sensitive", "attribute"])?;
    let items = items_of(&value.required()?)?;
    let keys = keys_of(&items, &attribute, case_sensitive.flag(false))?;
    let mut best: Option<(Vec<Value>, Value)> = None;
    for (key, item) in keys.into_iter().zip(items) {
        let better = match &best {
            None => true,
            Some((other, _)) => python::compare(&list(key.clone()), &list(other.clone()))? == wanted,
        };
        if better {
            best = Some((key, item));
        }
    }
    // Of nothing it is undefined, as in Jinja: `default` may follow.
    Ok(best.map_or(Value::UNDEFINED, |(_, item)| item))
}

fn sum(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, attribute, start] = call.bind(["iterable", "attribute", "start"])?;
    let mut total = start.value().unwrap_or_else(|| Value::from(0));
    for item in items_of(&value.required()?)? {
        let item = match attribute.some() {
            Some(attribute) => attribute_of(&item, &attribute)?,
            None => defined(&item)?,
        };
        total = add(&total, &item)?;
    }
    Ok(total)
}

fn add(left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (as_integer(left), as_integer(right)) {
        return Ok(integer_value(left + right));
    }
    if let (Some(left), Some(right)) = (as_float(left), as_float(right)) {
        return Ok(Value::from(left + right));
    }
    if python::is_sequence(left) && python::is_sequence(right) && left.is_tuple() == right.is_tuple() {
        let mut items = items_of(left)?;
        items.extend(items_of(right)?);
        return Ok(if left.is_tuple() { tuple(items) } else { list(items) });
    }
    Err(fail(format!("unsupported operand type(s) for +: '{}' and '{}'", type_name(left), type_name(right))))
}

fn unique(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, case_sensitive, attribute] = call.bind(["a", "case_sensitive", "attribute"])?;
    let items = items_of(&value.required()?)?;
    let folds = case_sensitive.value().is_some() && !case_sensitive.flag(false);
    let keys = keys_of(&items, &attribute, case_sensitive.flag(false))?;
    if keys.iter().flatten().all(is_hashable) {
        return Ok(firsts(keys.into_iter().map(list).zip(items))?.into_iter().map(|(_, item)| item).collect());
    }
    // Python compares these one by one, which knows neither case nor attributes.
    if folds || attribute.some().is_some() {
        return Err(fail(
            "mappings and lists have no case: 'unique' cannot fall back to comparing them, which does not support case_sensitive and attribute",
        ));
    }
    distinct(items).map(list)
}

/// Python's sets have no order; small integers come out ascending there, so all integers do here, and the rest in order of appearance.
fn set_operation(call: &Arguments, combine: fn(&[Value], &[Value]) -> Vec<Value>) -> Result<Value, Error> {
    let [left, right] = call.bind(["a", "b"])?;
    let (left, right) = (defined_items(&left.required()?)?, defined_items(&right.required()?)?);
    left.iter().chain(&right).try_for_each(bounded)?;
    let mut items = distinct(combine(&left, &right))?;
    if items.iter().all(Value::is_integer) {
        items.sort_by_key(as_integer);
    }
    Ok(list(items))
}

fn flatten(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, levels, skip_nulls] = call.bind(["mylist", "levels", "skip_nulls"])?;
    let levels = levels.some().map(|_| levels.integer(0)).transpose()?;
    let mut flat = Vec::new();
    flatten_into(&value.required()?, levels, skip_nulls.flag(true), &mut flat)?;
    Ok(list(flat))
}

/// The elements of a list and of the lists in it, `levels` deep.
pub(crate) fn flatten_into(value: &Value, levels: Option<i64>, skip_nulls: bool, flat: &mut Vec<Value>) -> Result<(), Error> {
    for item in defined_items(value)? {
        if skip_nulls && (item.is_none() || matches!(item.as_str(), Some("None" | "null"))) {
            continue;
        }
        if python::is_sequence(&item) && levels.is_none_or(|levels| levels >= 1) {
            flatten_into(&item, levels.map(|levels| levels - 1), skip_nulls, flat)?;
        } else {
            flat.push(item);
        }
    }
    Ok(())
}

fn batch(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, size, fill] = call.bind(["value", "linecount", "fill_with"])?;
    let size = usize::try_from(size.integer(0)?).ok().filter(|size| *size > 0).ok_or_else(|| fail("batch needs a positive size"))?;
    let items = items_of(&value.required()?)?;
    let groups = items.chunks(size).map(|group| {
        let mut group = group.to_vec();
        if let Some(fill) = fill.some() {
            group.resize(size, fill);
        }
        list(group)
    });
    Ok(groups.collect())
}

fn slice(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, slices, fill] = call.bind(["value", "slices", "fill_with"])?;
    let slices =
        usize::try_from(slices.integer(0)?).ok().filter(|slices| *slices > 0).ok_or_else(|| fail("slice needs a positive number"))?;
    let items = items_of(&value.required()?)?;
    let (each, larger) = (items.len() / slices, items.len() % slices);
    let mut start = 0;
    let groups = (0..slices).map(|number| {
        let size = each + usize::from(number < larger);
        let mut group = items[start..start + size].to_vec();
        start += size;
        if let Some(fill) = fill.some().filter(|_| number >= larger && larger > 0) {
            group.push(fill);
        }
        list(group)
    });
    Ok(groups.collect())
}

fn product(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let mut lists = vec![defined_items(&call.input()?)?];
    for other in call.rest()? {
        lists.push(defined_items(&other)?);
    }
    let repeat = call.keyword("repeat").and_then(Value::as_usize).unwrap_or(1);
    let lists: Vec<_> = std::iter::repeat_n(lists, repeat).flatten().collect();
    limits::items(lists.iter().map(Vec::len).fold(1, usize::saturating_mul), lists.len())?;
    Ok(cartesian(&lists).into_iter().map(tuple).collect())
}

/// All ways to take one element from each list.
pub(crate) fn cartesian(lists: &[Vec<Value>]) -> Vec<Vec<Value>> {
    lists.iter().fold(vec![Vec::new()], |rows, items| {
        rows.iter().flat_map(|row| items.iter().map(move |item| row.iter().cloned().chain([item.clone()]).collect())).collect()
    })
}

fn permutations(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, size] = call.bind(["iterable", "r"])?;
    let items = defined_items(&value.required()?)?;
    let size = size.some().map_or(Ok(items.len()), |_| size.integer(0).map(|size| usize::try_from(size).unwrap_or(0)))?;
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size.min(items.len() + 1) {
        limits::items(rows.len(), items.len())?;
        let longer = |row: &Vec<usize>| -> Vec<Vec<usize>> {
            (0..items.len()).filter(|index| !row.contains(index)).map(|index| row.iter().copied().chain([index]).collect()).collect()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    Ok(rows.into_iter().map(|row| tuple(row.into_iter().map(|index| items[index].clone()).collect())).collect())
}

fn combinations(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, size] = call.bind(["iterable", "r"])?;
    let items = defined_items(&value.required()?)?;
    let size = size.required().and_then(|_| size.integer(0))?;
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..usize::try_from(size).unwrap_or(0).min(items.len() + 1) {
        limits::items(rows.len(), items.len())?;
        let longer = |row: &Vec<usize>| -> Vec<Vec<usize>> {
            let start = row.last().map_or(0, |last| last + 1);
            (start..items.len()).map(|index| row.iter().copied().chain([index]).collect()).collect()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    Ok(rows.into_iter().map(|row| tuple(row.into_iter().map(|index| items[index].clone()).collect())).collect())
}

fn columns(call: &Arguments) -> Result<Vec<Vec<Value>>, Error> {
    call.positional.iter().map(|value| if value.is_undefined() { Err(undefined(value)) } else { items_of(value) }).collect()
}

fn zip(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let columns = columns(call)?;
    let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
    Ok((0..rows).map(|row| tuple(columns.iter().map(|column| column[row].clone()).collect())).collect())
}

fn zip_longest(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let columns = columns(call)?;
    let fill = call.keyword("fillvalue").cloned().unwrap_or_else(|| Value::from(()));
    Ok(transpose(&columns, &fill).into_iter().map(tuple).collect())
}

/// The columns as rows, short ones filled up.
pub(crate) fn transpose(columns: &[Vec<Value>], fill: &Value) -> Vec<Vec<Value>> {
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    (0..rows).map(|row| columns.iter().map(|column| column.get(row).unwrap_or(fill).clone()).collect()).collect()
}

/// `value in list`, for tests that take the list first.
pub(crate) fn subset(left: &Value, right: &Value) -> Result<bool, Error> {
    let right = list(items_of(right)?);
    for item in items_of(left)? {
        if !contains(&right, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}
