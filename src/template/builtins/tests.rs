//! The tests: Jinja's own, task results, patterns, versions, sets, files.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin};
use super::equality::{contains, equals};
use super::lists::subset;
use super::python::{self, as_float, as_integer, compare, fail, items_of, text, type_name};
use super::regex::{Flags, is_match};
use super::{text as texts, version};

macro_rules! kind_test {
    ($condition:expr) => {
        |_, call| {
            let condition: fn(&Value) -> bool = $condition;
            Ok(Value::from(condition(&call.input()?)))
        }
    };
}

macro_rules! order_test {
    ($method:ident) => {
        |_, call| {
            let [left, right] = call.bind(["a", "b"])?;
            Ok(Value::from(compare(&left.required()?, &right.required()?)?.$method()))
        }
    };
}

macro_rules! result_test {
    ($name:literal, $key:literal, $wanted:literal) => {
        |_, call| Ok(Value::from(result_flag(call, $name, $key)?.is_some_and(|flag| python::truth(&flag)) == $wanted))
    };
}

macro_rules! path_test {
    ($condition:expr) => {
        |_, call| {
            let condition: fn(&Path) -> bool = $condition;
            Ok(Value::from(condition(Path::new(&text(&call.input()?)))))
        }
    };
}

pub(crate) const TESTS: &[(&str, Builtin)] = &[
    ("defined", |_, call| Ok(Value::from(call.positional.first().is_some_and(|value| !is_undefined(value))))),
    ("undefined", |_, call| Ok(Value::from(call.positional.first().is_none_or(is_undefined)))),
    ("none", kind_test!(Value::is_none)),
    ("boolean", kind_test!(|value| value.kind() == ValueKind::Bool)),
    ("true", kind_test!(|value| value.kind() == ValueKind::Bool && value.is_true())),
    ("false", kind_test!(|value| value.kind() == ValueKind::Bool && !value.is_true())),
    ("string", kind_test!(|value| value.kind() == ValueKind::String)),
    ("number", kind_test!(|value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool))),
    ("integer", kind_test!(|value| value.kind() == ValueKind::Number && value.is_integer())),
    ("float", kind_test!(|value| value.kind() == ValueKind::Number && !value.is_integer())),
    ("mapping", kind_test!(python::is_mapping)),
    ("sequence", kind_test!(|value| python::is_sequence(value) || python::is_mapping(value) || value.kind() == ValueKind::String)),
    ("iterable", kind_test!(|value| python::is_sequence(value) || python::is_mapping(value) || value.kind() == ValueKind::String)),
    ("callable", kind_test!(|value| matches!(value.kind(), ValueKind::Plain))),
    ("safe", kind_test!(Value::is_safe)),
    ("escaped", kind_test!(Value::is_safe)),
    ("lower", |_, call| Ok(Value::from(cased(&text(&call.input()?), char::is_uppercase)))),
    ("upper", |_, call| Ok(Value::from(cased(&text(&call.input()?), char::is_lowercase)))),
    ("odd", |_, call| remainder(call, 2).map(|rest| Value::from(rest == 1))),
    ("even", |_, call| remainder(call, 2).map(|rest| Value::from(rest == 0))),
    ("divisibleby", divisible_by),
    ("sameas", same_as),
    ("eq", |_, call| equal(call, true)),
    ("equalto", |_, call| equal(call, true)),
    ("==", |_, call| equal(call, true)),
    ("ne", |_, call| equal(call, false)),
    ("!=", |_, call| equal(call, false)),
    ("lt", order_test!(is_lt)),
    ("lessthan", order_test!(is_lt)),
    ("<", order_test!(is_lt)),
    ("le", order_test!(is_le)),
    ("<=", order_test!(is_le)),
    ("gt", order_test!(is_gt)),
    ("greaterthan", order_test!(is_gt)),
    (">", order_test!(is_gt)),
    ("ge", order_test!(is_ge)),
    (">=", order_test!(is_ge)),
    ("in", |_, call| {
        let [needle, haystack] = call.bind(["value", "seq"])?;
        contains(&haystack.required()?, &needle.required()?).map(Value::from)
    }),
    ("contains", |_, call| {
        let [haystack, needle] = call.bind(["seq", "value"])?;
        contains(&haystack.required()?, &needle.required()?).map(Value::from)
    }),
    ("filter", |state, call| Ok(Value::from(minijinja::tests::is_filter(state, &text(&call.input()?))))),
    ("test", |state, call| Ok(Value::from(minijinja::tests::is_test(state, &text(&call.input()?))))),
    ("failed", result_test!("failed", "failed", true)),
    ("failure", result_test!("failure", "failed", true)),
    ("succeeded", result_test!("succeeded", "failed", false)),
    ("success", result_test!("success", "failed", false)),
    ("successful", result_test!("successful", "failed", false)),
    ("unreachable", result_test!("unreachable", "unreachable", true)),
    ("reachable", result_test!("reachable", "unreachable", false)),
    ("skipped", result_test!("skipped", "skipped", true)),
    ("skip", result_test!("skip", "skipped", true)),
    ("changed", changed),
    ("change", changed),
    ("timedout", timed_out),
    ("started", |_, call| Ok(Value::from(result_flag(call, "started", "started")?.is_none_or(|flag| python::truth(&flag))))),
    ("finished", |_, call| Ok(Value::from(result_flag(call, "finished", "finished")?.is_none_or(|flag| python::truth(&flag))))),
    ("match", |_, call| pattern(call, true)),
    ("search", |_, call| pattern(call, false)),
    ("regex", |_, call| pattern(call, false)),
    ("version", compare_versions),
    ("version_compare", compare_versions),
    ("any", |_, call| Ok(Value::from(python::defined_items(&call.input()?)?.iter().any(python::truth)))),
    ("all", |_, call| Ok(Value::from(python::defined_items(&call.input()?)?.iter().all(python::truth)))),
    ("truthy", |_, call| truthy(call).map(Value::from)),
    ("falsy", |_, call| truthy(call).map(|truthy| Value::from(!truthy))),
    ("subset", |_, call| is_subset(call, false)),
    ("issubset", |_, call| is_subset(call, false)),
    ("superset", |_, call| is_subset(call, true)),
    ("issuperset", |_, call| is_subset(call, true)),
    ("nan", kind_test!(|value| as_float(value).is_some_and(f64::is_nan))),
    ("isnan", kind_test!(|value| as_float(value).is_some_and(f64::is_nan))),
    ("vault_encrypted", kind_test!(|value| value.as_str().is_some_and(|text| text.starts_with("$ANSIBLE_VAULT")))),
    ("directory", path_test!(Path::is_dir)),
    ("is_dir", path_test!(Path::is_dir)),
    ("file", path_test!(Path::is_file)),
    ("is_file", path_test!(Path::is_file)),
    ("exists", path_test!(Path::exists)),
    ("link", path_test!(Path::is_symlink)),
    ("is_link", path_test!(Path::is_symlink)),
    ("link_exists", path_test!(|path| path.symlink_metadata().is_ok())),
    ("abs", path_test!(Path::is_absolute)),
    ("is_abs", path_test!(Path::is_absolute)),
    ("mount", path_test!(is_mount)),
    ("is_mount", path_test!(is_mount)),
    ("same_file", same_file),
    ("is_same_file", same_file),
    ("socket", path_test!(|path| path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket()))),
    ("uri", |_, call| is_uri(call, false)),
    ("url", |_, call| is_uri(call, true)),
    ("urn", |_, call| Ok(Value::from(texts::split_url(&text(&call.input()?)).0 == "urn"))),
];

