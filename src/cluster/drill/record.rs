//! What clients saw in a drill, and what follows from it: gaps, rows that are missing or twice there, two leaders at one moment.

use serde::Serialize;

/// Acknowledgements of one node that lie nearer to each other belong to one reign: milliseconds.
const REIGN: i64 = 1500;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was acknowledged.
    Acknowledged,
    /// It was refused.
    Failed,
    /// Nobody can say.
    Unsure,
}

/// One attempt of a client, in milliseconds since the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: i64,
    /// How long it took.
    pub took: i64,
    /// How it ended.
    pub reply: Reply,
}

impl Attempt {
    fn end(self) -> i64 {
        self.at + self.took
    }
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// It writes to the leader.
    Writes,
    /// It reads from replicas.
    Reads,
    /// It writes to the PostgreSQL of its own host.
    Local,
}

/// The record of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its name.
    pub way: String,
    /// The host that it runs on.
    pub node: String,
    /// What it does.
    pub usage: Usage,
    /// Its attempts, in order.
    pub attempts: Vec<Attempt>,
    /// Acknowledged rows that are not there.
    pub missing: usize,
    /// Rows that are there more than once.
    pub duplicated: usize,
    /// The first complaint.
    pub first_error: String,
}

/// A time without an acknowledgement, in milliseconds since the fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last acknowledgement before it.
    pub from: i64,
    /// How long it was.
    pub ms: i64,
}

impl Track {
    /// How many attempts ended so.
    #[must_use]
    pub fn count(&self, reply: Reply) -> usize {
        self.attempts.iter().filter(|attempt| attempt.reply == reply).count()
    }

    fn acknowledged(&self) -> impl Iterator<Item = i64> {
        self.attempts.iter().filter(|attempt| attempt.reply == Reply::Acknowledged).map(|attempt| attempt.end())
    }

    /// The longest time without an acknowledgement; one that never came back counts until the last attempt.
    #[must_use]
    pub fn longest_gap(&self) -> Gap {
        let mut longest = Gap::default();
        let mut last = None;
        let end = self.attempts.last().map(|attempt| attempt.end());
        for now in self.acknowledged().chain(end) {
            if let Some(from) = last.replace(now)
                && now - from > longest.ms
            {
                longest = Gap { from, ms: now - from };
            }
        }
        longest
    }

    /// The first acknowledgement after the longest gap.
    #[must_use]
    pub fn first_after_gap(&self) -> Option<i64> {
        let gap = self.longest_gap();
        self.acknowledged().find(|at| *at >= gap.from + gap.ms)
    }

    /// The acknowledged attempts of each reign.
    fn reigned(&self) -> Vec<Vec<Attempt>> {
        let mut reigns: Vec<Vec<Attempt>> = Vec::new();
        for attempt in self.attempts.iter().filter(|attempt| attempt.reply == Reply::Acknowledged) {
            match reigns.last_mut() {
                Some(reign) if reign.last().is_some_and(|last| attempt.end() - last.end() < REIGN) => reign.push(*attempt),
                _ => reigns.push(vec![*attempt]),
            }
        }
        reigns
    }

    /// From when until when the node acknowledged writes.
    #[must_use]
    pub fn reigns(&self) -> Vec<(i64, i64)> {
        self.reigned().iter().filter_map(|reign| span(reign)).collect()
    }
}

/// From the first acknowledgement to the last.
fn span(reign: &[Attempt]) -> Option<(i64, i64)> {
    Some((reign.first()?.end(), reign.last()?.end()))
}

/// Two nodes that acknowledged writes at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaders {
    /// The one.
    pub one: String,
    /// The other.
    pub other: String,
    /// From when: milliseconds since the fault.
    pub from: i64,
    /// For how long; 0 for a single write of the other while the one led.
    pub ms: i64,
}

