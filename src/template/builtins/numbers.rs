//! Filters on numbers: conversions, rounding, logarithms, sizes for people.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin};
use super::python::{self, as_float, as_integer, fail, integer_value, text, type_name};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("bool", bool_filter),
    ("int", int),
    ("float", float),
    ("abs", abs),
    ("round", round),
    ("log", log),
    ("pow", pow),
    ("root", root),
    ("human_readable", human_readable),
    ("human_to_bytes", human_to_bytes),
    ("filesizeformat", filesizeformat),
];

fn bool_filter(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    Ok(Value::from(match value.kind() {
        ValueKind::String | ValueKind::Bool => matches!(text(&value).to_lowercase().as_str(), "yes" | "on" | "true" | "1"),
        ValueKind::Number => as_float(&value) == Some(1.0),
        _ => false,
    }))
}

/// `int(text, base)`: white space, sign, prefix and underscores as Python allows them.
pub(crate) fn parse_int(source: &str, base: u32) -> Option<i128> {
    let source = source.trim();
    let (negative, digits) = match source.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, source.strip_prefix('+').unwrap_or(source)),
    };
    let lower = digits.to_lowercase();
    let prefixed = |prefix: &str, own: u32| lower.strip_prefix(prefix).filter(|_| base == own || base == 0).map(|digits| (digits, own));
    let plain = if base == 0 { 10 } else { base };
    let (digits, base) = prefixed("0x", 16).or_else(|| prefixed("0o", 8)).or_else(|| prefixed("0b", 2)).unwrap_or((&lower, plain));
    if digits.is_empty() || digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") || digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(&digits.replace('_', ""), base.clamp(2, 36)).ok()?;
    Some(if negative { -number } else { number })
}

/// `float(text)`.
pub(crate) fn parse_float(source: &str) -> Option<f64> {
    let source = source.trim();
    let plain = source.trim_start_matches(['+', '-']).to_lowercase();
    match plain.as_str() {
        "inf" | "infinity" | "nan" => source.to_lowercase().parse().ok(),
        _ if plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') => source.replace('_', "").parse().ok(),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`int()` truncates; larger numbers do not occur")]
fn truncated(number: f64) -> Option<Value> {
    number.is_finite().then(|| integer_value(number.trunc() as i128))
}

fn int(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, default, base] = call.bind(["value", "default", "base"])?;
    let (value, base) = (value.required()?, u32::try_from(base.integer(10)?).unwrap_or(10));
    let number = match value.as_str() {
        Some(source) => parse_int(source, base).map(integer_value).or_else(|| parse_float(source).and_then(truncated)),
        None => as_integer(&value).map(integer_value).or_else(|| as_float(&value).and_then(truncated)),
    };
    Ok(number.unwrap_or_else(|| default.value().unwrap_or_else(|| Value::from(0))))
}

fn float(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, default] = call.bind(["value", "default"])?;
    let value = value.required()?;
    let number = value
        .as_str()
        .map_or_else(|| as_float(&value).or_else(|| as_integer(&value).map(|flag| if flag == 0 { 0.0 } else { 1.0 })), parse_float);
    Ok(number.map_or_else(|| default.value().unwrap_or_else(|| Value::from(0.0)), Value::from))
}

fn number(value: &Value, who: &str) -> Result<f64, Error> {
    as_float(value).ok_or_else(|| fail(format!("{who} can only be used on numbers, not on {}", type_name(value))))
}

fn abs(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    match as_integer(&value) {
        Some(integer) => Ok(integer_value(integer.abs())),
        None => Ok(Value::from(number(&value, "abs")?.abs())),
    }
}

fn round(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, precision, method] = call.bind(["value", "precision", "method"])?;
    let (value, precision, method) = (value.required()?, precision.integer(0)?, method.text("common"));
    let float = number(&value, "round")?;
    let precision = i32::try_from(precision.clamp(-300, 300)).unwrap_or(0);
    let scale = 10f64.powi(precision);
    match method.as_str() {
        "common" if as_integer(&value).is_some() && precision >= 0 => Ok(integer_value(as_integer(&value).unwrap_or(0))),
        "common" if as_integer(&value).is_some() => Ok(truncated((float * scale).round_ties_even() / scale).unwrap_or(value)),
        "common" => Ok(Value::from(round_float(float, precision))),
        "floor" => Ok(Value::from((float * scale).floor() / scale)),
        "ceil" => Ok(Value::from((float * scale).ceil() / scale)),
        _ => Err(fail("method must be common, ceil or floor")),
    }
}

/// `round(float, digits)`: correctly rounded on the exact value, halves to even.
fn round_float(float: f64, precision: i32) -> f64 {
    if precision < 0 {
        let scale = 10f64.powi(-precision);
        return (float / scale).round_ties_even() * scale;
    }
    // The standard library writes the exact value rounded half to even.
    format!("{float:.*}", usize::try_from(precision).unwrap_or(0)).parse().unwrap_or(float)
}

