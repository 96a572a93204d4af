//! Two controllers: one has the cluster, the other is told so.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Ran, Rig, members_as};

/// The second controller: a folder of its own, with the cluster's state, as another person or machine has it.
fn another_controller(rig: &Rig, name: &str) -> Rig {
    let folder = rig.project().join(name);
    std::fs::create_dir_all(folder.join("state")).expect("a folder");
    std::fs::create_dir_all(folder.join("inventory")).expect("a folder");
    let copied = Command::new("cp").arg("-a").arg(rig.project().join("state/postgresql")).arg(folder.join("state")).status();
    assert!(copied.expect("cp runs").success());
    rig.elsewhere(folder)
}

fn signal(signal: &str, process: u32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill runs");
    assert!(sent.success(), "process {process} has ended before its time");
}

/// Freezes another controller's restart of a replica once it has the cluster, and lets it go on after `act`.
fn frozen(other: &Rig, arguments: &[&str], act: impl FnOnce(u32)) -> Ran {
    let (_, view) = other.status();
    let replica = members_as(&view, &["quorum_standby", "sync_standby", "replica"]).pop().expect("a replica");
    let begins = |line: &str| line.contains("\"task_started\"") && line.contains("\"patroni_restart\"");
    other.during(&[&["restart", &replica], arguments].concat(), begins, |process| {
        signal("-STOP", process);
        act(process);
        signal("-CONT", process);
    })
}

fn summary(ran: &Ran) -> String {
    let events = ran.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut summaries = events.filter_map(|event| Some(event["result"]["data"]["summary"].as_str()?.to_owned()));
    summaries.next_back().unwrap_or_default()
}

pub(crate) fn one_run_at_a_time(rig: &Rig) {
    let other = another_controller(rig, "other");
    let ended = frozen(&other, &[], |process| {
        let refused = rig.deploy(&[]).expect(7);
        assert!(refused.out.contains("restart by") && refused.out.contains(&format!("process {process}")), "{}", refused.out);
        assert!(refused.recap("changed").iter().all(|(_, count)| *count == 0));
        let told = rig.on_fleet("unlock", &["--check", "-o", "json"]).expect(0);
        assert!(summary(&told).contains(&format!("process {process}")), "{}", told.out);
        let told = rig.on_fleet("status", &[]).expect(0).out;
        assert!(told.contains("changed now by: restart by") && told.contains(&format!("process {process}")), "{told}");
        let ended = rig.on_fleet("unlock", &["--yes", "-o", "json"]).expect(0);
        assert!(summary(&ended).starts_with("Ended: restart by"), "{}", ended.out);
        rig.on_fleet("reload", &[]).expect(0);
    });
    assert!(rig.status().1["lease"].is_null(), "nobody has the cluster any more");
    assert_ne!(ended.code, Some(0), "a run that was cut off goes on as if nothing were:\n{}", ended.out);
    let journal = rig.said("controller.lan", "journalctl -t pgfleet -o cat --no-pager | tail -1");
    assert!(journal.contains("restart by") && journal.contains("was ended by unlock by"), "{journal}");
    rig.status_becomes("the cluster is healthy after a run that was cut off", 120, |code, _| code == Some(0));
    rig.deploy(&[]).expect(0).expect_unchanged();
}

pub(crate) fn silence_ends_a_lease(rig: &Rig) {
    let other = another_controller(rig, "silent");
    let ended = frozen(&other, &["-e", "cluster_lease_seconds=2"], |process| {
        let begin = Instant::now();
        while summary(&rig.on_fleet("unlock", &["--check", "-o", "json"]).expect(0)).contains(&format!("process {process}")) {
            assert!(begin.elapsed() < Duration::from_secs(30), "the lease of a silent controller does not end");
        }
        rig.on_fleet("reload", &[]).expect(0);
    });
    assert_ne!(ended.code, Some(0), "a run that was silent for too long goes on as if nothing were:\n{}", ended.out);
    rig.status_becomes("the cluster is healthy after a silent run", 120, |code, _| code == Some(0));
    rig.deploy(&[]).expect(0).expect_unchanged();
}
