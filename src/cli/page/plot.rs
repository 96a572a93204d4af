//! The plot of a drill: latency over time, the events on it, and a lane for each client.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// When an attempt began, how long it took (milliseconds), and how it ended.
pub(super) type Attempt = (f64, f64, u8);

const LEFT: f64 = 150.0;
const RIGHT: f64 = 20.0;
const WIDTH: f64 = 1100.0;
/// Where latencies are drawn, below the numbers of the events.
const TOP: f64 = 60.0;
const HEIGHT: f64 = 260.0;
/// Of a client's lane, with what is between two.
const LANE: f64 = 22.0;
/// The rows in which numbers of events stand, so that neighbours can be read.
const ROWS: usize = 3;
const CLASSES: [&str; 3] = ["ok", "no", "unsure"];
/// A pause between attempts that end alike is bridged up to this: milliseconds.
const BRIDGE: f64 = 400.0;

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    at: f64,
    kind: String,
    text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Client {
    way: String,
    usage: String,
    longest_gap: Gap,
}

#[derive(Debug, Deserialize)]
struct Gap {
    from: f64,
    ms: f64,
}

/// Numbers for the template; all of them are places on the drawing.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    times: Vec<Tick>,
    latencies: Vec<Tick>,
    dots: Vec<Dots>,
    gap: Span,
    events: Vec<Mark>,
    lanes: Vec<Lane>,
}

#[derive(Debug, Serialize)]
struct Tick {
    at: f64,
    text: String,
}

#[derive(Debug, Serialize)]
struct Dots {
    class: &'static str,
    path: String,
}

#[derive(Debug, Serialize)]
struct Span {
    x: f64,
    width: f64,
    class: &'static str,
}

#[derive(Debug, Serialize)]
struct Mark {
    number: usize,
    x: f64,
    y: f64,
    seconds: String,
    kind: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Lane {
    y: f64,
    text: String,
    spans: Vec<Span>,
}

/// From milliseconds to a place.
struct Scale {
    from: f64,
    until: f64,
    /// The power of ten that the longest latency stays below.
    powers: f64,
}

impl Scale {
    fn x(&self, ms: f64) -> f64 {
        round(LEFT + (ms - self.from) / (self.until - self.from) * (WIDTH - LEFT - RIGHT))
    }

    fn y(&self, ms: f64) -> f64 {
        round(TOP + HEIGHT - ms.max(1.0).log10() / self.powers * HEIGHT)
    }
}

fn round(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

impl Plot {
    pub(super) fn of(events: &[Event], clients: &[Client], attempts: &BTreeMap<String, Vec<Attempt>>) -> Self {
        let all = || attempts.values().flatten();
        let from = all().map(|one| one.0).fold(0.0, f64::min);
        let until = all().map(|one| one.0 + one.1).chain(events.iter().map(|event| event.at)).fold(1000.0, f64::max);
        let slowest = all().map(|one| one.1).fold(100.0, f64::max);
        let scale = Scale { from, until, powers: slowest.log10().ceil() };
        let bottom = TOP + HEIGHT;
        let of_usage = |usage: &'static str| clients.iter().filter(move |client| client.usage == usage);
        let gap = of_usage("writes").map(|client| &client.longest_gap).max_by(|one, other| one.ms.total_cmp(&other.ms));
        let gap = gap.map_or(Span { x: LEFT, width: 0.0, class: "gap" }, |gap| span(&scale, gap.from, gap.from + gap.ms, "gap"));
        let lanes: Vec<Lane> = clients
            .iter()
            .enumerate()
            .map(|(place, client)| Lane {
                y: bottom + 50.0 + place as f64 * LANE,
                text: client.way.clone(),
                spans: spans(&scale, attempts.get(&client.way).map(Vec::as_slice).unwrap_or_default()),
            })
            .collect();
        Self {
            width: WIDTH,
            height: bottom + 60.0 + lanes.len() as f64 * LANE,
            left: LEFT,
            right: WIDTH - RIGHT,
            top: TOP,
            bottom,
            times: times(&scale),
            latencies: latencies(&scale),
            dots: dots(&scale, &of_usage("writes").filter_map(|client| attempts.get(&client.way)).flatten().copied().collect::<Vec<_>>()),
            gap,
            events: marks(&scale, events),
            lanes,
        }
    }
}

fn span(scale: &Scale, from: f64, until: f64, class: &'static str) -> Span {
    let x = scale.x(from);
    Span { x, width: round((scale.x(until) - x).max(1.0)), class }
}

/// About ten seconds' marks that are round numbers.
fn times(scale: &Scale) -> Vec<Tick> {
    let length = (scale.until - scale.from) / 1000.0;
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0].into_iter().find(|step| length / step <= 12.0).unwrap_or(300.0);
    // Without the sum, the nought may be a negative one.
    let first = (scale.from / 1000.0 / step).ceil() + 0.0;
    let mut ticks = Vec::new();
    let mut place = first;
    while place * step * 1000.0 <= scale.until {
        ticks.push(Tick { at: scale.x(place * step * 1000.0), text: format!("{:.0} s", place * step) });
        place += 1.0;
    }
    ticks
}

fn latencies(scale: &Scale) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let mut ms = 1.0;
    while ms <= 10f64.powf(scale.powers) {
        let text = if ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{:.0} s", ms / 1000.0) };
        ticks.push(Tick { at: scale.y(ms), text });
        ms *= 10.0;
    }
    ticks
}