fn is_undefined(value: &Value) -> bool {
    value.is_undefined() || crate::access::is_nothing(value)
}

fn cased(source: &str, wrong: fn(char) -> bool) -> bool {
    source.chars().any(char::is_alphabetic) && !source.chars().any(wrong)
}

fn remainder(call: &Arguments, divisor: i128) -> Result<i128, Error> {
    let value = call.input()?;
    let number = as_integer(&value).ok_or_else(|| fail(format!("unsupported operand type(s) for %: '{}' and 'int'", type_name(&value))))?;
    Ok(number.rem_euclid(divisor))
}

fn divisible_by(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [_, divisor] = call.bind(["value", "num"])?;
    let divisor = i128::from(divisor.required().and_then(|_| divisor.integer(1))?);
    if divisor == 0 {
        return Err(fail("integer modulo by zero"));
    }
    remainder(call, divisor.abs()).map(|rest| Value::from(rest == 0))
}

fn same_as(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [left, right] = call.bind(["value", "other"])?;
    let (left, right) = (left.required()?, right.required()?);
    Ok(Value::from(type_name(&left) == type_name(&right) && equals(&left, &right)?))
}

fn equal(call: &Arguments, wanted: bool) -> Result<Value, Error> {
    let [left, right] = call.bind(["a", "b"])?;
    Ok(Value::from(equals(&left.required()?, &right.required()?)? == wanted))
}

