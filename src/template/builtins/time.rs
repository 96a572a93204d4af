//! Dates: `now`, `strftime`, `to_datetime`.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Local, NaiveDateTime, TimeZone, Timelike, Utc};
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::{Arguments, Builtin};
use super::numbers::parse_float;
use super::python::{as_float, fail, text};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[("strftime", strftime), ("to_datetime", to_datetime)];

/// Python's naive `datetime`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NaiveDateTime);

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(self.0.year()),
            "month" => Value::from(self.0.month()),
            "day" => Value::from(self.0.day()),
            "hour" => Value::from(self.0.hour()),
            "minute" => Value::from(self.0.minute()),
            "second" => Value::from(self.0.second()),
            "microsecond" => Value::from(self.0.nanosecond() / 1000),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        match method {
            "strftime" => format_moment(self.0.and_utc(), &arguments.first().map(text).unwrap_or_default()),
            "isoformat" => Ok(self.0.format("%Y-%m-%dT%H:%M:%S%.f").to_string().into()),
            "timestamp" => {
                let local = Local.from_local_datetime(&self.0).earliest().ok_or_else(|| fail("no such local time"))?;
                #[expect(clippy::cast_precision_loss, reason = "a timestamp is a float in Python")]
                Ok(Value::from(local.timestamp_micros() as f64 / 1e6))
            }
            "date" => Ok(self.0.format("%Y-%m-%d").to_string().into()),
            "weekday" => Ok(Value::from(self.0.weekday().num_days_from_monday())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &minijinja::value::DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = if self.0.nanosecond() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
        write!(formatter, "{}", self.0.format(pattern))
    }
}

fn format_moment<Z: TimeZone>(moment: DateTime<Z>, pattern: &str) -> Result<Value, Error>
where
    Z::Offset: fmt::Display,
{
    let mut out = String::new();
    write!(out, "{}", moment.format(pattern)).map_err(|_| fail(format!("bad date format '{pattern}'")))?;
    Ok(out.into())
}

fn strftime(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [pattern, second, utc] = call.bind(["string_format", "second", "utc"])?;
    let pattern = text(&pattern.required()?);
    let moment = match second.some() {
        None => Utc::now(),
        Some(second) => {
            let seconds = second.as_str().map_or_else(|| as_float(&second), parse_float);
            let seconds = seconds.ok_or_else(|| fail(format!("Invalid value for epoch value ({})", text(&second))))?;
            #[expect(clippy::cast_possible_truncation, reason = "dates fit")]
            DateTime::from_timestamp(seconds.floor() as i64, 0).ok_or_else(|| fail("epoch value out of range"))?
        }
    };
    if utc.flag(false) { format_moment(moment, &pattern) } else { format_moment(moment.with_timezone(&Local), &pattern) }
}

fn to_datetime(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, pattern] = call.bind(["string", "format"])?;
    let (value, pattern) = (text(&value.required()?), pattern.text("%Y-%m-%d %H:%M:%S"));
    let parsed = NaiveDateTime::parse_from_str(&value, &pattern)
        .or_else(|_| DateTime::parse_from_str(&value, &pattern).map(|moment| moment.naive_local()))
        .or_else(|_| chrono::NaiveDate::parse_from_str(&value, &pattern).map(|date| date.and_time(chrono::NaiveTime::MIN)));
    parsed
        .map(|moment| Value::from_object(Moment(moment)))
        .map_err(|_| fail(format!("time data '{value}' does not match format '{pattern}'")))
}

/// The function `now(utc, fmt)`.
pub(crate) fn now(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [utc, pattern] = call.bind(["utc", "fmt"])?;
    let moment = Utc::now();
    match (pattern.some().map(|pattern| text(&pattern)).filter(|pattern| !pattern.is_empty()), utc.flag(false)) {
        (Some(pattern), true) => format_moment(moment, &pattern),
        (Some(pattern), false) => format_moment(moment.with_timezone(&Local), &pattern),
        (None, true) => Ok(Value::from_object(Moment(moment.naive_utc()))),
        (None, false) => Ok(Value::from_object(Moment(moment.with_timezone(&Local).naive_local()))),
    }
}
