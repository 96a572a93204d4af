//! What the doctor says of what hosts say.

use pgfleet_cluster::{ClusterView, Examined, Kept, Outcome, doctor, worst};

const SQL: &str = r#"{"version": "17.5", "replica": false, "wal": 50331648, "max_wal": 1073741824, "slots": [], "archiving": false,
 "archive_failed": false, "pending": [], "connections": 3, "max_connections": 100, "oldest_transaction": 0, "prepared": 0, "frozen": 900,
 "checksum_failures": 0}"#;

fn host(node: &str, lines: &[(&str, &str)]) -> Examined {
    let mut said = String::from("{\"facts\":{},\"checks\":[[\"ports\",\"Pass\",\"free\"]]}\n");
    for (name, value) in lines {
        said.push_str(&format!("{name}\t{}\n", value.replace('\n', " ")));
    }
    Examined { node: node.to_owned(), said: Ok(said), asked: (100.0, 101.0) }
}

fn kept() -> Kept {
    Kept { old_password: 365, clock: (1.0, 10.0), ..Kept::default() }
}

/// The result of one check of one host, and what was seen.
fn judged(lines: &[(&str, &str)], check: &str) -> Option<(Outcome, String)> {
    let checks = doctor(&ClusterView::from_answers(&[]), &[host("a", lines)], &kept());
    let found = checks.into_iter().find(|row| row.node == "a" && row.check == check)?;
    assert_eq!(found.todo.is_empty(), found.result == Outcome::Pass, "{found:?}");
    Some((found.result, found.seen))
}

