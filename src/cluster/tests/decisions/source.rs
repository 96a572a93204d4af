//! Which nodes a backup is read from.

use pgfleet_cluster::{ClusterView, backup_sources};

use crate::views;

fn view(members: &[(&str, &str, &str, Option<u64>)]) -> ClusterView {
    let mut view = views::view(&[], &[]);
    view.members = members
        .iter()
        .map(|(name, role, state, lag)| pgfleet_cluster::Member { lag: *lag, ..views::member(&(*name, *role, *state)) })
        .collect();
    view
}

#[test]
fn the_replica_that_is_missed_least_comes_first() {
    let leader = ("a", "leader", "running", None);
    for (members, expect) in [
        (vec![leader, ("b", "replica", "streaming", Some(9)), ("c", "replica", "streaming", Some(1))], "c b"),
        (vec![leader, ("b", "sync_standby", "streaming", Some(0)), ("c", "replica", "streaming", Some(1))], "c b"),
        (vec![leader, ("b", "quorum_standby", "streaming", Some(1)), ("c", "quorum_standby", "streaming", Some(0))], "c b"),
        (vec![leader, ("b", "sync_standby", "streaming", Some(0)), ("c", "replica", "starting", None)], "b"),
        (vec![leader, ("b", "replica", "streaming", Some(1 << 40)), ("c", "replica", "streaming", Some(1))], "c"),
    ] {
        assert_eq!(backup_sources(&view(&members), None).expect("a source").join(" "), expect, "{members:?}");
    }
}

#[test]
fn the_leader_is_read_only_when_it_is_named() {
    let alone = view(&[("a", "leader", "running", None), ("b", "replica", "stopped", None)]);
    let objection = backup_sources(&alone, None).expect_err("no replica");
    assert!(objection.reason.contains("b is stopped") && objection.hint.contains("--from a"), "{objection:?}");
    assert_eq!(backup_sources(&alone, Some("a")), Ok(vec!["a".to_owned()]));
    assert!(backup_sources(&alone, Some("b")).is_err() && backup_sources(&alone, Some("x")).is_err());
}