fn log(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, base] = call.bind(["x", "base"])?;
    let value = number(&value.required()?, "log()")?;
    if value <= 0.0 {
        return Err(fail("math domain error"));
    }
    match base.value() {
        None => Ok(Value::from(value.ln())),
        Some(base) => {
            let base = number(&base, "log()")?;
            Ok(Value::from(if base == 10.0 { value.log10() } else { value.ln() / base.ln() }))
        }
    }
}

fn pow(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, power] = call.bind(["x", "y"])?;
    Ok(Value::from(number(&value.required()?, "pow()")?.powf(number(&power.required()?, "pow()")?)))
}

fn root(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, base] = call.bind(["x", "base"])?;
    let value = number(&value.required()?, "root()")?;
    let base = base.value().map_or(Ok(2.0), |base| number(&base, "root()"))?;
    if value < 0.0 {
        return Err(fail("root() can only be used on positive numbers"));
    }
    Ok(Value::from(if base == 2.0 { value.sqrt() } else { value.powf(1.0 / base) }))
}

const UNITS: [(char, f64); 9] = [
    ('Y', 1_208_925_819_614_629_174_706_176.0),
    ('Z', 1_180_591_620_717_411_303_424.0),
    ('E', 1_152_921_504_606_846_976.0),
    ('P', 1_125_899_906_842_624.0),
    ('T', 1_099_511_627_776.0),
    ('G', 1_073_741_824.0),
    ('M', 1_048_576.0),
    ('K', 1_024.0),
    ('B', 1.0),
];

fn human_readable(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [size, bits, unit] = call.bind(["size", "isbits", "unit"])?;
    let size = size.required()?;
    let size = as_float(&size).ok_or_else(|| {
        fail(format!("human_readable() failed on bad input: '>=' not supported between instances of '{}' and 'int'", type_name(&size)))
    })?;
    let base = if bits.flag(false) { "bits" } else { "Bytes" };
    let unit = unit.some().map(|unit| text(&unit).to_uppercase());
    let chosen = UNITS.iter().find(|(letter, limit)| unit.as_ref().map_or(size >= *limit, |unit| *unit == letter.to_string()));
    let (letter, limit) = *chosen.unwrap_or(&('B', 1.0));
    let suffix = if letter == 'B' { base.to_owned() } else { format!("{letter}{}", &base[..1]) };
    Ok(format!("{:.2} {suffix}", size / limit).into())
}

fn human_to_bytes(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [size, default_unit, bits] = call.bind(["size", "default_unit", "isbits"])?;
    let source = text(&size.required()?);
    let unclear = || fail(format!("human_to_bytes() can't interpret the input '{source}'"));
    let digits = source.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(source.len());
    let number: f64 = source[..digits].parse().ok().filter(|_| !source[..digits].ends_with('.')).ok_or_else(unclear)?;
    let written = source[digits..].trim();
    let unit = if written.is_empty() { default_unit.some().map(|unit| text(&unit)) } else { Some(written.to_owned()) };
    let Some(unit) = unit.filter(|unit| !unit.is_empty()) else {
        return truncated(number.round_ties_even()).ok_or_else(unclear);
    };
    let letter = unit.chars().next().unwrap_or('B').to_ascii_uppercase();
    let (_, limit) = UNITS.iter().find(|(own, _)| *own == letter).ok_or_else(unclear)?;
    if unit.chars().count() > 1 {
        let prefix = ["yotta", "zetta", "exa", "peta", "tera", "giga", "mega", "kilo", ""];
        let name = UNITS.iter().zip(prefix).find(|((own, _), _)| *own == letter).map_or("", |(_, name)| name);
        let (word, short) = if bits.flag(false) { ("bit", "b") } else { ("byte", "B") };
        let short = if letter == 'B' { short.to_owned() } else { format!("{letter}{short}") };
        if unit.to_lowercase() != format!("{name}{word}") && unit != short {
            return Err(fail(format!("human_to_bytes() failed to convert {source}: expected {short} or {letter}")));
        }
    }
    truncated((number * limit).round_ties_even()).ok_or_else(unclear)
}

fn filesizeformat(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, binary] = call.bind(["value", "binary"])?;
    let value = value.required()?;
    let bytes = value.as_str().and_then(parse_float).or_else(|| as_float(&value)).ok_or_else(|| fail("filesizeformat needs a number"))?;
    let (base, names) = if binary.flag(false) {
        (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    if bytes == 1.0 {
        return Ok("1 Byte".into());
    }
    if bytes < base {
        return Ok(format!("{bytes:.0} Bytes").into());
    }
    let mut shown = bytes;
    let mut name = names[0];
    for candidate in names {
        shown /= base;
        name = candidate;
        if shown < base {
            break;
        }
    }
    Ok(python::text(&Value::from(format!("{shown:.1} {name}"))).into())
}
