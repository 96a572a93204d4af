//! Moments as people write them for certificates, and as openssl takes and tells them.

use crate::module::Failure;
use crate::moment::Moment;

const DAY: i64 = 86_400;

/// From when until when a certificate shall hold.
pub(super) struct Period<'a> {
    pub(super) not_before: &'a str,
    pub(super) not_after: &'a str,
    /// Seconds since 1970, which relative moments count from.
    pub(super) now: i64,
}

impl Period<'_> {
    /// openssl's options: whole days from now for all its versions, moments for those that know them.
    pub(super) fn options(&self) -> Result<Vec<String>, Failure> {
        if let (Some(0), Some(until)) = (relative(self.not_before), relative(self.not_after))
            && until % DAY == 0
            && until > 0
        {
            return Ok(vec!["-days".to_owned(), (until / DAY).to_string()]);
        }
        let (from, until) = self.moments()?;
        Ok(vec!["-not_before".to_owned(), from, "-not_after".to_owned(), until])
    }

    /// Both, as `20301231235959Z`.
    pub(super) fn moments(&self) -> Result<(String, String), Failure> {
        Ok((moment(self.not_before, self.now)?, moment(self.not_after, self.now)?))
    }
}

/// A moment as a person wrote it, as `20301231235959Z`.
pub(super) fn moment(text: &str, now: i64) -> Result<String, Failure> {
    if let Some(seconds) = relative(text) {
        let Moment { year, month, day, hour, minute, second } = Moment::at(now + seconds);
        return Ok(format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z"));
    }
    match text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(digits) if digits.len() == 14 => Ok(text.to_owned()),
        Some(digits) if digits.len() == 12 => Ok(format!("{digits}00Z")),
        _ => Err(Failure::new(format!("'{text}' is no moment: write +365d, +52w3d or 20301231235959Z"))),
    }
}

/// `Nov 21 22:32:05 2026 GMT`, as openssl tells it, as `20261121223205Z`.
pub(super) fn told(text: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [month, day, clock, year, ..] = words[..] else { return text.to_owned() };
    let month = MONTHS.iter().position(|name| *name == month).map_or(0, |at| at + 1);
    format!("{year}{month:02}{day:0>2}{}Z", clock.replace(':', ""))
}

/// `+32w1d2h3m4s` in seconds.
fn relative(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let mut seconds: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest[digits..].chars().next().unwrap_or('s');
        let factor = match unit {
            'w' => 604_800,
            'd' => DAY,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        // No certificate lasts longer than the calendar has years of four digits.
        seconds = seconds.checked_add(number.checked_mul(factor)?).filter(|seconds| *seconds < 8000 * 366 * DAY)?;
        rest = rest.get(digits + 1..).unwrap_or_default();
    }
    Some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::{Period, relative, told};

    #[test]
    fn moments_are_read() {
        for (text, expect) in [
            ("+0s", Some(0)),
            ("+1w1d", Some(691_200)),
            ("-30m", Some(-1800)),
            ("+365d", Some(31_536_000)),
            ("20300101000000Z", None),
            ("+5x", None),
            ("+99999999999999d", None),
        ] {
            assert_eq!(relative(text), expect, "{text}");
        }
        let options = |not_before, not_after, now| Period { not_before, not_after, now }.options();
        assert_eq!(options("+0s", "+36500d", 0).unwrap_or_default(), ["-days", "36500"]);
        let both = options("-1h", "203001010000Z", 7200).unwrap_or_default();
        assert_eq!(both, ["-not_before", "19700101010000Z", "-not_after", "20300101000000Z"]);
        assert!(options("+0s", "tomorrow", 0).is_err());
    }

    #[test]
    fn what_openssl_tells_is_read() {
        assert_eq!(told("Nov  1 02:32:05 2026 GMT"), "20261101023205Z");
    }
}
