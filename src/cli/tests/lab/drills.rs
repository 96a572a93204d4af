//! Drills: what their reports say is compared with what the cluster and its hosts say themselves.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::leadership::result;
use crate::rig::{HOSTS, Ran, Rig, leader, members_as};
use crate::sweep::{chosen, seed};

fn drill(rig: &Rig, arguments: &[&str]) -> Ran {
    rig.on_fleet("drill", &[&["-o", "json", "--yes"], arguments].concat())
}

fn report(ran: &Ran) -> Value {
    let told = result(ran, "cluster_drill");
    let file = PathBuf::from(told["file"].as_str().expect("a report"));
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).expect("the report")).expect("JSON");
    assert_eq!(kept["events"], told["report"]["events"]);
    let page = std::fs::read_to_string(file.with_extension("html")).expect("the page");
    assert!(page.contains("<svg") && page.contains(told["report"]["leader_before"].as_str().expect("a name")));
    told["report"].clone()
}

fn has_event(report: &Value, words: &str) -> bool {
    report["events"].as_array().into_iter().flatten().any(|event| event["text"].as_str().is_some_and(|text| text.contains(words)))
}

/// No row was lost, no two leaders, enough was written to say so, and nothing is left behind.
fn kept_its_promises(rig: &Rig, report: &Value) {
    for none in ["missing", "duplicated"] {
        assert_eq!(report[none], 0, "{report:#}");
    }
    assert!(report["two_leaders"].is_null() && report["broken"].as_array().is_some_and(Vec::is_empty), "{report:#}");
    assert!(report["acknowledged"].as_u64().is_some_and(|rows| rows > 200), "{report:#}");
    let (code, view) = rig.status();
    assert_eq!((code, leader(&view).as_deref()), (Some(0), report["leader_after"].as_str()), "{view:#}");
    let leader = report["leader_after"].as_str().expect("a leader");
    let left = "sudo -u postgres psql -X -A -t -c \"SELECT count(*) FROM pg_class WHERE relname = 'drill'\"";
    assert_eq!(rig.said(leader, left), "0");
    for (host, _) in HOSTS {
        assert_eq!(rig.said(host, "nft list tables | grep -c pgfleet_drill || true"), "0", "{host}");
        assert_eq!(rig.said(host, "systemctl list-units --all 'pgfleet-drill*' | grep -c pgfleet-drill || true"), "0", "{host}");
    }
}

/// The longest time in which clients of the routers wrote nothing, in seconds.
fn write_gap(report: &Value) -> f64 {
    let gaps = report["clients"].as_array().into_iter().flatten().filter(|client| client["usage"] == "writes");
    let gaps: Vec<u64> = gaps.filter_map(|client| client["longest_gap"]["ms"].as_u64()).collect();
    let longest = gaps.iter().copied().max().unwrap_or_else(|| panic!("no client wrote: {report:#}"));
    assert_eq!(report["longest_write_gap_ms"], longest, "{report:#}");
    Duration::from_millis(longest).as_secs_f64()
}

/// What is not safe is refused, and what is not asked for in earnest too.
pub(crate) fn refused(rig: &Rig) {
    let listed = rig.pgfleet(&["drill", "--list"]).expect(0);
    assert!(listed.out.contains("leader-killed") && listed.out.contains("etcd-quorum-lost"), "{}", listed.out);
    drill(rig, &["nothing"]).expect(5);
    let unasked = rig.on_fleet("drill", &["leader-killed"]).expect(6);
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    let view = rig.status().1;
    let check = drill(rig, &["leader-killed", "--check"]).expect(0);
    assert!(result(&check, "cluster_drill")["summary"].as_str().is_some_and(|text| text.contains("Clients on")), "{}", check.out);
    let replica = members_as(&view, &["quorum_standby"]).pop().expect("a replica");
    rig.said(&replica, "systemctl stop patroni");
    let ran = drill(rig, &["leader-killed"]).expect(6);
    assert!(ran.out.contains("not healthy before the drill"), "{}", ran.out);
    rig.said(&replica, "systemctl start patroni");
    rig.status_becomes("the replica is back", 120, |code, _| code == Some(0));
    assert_eq!(leader(&rig.status().1), leader(&view));
}

