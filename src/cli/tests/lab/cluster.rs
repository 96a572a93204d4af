//! What a deploy makes, and what a second one leaves alone.

use serde_json::Value;

use crate::rig::{HOSTS, Rig, address, leader, members_as, patroni};

pub(crate) fn check_changes_nothing(rig: &Rig) {
    // The agent itself is the one thing that a check brings.
    let look = "dpkg-query -W | sort | sha1sum; \
                find /etc /usr/local /var/lib/[!p]* /var/lib/p[!g]* -xdev -newer /run/before -not -path '/var/lib/systemd/*'";
    rig.said("builder.lan", "touch /run/before");
    let before = rig.said("builder.lan", look);
    let ran = rig.deploy(&["--check", "--diff"]).expect(0);
    assert!(ran.recap("changed").iter().all(|(_, changed)| *changed > 0), "bare hosts lack everything: {}", ran.out);
    assert_eq!(rig.said("builder.lan", look), before);
    assert!(!rig.project().join("state/postgresql/secrets").exists(), "a check makes no secrets");
}

pub(crate) fn four_members(rig: &Rig) {
    for (host, _) in HOSTS {
        let view = patroni(host, "/cluster").unwrap_or_else(|| panic!("Patroni does not answer on {host}"));
        assert_eq!(view["members"].as_array().map(Vec::len), Some(4), "{view:#}");
        let names = members_as(&view, &["leader", "quorum_standby", "sync_standby", "replica"]);
        assert_eq!(members_as(&view, &["leader"]).len(), 1, "{view:#}");
        let streaming = view["members"].as_array().into_iter().flatten().filter(|member| member["state"] == "streaming").count();
        assert_eq!((names.len(), streaming), (4, 3), "{view:#}");
        assert_eq!(rig.said(host, "systemctl is-enabled patroni haproxy pgfleet-agent | sort -u"), "enabled");
    }
}

pub(crate) fn nothing_left_to_do(rig: &Rig) {
    let before = rig.said("app-server-1.lan", "systemctl show -p ActiveEnterTimestamp etcd patroni haproxy pgfleet-agent");
    rig.deploy(&[]).expect(0).expect_unchanged();
    assert_eq!(rig.deploy(&["--check", "--exit-code"]).code, Some(0));
    assert_eq!(rig.said("app-server-1.lan", "systemctl show -p ActiveEnterTimestamp etcd patroni haproxy pgfleet-agent"), before);
}

pub(crate) fn every_way_leads_to_the_right_node(rig: &Rig) {
    let (_, view) = rig.status();
    let leads = address(&leader(&view).expect("a leader"));
    let app = ("app_user", "app_password.txt");
    let who = "SELECT host(inet_server_addr())";
    for (from, _) in HOSTS {
        assert_eq!(rig.query(from, "127.0.0.1:5000", app, who).expect(0).out.trim(), leads, "5000 of {from}");
        assert_eq!(rig.query(from, "db.postgres.host.uk.com:5432", app, who).expect(0).out.trim(), leads, "the service name on {from}");
        assert_ne!(rig.query(from, "127.0.0.1:5001", app, who).expect(0).out.trim(), leads, "5001 of {from}");
        let any = rig.query(from, "127.0.0.1:5002", app, who).expect(0);
        assert!(HOSTS.iter().any(|(host, _)| address(host) == any.out.trim()), "5002 of {from}: {}", any.out);
    }
    rig.query("builder.lan", "127.0.0.1:5000", app, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)").expect(0);
    let readonly = ("app_readonly", "secrets/readonly");
    assert_eq!(rig.query("builder.lan", "127.0.0.1:5000", readonly, "SELECT n FROM kept").expect(0).out.trim(), "42");
    let refused = rig.query(
        "builder.lan",
        "127.0.0.1:5000",
        readonly,
        "\\set ON_ERROR_STOP on\nSET default_transaction_read_only = off; DELETE FROM kept",
    );
    assert!(refused.code != Some(0) && refused.err.contains("permission denied"), "{}", refused.err);
    // Nobody gets in without a password, and the superuser not at all.
    let trusted = rig.on("builder.lan", "psql -X -w -h 127.0.0.1 -p 5432 -U app_user -d application -c 'SELECT 1'", "");
    assert!(trusted.code != Some(0) && trusted.err.contains("no password supplied"), "{}", trusted.err);
    let far = rig.query("builder.lan", &format!("{}:5432", address("controller.lan")), ("postgres", "secrets/superuser"), "SELECT 1");
    assert!(far.code != Some(0) && far.err.contains("reject"), "{}", far.err);
    let stats = "read -r p; curl -s -o /dev/null -w '%{http_code}' -u admin:$p http://127.0.0.1:7000/; echo; curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:7000/";
    let answer = rig.on("builder.lan", stats, &format!("{}\n", rig.secret("secrets/haproxy_stats"))).expect(0);
    assert_eq!(answer.out.trim(), "200\n401");
}

