//! Who leads: switchovers that are refused, done, planned, and hit by a crash, with a client that writes all the while.

use serde_json::{Value, json};

use crate::rig::{HOSTS, Ran, Rig, leader, members_as};

/// The result of the last task of a module, from `-o json`.
pub(crate) fn result(ran: &Ran, module: &str) -> Value {
    let events: Vec<Value> = ran.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let task = events.iter().rfind(|event| event["event"] == "task_started" && event["module"] == module).expect("the task began");
    let done = events.iter().rfind(|event| event["event"] == "host_done" && event["task"] == task["task"]).expect("the task ended");
    done["result"]["data"].clone()
}

fn switchover(rig: &Rig, arguments: &[&str]) -> Ran {
    rig.on_fleet("switchover", &[&["-o", "json"], arguments].concat())
}

fn leads(rig: &Rig) -> String {
    leader(&rig.status().1).expect("a leader")
}

fn a_replica(rig: &Rig) -> String {
    members_as(&rig.status().1, &["quorum_standby"]).into_iter().next().expect("a replica")
}

/// Each refusal names its reason, has exit code 6, and leaves the leader where it is.
pub(crate) fn unsafe_switchovers_are_refused(rig: &Rig) {
    let before = leads(rig);
    let target = a_replica(rig);
    let refused = |target: &str, words: &str| {
        let ran = switchover(rig, &["--target", target]).expect(6);
        assert!(ran.out.contains(words), "{words}:\n{}", ran.out);
        assert_eq!(leads(rig), before);
    };
    refused(&before, "leads already");
    refused("nobody.lan", "no member");
    // A target that lags: the process that replays is stopped while the leader writes.
    let psql = |host: &str, sql: &str| rig.said(host, &format!("sudo -u postgres psql -X -A -t -c \"{sql}\""));
    rig.said(&target, "pkill -STOP -f '^postgres: .*startup'");
    psql(&before, "CREATE TABLE much AS SELECT n, repeat('x', 500) AS text FROM generate_series(1, 8000) AS n");
    refused(&target, "bytes to replay");
    rig.said(&target, "pkill -CONT -f '^postgres: .*startup'");
    psql(&before, "DROP TABLE much");
    // A target whose Patroni was stopped, and PostgreSQL with it.
    rig.said(&target, "systemctl stop patroni");
    refused(&target, &target);
    rig.said(&target, "systemctl start patroni");
    rig.status_becomes("the target is back", 120, |code, _| code == Some(0));
    // etcd without its quorum.
    let voters: Vec<&str> = HOSTS.iter().map(|(host, _)| *host).filter(|host| *host != "builder.lan").collect();
    voters.iter().skip(1).for_each(|voter| drop(rig.said(voter, "systemctl stop etcd")));
    refused(&target, "etcd has no quorum");
    voters.iter().skip(1).for_each(|voter| drop(rig.said(voter, "systemctl start --no-block etcd")));
    rig.status_becomes("etcd has its quorum again", 120, |code, _| code == Some(0));
    assert_eq!(leads(rig), before);
}