/// A killed PostgreSQL comes back or another takes over: the report and the cluster agree on which.
pub(crate) fn leader_killed(rig: &Rig) {
    let before = leader(&rig.status().1).expect("a leader");
    let report = report(&drill(rig, &["leader-killed"]).expect(0));
    assert_eq!(report["leader_before"], Value::from(before.clone()));
    kept_its_promises(rig, &report);
    // PostgreSQL itself says that it was started after the drill had begun.
    let began = report["time"].as_str().expect("a time");
    let query = format!("sudo -u postgres psql -X -A -t -c \"SELECT pg_postmaster_start_time() > '{began}'\"");
    assert_eq!(rig.said(&before, &query), "t");
    assert!(has_event(&report, "first write through the leader port") && has_event(&report, &before), "{report:#}");
    // Patroni looks at once, and restarts it or lets another lead; twice that on a busy machine.
    let gap = write_gap(&report);
    assert!((0.1..16.0).contains(&gap), "no row for {gap} s: {report:#}");
}

/// A leader that loses etcd alone stays one, since all nodes answer it: longer than its key lives.
pub(crate) fn leader_partitioned_from_etcd(rig: &Rig) {
    let before = leader(&rig.status().1).expect("a leader");
    let timeline = rig.status().1["members"][0]["timeline"].clone();
    let report = report(&drill(rig, &["leader-partitioned-from-etcd", "--seconds", "40"]).expect(0));
    kept_its_promises(rig, &report);
    let gap = write_gap(&report);
    assert!(gap < 2.0, "no failure for clients, and no row for {gap} s: {report:#}");
    assert!(has_event(&report, "failsafe mode") && has_event(&report, "nobody has the leader's key"), "{report:#}");
    assert_eq!(report["leader_after"], Value::from(before));
    assert_eq!(rig.status().1["members"][0]["timeline"], timeline);
}

/// What the agent on a host says of its fence.
fn fence(rig: &Rig, host: &str) -> Value {
    let told = rig.said(host, "/usr/local/lib/pgfleet/pgfleet-agent status --json");
    serde_json::from_str::<Value>(&told).expect("JSON")["sample"]["fence"].clone()
}

/// When something was said first, in milliseconds since the fault.
fn moment(report: &Value, words: &str) -> i64 {
    let events = report["events"].as_array().into_iter().flatten();
    let mut events = events.filter(|event| event["text"].as_str().is_some_and(|text| text.contains(words)));
    events.next().unwrap_or_else(|| panic!("no '{words}' in {report:#}"))["at"].as_i64().expect("a time")
}

/// A leader whose Patroni stands still is ended before its key runs out: nothing is acknowledged by it when another one may lead.
pub(crate) fn leader_frozen(rig: &Rig) {
    let before = leader(&rig.status().1).expect("a leader");
    rig.awaited("the fence is armed", 30, || fence(rig, &before)["armed"] == true);
    let report = report(&drill(rig, &["leader-frozen"]).expect(0));
    kept_its_promises(rig, &report);
    let last = moment(&report, &format!("{before} has acknowledged the last write of its own host"));
    assert!(last < moment(&report, "nobody has the leader's key"), "{report:#}");
    // Until the key has run out, and another leads: 33 s of the default profile at most, and twice that on a busy machine.
    let gap = write_gap(&report);
    assert!(gap < 66.0, "no row for {gap} s: {report:#}");
    rig.awaited("the agent tells that it acted", 30, || fence(rig, &before)["acted"].is_string());
    assert_ne!(report["leader_after"], Value::from(before));
}

