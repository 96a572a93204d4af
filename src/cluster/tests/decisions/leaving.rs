//! May a node leave? Decided on views of three nodes and three voters.

use pgfleet_cluster::{ClusterView, Leaving, slot_of};

use crate::views::{VOTERS as WELL, view};

const THREE: [(&str, &str, &str); 3] = [("a", "leader", "running"), ("b", "quorum_standby", "streaming"), ("c", "replica", "streaming")];

fn check(view: &ClusterView, name: &str, how: Leaving, objection: Option<&str>) {
    let verdict = view.may_leave(name, how);
    match objection {
        None => assert_eq!(verdict, Ok(()), "{name} {how:?}"),
        Some(words) => assert!(verdict.as_ref().is_err_and(|said| said.reason.contains(words)), "{name} {how:?}: {verdict:?}"),
    }
}

#[test]
fn a_replica_leaves_a_leader_only_after_a_switchover() {
    let view = view(&THREE, &WELL);
    check(&view, "c", Leaving::InOrder, None);
    check(&view, "a", Leaving::InOrder, Some("is the leader"));
    check(&view, "a", Leaving::AfterSwitchover, None);
    check(&view, "c", Leaving::Dead, Some("is not dead"));
}

#[test]
fn etcd_keeps_its_quorum() {
    let one_ill = view(&THREE, &[("a", true), ("b", true), ("c", false)]);
    check(&one_ill, "b", Leaving::InOrder, Some("1 of the other 2 voters are healthy, and 2 would be needed (c: etcd is not healthy)"));
    let mut one_lost = one_ill.clone();
    one_lost.etcd[2].error = Some("c: the connection broke: the host no longer answers".to_owned());
    check(&one_lost, "b", Leaving::InOrder, Some("would be needed (c: the connection broke: the host no longer answers)"));
    check(&one_ill, "c", Leaving::InOrder, None);
    check(&view(&THREE, &[("a", true), ("b", false), ("c", false)]), "c", Leaving::InOrder, Some("has no quorum"));
    check(&view(&THREE, &[("c", true)]), "c", Leaving::InOrder, Some("would lose its quorum: 0 of the other 0"));
    // A node without a voter concerns etcd little.
    check(&view(&THREE, &[("a", true), ("b", true), ("x", false)]), "c", Leaving::InOrder, None);
}

#[test]
fn commits_keep_a_second_node() {
    let two = view(&THREE[..2], &WELL[..2]);
    check(&two, "b", Leaving::InOrder, Some("no replica is left"));
    check(&two, "a", Leaving::AfterSwitchover, Some("no replica is left"));
    let mut asynchronous = view(&THREE[..2], &WELL);
    asynchronous.synchronous_mode = "off".to_owned();
    check(&asynchronous, "b", Leaving::InOrder, None);
    let dead = [THREE[0], THREE[1], ("c", "replica", "stopped")];
    check(&view(&dead, &[("a", true), ("b", true), ("c", false)]), "c", Leaving::Dead, None);
}

#[test]
fn a_cluster_in_between_stays_as_it_is() {
    let mut paused = view(&THREE, &WELL);
    paused.paused = true;
    check(&paused, "c", Leaving::InOrder, Some("paused"));
    check(&view(&[("b", "replica", "streaming"), ("c", "replica", "streaming")], &WELL), "c", Leaving::InOrder, Some("no leader"));
}

#[test]
fn slots_are_named_as_patroni_names_them() {
    assert_eq!(slot_of("app-server-1.lan"), "app_server_1_lan");
    assert_eq!(slot_of("Db+1"), "dbu00431");
}