/// One entry of a task's result.
fn result_flag(call: &Arguments, test: &str, key: &str) -> Result<Option<Value>, Error> {
    let result = call.input()?;
    if !python::is_mapping(&result) {
        return Err(fail(format!("The '{test}' test expects a dictionary")));
    }
    let flag = python::get(&result, &Value::from(key))?;
    Ok((!flag.is_undefined()).then_some(flag))
}

fn changed(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    if let Some(flag) = result_flag(call, "changed", "changed")? {
        return Ok(Value::from(python::truth(&flag)));
    }
    let Some(results) = result_flag(call, "changed", "results")?.filter(python::is_sequence) else { return Ok(Value::from(false)) };
    for result in items_of(&results)? {
        if python::is_mapping(&result) && python::truth(&python::get(&result, &Value::from("changed"))?) {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

fn timed_out(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let Some(timed_out) = result_flag(call, "timedout", "timedout")?.filter(python::is_mapping) else { return Ok(Value::from(false)) };
    Ok(Value::from(python::truth(&python::get(&timed_out, &Value::from("period"))?)))
}

fn pattern(call: &Arguments, anchored: bool) -> Result<Value, Error> {
    let [value, pattern, ignore_case, multi_line, kind] = call.bind(["value", "pattern", "ignorecase", "multiline", "match_type"])?;
    let value = value.required()?;
    if value.as_str().is_none()
        && !value.is_number()
        && !matches!(value.kind(), ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map)
    {
        return Err(fail(format!("expected text, got {}", type_name(&value))));
    }
    let (source, kind) = (text(&value), kind.text("search"));
    let pattern = pattern.text("");
    let pattern = if kind == "fullmatch" { format!("(?:{pattern})\\Z") } else { pattern };
    let anchored = anchored || kind == "match" || kind == "fullmatch";
    is_match(&source, &pattern, Flags { ignore_case: ignore_case.flag(false), multi_line: multi_line.flag(false), anchored })
        .map(Value::from)
}

fn compare_versions(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, version, operator, strict, kind] = call.bind(["value", "version", "operator", "strict", "version_type"])?;
    if strict.some().is_some() && kind.some().is_some() {
        return Err(fail("Cannot specify both 'strict' and 'version_type'"));
    }
    let kind = if strict.flag(false) { "strict".to_owned() } else { kind.some().map_or_else(|| "loose".to_owned(), |kind| text(&kind)) };
    version::holds(&text(&value.required()?), &text(&version.required()?), &operator.text("eq"), &kind).map(Value::from)
}

fn truthy(call: &Arguments) -> Result<bool, Error> {
    let [value, convert] = call.bind(["value", "convert_bool"])?;
    let value = value.required()?;
    if convert.flag(false) {
        match text(&value).to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => return Ok(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => return Ok(false),
            _ => {}
        }
    }
    Ok(python::truth(&value))
}

fn is_subset(call: &Arguments, reverse: bool) -> Result<Value, Error> {
    let [left, right] = call.bind(["a", "b"])?;
    let (left, right) = (left.required()?, right.required()?);
    if reverse { subset(&right, &left) } else { subset(&left, &right) }.map(Value::from)
}

fn is_mount(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let parent = path.join("..");
    match (path.symlink_metadata(), parent.symlink_metadata()) {
        (Ok(own), Ok(above)) => !own.is_symlink() && (own.dev() != above.dev() || own.ino() == above.ino()),
        _ => false,
    }
}

fn same_file(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    use std::os::unix::fs::MetadataExt as _;
    let [left, right] = call.bind(["a", "b"])?;
    let identity =
        |path: String| std::fs::metadata(&path).map(|data| (data.dev(), data.ino())).map_err(|error| fail(format!("{path}: {error}")));
    Ok(Value::from(identity(text(&left.required()?))? == identity(text(&right.required()?))?))
}

fn is_uri(call: &Arguments, url: bool) -> Result<Value, Error> {
    let [value, schemes] = call.bind(["value", "schemes"])?;
    let (scheme, authority, ..) = texts::split_url(&text(&value.required()?));
    let allowed = match schemes.some() {
        Some(schemes) => contains(&schemes, &Value::from(scheme.as_str()))?,
        None => true,
    };
    Ok(Value::from(allowed && (!url || !authority.is_empty() || scheme == "file")))
}
