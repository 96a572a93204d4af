//! The fact `date_time`: the host's clock in its own time zone, without libc.

use std::time::Duration;

use pgfleet_protocol::Map;
use serde_json::json;

use super::Source;
use crate::moment::Moment;

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Adds `date_time`.
pub(super) fn gather(source: &Source<'_>, now: Duration, facts: &mut Map) {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let zone = Zone::local(source);
    let (offset, name) = zone.at(seconds);
    let (utc, local) = (Moment::at(seconds), Moment::at(seconds + offset));
    let days = (seconds + offset).div_euclid(86400);
    // 0 is Sunday; 1970 began on a Thursday.
    let weekday = usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0);
    let day_of_year = usize::try_from(days - days_to(local.year, 1, 1)).unwrap_or(0);
    let date = |moment: &Moment| format!("{:04}-{:02}-{:02}", moment.year, moment.month, moment.day);
    let time = |moment: &Moment| format!("{:02}:{:02}:{:02}", moment.hour, moment.minute, moment.second);
    let micros = now.subsec_micros();
    let basic = format!("{}T{}", date(&local).replace('-', ""), time(&local).replace(':', ""));
    let sign = if offset < 0 { '-' } else { '+' };
    facts.insert(
        "date_time".to_owned(),
        json!({
            "year": format!("{:04}", local.year),
            "month": format!("{:02}", local.month),
            "weekday": WEEKDAYS[weekday],
            "weekday_number": weekday.to_string(),
            "weeknumber": format!("{:02}", (day_of_year + 7 - (weekday + 6) % 7) / 7),
            "day": format!("{:02}", local.day),
            "hour": format!("{:02}", local.hour),
            "minute": format!("{:02}", local.minute),
            "second": format!("{:02}", local.second),
            "epoch": seconds.to_string(),
            "epoch_int": seconds.to_string(),
            "date": date(&local),
            "time": time(&local),
            "iso8601_micro": format!("{}T{}.{micros:06}Z", date(&utc), time(&utc)),
            "iso8601": format!("{}T{}Z", date(&utc), time(&utc)),
            "iso8601_basic": format!("{basic}{micros:06}"),
            "iso8601_basic_short": basic,
            "tz": name,
            "tz_dst": zone.summer_name(),
            "tz_offset": format!("{sign}{:02}{:02}", offset.abs() / 3600, offset.abs() / 60 % 60),
        }),
    );
}

/// Days from 1970-01-01 to a date.
fn days_to(year: i64, month: u8, day: u8) -> i64 {
    Moment { year, month, day, hour: 0, minute: 0, second: 0 }.seconds() / 86400
}

/// When summer time begins or ends: month, week (5: last), weekday, seconds after midnight.
struct Turn {
    month: u8,
    week: i64,
    weekday: i64,
    time: i64,
}

impl Turn {
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('/').unwrap_or((text, "2"));
        let mut parts = date.strip_prefix('M')?.split('.').map(|part| part.parse::<i64>().ok());
        let month = u8::try_from(parts.next()??).ok().filter(|month| (1..=12).contains(month))?;
        Some(Self { month, week: parts.next()??, weekday: parts.next()??, time: read_offset(time).0 })
    }

    /// Seconds since 1970 in local standard terms.
    fn in_year(&self, year: i64) -> i64 {
        let first = days_to(year, self.month, 1);
        let to_weekday = (self.weekday - (first + 4)).rem_euclid(7);
        let next_month = if self.month == 12 { days_to(year + 1, 1, 1) } else { days_to(year, self.month + 1, 1) };
        let mut day = first + to_weekday + (self.week - 1) * 7;
        while day >= next_month {
            day -= 7;
        }
        day * 86400 + self.time
    }
}

/// A time zone as the last line of a zone file gives it, `CET-1CEST,M3.5.0,M10.5.0/3`: true for every present moment.
struct Zone {
    name: String,
    offset: i64,
    summer: Option<(String, i64, Turn, Turn)>,
}

impl Zone {
    fn local(source: &Source<'_>) -> Self {
        let bytes = source.bytes("/etc/localtime").unwrap_or_default();
        let text = bytes.rsplit(|byte| *byte == b'\n').nth(1).and_then(|line| std::str::from_utf8(line).ok());
        text.and_then(Self::parse).unwrap_or_else(|| Self { name: "UTC".to_owned(), offset: 0, summer: None })
    }

    fn parse(text: &str) -> Option<Self> {
        let (rule, turns) = text.split_once(',').map_or((text, None), |(rule, turns)| (rule, Some(turns)));
        let (name, rest) = read_name(rule)?;
        let (west, rest) = read_offset(rest);
        let offset = -west;
        let summer = match (read_name(rest), turns.and_then(|turns| turns.split_once(','))) {
            (Some((summer, rest)), Some((begin, end))) => {
                let ahead = if rest.is_empty() { offset + 3600 } else { -read_offset(rest).0 };
                Some((summer, ahead, Turn::parse(begin)?, Turn::parse(end)?))
            }
            _ => None,
        };
        Some(Self { name, offset, summer })
    }

    fn at(&self, seconds: i64) -> (i64, String) {
        if let Some((name, ahead, begin, end)) = &self.summer {
            let year = Moment::at(seconds + self.offset).year;
            let (begin, end) = (begin.in_year(year) - self.offset, end.in_year(year) - ahead);
            let summer = if begin < end { seconds >= begin && seconds < end } else { seconds >= begin || seconds < end };
            if summer {
                return (*ahead, name.clone());
            }
        }
        (self.offset, self.name.clone())
    }

    fn summer_name(&self) -> String {
        self.summer.as_ref().map_or_else(|| self.name.clone(), |(name, ..)| name.clone())
    }
}

fn read_name(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('<') {
        return rest.split_once('>').map(|(name, rest)| (name.to_owned(), rest));
    }
    let end = text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// `[+-]hh[:mm[:ss]]` in seconds, and what follows.
fn read_offset(text: &str) -> (i64, &str) {
    let end = text.find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '+' | '-' | ':'))).unwrap_or(text.len());
    let (offset, rest) = text.split_at(end);
    let negative = offset.starts_with('-');
    let mut total = 0;
    for (part, unit) in offset.trim_start_matches(['+', '-']).split(':').zip([3600, 60, 1]) {
        total += part.parse::<i64>().unwrap_or(0) * unit;
    }
    (if negative { -total } else { total }, rest)
}

#[cfg(test)]
mod tests {
    use super::Zone;

    #[test]
    fn summer_time_begins_and_ends_when_the_zone_says() {
        let zone = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        for (seconds, expect) in [
            (1_711_846_799, (3600, "CET")),
            (1_711_846_800, (7200, "CEST")),
            (1_729_990_799, (7200, "CEST")),
            (1_729_990_800, (3600, "CET")),
        ] {
            assert_eq!(zone.at(seconds), (expect.0, expect.1.to_owned()), "{seconds}");
        }
        let south = Zone::parse("<-03>3").expect("a rule");
        assert_eq!(south.at(0), (-10800, "-03".to_owned()));
    }
}
