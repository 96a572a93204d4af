//! `postgresql_ping`: whether a server answers.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::postgresql::PostgresqlPing;
use serde_json::{Value, json};

use super::{ask, open};
use crate::module::{Context, Plan, Planned};

pub(crate) fn plan(arguments: &PostgresqlPing, context: &Context) -> Planned {
    let outcome = Outcome::unchanged();
    let mut client = match open(&arguments.connection(), arguments.login_db.as_deref(), &[], context) {
        Ok(client) => client,
        Err(failure) => {
            let told = failure.message.trim_start_matches("unable to connect to database: ").to_owned();
            let warning = format!("PostgreSQL server is unavailable: {told}");
            let outcome = outcome.with("is_available", false).with("server_version", json!({})).with("conn_err_msg", told);
            return Ok(Plan::Done(outcome.with("warnings", vec![warning])));
        }
    };
    let raw = ask(&mut client, "SELECT version()")?.cell(0).unwrap_or_default().to_owned();
    Ok(Plan::Done(outcome.with("is_available", true).with("server_version", version(&raw)).with("conn_err_msg", "")))
}

/// `PostgreSQL 17.11 (Debian ...) on ...` in its parts.
pub(super) fn version(raw: &str) -> Value {
    let full = raw.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = full.split('.').map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<i64>().ok());
    let mut told = json!({"major": numbers.next().flatten(), "minor": numbers.next().flatten(), "full": full, "raw": raw});
    if let (Some(patch), Some(map)) = (numbers.next().flatten(), told.as_object_mut()) {
        map.insert("patch".to_owned(), patch.into());
    }
    told
}