#[test]
fn each_number_has_its_bounds() {
    use Outcome::{Fail, Pass, Warn};
    let sql = |name: &str, value: &str| {
        let mut sql: serde_json::Value = serde_json::from_str(SQL).expect("JSON");
        sql[name] = serde_json::from_str(value).expect("JSON");
        sql.to_string()
    };
    let check = |name: &str, value: &str, check: &str, expect: Option<Outcome>| {
        let seen = judged(&[("sql", &sql(name, value))], check);
        assert_eq!(seen.as_ref().map(|(result, _)| *result), expect, "{name} {value}: {seen:?}");
    };
    check("wal", "1000000000", "WAL", Some(Pass));
    check("wal", "2000000000", "WAL", Some(Warn));
    check("wal", "9000000000", "WAL", Some(Fail));
    check("slots", "[]", "slots", Some(Pass));
    check("slots", r#"[{"name": "x", "active": false, "state": "reserved", "kept": 0}]"#, "slot", Some(Warn));
    check("slots", r#"[{"name": "x", "active": false, "state": "extended", "kept": 2e9}]"#, "slot", Some(Fail));
    check("slots", r#"[{"name": "x", "active": true, "state": "reserved", "kept": 4096}]"#, "slots", Some(Pass));
    check("slots", r#"[{"name": "x", "active": true, "state": "lost", "kept": null}]"#, "slot", Some(Fail));
    check("connections", "90", "connections", Some(Warn));
    check("connections", "99", "connections", Some(Fail));
    check("oldest_transaction", "7200", "oldest transaction", Some(Warn));
    check("prepared", "0", "prepared transactions", None);
    check("prepared", "100000", "prepared transactions", Some(Fail));
    check("frozen", "600000000", "transaction ids", Some(Warn));
    check("pending", r#"["max_connections"]"#, "pending restart", Some(Warn));
    check("archiving", "true", "archiver", Some(Pass));
    let hangs = SQL.replace(r#""archiving": false"#, r#""archiving": true, "archive_waits": 61"#);
    assert_eq!(judged(&[("sql", &hangs.replace('\n', " "))], "archiver").map(|(result, _)| result), Some(Warn));
    check("checksum_failures", "2", "checksums", Some(Fail));
    assert_eq!(judged(&[("sql", "psql: error: no such socket")], "PostgreSQL").map(|(result, _)| result), Some(Fail));
    for (lines, name, expect) in [
        (vec![("disk_size", "100000000000"), ("disk_left", "60000000000")], "disk use", Some(Pass)),
        (vec![("disk_size", "100000000000"), ("disk_left", "15000000000")], "disk use", Some(Warn)),
        (vec![("disk_size", "100000000000"), ("disk_left", "4000000000")], "disk use", Some(Fail)),
        (vec![("disk_size", "900000000000"), ("disk_left", "80000000000")], "disk use", Some(Pass)),
        (vec![("clock", "100.5")], "clock", Some(Pass)),
        (vec![("clock", "104.0")], "clock", Some(Warn)),
        (vec![("clock", "50")], "clock", Some(Fail)),
        (vec![("etcd_status", r#"[{"Status": {"dbSize": 20480}}]"#)], "etcd database", Some(Pass)),
        (vec![("etcd_status", r#"[{"Status": {"dbSize": 2000000000}}]"#)], "etcd database", Some(Fail)),
        (vec![("etcd_status", r#"[{"Status": {"dbSize": 2000000000}}]"#), ("etcd_quota", "8589934592")], "etcd database", Some(Pass)),
        (vec![("etcd_status", "")], "etcd", Some(Fail)),
        (vec![("unattended", "yes"), ("package_patroni", "4")], "unattended upgrades", Some(Warn)),
        (vec![("unattended", "yes"), ("package_patroni", "4"), ("held", "patroni")], "unattended upgrades", Some(Pass)),
        (vec![("unattended", "yes"), ("package_postgresql", "17"), ("left_out", "postgresql")], "unattended upgrades", Some(Pass)),
        (vec![("reboot", "yes")], "reboot", Some(Warn)),
        (vec![("certificate", "8640000")], "certificate", Some(Pass)),
        (vec![("certificate", "864000")], "certificate", Some(Warn)),
        (vec![("certificate", "-86400")], "certificate", Some(Fail)),
        (vec![("certificate", "")], "certificate", Some(Fail)),
        (vec![("old_program", "yes")], "program", Some(Warn)),
    ] {
        assert_eq!(judged(&lines, name).map(|(result, _)| result), expect, "{lines:?}");
    }
}

#[test]
fn the_cluster_is_judged_as_a_whole() {
    let gone = Examined { node: "c".to_owned(), said: Err("no route".to_owned()), asked: (0.0, 0.0) };
    let hosts = [host("a", &[("package_patroni", "4.0.7")]), host("b", &[("package_patroni", "4.1.0")]), gone];
    let mut kept = kept();
    kept.password_days.insert("app".to_owned(), 400);
    kept.interrupted.push("rewind".to_owned());
    let checks = doctor(&ClusterView::from_answers(&[]), &hosts, &kept);
    let find = |check: &str| checks.iter().find(|row| row.check == check).expect(check);
    assert_eq!(find("Patroni version").seen, "4.0.7 on a; 4.1.0 on b");
    assert_eq!((find("password age").result, find("password age").todo.as_str()), (Outcome::Warn, "'pgfleet secrets rotate app'"));
    assert_eq!(find("passwords").result, Outcome::Fail);
    assert_eq!((find("reachable").node.as_str(), find("reachable").result), ("c", Outcome::Fail));
    assert_eq!(worst(&checks), Outcome::Fail);
    assert_eq!(worst(&[]), Outcome::Pass);
}

#[test]
fn the_fence_is_armed_where_a_node_leads() {
    use Outcome::{Fail, Pass, Warn};
    let replica = SQL.replace("\"replica\": false", "\"replica\": true");
    let agent = |armed: bool| format!("{{\"sample\": {{\"fence\": {{\"armed\": {armed}, \"acted\": null}}}}}}");
    let check = |wanted: &str, agent: &str, sql: &str, expect: Outcome| {
        let seen = judged(&[("fence", wanted), ("agent", agent), ("sql", sql)], "fence");
        assert_eq!(seen.as_ref().map(|(result, _)| *result), Some(expect), "{wanted} {agent}: {seen:?}");
    };
    check("agent", &agent(true), SQL, Pass);
    check("agent", &agent(false), SQL, Warn);
    check("agent", &agent(false), &replica, Pass);
    check("agent", "", SQL, Fail);
    check("agent", "{\"sample\": {}}", SQL, Fail);
    check("off", "", SQL, Pass);
    check("watchdog", "", SQL, Pass);
    assert_eq!(judged(&[("sql", SQL)], "fence"), None, "a voter alone has none");
    assert_eq!(judged(&[("fence", "agent"), ("agent", &agent(true))], "fence acted"), None);
    let acted = judged(&[("fence", "agent"), ("agent", &agent(true)), ("fence_acted", "2026-01-05T10:00:00+0000")], "fence acted");
    assert!(acted.is_some_and(|(result, seen)| result == Warn && seen.contains("once") && seen.contains("2026-01-05T10:00:00")));
}
