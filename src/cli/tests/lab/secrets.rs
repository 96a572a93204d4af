//! Logging in: connections, psql on a node.

use serde_json::Value;

use crate::rig::Rig;

/// Each way leads to a node of the role that it promises; psql opens on the right node, and no password is told.
pub(crate) fn connections(rig: &Rig) {
    let ran = rig.on_fleet("connection", &["--test", "--format", "all", "-o", "json"]).expect(0);
    let shown: Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = shown["connections"].as_array().expect("rows");
    assert_eq!(rows.len(), 35, "{shown:#}");
    for row in rows {
        assert!(row["tried"]["node"].is_string() && row["tried"]["error"].is_null(), "{row:#}");
        assert!(row["role"] == "any" || row["role"] == row["tried"]["role"], "{row:#}");
    }
    let password = std::fs::read_to_string(rig.project().join("state/postgresql/secrets/app")).expect("a password");
    assert!(!ran.out.contains(password.trim()), "the password is told unasked");
    assert!(rig.on_fleet("connection", &["--show-password"]).expect(0).out.contains(password.trim()));
    for (role, user, expect) in [("leader", "app_user", "f"), ("replica", "app_readonly", "t"), ("any", "postgres", "f")] {
        let arguments = ["--role", role, "-U", user, "-c", "SELECT pg_is_in_recovery(), current_user", "--", "-A", "-t"];
        let ran = rig.on_fleet("connect", &arguments).expect(0);
        assert_eq!(ran.out.trim(), format!("{expect}|{user}"), "{}", ran.err);
    }
    rig.on_fleet("connect", &["-c", "SELEC"]).expect(1);
}
