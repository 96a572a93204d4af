//! Whether another node may lead, and which.

use pgfleet_cluster::{Backlog, ClusterView, LeaderFacts, Scheduled, Standby, SwitchoverLimits, may_switch_over};

use crate::views::{VOTERS, view};

const LIMITS: SwitchoverLimits = SwitchoverLimits { lag: 1000, transaction: 60.0, forced: false };

fn cluster() -> (ClusterView, LeaderFacts) {
    let standby =
        |name: &str, replay_lag| Standby { name: name.to_owned(), state: "streaming".to_owned(), replay_lag, ..Standby::default() };
    let members = [("a", "leader", "running"), ("b", "quorum_standby", "streaming"), ("c", "quorum_standby", "streaming")];
    (view(&members, &VOTERS), LeaderFacts { standbys: vec![standby("b", 16), standby("c", 0)], ..LeaderFacts::default() })
}

fn candidate(wanted: Option<&str>, limits: &SwitchoverLimits, change: impl FnOnce(&mut ClusterView, &mut LeaderFacts)) -> String {
    let (mut view, mut facts) = cluster();
    change(&mut view, &mut facts);
    match may_switch_over(&view, &facts, wanted, limits) {
        Ok(plan) => plan.candidate,
        Err(objections) => objections.into_iter().map(|objection| objection.reason).collect::<Vec<_>>().join("; "),
    }
}

#[test]
fn the_best_replica_is_chosen() {
    assert_eq!(candidate(None, &LIMITS, |_, _| {}), "c");
    assert_eq!(candidate(Some("b"), &LIMITS, |_, _| {}), "b");
    let prefers_b =
        |view: &mut ClusterView, _: &mut LeaderFacts| drop(view.members[1].tags.insert("failover_priority".to_owned(), 2.into()));
    assert_eq!(candidate(None, &LIMITS, prefers_b), "b");
    assert_eq!(candidate(None, &LIMITS, |_, facts| facts.standbys[1].replay_lag = 5000), "b");
    assert_eq!(candidate(None, &LIMITS, |view, _| view.members[2].role = "replica".to_owned()), "b");
}

#[test]
fn what_is_unsafe_is_refused() {
    type Change = fn(&mut ClusterView, &mut LeaderFacts);
    let cases: [(Option<&str>, Change, &str); 13] = [
        (Some("a"), |_, _| {}, "leads already"),
        (Some("x"), |_, _| {}, "no member"),
        (Some("b"), |_, facts| facts.standbys[0].replay_lag = 5000, "5000 bytes to replay"),
        (Some("b"), |_, facts| facts.standbys[0].state = "catchup".to_owned(), "catchup"),
        (Some("b"), |view, _| view.members[1].state = "stopped".to_owned(), "b is stopped"),
        (Some("b"), |view, _| drop(view.members[1].tags.insert("nofailover".to_owned(), true.into())), "never lead"),
        (Some("b"), |view, _| view.members[1].timeline = Some(2), "another timeline"),
        (Some("b"), |view, _| view.paused = true, "paused"),
        (Some("b"), |view, _| view.etcd.iter_mut().take(2).for_each(|voter| voter.healthy = false), "quorum: 1 of 3"),
        (Some("b"), |view, _| view.members[0].role = "replica".to_owned(), "no leader"),
        (Some("b"), |_, facts| facts.oldest_transaction = 61.0, "open for 61 s"),
        (Some("b"), |_, facts| facts.archive_backlog = Some(backlog(61.0)), "has not archived 0002 for 61 s (3 wait)"),
        (None, |_, facts| facts.standbys.clear(), "no member can take over"),
    ];
    for (wanted, change, expect) in cases {
        let said = candidate(wanted, &LIMITS, change);
        assert!(said.contains(expect), "{expect}: {said}");
    }
    let scheduled = |view: &mut ClusterView, _: &mut LeaderFacts| {
        view.scheduled_switchover = Some(Scheduled { at: "then".to_owned(), from: None, to: None });
    };
    assert!(candidate(None, &LIMITS, scheduled).contains("scheduled for then"));
}

fn backlog(seconds: f64) -> Backlog {
    Backlog { files: 3, first: "0002".to_owned(), seconds }
}

#[test]
fn what_is_archived_in_time_is_no_reason() {
    assert_eq!(candidate(None, &LIMITS, |_, facts| facts.archive_backlog = Some(backlog(59.0))), "c");
}

#[test]
fn only_what_is_lost_by_choice_can_be_forced() {
    let forced = SwitchoverLimits { forced: true, ..LIMITS };
    let busy = |_: &mut ClusterView, facts: &mut LeaderFacts| {
        (facts.oldest_transaction, facts.prepared, facts.archive_failure) = (100.0, 1, Some("0001".to_owned()));
    };
    assert_eq!(candidate(None, &forced, busy), "c");
    assert!(candidate(Some("b"), &forced, |_, facts| facts.standbys[0].replay_lag = 5000).contains("to replay"));
}