/// The fence leaves a healthy PostgreSQL alone: when Patroni dies and comes back, and whatever Patroni does while the cluster is paused.
pub(crate) fn no_fence_without_need(rig: &Rig) {
    let host = leader(&rig.status().1).expect("a leader");
    let postmaster = || rig.said(&host, "head -n 1 /var/lib/postgresql/*/coolify_postgres/postmaster.pid");
    rig.awaited("the fence is armed", 30, || fence(rig, &host)["armed"] == true);
    let (pid, acted) = (postmaster(), fence(rig, &host)["acted"].clone());
    rig.said(&host, "systemctl kill --kill-whom=main --signal=KILL patroni");
    rig.status_becomes("Patroni is back", 120, |code, view| code == Some(0) && leader(view).as_deref() == Some(&host));
    assert_eq!(postmaster(), pid);
    rig.on_fleet("pause", &[]).expect(0);
    rig.awaited("the fence is not armed in a pause", 60, || fence(rig, &host)["armed"] == false);
    rig.said(&host, "systemctl kill --kill-whom=main --signal=STOP patroni");
    let key = format!("{} get --keys-only /service/coolify_postgres/leader", crate::logins::ADMIN);
    rig.awaited("the leader's key has run out", 90, || rig.said("controller.lan", &key).is_empty());
    // Nobody is promoted beside a PostgreSQL that takes writes, because a pause ends too soon.
    let refused = rig.on_fleet("resume", &[]).expect(6);
    assert!(
        refused.out.contains(&format!("PostgreSQL on {host} takes writes")) && refused.out.contains("pgfleet start"),
        "{}",
        refused.out
    );
    rig.said(&host, "systemctl kill --kill-whom=main --signal=CONT patroni");
    rig.said(&host, "systemctl restart patroni");
    rig.on_fleet("resume", &[]).expect(0);
    rig.status_becomes("the cluster is well after the pause", 120, |code, view| code == Some(0) && leader(view).as_deref() == Some(&host));
    assert_eq!((postmaster(), fence(rig, &host)["acted"].clone()), (pid, acted));
    rig.awaited("the fence is armed again", 30, || fence(rig, &host)["armed"] == true);
}

/// All hosts lose their power at once: when they are back, everything that was acknowledged is there.
pub(crate) fn power_cut_of_all(rig: &Rig) {
    // The lab of the tests need not lie in the project, where pgfleet would find it by itself.
    let power = serde_json::json!({"drill_power": rig.power()}).to_string();
    let report = report(&drill(rig, &["power-cut-all", "-e", &power]).expect(0));
    kept_its_promises(rig, &report);
    assert_eq!(report["victims"].as_array().map(Vec::len), Some(HOSTS.len()), "{report:#}");
    assert!(has_event(&report, "first write through the leader port of"), "{report:#}");
    let gap = write_gap(&report);
    assert!(gap < 62.0, "no row for {gap} s, twice as long as on a machine that was never quiet: {report:#}");
}

/// Drills without a stage of their own, and the longest gap of writes that each may cost, in seconds: twice the goal, or
/// twice what was measured, and some seconds where a busy machine alone would miss that.
const OTHERS: [(&str, f64); 7] = [
    ("switchover", 10.0),
    ("rolling-restart", 15.0),
    ("replica-lost", 3.0),
    ("patroni-killed", 20.0),
    ("etcd-quorum-lost", 3.0),
    ("leader-partitioned", 90.0),
    ("leader-power-off", 90.0),
];

/// One of them, which chance chooses (`PGFLEET_LAB_SEED`), or the one that `PGFLEET_LAB_DRILL` names, keeps the same promises.
#[expect(clippy::print_stderr, reason = "whoever wants to see it again needs the seed")]
pub(crate) fn one_of_the_others(rig: &Rig) {
    let seed = seed();
    let names = OTHERS.map(|(name, _)| name);
    let name = std::env::var("PGFLEET_LAB_DRILL").unwrap_or_else(|_| names[chosen(seed, "drill", 0, names.len()) - 1].to_owned());
    eprintln!("  PGFLEET_LAB_SEED={seed}: {name}");
    let (_, longest) = OTHERS.into_iter().find(|(known, _)| *known == name).expect("PGFLEET_LAB_DRILL names one");
    let power = serde_json::json!({"drill_power": rig.power()}).to_string();
    let report = report(&drill(rig, &[&name, "-e", &power]).expect(0));
    kept_its_promises(rig, &report);
    let gap = write_gap(&report);
    assert!(gap < longest, "no row for {gap} s: {report:#}");
}
