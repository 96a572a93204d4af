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

/// Python's `date` or `datetime`; a zone is kept as its offset.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    at: NaiveDateTime,
    zone: Option<i32>,
    is_date: bool,
}

/// A date or time as YAML writes it, in Python's `isoformat`.
pub(crate) fn timestamp(iso: &str) -> Option<Value> {
    if let Ok(date) = chrono::NaiveDate::parse_from_str(iso, "%Y-%m-%d") {
        return Some(Value::from_object(Moment { at: date.and_time(chrono::NaiveTime::MIN), zone: None, is_date: true }));
    }
    let zoned = DateTime::parse_from_rfc3339(iso).ok().map(|moment| (moment.naive_local(), Some(moment.offset().local_minus_utc())));
    let plain = || NaiveDateTime::parse_from_str(iso, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|moment| (moment, None));
    let (at, zone) = zoned.or_else(plain)?;
    Some(Value::from_object(Moment { at, zone, is_date: false }))
}

impl Moment {
    fn naive(at: NaiveDateTime) -> Value {
        Value::from_object(Self { at, zone: None, is_date: false })
    }

    /// `type(value).__name__`.
    pub(crate) fn type_name(&self) -> &'static str {
        if self.is_date { "date" } else { "datetime" }
    }

    /// `isoformat()`, or `str()` with a space.
    pub(crate) fn iso(&self, separator: char) -> String {
        if self.is_date {
            return self.at.format("%Y-%m-%d").to_string();
        }
        let fraction = if self.at.nanosecond() == 0 { "" } else { "%.6f" };
        let mut shown = self.at.format(&format!("%Y-%m-%d{separator}%H:%M:%S{fraction}")).to_string();
        if let Some(offset) = self.zone {
            let sign = if offset < 0 { '-' } else { '+' };
            shown += &format!("{sign}{:02}:{:02}", offset.abs() / 3600, offset.abs() / 60 % 60);
        }
        shown
    }

    /// `repr()`.
    pub(crate) fn repr_text(&self) -> String {
        let mut parts = vec![self.at.year().to_string(), self.at.month().to_string(), self.at.day().to_string()];
        if self.is_date {
            return format!("datetime.date({})", parts.join(", "));
        }
        parts.extend([self.at.hour().to_string(), self.at.minute().to_string()]);
        let micros = self.at.nanosecond() / 1000;
        if self.at.second() > 0 || micros > 0 {
            parts.push(self.at.second().to_string());
        }
        if micros > 0 {
            parts.push(micros.to_string());
        }
        if self.zone.is_some() {
            parts.push("tzinfo=datetime.timezone.utc".to_owned());
        }
        format!("datetime.datetime({})", parts.join(", "))
    }

    fn utc(&self) -> NaiveDateTime {
        self.at - chrono::TimeDelta::seconds(i64::from(self.zone.unwrap_or(0)))
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(self.at.year()),
            "month" => Value::from(self.at.month()),
            "day" => Value::from(self.at.day()),
            "hour" => Value::from(self.at.hour()),
            "minute" => Value::from(self.at.minute()),
            "second" => Value::from(self.at.second()),
            "microsecond" => Value::from(self.at.nanosecond() / 1000),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        match method {
            "strftime" => format_moment(self.at.and_utc(), &arguments.first().map(text).unwrap_or_default().replace("%f", "%6f")),
            "isoformat" => Ok(self.iso('T').into()),
            "timestamp" => {
                let local = match self.zone {
                    Some(_) => self.utc().and_utc().timestamp_micros(),
                    None => Local.from_local_datetime(&self.at).earliest().ok_or_else(|| fail("no such local time"))?.timestamp_micros(),
                };
                #[expect(clippy::cast_precision_loss, reason = "a timestamp is a float in Python")]
                Ok(Value::from(local as f64 / 1e6))
            }
            "date" => Ok(Value::from_object(Self { at: self.at.date().and_time(chrono::NaiveTime::MIN), zone: None, is_date: true })),
            "weekday" => Ok(Value::from(self.at.weekday().num_days_from_monday())),
            "isoweekday" => Ok(Value::from(self.at.weekday().number_from_monday())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &minijinja::value::DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.utc().cmp(&other.utc()))
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.iso(' '))
    }
}

/// Python's `timedelta`, in microseconds.
#[derive(Debug)]
struct Delta(i64);

const DAY: i64 = 86_400_000_000;

/// The time between two moments.
pub(crate) fn difference(left: &Value, right: &Value) -> Option<Value> {
    let (left, right) = (left.downcast_object_ref::<Moment>()?, right.downcast_object_ref::<Moment>()?);
    let delta = (left.utc() - right.utc()).num_microseconds().filter(|_| left.is_date == right.is_date)?;
    Some(Value::from_object(Delta(delta)))
}

impl Object for Delta {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let rest = self.0.rem_euclid(DAY);
        Some(Value::from(match key.as_str()? {
            "days" => self.0.div_euclid(DAY),
            "seconds" => rest / 1_000_000,
            "microseconds" => rest % 1_000_000,
            _ => return None,
        }))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result<Value, Error> {
        match method {
            #[expect(clippy::cast_precision_loss, reason = "a float in Python, too")]
            "total_seconds" => Ok(Value::from(self.0 as f64 / 1e6)),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &minijinja::value::DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        if days != 0 {
            write!(formatter, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        let seconds = rest / 1_000_000;
        write!(formatter, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if rest % 1_000_000 != 0 {
            write!(formatter, ".{:06}", rest % 1_000_000)?;
        }
        Ok(())
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
    // `time.strftime` knows no fractions, and calls the zone by its old name.
    let pattern = text(&pattern.required()?).replace("%f", "%%f");
    let pattern = if utc.flag(false) { pattern.replace("%Z", "GMT") } else { pattern };
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
    // Python's `%f` is a fraction of a second, chrono's a number of nanoseconds.
    let pattern = pattern.replace(".%f", "%.f").replace("%f", "%6f");
    let parsed = NaiveDateTime::parse_from_str(&value, &pattern)
        .or_else(|_| DateTime::parse_from_str(&value, &pattern).map(|moment| moment.naive_local()))
        .or_else(|_| chrono::NaiveDate::parse_from_str(&value, &pattern).map(|date| date.and_time(chrono::NaiveTime::MIN)));
    parsed.map(Moment::naive).map_err(|_| fail(format!("time data '{value}' does not match format '{pattern}'")))
}

/// The function `now(utc, fmt)`.
pub(crate) fn now(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [utc, pattern] = call.bind(["utc", "fmt"])?;
    let moment = Utc::now();
    match (pattern.some().map(|pattern| text(&pattern)).filter(|pattern| !pattern.is_empty()), utc.flag(false)) {
        (Some(pattern), true) => format_moment(moment, &pattern),
        (Some(pattern), false) => format_moment(moment.with_timezone(&Local), &pattern),
        (None, true) => Ok(Moment::naive(moment.naive_utc())),
        (None, false) => Ok(Moment::naive(moment.with_timezone(&Local).naive_local())),
    }
}
