//! What goes wrong on real hosts, and what the program makes of it.

use std::fs;
use std::process::Command;

use crate::rig::{HOSTS, Rig, address, leader, members_as};

/// Ctrl-C once: the running task ends, what was done is told, and the exit code says so.
pub(crate) fn interrupted_by_a_person(rig: &Rig) {
    let ran = rig.deploy_interrupted("Install the packages", "-INT").expect(99);
    assert!(ran.recap("changed").iter().all(|(_, changed)| *changed > 0), "{}", ran.out);
    assert!(!ran.out.contains("\"name\":\"Configure Patroni\""), "no task began after it: {}", ran.out);
}

/// What PostgreSQL would not begin with is refused before it begins; a deploy whose controller dies then is asked again.
pub(crate) fn interrupted_by_a_crash(rig: &Rig) {
    for (parameters, words) in [
        (r#"{"DateStyle": "junk", "wrok_mem": "9MB"}"#, "unrecognized configuration parameter \"wrok_mem\""),
        (r#"{"DateStyle": "junk"}"#, "invalid value for parameter \"DateStyle\": \"junk\""),
        (r#"{"shared_preload_libraries": "pg_nowhere"}"#, "builder.lan has no library 'pg_nowhere'"),
    ] {
        let refused = rig.deploy(&["-e", &format!("{{\"postgresql_parameters\": {parameters}}}")]).expect(6);
        assert!(refused.out.contains(&words.replace('"', "\\\"")), "{}", refused.out);
    }
    assert_eq!(rig.said("controller.lan", "find /var/lib/postgresql -mindepth 2"), "");
    let ran = rig.deploy_interrupted("Run Patroni on the other nodes", "-KILL");
    assert_eq!(ran.code, None, "{}", ran.out);
    rig.deploy(&[]).expect(0);
}

pub(crate) fn sudo_with_a_password(rig: &Rig) {
    let right = rig.project().join("right");
    let wrong = rig.project().join("wrong");
    fs::write(&right, "operator\n").expect("a file");
    fs::write(&wrong, "nonsense\n").expect("a file");
    let with = |file: &std::path::Path| rig.deploy(&["-e", "ansible_user=operator", "--become-password-file", &file.display().to_string()]);
    with(&right).expect(0).expect_unchanged();
    let refused = with(&wrong);
    assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.out);
    let told = refused.out + &refused.err;
    assert!(told.contains("password"), "{told}");
    assert!(!told.contains("nonsense"), "{told}");
    let none = rig.deploy(&["-e", "ansible_user=operator"]);
    let told = none.out + &none.err;
    assert!(none.code.is_some_and(|code| code != 0) && told.contains("-K"), "{told}");
}

/// Losing nothing: a running cluster whose passwords are gone is left alone.
pub(crate) fn refuses_without_secrets(rig: &Rig) {
    let (state, aside) = (rig.project().join("state/postgresql"), rig.project().join("aside"));
    fs::rename(&state, &aside).expect("moved away");
    let refused = rig.deploy(&[]).expect(6);
    assert!((refused.out + &refused.err).contains("secrets"));
    assert!(!state.join("secrets").exists(), "no new secrets are made");
    fs::rename(&aside, &state).expect("moved back");
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// With another version, Patroni would look for its data in an empty folder.
pub(crate) fn refuses_another_place_for_the_data(rig: &Rig) {
    for (setting, words) in
        [("postgresql_version=15", "changes no major version"), ("postgresql_cluster_name=other", "belongs to the cluster")]
    {
        let refused = rig.deploy(&["-e", setting]).expect(2);
        assert!(refused.recap("changed").iter().all(|(_, changed)| *changed == 0), "{}", refused.out);
        assert!(refused.out.contains(words), "{}", refused.out);
    }
    rig.deploy(&[]).expect(0).expect_unchanged();
}

pub(crate) fn unknown_host_key(rig: &Rig) {
    let file = rig.project().join("strangers.yml");
    let own = fs::read_to_string(std::path::Path::new(&rig.inventory()).join("hosts.yml")).expect("the lab's inventory");
    let folder = rig.inventory();
    // Whoever trusts the lab's known_hosts file no longer finds it.
    fs::write(&file, own.replace("{{ inventory_dir }}", &folder).replace("/known_hosts", "/nowhere")).expect("a file");
    let ran = rig.pgfleet(&["status", "-i", &file.display().to_string()]);
    let told = ran.out + &ran.err;
    assert!(ran.code.is_some_and(|code| code != 0) && told.contains("host key"), "{told}");
    let ran = rig.pgfleet(&["status", "-i", &file.display().to_string(), "--accept-new-host-keys"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(rig.project().join("state/known_hosts").exists());
    rig.pgfleet(&["status", "-i", &file.display().to_string()]).expect(0);
}

pub(crate) fn leader_crashes(rig: &Rig) {
    let (_, before) = rig.status();
    let old = leader(&before).expect("a leader");
    rig.lab(&["kill", &old]).expect(0);
    let view = rig.status_becomes("another node leads", 120, |_, view| leader(view).is_some_and(|new| new != old));
    let (code, _) = rig.status();
    assert_eq!(code, Some(8), "a cluster that lost a node is not healthy: {view:#}");
    let from = HOSTS.iter().map(|(host, _)| *host).find(|host| *host != old).expect("another host");
    let app = ("app_user", "app_password.txt");
    let kept = rig.query(from, "db.postgres.host.uk.com:5432", app, "INSERT INTO kept VALUES (43); SELECT sum(n) FROM kept").expect(0);
    assert!(kept.out.contains("85"), "{}", kept.out);
    let refused = rig.deploy(&[]);
    assert_eq!(refused.code, Some(4), "a deploy needs every node: {}", refused.out);
    rig.lab(&["start", &old]).expect(0);
    rig.status_becomes("the crashed node streams again, by itself", 180, |code, _| code == Some(0));
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// A new leader that is lost before anybody streams from it does not leave its timeline's number to the next one: PostgreSQL would take the two for
/// one, and the node would stream on top of rows of its own, well by all accounts.
pub(crate) fn a_leader_that_nobody_followed(rig: &Rig) {
    let psql = |host: &str, sql: &str| rig.said(host, &format!("cd /; sudo -u postgres psql -X -A -t -c \"{sql}\""));
    let others = |host: &str| HOSTS.map(|(other, _)| other).into_iter().filter(|other| *other != host).collect::<Vec<_>>();
    let (_, view) = rig.status();
    let old = leader(&view).expect("a leader");
    let lost = members_as(&view, &["quorum_standby"]).pop().expect("a replica");
    psql(&old, "CREATE TABLE led (who text)");
    // From now on nobody can stream from it; it streams from the leader as before.
    let cut = format!("chain out {{ type filter hook output priority 0; ip daddr {} tcp dport 5432 drop; }};", address(&lost));
    for host in others(&lost) {
        rig.said(host, &format!("nft 'table inet nobody_follows {{ {cut} }};'"));
    }
    rig.said(&old, &format!("patronictl -c /etc/patroni/config.yml switchover --leader {old} --candidate {lost} --force"));
    rig.awaited("it is promoted", 60, || psql(&lost, "SELECT pg_is_in_recovery()") == "f");
    let timeline = psql(
        &lost,
        "SET synchronous_commit = local; INSERT INTO led VALUES ('nobody followed'); SELECT timeline_id FROM pg_control_checkpoint()",
    );
    rig.lab(&["kill", &lost]).expect(0);
    let view = rig.status_becomes("another node leads", 120, |_, view| leader(view).is_some_and(|new| new != lost));
    let new = leader(&view).expect("a leader");
    for host in others(&lost) {
        rig.said(host, "nft delete table inet nobody_follows");
    }
    rig.awaited("the next one is promoted", 60, || psql(&new, "SELECT pg_is_in_recovery()") == "f");
    psql(&new, "INSERT INTO led VALUES ('all follow')");
    rig.lab(&["start", &lost]).expect(0);
    let view = rig.status_becomes("the lost node streams again, by itself", 180, |code, _| code == Some(0));
    assert_eq!(psql(&lost, "SELECT * FROM led"), "all follow", "the data on {lost} are not {new}'s, on timeline {timeline} and {view:#}");
    psql(&new, "DROP TABLE led");
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// The leader and one of those that may have witnessed its last commits: nobody is elected until it is sure that nothing is lost, and whoever does not
/// want to wait is told what may be.
pub(crate) fn two_lost_at_once(rig: &Rig) {
    let (_, view) = rig.status();
    // etcd keeps its quorum: this host has no voter.
    let old = "builder.lan";
    if leader(&view).as_deref() != Some(old) {
        rig.on_fleet("switchover", &["--target", old]).expect(0);
    }
    let app = ("app_user", "app_password.txt");
    let write = |from: &str| {
        rig.query(from, "db.postgres.host.uk.com:5432", app, "INSERT INTO kept VALUES (1); SELECT sum(n) FROM kept").expect(0).out
    };
    let before = write("controller.lan");
    let lost = "app-server-1.lan";
    rig.lab(&["kill", old, lost]).expect(0);
    let view = rig.status_becomes("nobody leads", 90, |_, view| leader(view).is_none());
    assert!(view["findings"].to_string().contains(&format!("bring one of {lost}, {old} back")), "{view:#}");
    let refused = rig.on_fleet("failover", &[]).expect(6);
    assert!(refused.err.contains(&format!("Not heard: {old}, {lost}.")) && refused.err.contains("--force"), "{}", refused.err);
    rig.lab(&["start", lost]).expect(0);
    rig.status_becomes("with one of them back there is a leader", 120, |_, view| leader(view).is_some_and(|new| new != old));
    let sum = |told: &str| told.lines().last().and_then(|line| line.trim().parse::<i64>().ok()).expect("a sum");
    rig.lab(&["start", old]).expect(0);
    rig.status_becomes("all stream again, by themselves", 180, |code, _| code == Some(0));
    assert_eq!(sum(&write("controller.lan")), sum(&before) + 1);
    rig.deploy(&[]).expect(0).expect_unchanged();
}

pub(crate) fn pulled_cable(rig: &Rig) {
    let (_, view) = rig.status();
    let leads = leader(&view);
    let lost = HOSTS.iter().map(|(host, _)| *host).find(|host| Some(*host) != leads.as_deref()).expect("a replica");
    rig.lab(&["partition", lost]).expect(0);
    let (code, view) = rig.status();
    assert_ne!(code, Some(0), "{view:#}");
    let node = view["nodes"].as_array().into_iter().flatten().find(|node| node["name"] == lost).expect("a row of its own");
    assert!(node["unreachable"].is_string(), "{node:#}");
    rig.lab(&["heal"]).expect(0);
    rig.status_becomes("the node is back", 180, |code, _| code == Some(0));
}

/// A clock that is wrong is named, with its host and by how much, before anything is touched. All hosts of the lab share the kernel's clock: what
/// is shifted here is what programs read that are started from now on.
pub(crate) fn clocks_that_disagree(rig: &Rig) {
    let shift = "apt-get install -y -qq --no-install-recommends libfaketime > /dev/null && echo '+1m' > /etc/faketimerc && \
                 ls /usr/lib/*/faketime/libfaketime.so.1 > /etc/ld.so.preload";
    rig.said("builder.lan", shift);
    let refused = rig.deploy(&["-e", "haproxy_stats_user=nobody"]);
    let examined = rig.on_fleet("doctor", &[]);
    rig.said("builder.lan", "rm /etc/ld.so.preload /etc/faketimerc && apt-get purge -y -qq libfaketime > /dev/null");
    assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.out);
    assert!(refused.recap("changed").iter().all(|(_, changed)| *changed == 0), "{}", refused.out);
    assert!(refused.out.contains("s apart: builder.lan is ") && refused.out.contains(" s ahead"), "{}", refused.out);
    let row = examined.out.lines().find(|line| line.contains("builder.lan") && line.contains("clock")).unwrap_or_default();
    assert!(row.contains("Fail"), "{}", examined.out);
    // The controller's own clock dates the certificates.
    let library = Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketime.so.1"]).output().expect("runs");
    let library = String::from_utf8(library.stdout).expect("text");
    let ahead = [("LD_PRELOAD", library.trim()), ("FAKETIME", "+3d"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let inventory = rig.inventory();
    for command in [&["deploy"][..], &["certs", "rotate"], &["certs", "rotate", "--authority", "--yes"]] {
        let refused = rig.pgfleet_with(&[command, &["-o", "json", "-i", &inventory]].concat(), &ahead);
        assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.out);
        assert!(refused.out.contains("controller's clock is 72.0 hours ahead of"), "{}", refused.out);
        assert!(refused.recap("changed").iter().all(|(_, changed)| *changed == 0), "{}", refused.out);
    }
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// What stands still runs as far as systemd knows, and is told all the same.
pub(crate) fn services_that_stand_still(rig: &Rig) {
    let replica = members_as(&rig.status().1, &["quorum_standby"]).pop().expect("a replica");
    for (unit, who, told, end) in
        [("patroni", "main", "Patroni on {} does not answer", "KILL"), ("haproxy", "all", "HAProxy on {} leads to no leader", "CONT")]
    {
        let told = told.replace("{}", &replica);
        rig.said(&replica, &format!("systemctl kill --kill-whom={who} -s STOP {unit}"));
        rig.status_becomes(&format!("{told} is told"), 30, |code, view| code != Some(0) && view["findings"].to_string().contains(&told));
        // What the hint of a status says.
        rig.said(&replica, &format!("systemctl kill --kill-whom={who} -s {end} {unit}"));
        rig.status_becomes("all is well again", 60, |code, _| code == Some(0));
    }
}

/// Patroni and etcd find every node well while no replica hears of the leader's commits: PostgreSQL's port alone is cut off.
pub(crate) fn commits_that_wait(rig: &Rig) {
    let before = leader(&rig.status().1).expect("a leader");
    let replicas: Vec<String> = HOSTS.iter().map(|(host, _)| *host).filter(|host| *host != before).map(address).collect();
    rig.said(&before, "sudo -u postgres psql -X -q -d application -c 'CREATE TABLE waited (number int)'");
    let cut = format!(
        "nft -f - <<'END'\ntable inet waited {{\n chain input {{ type filter hook input priority 0; ip saddr {{ {0} }} tcp dport 5432 drop; }}\n \
         chain output {{ type filter hook output priority 0; ip daddr {{ {0} }} tcp sport 5432 drop; }}\n}}\nEND",
        replicas.join(", ")
    );
    rig.said(&before, &cut);
    let insert = "sudo -u postgres psql -X -q -d application -c 'INSERT INTO waited VALUES (1)'";
    rig.said(&before, &format!("systemd-run --quiet --remain-after-exit --unit waited {insert}"));
    let told = format!("commits wait for a replica on {before}");
    let view = rig.status_becomes("commits that wait are told", 30, |_, view| view["findings"].to_string().contains(&told));
    assert_eq!(leader(&view).as_deref(), Some(before.as_str()), "{view:#}");
    assert_eq!(rig.said(&before, "systemctl show -P SubState waited"), "running", "nothing is acknowledged");
    rig.said(&before, "nft delete table inet waited");
    rig.awaited("the commit is acknowledged", 60, || rig.said(&before, "systemctl show -P SubState waited") == "exited");
    rig.status_becomes("all is well again", 60, |code, view| code == Some(0) && !view["findings"].to_string().contains(&told));
    rig.said(&before, "systemctl stop waited; sudo -u postgres psql -X -q -d application -c 'DROP TABLE waited'");
}

/// PostgreSQL does not start beside a process that is busy with a query and has not noticed that its postmaster is gone.
pub(crate) fn a_query_outlives_its_postgresql(rig: &Rig) {
    let before = leader(&rig.status().1).expect("a leader");
    let loops = "sudo -u postgres psql -X -c \"DO 'BEGIN LOOP END LOOP; END'\"";
    rig.said(&before, &format!("systemd-run --quiet --collect --unit busy {loops}"));
    let is_busy = || rig.said(&before, "ps -C postgres -o args= | grep -c '[p]ostgres: .* DO$' || true") == "1";
    rig.awaited("the query runs", 20, is_busy);
    let began = rig.said(&before, "date -u +%FT%TZ");
    rig.said(&before, "kill -9 \"$(pgrep -o -x postgres)\"");
    let started = format!("sudo -u postgres psql -X -A -t -c \"SELECT pg_postmaster_start_time() > '{began}'\" || true");
    rig.awaited("PostgreSQL is back", 60, || rig.said(&before, &started) == "t");
    assert!(!is_busy(), "what was left behind is ended");
    let after = rig.status_becomes("the cluster is whole again", 60, |code, _| code == Some(0));
    assert_eq!(leader(&after).as_deref(), Some(before.as_str()), "it kept its place: {after:#}");
    let told = rig.said(&before, "journalctl -u pgfleet-agent --since '-2 min' -o cat --no-pager");
    assert!(told.contains("so that it can start again") && told.contains("Patroni was woken"), "{told}");
}
