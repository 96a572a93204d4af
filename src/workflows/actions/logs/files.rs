//! PostgreSQL's own log file, where `logging_collector` writes one instead of the journal.

use serde_json::Value;

use super::{LIMIT, Line, Wish};
use crate::actions::Work;
use crate::nodes::Node;

/// Tells the file that PostgreSQL writes to, its size and the zone of its times; then what is new in it. `$1` data folder, `$2` and `$3` the
/// file and its size last time, `$4` how many lines the first time, `$5` from when on.
const SCRIPT: &str = r#"cd "$1" 2>/dev/null && [ -r current_logfiles ] || exit 0
path=$(sed -n 's/^stderr //p' current_logfiles); [ -r "$path" ] || exit 0
since=; [ -z "$5" ] || since=$(date -d "$5" +%s 2>/dev/null)
size=$(stat -c %s -- "$path")
printf '{"path":"%s","size":%s,"zone":"%s","since":"%s"}\n' "$path" "$size" "$(date +%z)" "$since"
if [ "$path" = "$2" ]; then tail -c "+$(($3 + 1))" -- "$path" | head -c "$((size - $3))"
elif [ -n "$2" ]; then head -c "$size" -- "$path"
elif [ -n "$since" ]; then head -c "$size" -- "$path" | tail -n 100000
else head -c "$size" -- "$path" | tail -n "$4"; fi"#;

/// How far a file was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    path: String,
    size: u64,
}

/// What is new in a node's file; nothing where there is none.
pub(super) async fn read(work: &Work, node: &Node, wish: &Wish, place: &mut Place) -> Vec<Line> {
    let (size, lines) = (place.size.to_string(), wish.lines.to_string());
    let since = wish.since.clone().unwrap_or_default();
    let argv = ["sh", "-c", SCRIPT, "sh", node.data_dir.as_str(), place.path.as_str(), size.as_str(), lines.as_str(), since.as_str()];
    let Ok(ended) = work.nodes.run(node, &argv, "", LIMIT).await else { return Vec::new() };
    let (head, text) = ended.stdout.split_once('\n').unwrap_or_default();
    let Ok(head) = serde_json::from_str::<Value>(head) else { return Vec::new() };
    let word = |name: &str| head[name].as_str().unwrap_or_default();
    *place = Place { path: word("path").to_owned(), size: head["size"].as_u64().unwrap_or_default() };
    let since = word("since").parse::<u64>().unwrap_or_default() * 1_000_000;
    lines_of(node, text, zone(word("zone"))).into_iter().filter(|line| line.at >= since).collect()
}

/// Seconds east of Greenwich: `+0130`.
fn zone(text: &str) -> i64 {
    let (sign, digits) = text.split_at_checked(1).unwrap_or_default();
    let part = |from: usize| digits.get(from..from + 2).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or_default();
    (part(0) * 3600 + part(2) * 60) * if sign == "-" { -1 } else { 1 }
}

/// The lines with their times; one without a time belongs to the one before.
fn lines_of(node: &Node, text: &str, zone: i64) -> Vec<Line> {
    let mut at = 0;
    let mut line = |text: &str| {
        at = time(text, zone).unwrap_or(at);
        Line { at, node: node.name.clone(), unit: "postgresql", text: text.to_owned() }
    };
    text.lines().filter(|text| !text.is_empty()).map(&mut line).collect()
}

/// `2026-11-21 19:30:31.305 UTC` at the beginning of a line, in microseconds since 1970.
fn time(line: &str, zone: i64) -> Option<u64> {
    let number = |from: usize, to: usize| line.get(from..to)?.parse::<i64>().ok();
    let is = |at: usize, sign: u8| line.as_bytes().get(at) == Some(&sign);
    if !(is(4, b'-') && is(7, b'-') && is(10, b' ') && is(13, b':') && is(16, b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let millis = if is(19, b'.') { number(20, 23)? } else { 0 };
    let rest = line.get(if is(19, b'.') { 23 } else { 19 }..)?.trim_start();
    let zone = if rest.starts_with("UTC") || rest.starts_with("GMT") { 0 } else { zone };
    // Days of the calendar, counted in years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)? - zone;
    u64::try_from(seconds * 1_000_000 + millis * 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::{time, zone};

    #[test]
    fn times_are_read_with_their_zone() {
        for (line, east, expect) in [
            ("2026-11-21 19:30:31.305 UTC [1] LOG:  x", 0, Some(1_795_289_431_305_000)),
            ("2026-11-21 20:30:31.305 CET [1] LOG:  x", 3600, Some(1_795_289_431_305_000)),
            ("2000-02-29 12:34:56 GMT [1]", 3600, Some(951_827_696_000_000)),
            ("1970-01-01 00:00:00 UTC", 0, Some(0)),
            ("\tcontinued", 0, None),
            ("2026-11-21", 0, None),
        ] {
            assert_eq!(time(line, east), expect, "{line}");
        }
        assert_eq!((zone("+0000"), zone("-0130"), zone("")), (0, -5400, 0));
    }
}