/// There and back, each with a client that writes every 20 ms through both ways: nothing acknowledged is lost.
pub(crate) fn there_and_back(rig: &Rig) {
    let (before, target) = (leads(rig), a_replica(rig));
    let check = switchover(rig, &["--target", &target, "--check"]).expect(0);
    assert!(result(&check, "patroni_switchover")["summary"].as_str().is_some_and(|text| text.contains("would lead")));
    assert_eq!(leads(rig), before);
    for (from, to) in [(&before, &target), (&target, &before)] {
        let ran = switchover(rig, &["--target", to]).expect(0);
        let told = result(&ran, "patroni_switchover");
        assert_eq!((told["missing"].as_u64(), leads(rig)), (Some(0), to.clone()), "{told:#}");
        for way in ["leader port", "service name"] {
            assert!(told["ways"][way]["acknowledged"].as_u64().is_some_and(|rows| rows > 50), "{told:#}");
        }
        let (code, view) = rig.status();
        assert_eq!(code, Some(0), "{view:#}");
        assert_ne!(from, to);
        // Whoever leads, what PostgreSQL does not take is not shared.
        rig.deploy(&["-e", r#"{"postgresql_parameters": {"wrok_mem": "9MB"}}"#]).expect(6);
    }
    // Nothing is left of the client.
    let left = rig.said(&before, "sudo -u postgres psql -X -A -t -c \"SELECT count(*) FROM pg_class WHERE relname = 'write_probe'\"");
    assert_eq!(left, "0");
}

pub(crate) fn planned_and_taken_back(rig: &Rig) {
    let target = a_replica(rig);
    let wrong = switchover(rig, &["--target", &target, "--at", "yesterday"]).expect(6);
    assert!(wrong.out.contains("yesterday"), "{}", wrong.out);
    switchover(rig, &["--target", &target, "--at", "2099-01-01T03:00:00Z"]).expect(0);
    assert_eq!(rig.status().1["scheduled_switchover"]["to"], json!(target));
    let second = switchover(rig, &["--target", &target]).expect(6);
    assert!(second.out.contains("scheduled"), "{}", second.out);
    switchover(rig, &["--cancel"]).expect(0);
    assert!(rig.status().1["scheduled_switchover"].is_null());
    assert!(switchover(rig, &["--cancel"]).expect(0).out.contains("No switchover is scheduled"));
}

/// The controller dies when the switchover has begun: what was asked for comes about or not, nothing stays held, and the next one works.
pub(crate) fn the_controller_dies_meanwhile(rig: &Rig) {
    let ran = rig.interrupted(&["switchover"], "Hand the leadership over", "-KILL");
    assert_eq!(ran.code, None, "{}", ran.out);
    rig.status_becomes("the cluster is whole", 120, |code, _| code == Some(0));
    for (host, _) in HOSTS {
        let held = "ps -o stat= -p $(systemctl show -p MainPID --value patroni) | grep -c T || true";
        assert_eq!(rig.said(host, held), "0", "Patroni on {host} is still held");
    }
    let told = result(&switchover(rig, &[]).expect(0), "patroni_switchover");
    assert_eq!(told["missing"].as_u64(), Some(0), "{told:#}");
}

/// The leader crashes when the switchover has begun: it says who leads instead, or that the target does, and loses nothing.
pub(crate) fn the_leader_crashes_meanwhile(rig: &Rig) {
    let (before, target) = (leads(rig), a_replica(rig));
    let ran = rig.meanwhile(
        &["switchover", "--target", &target],
        |line| line.contains("\"task_started\"") && line.contains("Hand the leadership over"),
        || drop(rig.lab(&["kill", &before]).expect(0)),
    );
    assert!(ran.code.is_some_and(|code| [0, 2, 8].contains(&code)), "{:?}\n{}\n{}", ran.code, ran.out, ran.err);
    rig.status_becomes("another node leads", 120, |_, view| leader(view).is_some_and(|new| new != before));
    rig.lab(&["start", &before]).expect(0);
    rig.status_becomes("the crashed node streams again", 180, |code, _| code == Some(0));
}

/// A host that leads the database and etcd is told as such, and a deploy lets another voter lead etcd; a switchover does so by itself.
pub(crate) fn two_leaders_on_two_hosts(rig: &Rig) {
    let voters = |view: &Value| view["etcd"].as_array().expect("voters").clone();
    let leads_etcd = |view: &Value| voters(view).iter().find(|voter| voter["leader"] == true).map(|voter| voter["name"].clone());
    let view = rig.status().1;
    let names: Vec<Value> = voters(&view).iter().map(|voter| voter["name"].clone()).collect();
    if !names.contains(&json!(leads(rig))) {
        let voter = members_as(&view, &["quorum_standby"]).into_iter().find(|name| names.contains(&json!(name))).expect("a voter");
        switchover(rig, &["--target", &voter]).expect(0);
    }
    let host = leads(rig);
    let etcd = leads_etcd(&rig.status().1).expect("a leader of etcd");
    let id = format!("etcdctl member list | sed -n 's/^\\([0-9a-f]*\\), started, {host},.*/\\1/p'");
    let id = rig.said(&host, &id);
    if etcd != json!(host) {
        rig.said(etcd.as_str().expect("a name"), &format!("etcdctl move-leader {id}"));
    }
    let both = format!("{host} leads both");
    rig.status_becomes("a host leads both", 30, |code, view| code == Some(0) && view["findings"].to_string().contains(&both));
    let moved = result(&rig.deploy(&[]).expect(0), "etcd_move_leader");
    assert_eq!(moved["from"], json!(host), "{moved:#}");
    let (code, view) = rig.status();
    assert!(code == Some(0) && !view["findings"].to_string().contains("leads both"), "{view:#}");
    assert!(leads_etcd(&view).is_some_and(|etcd| etcd != json!(host)) && leads(rig) == host, "{view:#}");
}