/// The longest time in which two nodes acknowledged writes of clients on their own hosts. It counts where it is longer than the clocks can
/// be wrong, and, however short, where one was asked and acknowledged while another surely led.
#[must_use]
pub fn two_leaders(tracks: &[Track], tolerance: i64) -> Option<Leaders> {
    let local: Vec<(&Track, Vec<Vec<Attempt>>)> =
        tracks.iter().filter(|track| track.usage == Usage::Local).map(|track| (track, track.reigned())).collect();
    let mut found: Option<Leaders> = None;
    for (place, (one, reigns)) in local.iter().enumerate() {
        for (other, rivals) in local.iter().skip(place + 1) {
            for (reign, rival) in reigns.iter().flat_map(|reign| rivals.iter().map(move |rival| (reign, rival))) {
                let (Some((a, b)), Some((c, d))) = (span(reign), span(rival)) else { continue };
                let (from, ms) = (a.max(c), b.min(d) - a.max(c));
                // The one that led longer is told first.
                let (led, beside) = if b - a >= d - c { (one, other) } else { (other, one) };
                let counts = ms > tolerance || lies_within(rival, reign, tolerance) || lies_within(reign, rival, tolerance);
                if counts && found.as_ref().is_none_or(|found| ms > found.ms) {
                    found = Some(Leaders { one: led.node.clone(), other: beside.node.clone(), from, ms });
                }
            }
        }
    }
    found
}

/// Whether any of these attempts was made, and acknowledged, after a node was first told and before it last asked in a reign, whatever the clocks.
fn lies_within(attempts: &[Attempt], reign: &[Attempt], tolerance: i64) -> bool {
    let (Some(first), Some(last)) = (reign.first(), reign.last()) else { return false };
    attempts.iter().any(|attempt| attempt.at - first.end() > tolerance && last.at - attempt.end() > tolerance)
}

/// Something that happened, in milliseconds since the fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub at: i64,
    /// `drill`, `leader key`, `member` or `client`.
    pub kind: &'static str,
    /// What.
    pub text: String,
}

