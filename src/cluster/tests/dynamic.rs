//! Assignments, patches, and what a changed setting takes to count.

use pgfleet_cluster::{Parameter, Takes, changes, joined, merged, patch_between, read_assignment};
use serde_json::{Value, json};

fn parameter(name: &str, setting: &str, unit: &str, context: &str, vartype: &str) -> Parameter {
    let text = |text: &str| text.to_owned();
    let (min, max) = if vartype == "integer" { (Some(text("1")), Some(text("262143"))) } else { (None, None) };
    Parameter {
        name: text(name),
        setting: text(setting),
        unit: text(unit),
        context: text(context),
        vartype: text(vartype),
        min,
        max,
        words: vec![text("replica"), text("logical")],
    }
}

fn known() -> Vec<Parameter> {
    vec![
        parameter("work_mem", "4096", "kB", "user", "integer"),
        parameter("max_connections", "100", "", "postmaster", "integer"),
        parameter("shared_buffers", "16384", "8kB", "postmaster", "integer"),
        parameter("wal_level", "replica", "", "postmaster", "enum"),
        parameter("autovacuum", "on", "", "sighup", "bool"),
        parameter("archive_command", "(disabled)", "", "sighup", "string"),
        parameter("block_size", "8192", "", "internal", "integer"),
    ]
}

fn before() -> Value {
    json!({"ttl": 30, "postgresql": {"use_slots": true, "parameters": {"max_connections": 100, "wal_log_hints": "on"}}})
}

/// The path, the new value and what it takes; or why not.
fn check(assignment: &str, expect: Result<(&str, Value, Takes), &str>) {
    let patch = read_assignment(assignment, &known());
    let found = patch.map_err(|wrong| wrong.reason).and_then(|patch| {
        let found = changes(&before(), &merged(&before(), &patch), &known());
        found.map_err(|wrong| wrong.into_iter().map(|wrong| wrong.reason).collect::<Vec<_>>().join("; "))
    });
    match (found, expect) {
        (Ok(found), Ok((path, after, takes))) => {
            assert_eq!(found.len(), 1, "{assignment}: {found:?}");
            assert_eq!((found[0].path.as_str(), &found[0].after, found[0].takes), (path, &after, takes), "{assignment}");
        }
        (Err(reason), Err(part)) => assert!(reason.contains(part), "{assignment}: {reason}"),
        (found, expect) => panic!("{assignment}: {found:?}, not {expect:?}"),
    }
}

#[test]
fn each_change_says_what_it_takes() {
    check("work_mem=9MB", Ok(("postgresql.parameters.work_mem", json!("9MB"), Takes::Reload)));
    check("postgresql.parameters.work_mem=8192", Ok(("postgresql.parameters.work_mem", json!(8192), Takes::Reload)));
    check("autovacuum=off", Ok(("postgresql.parameters.autovacuum", json!("off"), Takes::Reload)));
    check("archive_command=false", Ok(("postgresql.parameters.archive_command", json!("false"), Takes::Reload)));
    check("archive_command=\"cp %p /a\"", Ok(("postgresql.parameters.archive_command", json!("cp %p /a"), Takes::Reload)));
    check("max_connections=120", Ok(("postgresql.parameters.max_connections", json!(120), Takes::RestartReplicasFirst)));
    check("max_connections=80", Ok(("postgresql.parameters.max_connections", json!(80), Takes::RestartLeaderFirst)));
    check("shared_buffers=64MB", Ok(("postgresql.parameters.shared_buffers", json!("64MB"), Takes::Restart)));
    check("wal_level=logical", Ok(("postgresql.parameters.wal_level", json!("logical"), Takes::Restart)));
    // 16384 pages run already; only a restart would have been needed for another number.
    check("shared_buffers=128MB", Ok(("postgresql.parameters.shared_buffers", json!("128MB"), Takes::Reload)));
    check("ttl=40", Ok(("ttl", json!(40), Takes::Patroni)));
    check("synchronous_mode=quorum", Ok(("synchronous_mode", json!("quorum"), Takes::Patroni)));
    check("ttl=null", Ok(("ttl", Value::Null, Takes::Patroni)));
    check("postgresql.use_slots=false", Ok(("postgresql.use_slots", json!(false), Takes::Patroni)));
    check("pg_stat_statements.max=99", Ok(("postgresql.parameters.pg_stat_statements.max", json!(99), Takes::Reload)));
}

#[test]
fn what_cannot_be_is_refused() {
    check("wrok_mem=9MB", Err("neither Patroni nor PostgreSQL"));
    check("work_mem", Err("key=value"));
    check("ttl=25", Err("at least loop_wait + 2 x retry_timeout"));
    check("ttl=soon", Err("a number of seconds"));
    check("retry_timeout=2", Err("at least 3 seconds"));
    check("work_mem=9 apples", Err("a number, with a unit or in kB"));
    check("max_connections=0", Err("from 1 to 262143"));
    check("autovacuum=perhaps", Err("on or off"));
    check("wal_level=full", Err("one of replica, logical"));
    check("block_size=4096", Err("was fixed"));
    check("postgresql.parameters.port=5433", Err("by itself"));
    check("postgresql.authentication.superuser.password=x", Err("passwords are each node's own"));
    check("postgresql.listen=x", Err("no setting that nodes share"));
    check("postgresql.parameters.wrok_mem=1", Err("no parameter 'wrok_mem'"));
}

#[test]
fn values_are_compared_in_the_parameters_unit() {
    let known = known();
    for (parameter, value, setting, is) in [
        (0, json!("9MB"), "9216", true),
        (0, json!(9216), "9216", true),
        (0, json!("9GB"), "9216", false),
        (2, json!("128MB"), "16384", true),
        (4, json!(true), "on", true),
        (4, json!("no"), "on", false),
        (3, json!("Replica"), "replica", true),
        (1, json!("0640"), "416", true),
        (1, json!("0x10"), "0020", true),
        (1, json!("0"), "0", true),
        (1, json!("089"), "89", true),
    ] {
        assert_eq!(known[parameter].is(&value, setting), is, "{value} and {setting}");
    }
}

#[test]
fn a_patch_makes_one_document_of_another() {
    let after = json!({"ttl": 30, "loop_wait": 5, "postgresql": {"use_slots": true, "parameters": {"max_connections": 120}}});
    let patch = patch_between(&before(), &after);
    assert_eq!(patch, json!({"loop_wait": 5, "postgresql": {"parameters": {"max_connections": 120, "wal_log_hints": null}}}));
    assert_eq!(merged(&before(), &patch), after);
    assert_eq!(patch_between(&after, &after), json!({}));
    assert_eq!(joined(&json!({"a": {"b": 1}, "c": 1}), &json!({"a": {"d": null}, "c": 2})), json!({"a": {"b": 1, "d": null}, "c": 2}));
}