/// A path of points for each ending.
fn dots(scale: &Scale, attempts: &[Attempt]) -> Vec<Dots> {
    let mut paths: [String; 3] = Default::default();
    for (at, took, ending) in attempts {
        // Drawn where it ended: that is when a client knew.
        let _ = write!(paths[usize::from(*ending).min(2)], "M{} {}h0", scale.x(at + took), scale.y(*took));
    }
    CLASSES.into_iter().zip(paths).map(|(class, path)| Dots { class, path }).collect()
}

/// Attempts that end alike, one after the other, as one.
fn spans(scale: &Scale, attempts: &[Attempt]) -> Vec<Span> {
    let mut runs: Vec<(f64, f64, u8)> = Vec::new();
    for (at, took, ending) in attempts {
        match runs.last_mut() {
            Some((_, until, last)) if last == ending && at - *until < BRIDGE => *until = at + took,
            _ => runs.push((*at, at + took, *ending)),
        }
    }
    runs.into_iter().map(|(from, until, ending)| span(scale, from, until, CLASSES[usize::from(ending).min(2)])).collect()
}

fn marks(scale: &Scale, events: &[Event]) -> Vec<Mark> {
    let mark = |(place, event): (usize, &Event)| Mark {
        number: place + 1,
        x: scale.x(event.at),
        y: 16.0 + (place % ROWS) as f64 * 15.0,
        seconds: format!("+{:.1} s", event.at / 1000.0),
        kind: event.kind.clone(),
        text: event.text.clone(),
    };
    events.iter().enumerate().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_that_end_alike_are_one_span() {
        let scale = Scale { from: 0.0, until: 9300.0, powers: 2.0 };
        let made = spans(&scale, &[(0.0, 10.0, 0), (20.0, 10.0, 0), (40.0, 10.0, 1), (60.0, 10.0, 0), (2000.0, 10.0, 0)]);
        let classes: Vec<&str> = made.iter().map(|span| span.class).collect();
        assert_eq!(classes, ["ok", "no", "ok", "ok"]);
        assert_eq!((made[0].x, made[0].width), (150.0, 3.0));
    }

    #[test]
    fn marks_are_round_numbers() {
        let scale = Scale { from: -3800.0, until: 50_000.0, powers: 3.0 };
        let texts: Vec<String> = times(&scale).into_iter().map(|tick| tick.text).collect();
        assert_eq!(texts.first().map(String::as_str), Some("0 s"));
        assert_eq!(texts.last().map(String::as_str), Some("50 s"));
        let texts: Vec<String> = latencies(&scale).into_iter().map(|tick| tick.text).collect();
        assert_eq!(texts, ["1 ms", "10 ms", "100 ms", "1 s"]);
        assert_eq!((scale.y(1000.0), scale.y(0.0)), (TOP, TOP + HEIGHT));
    }
}