/// The promises that a drill has broken, a sentence each. Where a client's record is lost nobody knows whether they were kept.
#[must_use]
pub fn broken(tracks: &[Track], lost: &[&str], leaders: Option<&Leaders>, synchronous: bool) -> Vec<String> {
    let mut broken = Vec::new();
    let missing: usize = tracks.iter().map(|track| track.missing).sum();
    let duplicated: usize = tracks.iter().map(|track| track.duplicated).sum();
    if missing > 0 && synchronous {
        broken.push(format!("{missing} acknowledged rows are missing, and replication is synchronous"));
    }
    if duplicated > 0 {
        broken.push(format!("{duplicated} rows are there more than once"));
    }
    match leaders {
        Some(Leaders { one, other, ms: 0, .. }) => broken.push(format!("{other} acknowledged a write while {one} led")),
        Some(Leaders { one, other, ms, .. }) => broken.push(format!("{one} and {other} both acknowledged writes for {ms} ms")),
        None => {}
    }
    broken.extend(lost.iter().map(|reason| format!("a client's record is lost, and with it whether all that it was told holds: {reason}")));
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts of 5 ms each that end so: `(begin, reply)`.
    fn track(node: &str, usage: Usage, attempts: &[(i64, Reply)]) -> Track {
        let attempts = attempts.iter().map(|(at, reply)| Attempt { at: *at, took: 5, reply: *reply }).collect();
        Track { way: node.to_owned(), node: node.to_owned(), usage, attempts, missing: 0, duplicated: 0, first_error: String::new() }
    }

    const OK: Reply = Reply::Acknowledged;
    const NO: Reply = Reply::Failed;

    #[test]
    fn a_gap_is_between_two_acknowledgements_or_lasts_until_the_end() {
        let one = track("a", Usage::Writes, &[(0, OK), (20, OK), (40, NO), (60, Reply::Unsure), (1020, OK), (1040, OK)]);
        assert_eq!((one.longest_gap(), one.first_after_gap()), (Gap { from: 25, ms: 1000 }, Some(1025)));
        assert_eq!((one.count(OK), one.count(NO), one.count(Reply::Unsure)), (4, 1, 1));
        let dead = track("a", Usage::Writes, &[(0, OK), (20, OK), (40, NO), (3020, NO)]);
        assert_eq!((dead.longest_gap(), dead.first_after_gap()), (Gap { from: 25, ms: 3000 }, None));
        assert_eq!(track("a", Usage::Writes, &[]).longest_gap(), Gap::default());
    }

    #[test]
    fn two_leaders_are_two_reigns_that_overlap() {
        let local = |node: &str, times: &[i64]| {
            let attempts: Vec<(i64, Reply)> = times.iter().map(|at| (*at, OK)).collect();
            track(node, Usage::Local, &attempts)
        };
        // One hands over to the other and takes back: no moment belongs to both.
        let (one, other) = (local("a", &[0, 500, 1000, 9000, 9500]), local("b", &[3000, 3500, 4000]));
        assert_eq!(two_leaders(&[one.clone(), other], 100), None);
        let other = local("b", &[700, 1200, 1700]);
        let both = two_leaders(&[one.clone(), other.clone()], 100).expect("they overlap");
        assert_eq!((both.from, both.ms, both.one.as_str(), both.other.as_str()), (705, 300, "a", "b"));
        assert_eq!(two_leaders(&[one.clone(), other], 300), None);
        // Clients of a router may be acknowledged by whomever.
        let routed = Track { usage: Usage::Writes, ..local("b", &[700, 1200]) };
        assert_eq!(two_leaders(&[one, routed], 100), None);
    }

    #[test]
    fn a_single_write_beside_a_leader_is_a_second_leader() {
        let local = |node: &str, times: &[i64]| {
            let attempts: Vec<(i64, Reply)> = times.iter().map(|at| (*at, OK)).collect();
            track(node, Usage::Local, &attempts)
        };
        let one = local("a", &[0, 500, 1000, 4000, 4500, 5000]);
        let beside = |times: &[i64]| two_leaders(&[one.clone(), local("b", times)], 100);
        assert_eq!(beside(&[700]), Some(Leaders { one: "a".to_owned(), other: "b".to_owned(), from: 705, ms: 0 }));
        // Whoever comes first in the list.
        let reversed = two_leaders(&[local("b", &[4700]), one.clone()], 100).expect("a second leader");
        assert_eq!((reversed.one.as_str(), reversed.other.as_str(), reversed.from), ("a", "b", 4705));
        // The clocks may be wrong by so much at either end; between two reigns nobody else led.
        for times in [&[-50][..], &[50], &[105], &[895], &[950], &[1050], &[2500], &[4100], &[4900], &[5050]] {
            assert_eq!(beside(times), None, "{times:?}");
        }
        assert!(beside(&[106]).is_some() && beside(&[894]).is_some());
        // Two writes that are nearer to each other than the clocks can tell.
        assert_eq!(beside(&[600, 620]).map(|both| both.ms), Some(20));
        // A long wait that began before the other led says nothing of when it was written; nor does one that was not acknowledged.
        let waited = Track { attempts: vec![Attempt { at: -900, took: 1600, reply: OK }], ..local("b", &[]) };
        assert_eq!(two_leaders(&[one.clone(), waited], 100), None);
        let unsure = track("b", Usage::Local, &[(600, Reply::Unsure), (700, NO)]);
        assert_eq!(two_leaders(&[one, unsure], 100), None);
    }

    #[test]
    fn a_lost_record_breaks_what_nobody_can_say() {
        let whole = track("a", Usage::Writes, &[(0, OK)]);
        assert_eq!(broken(std::slice::from_ref(&whole), &[], None, true), Vec::<String>::new());
        let told = broken(&[whole], &["b.lan: no longer answers"], None, true);
        assert!(matches!(told.as_slice(), [one] if one.contains("b.lan: no longer answers")), "{told:?}");
    }

    #[test]
    fn missing_rows_break_a_promise_only_where_one_was_made() {
        let lost = Track { missing: 2, ..track("a", Usage::Writes, &[(0, OK)]) };
        assert_eq!(broken(std::slice::from_ref(&lost), &[], None, false), Vec::<String>::new());
        assert_eq!(
            broken(std::slice::from_ref(&lost), &[], None, true),
            ["2 acknowledged rows are missing, and replication is synchronous"]
        );
        let twice = Track { missing: 0, duplicated: 1, ..lost };
        let both = Leaders { one: "a".to_owned(), other: "b".to_owned(), from: 0, ms: 400 };
        assert_eq!(
            broken(&[twice], &[], Some(&both), false),
            ["1 rows are there more than once", "a and b both acknowledged writes for 400 ms"]
        );
        let single = Leaders { ms: 0, ..both };
        assert_eq!(broken(&[], &[], Some(&single), false), ["b acknowledged a write while a led"]);
    }
}
