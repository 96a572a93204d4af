//! Values as Python sees them: type names, `str` and `repr`, truth, order, iteration, item access.

use std::cmp::Ordering;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::arguments::{defined, undefined};
use super::equality::equals;

/// An error of ours.
pub(crate) fn fail(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// An error when the value carries one (lazily rendered variables do).
pub(crate) fn check(value: &Value) -> Result<(), Error> {
    if matches!(value.kind(), ValueKind::Invalid) {
        for item in Value::from(vec![value.clone()]).try_iter()?.checked() {
            item?;
        }
    }
    Ok(())
}

/// `type(value).__name__`.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "UndefinedMarker",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Map => "dict",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq | ValueKind::Iterable => "list",
        _ if crate::access::is_nothing(value) => "Undefined",
        _ => value.downcast_object_ref::<super::time::Moment>().map_or("object", super::time::Moment::type_name),
    }
}

/// `str(value)`.
pub(crate) fn python_str(value: &Value) -> String {
    match value.kind() {
        ValueKind::String | ValueKind::Bytes => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        ValueKind::Plain => value.to_string(),
        _ => python_repr(value),
    }
}

/// `str(value)` of what a template puts out: tuples are written as lists, members that are omitted left out.
pub(crate) fn python_output(value: &Value) -> String {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let mut out = String::new();
            write_repr(value, true, &mut out);
            out
        }
        _ => python_str(value),
    }
}

/// `repr(value)`.
pub(crate) fn python_repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, false, &mut out);
    out
}

fn write_repr(value: &Value, output: bool, out: &mut String) {
    // Nobody gets to see a text of that length; see the limits.
    if out.len() > crate::limits::LONGEST_TEXT {
        return;
    }
    match value.kind() {
        ValueKind::Number if !value.is_integer() => out.push_str(&float_repr(as_float(value).unwrap_or(f64::NAN))),
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.is_tuple() && !output;
            let mut items: Vec<Value> = value.try_iter().map(Iterator::collect).unwrap_or_default();
            if output {
                items.retain(|item| !crate::is_omit(item));
            }
            out.push(if tuple { '(' } else { '[' });
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(item, output, out);
            }
            if tuple && items.len() == 1 {
                out.push(',');
            }
            out.push(if tuple { ')' } else { ']' });
        }
        ValueKind::Map => {
            out.push('{');
            let pairs = value.as_object().and_then(|object| object.try_iter_pairs()).into_iter().flatten();
            for (index, (key, item)) in pairs.filter(|(_, item)| !output || !crate::is_omit(item)).enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(&key, output, out);
                out.push_str(": ");
                write_repr(&item, output, out);
            }
            out.push('}');
        }
        _ => match value.downcast_object_ref::<super::time::Moment>() {
            Some(moment) => out.push_str(&moment.repr_text()),
            None => {
                use std::fmt::Write as _;
                let _ = write!(out, "{value:?}");
            }
        },
    }
}

/// A float as Python writes it.
pub(crate) fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    let text = number.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// Text as Ansible's `to_text` gives it: strings as they are, anything else by `str()`.
pub(crate) fn text(value: &Value) -> String {
    python_str(value)
}

/// Text that must be text.
pub(crate) fn expect_str(value: &Value, who: &str) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_undefined() => Err(undefined(value)),
        None => Err(fail(format!("{who} expects a string, got {}", type_name(value)))),
    }
}

/// `bool(value)`.
pub(crate) fn truth(value: &Value) -> bool {
    value.is_true()
}

/// A number or boolean as a float.
pub(crate) fn as_float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => f64::try_from(value.clone()).ok().or_else(|| value.to_string().parse().ok()),
        _ => None,
    }
}

/// An integer or boolean as an integer.
pub(crate) fn as_integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// An integer as a value.
pub(crate) fn integer_value(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

/// Lists, tuples and what filters like `map` give; not text.
pub(crate) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// True for mappings.
pub(crate) fn is_mapping(value: &Value) -> bool {
    value.kind() == ValueKind::Map
}

/// `list(value)`, undefined elements left in.
pub(crate) fn items_of(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(undefined(value)),
        ValueKind::Invalid => {
            check(value)?;
            Ok(Vec::new())
        }
        ValueKind::String | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => value.try_iter()?.checked().collect(),
        _ => Err(fail(format!("'{}' object is not iterable", type_name(value)))),
    }
}

/// `list(value)`, every element defined.
pub(crate) fn defined_items(value: &Value) -> Result<Vec<Value>, Error> {
    items_of(value)?.iter().map(defined).collect()
}

/// `list(value.items())`.
pub(crate) fn pairs_of(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if value.is_undefined() {
        return Err(undefined(value));
    }
    let object = value.as_object().filter(|_| is_mapping(value) || value.is_kwargs());
    let Some(pairs) = object.and_then(|object| object.try_iter_pairs()) else {
        return Err(fail(format!("expected a dictionary, got {}", type_name(value))));
    };
    pairs
        .map(|(key, item)| {
            check(&item)?;
            Ok((key, item))
        })
        .collect()
}

/// A dictionary in the order given.
pub(crate) fn dictionary(pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::from_pairs(pairs)
}

