//! Who takes over, and what it lacks.

use pgfleet_cluster::{ClusterView, Standing, Witnesses, choose_successor};
use serde_json::json;

use crate::views::{VOTERS, view};

fn at(name: &str, timeline: u64, received: u64) -> Standing {
    Standing { name: name.to_owned(), timeline, received }
}

fn chosen(view: &ClusterView, wanted: Option<&str>) -> Result<(String, u64, bool), String> {
    let standings = [at("b", 2, 700), at("c", 2, 900), at("d", 1, 950)];
    let found = choose_successor(view, &standings, 1000, &Witnesses::default(), wanted).map_err(|objection| objection.reason)?;
    Ok((found.name, found.behind, found.is_outdated))
}

const LOST: [(&str, &str, &str); 4] =
    [("a", "replica", "stopped"), ("b", "replica", "running"), ("c", "replica", "running"), ("d", "replica", "running")];

#[test]
fn the_one_that_has_most_takes_over() {
    let mut view = view(&LOST, &VOTERS);
    assert_eq!(chosen(&view, None), Ok(("c".to_owned(), 100, false)));
    assert_eq!(chosen(&view, Some("b")), Ok(("b".to_owned(), 300, false)));
    assert_eq!(chosen(&view, Some("d")), Ok(("d".to_owned(), 50, true)));
    view.members[2].tags.insert("nofailover".to_owned(), json!(true));
    assert_eq!(chosen(&view, None), Ok(("b".to_owned(), 300, false)));
    for (wanted, reason) in [("c", "must not lead"), ("a", "does not run"), ("x", "no member")] {
        let told = chosen(&view, Some(wanted)).expect_err("refused");
        assert!(told.contains(reason), "{wanted}: {told}");
    }
}

#[test]
fn a_leader_that_works_is_replaced_by_name_only() {
    let mut view = view(&LOST, &VOTERS);
    view.members[0].role = "leader".to_owned();
    assert_eq!(chosen(&view, None), Ok(("c".to_owned(), 100, false)), "a leader that does not run is none");
    view.members[0].state = "running".to_owned();
    assert!(chosen(&view, None).expect_err("refused").contains("leads and works"));
    assert_eq!(chosen(&view, Some("c")), Ok(("c".to_owned(), 100, false)));
    assert!(chosen(&view, Some("a")).expect_err("refused").contains("the leader already"));
    view.etcd.iter_mut().for_each(|voter| voter.healthy = false);
    assert!(chosen(&view, Some("c")).expect_err("refused").contains("no quorum"));
}

#[test]
fn who_may_have_acknowledged_more_is_named() {
    let unheard = |kept: serde_json::Value| {
        let standings = [at("b", 2, 900), at("c", 2, 900)];
        let view = view(&LOST[..3], &VOTERS);
        choose_successor(&view, &standings, 900, &Witnesses::read(&kept), None).expect("a successor").unheard
    };
    // Each row is on the leader and on one of three: two that were heard do not tell of the third.
    assert_eq!(unheard(json!({"leader": "a", "quorum": 2, "sync_standby": "b,c,d"})), ["a", "d"]);
    assert_eq!(unheard(json!({"leader": "a", "quorum": 1, "sync_standby": "b,c,d"})), [""; 0], "each row is on two of three");
    assert_eq!(unheard(json!({"leader": "a", "quorum": 1, "sync_standby": "b, c"})), [""; 0]);
    // synchronous_mode: on, and a leader that took nobody's word.
    assert_eq!(unheard(json!({"leader": "a", "sync_standby": "b"})), [""; 0]);
    assert_eq!(unheard(json!({"leader": "a", "sync_standby": "d"})), ["a", "d"]);
    assert_eq!(unheard(json!({"leader": "a", "sync_standby": ""})), ["a"]);
    assert_eq!(unheard(json!({"leader": null, "sync_standby": null})), [""; 0], "asynchronous");
}
