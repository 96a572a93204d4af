//! Values of results as JSON, typed as Python's driver types them.

use serde_json::{Number, Value};

/// The kinds of values that are more than text, by PostgreSQL's own numbers for types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Json,
    Moment,
    Clock,
    Interval,
    Text,
}

/// What a type's values become, and whether it is an array of them.
fn kind(oid: u32) -> (Kind, bool) {
    match oid {
        16 => (Kind::Bool, false),
        20 | 21 | 23 | 26 => (Kind::Int, false),
        700 | 701 | 1700 => (Kind::Float, false),
        114 | 3802 => (Kind::Json, false),
        1114 | 1184 => (Kind::Moment, false),
        1083 | 1266 => (Kind::Clock, false),
        1186 => (Kind::Interval, false),
        1000 => (Kind::Bool, true),
        1005 | 1007 | 1016 | 1028 => (Kind::Int, true),
        1021 | 1022 | 1231 => (Kind::Float, true),
        199 | 3807 => (Kind::Json, true),
        1115 | 1185 => (Kind::Moment, true),
        1183 | 1270 => (Kind::Clock, true),
        1187 => (Kind::Interval, true),
        651 | 1002 | 1003 | 1009 | 1014 | 1015 | 1040 | 1041 | 1182 => (Kind::Text, true),
        _ => (Kind::Text, false),
    }
}

/// A value of that type from its text.
pub(super) fn read(oid: u32, text: &str) -> Value {
    match kind(oid) {
        (kind, false) => scalar(kind, text),
        (kind, true) => array(kind, text).unwrap_or_else(|| Value::from(text)),
    }
}

fn scalar(kind: Kind, text: &str) -> Value {
    let typed = match kind {
        Kind::Bool => Some(Value::from(text == "t")),
        Kind::Int => text.parse::<i64>().ok().map(Value::from),
        Kind::Float => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        Kind::Json => serde_json::from_str(text).ok(),
        Kind::Moment => Some(Value::from(moment(text))),
        Kind::Clock => Some(Value::from(micros(text))),
        Kind::Interval => interval(text).map(Value::from),
        Kind::Text => None,
    };
    typed.unwrap_or_else(|| Value::from(text))
}

/// `2026-01-02 03:04:05.5+00` as `2026-01-02T03:04:05.500000+00:00`.
fn moment(text: &str) -> String {
    let Some((date, clock)) = text.split_once(' ') else { return text.to_owned() };
    match clock.find(['+', '-']) {
        Some(at) => {
            let (clock, zone) = clock.split_at(at);
            let minutes = if zone.contains(':') { "" } else { ":00" };
            format!("{date}T{}{zone}{minutes}", micros(clock))
        }
        None => format!("{date}T{}", micros(clock)),
    }
}

/// A time of day whose fraction, where it has one, has six digits.
fn micros(clock: &str) -> String {
    match clock.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{fraction:0<6}"),
        None => clock.to_owned(),
    }
}

/// `1 day 02:03:04` as Python tells a span: `1 day, 2:03:04`. Months have 30 days, years 365.
fn interval(text: &str) -> Option<String> {
    let (mut days, mut spent) = (0_i64, 0_i64);
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word.contains(':') {
            spent = clock_micros(word)?;
            continue;
        }
        let number: i64 = word.parse().ok()?;
        days += number
            * match words.next()?.trim_end_matches(',') {
                "year" | "years" => 365,
                "mon" | "mons" => 30,
                "day" | "days" => 1,
                _ => return None,
            };
    }
    const DAY: i64 = 86_400_000_000;
    let total = days.checked_mul(DAY)?.checked_add(spent)?;
    let (days, rest) = (total.div_euclid(DAY), total.rem_euclid(DAY));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let clock = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let clock = if fraction == 0 { clock } else { format!("{clock}.{fraction:06}") };
    Some(match days {
        0 => clock,
        1 | -1 => format!("{days} day, {clock}"),
        _ => format!("{days} days, {clock}"),
    })
}

fn clock_micros(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text.strip_prefix('+').unwrap_or(text)), |rest| (-1, rest));
    let mut parts = text.split(':');
    let (hours, minutes): (i64, i64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (seconds, fraction) = parts.next().map_or(("0", ""), |part| part.split_once('.').unwrap_or((part, "")));
    let seconds: i64 = seconds.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Some(sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction))
}

/// `{1,"a b",NULL,{2}}` as a list.
fn array(kind: Kind, text: &str) -> Option<Value> {
    // Bounds other than the usual ones stand before: [0:1]={1,2}.
    let start = text.find('{')?;
    let mut rest = &text[start + 1..];
    let list = list(kind, &mut rest)?;
    rest.is_empty().then_some(list)
}

fn list(kind: Kind, rest: &mut &str) -> Option<Value> {
    let mut items = Vec::new();
    loop {
        let first = rest.chars().next()?;
        match first {
            '}' => {
                *rest = &rest[1..];
                return Some(Value::Array(items));
            }
            ',' => *rest = &rest[1..],
            '{' => {
                *rest = &rest[1..];
                items.push(list(kind, rest)?);
            }
            '"' => {
                let (item, length) = quoted(&rest[1..])?;
                *rest = &rest[1 + length..];
                items.push(scalar(kind, &item));
            }
            _ => {
                let end = rest.find([',', '}'])?;
                let item = &rest[..end];
                items.push(if item == "NULL" { Value::Null } else { scalar(kind, item) });
                *rest = &rest[end..];
            }
        }
    }
}

/// The text up to the closing quote, and how long it was with that quote.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut item = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((item, at + 1)),
            '\\' => item.push(characters.next()?.1),
            other => item.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn values_are_typed() {
        for (oid, text, expect) in [
            (16, "t", json!(true)),
            (23, "-5", json!(-5)),
            (1700, "1.50", json!(1.5)),
            (701, "NaN", json!("NaN")),
            (25, "5", json!("5")),
            (3802, "{\"a\": [1]}", json!({"a": [1]})),
            (1184, "2026-01-02 03:04:05.5+00", json!("2026-01-02T03:04:05.500000+00:00")),
            (1184, "2026-01-02 03:04:05+05:30", json!("2026-01-02T03:04:05+05:30")),
            (1114, "infinity", json!("infinity")),
            (1082, "2026-01-02", json!("2026-01-02")),
            (1186, "1 day 02:03:04", json!("1 day, 2:03:04")),
            (1186, "1 mon -00:00:01", json!("29 days, 23:59:59")),
            (1186, "00:00:00.5", json!("0:00:00.500000")),
            (1007, "{1,NULL,{2,3}}", json!([1, null, [2, 3]])),
            (1009, "{a,\"b \\\"c\\\\\",\"NULL\",\"\"}", json!(["a", "b \"c\\", "NULL", ""])),
            (1005, "[0:1]={1,2}", json!([1, 2])),
            (1034, "{postgres=arwdDxt/postgres}", json!("{postgres=arwdDxt/postgres}")),
        ] {
            assert_eq!(read(oid, text), expect, "{oid} {text}");
        }
    }
}