pub(crate) fn tools_work_on_a_node(rig: &Rig) {
    let members = rig.said("builder.lan", "patronictl list -f json");
    let members: Value = serde_json::from_str(&members).expect("patronictl's JSON");
    assert_eq!(members.as_array().map(Vec::len), Some(4));
    assert!(rig.said("controller.lan", "etcdctl endpoint health 2>&1").contains("is healthy"));
    let settings = rig.said(
        "controller.lan",
        "sudo -u postgres psql -X -A -t -c 'SHOW data_checksums' -c 'SHOW wal_log_hints' -c 'SHOW password_encryption'",
    );
    assert_eq!(settings, "on\non\nscram-sha-256");
}

pub(crate) fn status_agrees(rig: &Rig) {
    let (code, view) = rig.status();
    let said = patroni("app-server-1.lan", "/cluster").expect("Patroni answers");
    assert_eq!((code, leader(&view)), (Some(0), leader(&said)), "{view:#}");
    assert_eq!(view["members"].as_array().map(Vec::len), Some(4));
    assert_eq!(view["synchronous_mode"], "quorum");
    let healthy = view["etcd"].as_array().into_iter().flatten().filter(|voter| voter["healthy"] == true).count();
    assert_eq!(healthy, 3, "{view:#}");
    for output in ["table", "wide", "yaml"] {
        let ran = rig.on_fleet("status", &["-o", output]).expect(0);
        assert!(HOSTS.iter().all(|(host, _)| ran.out.contains(host)), "{}", ran.out);
    }
}

/// A setting that counts at once is one PATCH; one that needs a restart waits until it is asked for.
pub(crate) fn one_setting(rig: &Rig) {
    let set = |parameters: &str| format!("{{\"postgresql_parameters\": {parameters}}}");
    let refused = rig.deploy(&["-e", &set(r#"{"wrok_mem": "9MB", "shared_buffers": "9 apples"}"#)]).expect(6);
    assert!(refused.out.contains("no parameter 'wrok_mem'") && refused.out.contains("shared_buffers"), "{}", refused.out);
    let settings = set(r#"{"work_mem": "9MB", "max_connections": 120}"#);
    let ran = rig.deploy(&["-e", &settings]).expect(0);
    let changed: i64 = ran.recap("changed").iter().map(|(_, changed)| changed).sum();
    assert_eq!(changed, 1, "{}", ran.out);
    let waiting = rig.status_becomes("settings that wait for a restart are told", 60, |_, view| {
        view["members"].as_array().into_iter().flatten().all(|member| member["pending_restart"] == true)
    });
    assert!(leader(&waiting).is_some());
    assert_eq!(rig.said("builder.lan", "sudo -u postgres psql -X -A -t -c 'SHOW work_mem' -c 'SHOW max_connections'"), "9MB\n100");
    let printed = rig.on_fleet("deploy", &["-e", &settings]).expect(0);
    assert!(printed.out.contains("Restart pending"), "{}", printed.out);
    rig.deploy(&["-e", &settings, "-e", "postgresql_restart=true"]).expect(0);
    let restarted = rig.status_becomes("restarted nodes are healthy", 60, |code, _| code == Some(0));
    assert!(members_as(&restarted, &["leader"]).len() == 1);
    for (host, _) in HOSTS {
        assert_eq!(rig.said(host, "sudo -u postgres psql -X -A -t -c 'SHOW max_connections'"), "120");
    }
    rig.deploy(&["-e", &settings]).expect(0).expect_unchanged();
    // More memory than there is: the first replica does not start, that is told, and no other node goes after it.
    rig.deploy(&["-e", &set(r#"{"work_mem": "9MB", "max_connections": 120, "shared_buffers": "8000GB"}"#)]).expect(0);
    let stopped = rig.on_fleet("restart", &["--rolling", "--pending"]).expect(8);
    assert!(stopped.out.contains("does not start any more: there is not enough memory"), "{}", stopped.out);
    let inventory = rig.inventory();
    rig.pgfleet(&["config", "set", "shared_buffers=null", "-i", &inventory]).expect(0);
    rig.status_becomes("the replica starts by itself", 60, |code, _| code == Some(0));
    // Lowered again, in one go: replicas would not start before their leader has the lower value.
    let lower = set(r#"{"max_connections": 100, "work_mem": null}"#);
    rig.deploy(&["-e", &lower, "-e", "postgresql_restart=true"]).expect(0);
    rig.status_becomes("the defaults are back", 60, |code, _| code == Some(0));
    for (host, _) in HOSTS {
        assert_eq!(rig.said(host, "sudo -u postgres psql -X -A -t -c 'SHOW work_mem' -c 'SHOW max_connections'"), "4MB\n100");
    }
    rig.deploy(&[]).expect(0).expect_unchanged();
}
