//! What the server has of a role.

use pgfleet_protocol::Map;

use super::ask;
use crate::module::Failure;
use crate::postgres::{Client, array, literal};

/// Flags, and the columns that hold them.
pub(super) const FLAGS: [(&str, &str); 7] = [
    ("SUPERUSER", "rolsuper"),
    ("CREATEROLE", "rolcreaterole"),
    ("CREATEDB", "rolcreatedb"),
    ("INHERIT", "rolinherit"),
    ("LOGIN", "rolcanlogin"),
    ("REPLICATION", "rolreplication"),
    ("BYPASSRLS", "rolbypassrls"),
];

/// A role as the server has it.
pub(super) struct Role {
    values: Map,
    /// False where the server does not show what it keeps of passwords.
    pub(super) shows_password: bool,
}

impl Role {
    /// The role of that name. `expires` is compared by the server, which knows all notations of a moment.
    pub(super) fn find(client: &mut Client, name: &str, expires: Option<&str>) -> Result<Option<Self>, Failure> {
        let statement = |table: &str| {
            let columns: Vec<&str> = FLAGS.iter().map(|(_, column)| *column).collect();
            let ends =
                expires.map_or("true".to_owned(), |moment| format!("rolvaliduntil IS NOT DISTINCT FROM {}::timestamptz", literal(moment)));
            format!(
                "SELECT {}, rolconnlimit, rolpassword, {ends} AS ends_as_wished, (SELECT rolconfig FROM pg_catalog.pg_roles r WHERE r.oid = a.oid) AS rolconfig, \
                 pg_catalog.shobj_description(oid, 'pg_authid') AS comment FROM pg_catalog.{table} a WHERE rolname = {}",
                columns.join(", "),
                literal(name)
            )
        };
        let (answer, shows_password) = match client.run(&statement("pg_authid")) {
            Ok(answer) => (answer, true),
            // Hosted servers keep that table from everybody.
            Err(error) if error.code == "42501" => (ask(client, &statement("pg_roles"))?, false),
            Err(error) => return Err(Failure::new(format!("Failed to get role details for current user {name}: {error}"))),
        };
        Ok(answer.mappings().into_iter().next().map(|values| Self { values, shows_password }))
    }

    /// Whether a flag is set.
    pub(super) fn has(&self, flag: &str) -> bool {
        let column = FLAGS.iter().find(|(name, _)| *name == flag).map_or("", |(_, column)| column);
        self.values.get(column).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// What the server keeps of its password.
    pub(super) fn password(&self) -> Option<&str> {
        self.values.get("rolpassword")?.as_str()
    }

    pub(super) fn connection_limit(&self) -> Option<i64> {
        self.values.get("rolconnlimit")?.as_i64()
    }

    pub(super) fn ends_as_wished(&self) -> bool {
        self.values.get("ends_as_wished").and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    pub(super) fn comment(&self) -> &str {
        self.values.get("comment").and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    /// Settings of its sessions, name and value.
    pub(super) fn configuration(&self) -> Vec<(String, String)> {
        let lines = self.values.get("rolconfig").and_then(serde_json::Value::as_array);
        let lines = lines.into_iter().flatten().filter_map(serde_json::Value::as_str);
        lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// Those of these names that are roles.
pub(super) fn existing(client: &mut Client, names: &[String]) -> Result<Vec<String>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    Ok(ask(client, &format!("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY ({})", array(names)))?.column())
}
