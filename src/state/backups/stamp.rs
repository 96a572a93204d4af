//! Times as names of folders: `20261121T193000Z`.

use std::time::SystemTime;

use crate::stamp::stamp;

/// Seconds since 1970 as a name.
#[must_use]
pub fn time_of(seconds: u64) -> String {
    format!("{}Z", stamp(seconds))
}

/// Now, as a time in UTC: `2026-11-21T19:30:00Z`.
#[must_use]
pub fn time_now() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = time_of(seconds);
    let part = |from: usize, to: usize| name.get(from..to).unwrap_or_default();
    format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(9, 11), part(11, 13), part(13, 15))
}

/// The seconds since 1970 that a name stands for; `None` when it is none of ours.
#[must_use]
pub fn seconds_of(name: &str) -> Option<u64> {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    // The days before the month, March first, after the same algorithm as its inverse.
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = shifted.rem_euclid(400) * 365 + shifted.rem_euclid(400) / 4 - shifted.rem_euclid(400) / 100 + day_of_year;
    let days = shifted.div_euclid(400) * 146_097 + day_of_era - 719_468;
    let seconds = u64::try_from(days * 86_400 + number(8, 10)? * 3600 + number(10, 12)? * 60 + number(12, 14)?).ok()?;
    // Whatever else a name has, and days that no month has, are no time of ours.
    (time_of(seconds) == name).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::{seconds_of, time_of};

    #[test]
    fn names_are_times() {
        for seconds in [0, 951_782_400, 1_709_164_799, 1_795_271_701, 4_102_444_800] {
            assert_eq!(seconds_of(&time_of(seconds)), Some(seconds));
        }
        for name in ["", "20261121T193000", "20261121T193000Z.partial", "20260231T000000Z", "lost+found", "2026112gT193000Z"] {
            assert_eq!(seconds_of(name), None, "{name}");
        }
    }
}