/// A list.
pub(crate) fn list(items: Vec<Value>) -> Value {
    Value::from(items)
}

/// A tuple.
pub(crate) fn tuple(items: Vec<Value>) -> Value {
    Value::from(minijinja::value::Tuple::from(items))
}

/// `value[key]`, undefined when there is none; an integer index may be negative.
pub(crate) fn get(value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(undefined(value));
    }
    let found = match value.get_item(key)? {
        item if !item.is_undefined() => item,
        // JSON and YAML objects may have a key as text or as a number.
        undefined => match key.as_str().and_then(|text| text.parse::<i64>().ok()) {
            Some(index) if is_sequence(value) => value.get_item(&Value::from(index))?,
            _ => undefined,
        },
    };
    check(&found)?;
    Ok(found)
}

/// Follows `a.b.0` as the `attribute` argument of filters does.
pub(crate) fn get_path(value: &Value, path: &Value) -> Result<Value, Error> {
    let Some(text) = path.as_str() else { return get(value, path) };
    let mut current = value.clone();
    for part in text.split('.') {
        current = match part.parse::<i64>() {
            Ok(index) => match get(&current, &Value::from(index))? {
                item if item.is_undefined() => get(&current, &Value::from(part))?,
                item => item,
            },
            Err(_) => get(&current, &Value::from(part))?,
        };
    }
    Ok(current)
}

/// The error for an attribute that an item does not have.
pub(crate) fn no_attribute(item: &Value, attribute: &Value) -> Error {
    Error::new(ErrorKind::UndefinedError, lack(item, attribute))
}

/// Ansible's words for an attribute that an item does not have.
pub(crate) fn lack(item: &Value, attribute: &Value) -> String {
    format!("object of type '{}' has no attribute {}", type_name(item), python_repr(attribute))
}

/// Python's order; types that cannot be compared are an error.
pub(crate) fn compare(left: &Value, right: &Value) -> Result<Ordering, Error> {
    let unordered = || fail(format!("'<' not supported between instances of '{}' and '{}'", type_name(left), type_name(right)));
    match (left.kind(), right.kind()) {
        (ValueKind::Number, ValueKind::Number) if left.as_i64().is_some() && right.as_i64().is_some() => {
            Ok(left.as_i64().cmp(&right.as_i64()))
        }
        (ValueKind::Undefined, _) => Err(undefined(left)),
        (_, ValueKind::Undefined) => Err(undefined(right)),
        (ValueKind::String, ValueKind::String) => Ok(left.as_str().cmp(&right.as_str())),
        (ValueKind::Number | ValueKind::Bool, ValueKind::Number | ValueKind::Bool) => match (as_integer(left), as_integer(right)) {
            (Some(left), Some(right)) => Ok(left.cmp(&right)),
            _ => as_float(left).zip(as_float(right)).and_then(|(left, right)| left.partial_cmp(&right)).ok_or_else(unordered),
        },
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            let (left, right) = (items_of(left)?, items_of(right)?);
            for (left, right) in left.iter().zip(&right) {
                if !equals(left, right)? {
                    return compare(left, right);
                }
            }
            Ok(left.len().cmp(&right.len()))
        }
        _ => match (left.downcast_object_ref::<super::time::Moment>(), right.downcast_object_ref::<super::time::Moment>()) {
            (Some(left), Some(right)) => Ok(left.cmp(right)),
            _ => Err(unordered()),
        },
    }
}

/// Sorts stably by keys; the first failing comparison is the error.
pub(crate) fn sort_by_keys(items: Vec<Value>, keys: Vec<Vec<Value>>, reverse: bool) -> Result<Vec<Value>, Error> {
    let mut rows: Vec<(Vec<Value>, Value)> = Vec::with_capacity(items.len());
    for (key, item) in keys.into_iter().zip(items) {
        // Binary insertion: the library's sort cannot stop at an error, and panics on an inconsistent order.
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let ordering = compare_keys(&rows[middle].0, &key)?;
            if (if reverse { ordering.reverse() } else { ordering }) == Ordering::Greater {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        rows.insert(low, (key, item));
    }
    Ok(rows.into_iter().map(|(_, item)| item).collect())
}

fn compare_keys(left: &[Value], right: &[Value]) -> Result<Ordering, Error> {
    for (left, right) in left.iter().zip(right) {
        match compare(left, right)? {
            Ordering::Equal => {}
            ordering => return Ok(ordering),
        }
    }
    Ok(Ordering::Equal)
}

/// Text in lower case, anything else as it is: the key of case-insensitive filters.
pub(crate) fn fold_case(value: &Value, case_sensitive: bool) -> Value {
    match value.as_str() {
        Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
        _ => value.clone(),
    }
}

/// `left - right`.
pub(crate) fn subtract(left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (as_integer(left), as_integer(right)) {
        return left.checked_sub(right).map(integer_value).ok_or_else(|| fail("the difference is too large"));
    }
    if let (Some(left), Some(right)) = (as_float(left), as_float(right)) {
        return Ok(Value::from(left - right));
    }
    let wrong = || fail(format!("unsupported operand type(s) for -: '{}' and '{}'", type_name(left), type_name(right)));
    super::time::difference(left, right).ok_or_else(wrong)
}
