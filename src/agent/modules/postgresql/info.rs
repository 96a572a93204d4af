//! `postgresql_info`: what there is to know of a server, in the parts that are asked for.

use pgfleet_protocol::modules::postgresql::PostgresqlInfo;
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use super::{ask, open, ping};
use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::Client;

/// Parts: name, the statement whose rows it is made of, and the column that names each row.
const PARTS: [(&str, &str, &str); 7] = [
    (
        "databases",
        "SELECT datname AS name, pg_catalog.pg_get_userbyid(datdba) AS owner, pg_catalog.pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, \
         datctype AS ctype, pg_catalog.array_to_string(datacl, E'\\n') AS access_priv, CASE WHEN pg_catalog.has_database_privilege(datname, 'CONNECT') \
         THEN pg_catalog.pg_database_size(datname)::text ELSE 'No Access' END AS size FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY 1",
        "name",
    ),
    (
        "roles",
        "SELECT rolname AS name, rolsuper AS superuser, rolcanlogin AS canlogin, rolvaliduntil AS valid_until, ARRAY(SELECT b.rolname::text FROM \
         pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b ON m.roleid = b.oid WHERE m.member = r.oid) AS member_of FROM pg_catalog.pg_roles r \
         WHERE rolname !~ '^pg_' ORDER BY 1",
        "name",
    ),
    (
        "settings",
        "SELECT name, setting, unit, context, boot_val, min_val, max_val, vartype, sourcefile, pending_restart FROM pg_catalog.pg_settings ORDER BY 1",
        "name",
    ),
    (
        "tablespaces",
        "SELECT spcname AS name, pg_catalog.pg_get_userbyid(spcowner) AS spcowner, spcoptions AS spcoptions, spcacl::text AS spcacl FROM pg_catalog.pg_tablespace ORDER BY 1",
        "name",
    ),
    (
        "replications",
        "SELECT r.pid, usename, application_name AS app_name, client_addr, client_hostname, backend_start::text, state FROM pg_catalog.pg_stat_replication r ORDER BY 1",
        "pid",
    ),
    ("repl_slots", "SELECT slot_name AS name, plugin, slot_type, database, active FROM pg_catalog.pg_replication_slots ORDER BY 1", "name"),
    (
        "languages",
        "SELECT lanname AS name, pg_catalog.pg_get_userbyid(lanowner) AS lanowner, lanacl::text AS lanacl FROM pg_catalog.pg_language ORDER BY 1",
        "name",
    ),
];

pub(crate) fn plan(arguments: &PostgresqlInfo, context: &Context) -> Planned {
    let known = |name: &str| ["version", "in_recovery"].contains(&name) || PARTS.iter().any(|part| part.0 == name);
    for name in &arguments.filter {
        // Shell patterns and what there is besides are not told yet.
        if !known(name.trim_start_matches('!')) {
            let names: Vec<&str> = PARTS.iter().map(|part| part.0).collect();
            return Err(Failure::new(format!(
                "postgresql_info cannot tell '{name}': known are version, in_recovery, {}",
                names.join(", ")
            )));
        }
    }
    let (without, with): (Vec<&str>, Vec<&str>) = arguments.filter.iter().map(String::as_str).partition(|name| name.starts_with('!'));
    let is_wanted = |name: &str| (with.is_empty() || with.contains(&name)) && !without.iter().any(|other| other[1..] == *name);
    let mut client = open(&arguments.connection(), arguments.login_db.as_deref(), &[], context)?;
    let mut outcome = Outcome::unchanged();
    let first = ask(&mut client, "SELECT version(), pg_catalog.pg_is_in_recovery()")?;
    if is_wanted("version") {
        outcome = outcome.with("version", ping::version(first.cell(0).unwrap_or_default()));
    }
    if is_wanted("in_recovery") {
        outcome = outcome.with("in_recovery", first.cell(1) == Some("t"));
    }
    for (name, statement, key) in PARTS.iter().filter(|part| is_wanted(part.0)) {
        outcome = outcome.with(name, part(&mut client, statement, key)?);
    }
    Ok(Plan::Done(outcome))
}

/// Rows under their names.
fn part(client: &mut Client, statement: &str, key: &str) -> Result<Value, Failure> {
    let mut told = Map::new();
    for mut row in ask(client, statement)?.mappings() {
        let name = row.shift_remove(key).unwrap_or_default();
        told.insert(name.as_str().map_or_else(|| name.to_string(), str::to_owned), json!(row));
    }
    Ok(Value::Object(told))
}
