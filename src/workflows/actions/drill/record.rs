//! The report of a drill: what all clients told and the watch has seen, on one line of time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use pgfleet_cluster::{Attempt, Event, Leaders, Reply, Track, Usage, broken, two_leaders};
use serde_json::{Value, json};

use super::scene::Scene;
use super::watch::{Watch, now};
use crate::actions::writes::{LOCAL, Lost, READS, Told, numbers};
use crate::actions::{Done, Trouble, Work};

/// How often a clock is asked; the fastest answer counts.
const TIMES: usize = 3;
/// Two clocks that agree are trusted no further: milliseconds.
const LEAST: i64 = 50;

/// A host's clock beside this machine's, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    ahead: i64,
    unsure: i64,
}

/// The clocks of all hosts.
pub(super) async fn clocks(work: &Work) -> BTreeMap<String, Clock> {
    let asked = work.nodes.all().iter().map(async |node| {
        let mut best = None;
        for _ in 0..TIMES {
            let before = now();
            let ended = work.nodes.run(node, &["date", "+%s%3N"], "", Duration::from_secs(10)).await.ok()?;
            let (after, there): (i64, i64) = (now(), ended.stdout.trim().parse().ok()?);
            let clock = Clock { ahead: there - (before + after) / 2, unsure: (after - before) / 2 + 1 };
            if best.is_none_or(|best: Clock| clock.unsure < best.unsure) {
                best = Some(clock);
            }
        }
        Some((node.name.clone(), best?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What came of a drill.
pub(super) struct Report {
    head: Value,
    tracks: Vec<Track>,
    events: Vec<Event>,
    leaders: Option<Leaders>,
    broken: Vec<String>,
    lost_clients: Vec<String>,
    deed: String,
    name: String,
    began: String,
}

impl Report {
    pub(super) fn made(
        scene: &Scene,
        began: &str,
        told: Vec<Result<Told, Lost>>,
        rows: &BTreeMap<String, Vec<u64>>,
        clocks: &BTreeMap<String, Clock>,
        watch: &Watch,
        leader: &str,
    ) -> Self {
        let zero = watch.zero().unwrap_or_default();
        let (told, lost): (Vec<_>, Vec<_>) = told.into_iter().partition(Result::is_ok);
        let tracks: Vec<Track> = told.into_iter().flatten().flat_map(|told| tracks(&told, zero, rows, clocks)).collect();
        // Two clocks take part in each comparison.
        let tolerance = LEAST + 2 * clocks.values().map(|clock| clock.unsure).max().unwrap_or_default();
        let leaders = two_leaders(&tracks, tolerance);
        let mut events = watch.events();
        events.extend(tracks.iter().flat_map(seen_by_clients));
        events.sort_by_key(|event| event.at);
        let head = json!({
            "drill": scene.drill.name,
            "does": scene.drill.does,
            "time": began,
            "cluster": scene.leader.cluster,
            "leader_before": scene.leader.name,
            "leader_after": leader,
            "victims": scene.victims.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
            "observer": scene.observer.name,
            "seconds": scene.hold.as_secs(),
            "synchronous_mode": scene.synchronous_mode,
            "settings": scene.settings,
            "clock_tolerance_ms": tolerance,
        });
        let lost: Vec<Lost> = lost.into_iter().filter_map(Result::err).collect();
        let is_victim = |lost: &&Lost| scene.victims.iter().any(|victim| victim.name == lost.node);
        // They went with their hosts, which was the point.
        let unexpected = lost.iter().filter(|lost| !(scene.drill.fault.takes_clients() && is_victim(lost)));
        let unexpected: Vec<&str> = unexpected.map(|lost| lost.reason.as_str()).collect();
        let broken = broken(&tracks, &unexpected, leaders.as_ref(), scene.synchronous_mode != "off");
        let lost_clients = lost.into_iter().map(|lost| lost.reason).collect();
        let (deed, name) = (scene.deed(), scene.drill.name.to_owned());
        Self { head, tracks, events, leaders, broken, lost_clients, deed, name, began: began.to_owned() }
    }

    /// Keeps the report, and says whether every promise was kept.
    pub(super) fn judged(mut self, recovery: Result<f64, Trouble>, folder: Option<&Path>) -> Result<Done, Trouble> {
        let seconds = match recovery {
            Ok(seconds) => Some(seconds),
            Err(trouble) => {
                self.broken.push(trouble.to_string());
                None
            }
        };
        let value = self.value(seconds);
        let mut summary = self.summary(seconds);
        let mut file = None;
        if let Some(folder) = folder {
            let path = folder.join(format!("{}-{}.json", self.began.replace([':', '-'], ""), self.name));
            let mut whole = value.clone();
            whole["attempts"] = self.attempts();
            let text = serde_json::to_vec(&whole).map_err(|error| Trouble::failed(error.to_string()))?;
            pgfleet_state::write(&path, &text).map_err(|error| Trouble::failed(error.to_string()))?;
            summary.push(format!("Report: {}", path.display()));
            file = Some(path.display().to_string());
        }
        let summary = summary.join("\n");
        if self.broken.is_empty() {
            return Ok(Done::changed().with("summary", summary).with("report", value).with("file", file));
        }
        let trouble = Trouble::unverified(self.broken.join("; ")).hint("the report has every event and every client");
        Err(trouble.with("summary", summary).with("report", value).with("file", file))
    }

    fn longest(&self, usage: Usage) -> i64 {
        self.tracks.iter().filter(|track| track.usage == usage).map(|track| track.longest_gap().ms).max().unwrap_or_default()
    }

    fn sum(&self, count: impl Fn(&Track) -> usize) -> usize {
        self.tracks.iter().filter(|track| track.usage != Usage::Reads).map(count).sum()
    }

    fn value(&self, recovery: Option<f64>) -> Value {
        let client = |track: &Track| {
            json!({
                "way": track.way, "node": track.node, "usage": track.usage,
                "acknowledged": track.count(Reply::Acknowledged), "failed": track.count(Reply::Failed), "unsure": track.count(Reply::Unsure),
                "longest_gap": track.longest_gap(), "missing": track.missing, "duplicated": track.duplicated, "first_error": track.first_error,
            })
        };
        let mut value = self.head.clone();
        value["longest_write_gap_ms"] = self.longest(Usage::Writes).into();
        value["longest_read_gap_ms"] = self.longest(Usage::Reads).into();
        value["recovery_s"] = recovery.into();
        value["acknowledged"] = self.sum(|track| track.count(Reply::Acknowledged)).into();
        value["failed"] = self.sum(|track| track.count(Reply::Failed)).into();
        value["unsure"] = self.sum(|track| track.count(Reply::Unsure)).into();
        value["missing"] = self.sum(|track| track.missing).into();
        value["duplicated"] = self.sum(|track| track.duplicated).into();
        value["two_leaders"] = json!(self.leaders);
        value["broken"] = json!(self.broken);
        value["events"] = json!(self.events);
        value["clients"] = self.tracks.iter().map(client).collect();
        value["lost_clients"] = json!(self.lost_clients);
        value
    }

    /// Every attempt of every client: when, how long, and how it ended (0 acknowledged, 1 refused, 2 unsure).
    fn attempts(&self) -> Value {
        let all = |track: &Track| -> Value { track.attempts.iter().map(|one| json!([one.at, one.took, one.reply as u8])).collect() };
        self.tracks.iter().map(|track| (track.way.clone(), all(track))).collect::<serde_json::Map<_, _>>().into()
    }

    fn summary(&self, recovery: Option<f64>) -> Vec<String> {
        let seconds = |ms: i64| format!("{}.{:02} s", ms / 1000, ms % 1000 / 10);
        let mut lines = vec![format!("{}.", self.deed)];
        lines.extend(self.events.iter().map(|event| {
            let (ms, tenth) = (event.at / 1000, event.at % 1000 / 100);
            format!("  {:>6} s  {}", format!("+{ms}.{tenth}"), event.text)
        }));
        lines.push(format!(
            "Longest write gap {}, longest read gap {}.{}",
            seconds(self.longest(Usage::Writes)),
            seconds(self.longest(Usage::Reads)),
            recovery
                .map(|seconds| format!(" Whole again {seconds:.1} s after the fault{}.", if self.lasts() { " had ended" } else { "" }))
                .unwrap_or_default()
        ));
        lines.push(format!(
            "Rows: {} acknowledged, {} refused, {} without a clear answer; {} of the acknowledged missing, {} there twice.",
            self.sum(|track| track.count(Reply::Acknowledged)),
            self.sum(|track| track.count(Reply::Failed)),
            self.sum(|track| track.count(Reply::Unsure)),
            self.sum(|track| track.missing),
            self.sum(|track| track.duplicated),
        ));
        if self.head["synchronous_mode"] == "off" {
            lines.push("Replication is asynchronous: acknowledged rows may be lost when the leader is.".to_owned());
        }
        lines.push(match &self.leaders {
            None => "At no moment did two nodes acknowledge writes.".to_owned(),
            Some(both) => format!(
                "Two leaders at one moment: {} and {}, from +{} on, for {}.",
                both.one,
                both.other,
                seconds(both.from),
                seconds(both.ms)
            ),
        });
        lines.extend(self.lost_clients.iter().map(|reason| format!("A client told nothing: {reason}")));
        lines.extend(self.broken.iter().map(|text| format!("Broken: {text}.")));
        lines
    }

    fn lasts(&self) -> bool {
        self.head["seconds"] != 0
    }
}

/// The records of one host's clients, on the line of time of this machine.
fn tracks(told: &Told, zero: i64, rows: &BTreeMap<String, Vec<u64>>, clocks: &BTreeMap<String, Clock>) -> Vec<Track> {
    let ahead = clocks.get(&told.node).map(|clock| clock.ahead).unwrap_or_default();
    let began = told.began.and_then(|began| i64::try_from(began).ok()).unwrap_or_default() - ahead - zero;
    let track = |(way, value): (&String, &Value)| {
        let usage = match way.as_str() {
            READS => Usage::Reads,
            way if way.starts_with(LOCAL) => Usage::Local,
            _ => Usage::Writes,
        };
        let number = |value: &Value| value.as_i64().unwrap_or_default();
        let attempt = |one: &Value| Attempt {
            at: began + number(&one[0]),
            took: number(&one[1]),
            reply: match number(&one[2]) {
                0 => Reply::Acknowledged,
                1 => Reply::Failed,
                _ => Reply::Unsure,
            },
        };
        let there = rows.get(way).map(Vec::as_slice).unwrap_or_default();
        let distinct: BTreeSet<u64> = there.iter().copied().collect();
        let missing = if usage == Usage::Reads { 0 } else { numbers(&value["acknowledged"]).difference(&distinct).count() };
        Track {
            way: way.clone(),
            node: told.node.clone(),
            usage,
            attempts: value["trace"].as_array().into_iter().flatten().map(attempt).collect(),
            missing,
            duplicated: there.len() - distinct.len(),
            first_error: value["first_error"].as_str().unwrap_or_default().to_owned(),
        }
    };
    told.ways.iter().map(track).collect()
}

/// What a client's record adds to the events.
fn seen_by_clients(track: &Track) -> Vec<Event> {
    let event = |at: i64, text: String| Event { at, kind: "client", text };
    match track.usage {
        Usage::Writes => {
            let gap = track.longest_gap();
            let first = track.first_after_gap().filter(|at| *at > 0);
            first
                .map(|at| event(at, format!("first write through the {}, {} ms after the one before", track.way, gap.ms)))
                .into_iter()
                .collect()
        }
        Usage::Reads => Vec::new(),
        Usage::Local => {
            let reigns = track.reigns();
            let last = track.attempts.last().map(|attempt| attempt.at).unwrap_or_default();
            let begins = reigns
                .iter()
                .filter(|(from, _)| *from > 0)
                .map(|(from, _)| event(*from, format!("{} acknowledges writes of its own host", track.node)));
            let ends = reigns.iter().filter(|(_, until)| *until > 0 && last - *until > 1500);
            let ends = ends.map(|(_, until)| event(*until, format!("{} has acknowledged the last write of its own host", track.node)));
            begins.chain(ends).collect()
        }
    }
}
