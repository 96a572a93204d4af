//! What a plain scalar means under YAML 1.1, exactly as PyYAML resolves and constructs it.

use std::sync::LazyLock;

use fancy_regex::{Captures, Regex};

use crate::Value;

/// The patterns of PyYAML's resolver, verbatim.
const INTEGER: &str = r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$";
const FLOAT: &str = concat!(
    r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?",
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*",
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
);
const TIMESTAMP: &str = concat!(
    r"^(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})",
    r"(?:(?:[Tt]|[ \t]+)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]*))?",
    r"(?:[ \t]*(?P<zone>Z|(?P<sign>[-+])(?P<zone_hour>[0-9]{1,2})(?::(?P<zone_minute>[0-9]{2}))?))?)?$"
);

/// The value of a plain scalar; the error says why it is none.
pub(crate) fn resolve(text: &str) -> Result<Value, String> {
    let Some(first) = text.bytes().next() else { return Ok(Value::from(())) };
    match first {
        b'~' | b'n' | b'N' if matches!(text, "~" | "null" | "Null" | "NULL") => Ok(Value::from(())),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => Ok(boolean(text).unwrap_or_else(|| Value::from(text))),
        b'0'..=b'9' | b'-' | b'+' | b'.' => number(text),
        _ => Ok(Value::from(text)),
    }
}

/// `yes`, `off` and the like.
pub(crate) fn boolean(text: &str) -> Option<Value> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(Value::from(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(Value::from(false)),
        _ => None,
    }
}

fn compiled(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

fn matches(regex: &LazyLock<Option<Regex>>, text: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text).unwrap_or(false))
}

fn number(text: &str) -> Result<Value, String> {
    static INTEGERS: LazyLock<Option<Regex>> = LazyLock::new(|| compiled(INTEGER));
    static FLOATS: LazyLock<Option<Regex>> = LazyLock::new(|| compiled(FLOAT));
    static TIMESTAMPS: LazyLock<Option<Regex>> = LazyLock::new(|| compiled(TIMESTAMP));
    if text.len() > 400 {
        return Ok(Value::from(text));
    }
    if matches(&INTEGERS, text) {
        return Ok(integer(text).unwrap_or_else(|| Value::from(text)));
    }
    if matches(&FLOATS, text) {
        return Ok(float(text).map_or_else(|| Value::from(text), Value::from));
    }
    let captures = TIMESTAMPS.as_ref().and_then(|regex| regex.captures(text).ok().flatten());
    match captures {
        // A date alone needs two digits each for month and day.
        Some(captures) if captures.name("hour").is_some() || text.len() == 10 => {
            let iso = timestamp(&captures)?;
            Ok(crate::builtins::timestamp(&iso).unwrap_or_else(|| Value::from(iso)))
        }
        _ => Ok(Value::from(text)),
    }
}

/// The integer that such a text is; also for `!!int`.
pub(crate) fn integer(text: &str) -> Option<Value> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let number = if let Some(binary) = digits.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()?
    } else if let Some(hexadecimal) = digits.strip_prefix("0x") {
        i128::from_str_radix(hexadecimal, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i128::from_str_radix(digits, 8).ok()?
    } else {
        digits.split(':').try_fold(0_i128, |number, part| number.checked_mul(60)?.checked_add(part.parse().ok()?))?
    };
    let number = if negative { -number } else { number };
    Some(i64::try_from(number).map_or_else(|_| Value::from(number), Value::from))
}

/// The number that such a text is; also for `!!float`.
pub(crate) fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_ascii_lowercase();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(&text)),
    };
    match digits {
        ".inf" => Some(sign * f64::INFINITY),
        ".nan" => Some(f64::NAN),
        _ => digits.split(':').try_fold(0.0, |number, part| Some(number * 60.0 + part.parse::<f64>().ok()?)).map(|number| sign * number),
    }
}

/// As Python's `isoformat` prints it, which is what Ansible shows.
fn timestamp(captures: &Captures<'_, str>) -> Result<String, String> {
    let number = |name: &str| captures.name(name).map_or(Ok(0), |part| part.as_str().parse::<u32>()).map_err(|error| error.to_string());
    let written = captures.get(0).map_or("", |all| all.as_str());
    let invalid = || format!("'{written}' is no date; quote it if it is text");
    let year = i32::try_from(number("year")?).map_err(|_| invalid())?;
    let date = chrono::NaiveDate::from_ymd_opt(year, number("month")?, number("day")?).filter(|_| year > 0).ok_or_else(invalid)?;
    if captures.name("hour").is_none() {
        return Ok(date.format("%Y-%m-%d").to_string());
    }
    let time = chrono::NaiveTime::from_hms_opt(number("hour")?, number("minute")?, number("second")?).ok_or_else(invalid)?;
    let mut text = date.and_time(time).format("%Y-%m-%dT%H:%M:%S").to_string();
    let fraction: String = captures.name("fraction").map_or("", |part| part.as_str()).chars().chain("000000".chars()).take(6).collect();
    if fraction != "000000" {
        text.push('.');
        text.push_str(&fraction);
    }
    match (captures.name("zone"), captures.name("sign")) {
        (Some(_), Some(sign)) if number("zone_hour")? > 0 || number("zone_minute")? > 0 => {
            text.push_str(&format!("{}{:02}:{:02}", sign.as_str(), number("zone_hour")?, number("zone_minute")?));
        }
        (Some(_), _) => text.push_str("+00:00"),
        (None, _) => {}
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn scalars_mean_what_pyyaml_says() {
        let table = [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("nULL", "\"nULL\""),
            ("yes", "true"),
            ("On", "true"),
            ("oFF", "\"oFF\""),
            ("y", "\"y\""),
            ("0644", "420"),
            ("0o644", "\"0o644\""),
            ("0_7", "7"),
            ("08", "\"08\""),
            ("-0x1F", "-31"),
            ("0b1_1", "3"),
            ("1_000", "1000"),
            ("+12", "12"),
            ("12:30:45", "45045"),
            ("190:20:30", "685230"),
            ("1:60", "\"1:60\""),
            ("01:02", "\"01:02\""),
            ("1:30.5", "90.5"),
            ("1e3", "\"1e3\""),
            ("1.0e3", "\"1.0e3\""),
            ("1.0e+3", "1000.0"),
            (".5", "0.5"),
            ("-.5", "\"-.5\""),
            ("1.", "1.0"),
            ("3.10", "3.1"),
            ("-.inf", "\"-inf\""),
            (".NaN", "\"nan\""),
            ("1.2.3", "\"1.2.3\""),
            ("10.0.0.1", "\"10.0.0.1\""),
            ("-", "\"-\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("2024-1-1", "\"2024-1-1\""),
            ("2001-12-14t21:59:43.10-05:00", "\"2001-12-14T21:59:43.100000-05:00\""),
            ("2024-01-01 10:00:00", "\"2024-01-01T10:00:00\""),
            ("2024-01-01T10:00:00Z", "\"2024-01-01T10:00:00+00:00\""),
        ];
        for (text, expect) in table {
            let value = resolve(text).expect(text);
            assert_eq!(crate::to_json(&value).expect(text).to_string(), expect, "{text}");
        }
        assert!(resolve("2024-13-45").is_err());
    }
}
