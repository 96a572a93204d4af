//! May this node rest, be copied anew, be stopped? And in which order do nodes restart?

use pgfleet_cluster::{ClusterView, Objection, RestartWish, plan_restart};
use serde_json::{Map, Value, json};

use crate::views::{VOTERS as THREE, view};

const HEALTHY: [(&str, &str, &str); 3] =
    [("a", "leader", "running"), ("b", "quorum_standby", "streaming"), ("c", "quorum_standby", "streaming")];

fn says(verdict: Result<(), Objection>, expect: &str) {
    match verdict {
        Ok(()) => assert_eq!(expect, ""),
        Err(objection) => assert!(!expect.is_empty() && objection.reason.contains(expect), "{objection:?}, not '{expect}'"),
    }
}

#[test]
fn passwords_change_only_where_every_node_learns_them() {
    says(view(&HEALTHY, &THREE).may_change_passwords(), "");
    let ill = view(&[HEALTHY[0], ("b", "replica", "starting"), HEALTHY[2]], &THREE);
    says(ill.may_change_passwords(), "b is starting");
    says(ill.may_finish_passwords(), "");
    says(view(&[HEALTHY[1], HEALTHY[2]], &THREE).may_change_passwords(), "no leader");
    says(view(&HEALTHY, &[("a", true), ("b", false), ("c", false)]).may_change_passwords(), "no quorum");
    let mut paused = view(&HEALTHY, &THREE);
    paused.paused = true;
    says(paused.may_change_passwords(), "paused");
    let mut gone = view(&HEALTHY, &THREE);
    gone.nodes.push(pgfleet_cluster::Node { name: "c".to_owned(), unreachable: Some("no route".to_owned()), units: Default::default() });
    says(gone.may_change_passwords(), "c cannot be reached");
    says(gone.may_finish_passwords(), "c cannot be reached");
}

#[test]
fn the_last_replica_that_commits_wait_for_does_not_rest() {
    says(view(&HEALTHY, &THREE).may_rest("b"), "");
    let mut alone = view(&[HEALTHY[0], HEALTHY[1], ("c", "replica", "stopped")], &THREE);
    says(alone.may_rest("b"), "last replica");
    says(alone.may_rest("c"), "");
    alone.members[2].state = "streaming".to_owned();
    alone.members[2].tags.insert("nosync".to_owned(), json!(true));
    says(alone.may_rest("b"), "last replica");
    alone.synchronous_mode = "off".to_owned();
    says(alone.may_rest("b"), "");
    let no_quorum = "no quorum: 1 of 3 voters are healthy, 2 are needed (b: etcd is not healthy; c: etcd is not healthy)";
    says(view(&HEALTHY, &[("a", true), ("b", false), ("c", false)]).may_rest("b"), no_quorum);
}

#[test]
fn one_replica_at_a_time_is_copied_anew() {
    says(view(&HEALTHY, &THREE).may_copy_anew("b", false), "");
    says(view(&HEALTHY, &THREE).may_copy_anew("a", true), "is the leader");
    let busy = view(&[HEALTHY[0], HEALTHY[1], ("c", "replica", "creating replica")], &THREE);
    says(busy.may_copy_anew("b", true), "being made anew");
    says(busy.may_copy_anew("c", false), "");
    says(view(&[("a", "replica", "running"), HEALTHY[1]], &THREE).may_copy_anew("b", true), "no leader");
}

#[test]
fn a_stopped_node_leaves_quorum_and_leader() {
    says(view(&HEALTHY, &THREE).may_stop("b", false), "");
    says(view(&HEALTHY, &THREE).may_stop("a", false), "is the leader");
    says(view(&HEALTHY, &THREE).may_stop("a", true), "");
    says(view(&HEALTHY, &[("a", true), ("b", true), ("c", false)]).may_stop("b", true), "2 are needed (c: etcd is not healthy)");
    says(view(&HEALTHY, &[("a", true), ("b", true), ("c", false)]).may_stop("c", false), "");
    says(view(&HEALTHY, &[("a", true), ("b", false), ("c", false)]).may_stop("b", true), "no quorum");
}

fn order(view: &ClusterView, wish: RestartWish<'_>, reasons: Value) -> Result<Vec<String>, String> {
    let reasons: Map<String, Value> = reasons.as_object().cloned().unwrap_or_default();
    let plan = plan_restart(view, wish, &reasons).map_err(|objection| objection.reason)?;
    let marked = |mark: &str, name: &String| format!("{mark}{name}");
    let mut order: Vec<String> = plan.leader_first.iter().map(|name| marked("first ", name)).collect();
    order.extend(plan.replicas.iter().cloned());
    order.extend(plan.hand_over.iter().map(|name| marked("hand over ", name)));
    order.extend(plan.leader_last.iter().map(|name| marked("last ", name)));
    Ok(order)
}

#[test]
fn replicas_restart_first_unless_a_setting_is_lowered() {
    let all = RestartWish::default();
    let mut healthy = view(&HEALTHY, &THREE);
    let expect = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(order(&healthy, all, json!({})), expect(&["b", "c", "hand over a"]));
    assert_eq!(order(&healthy, RestartWish { in_place: true, ..all }, json!({})), expect(&["b", "c", "last a"]));
    assert_eq!(order(&healthy, RestartWish { node: Some("c"), ..all }, json!({})), expect(&["c"]));
    assert_eq!(order(&healthy, RestartWish { pending: true, ..all }, json!({})), expect(&[]));
    healthy.members.iter_mut().for_each(|member| member.pending_restart = true);
    let raised = json!({"max_connections": {"old_value": "100", "new_value": "120"}});
    let lowered = json!({"max_connections": {"old_value": "120", "new_value": "100"}});
    let pending = RestartWish { pending: true, ..all };
    assert_eq!(order(&healthy, pending, raised), expect(&["b", "c", "hand over a"]));
    assert_eq!(order(&healthy, pending, lowered.clone()), expect(&["first a", "b", "c"]));
    let one = order(&healthy, RestartWish { node: Some("b"), ..pending }, lowered).expect_err("refused");
    assert!(one.contains("lowered"), "{one}");
}

#[test]
fn a_restart_never_takes_what_commits_wait_for() {
    let alone = view(&[HEALTHY[0], HEALTHY[1]], &THREE);
    let refused = order(&alone, RestartWish { node: Some("b"), ..RestartWish::default() }, json!({})).expect_err("refused");
    assert!(refused.contains("last replica"), "{refused}");
    assert!(order(&alone, RestartWish { node: Some("b"), forced: true, ..RestartWish::default() }, json!({})).is_ok());
    let single = view(&[HEALTHY[0]], &THREE);
    let refused = order(&single, RestartWish::default(), json!({})).expect_err("refused");
    assert!(refused.contains("no replica can lead"), "{refused}");
}
