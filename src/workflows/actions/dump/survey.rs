//! What a node says of itself and of its databases, before anything is read.

use std::time::Duration;

use futures::future::try_join_all;
use pgfleet_protocol::Map;
use pgfleet_state::{Database, Extension};
use serde_json::Value;

use super::Work;
use crate::nodes::Node;
use crate::sql::literal;

const LIMIT: Duration = Duration::from_secs(60);

/// The server that is read.
pub(super) struct Server {
    pub(super) version: String,
    pub(super) pg_dump: String,
    pub(super) system_identifier: String,
    pub(super) timeline: u64,
    pub(super) lsn: String,
    pub(super) leads: bool,
}

impl Server {
    /// The first number of the version.
    pub(super) fn major(&self) -> u32 {
        major(&self.version)
    }
}

/// A database to dump, as it is now.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) database: Database,
    /// The role of the backups may read all of it.
    pub(super) readable: bool,
}

const SERVER: &str = "SELECT current_setting('server_version') AS version, \
    (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier, \
    NOT pg_is_in_recovery() AS leads, \
    CASE WHEN pg_is_in_recovery() THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint())) \
      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn";

/// Looks at the server, and at the pg_dump that belongs to it.
pub(super) async fn server(work: &Work, node: &Node) -> Result<Server, String> {
    // A CASE is no protection from a function that recovery forbids once it is planned, but each is called only where it may be.
    let rows = work.nodes.rows(node, "postgres", SERVER, LIMIT).await?;
    let row = rows.first().ok_or_else(|| format!("{}: PostgreSQL says nothing of itself", node.name))?;
    let program = format!("{}/pg_dump", node.bin_dir);
    let ended = work.nodes.run(node, &[&program, "--version"], "", LIMIT).await?;
    let pg_dump = ended.stdout.split_whitespace().nth(2).unwrap_or_default().to_owned();
    let server = Server {
        version: text(row, "version").split_whitespace().next().unwrap_or_default().to_owned(),
        pg_dump,
        system_identifier: text(row, "system_identifier"),
        timeline: row.get("timeline").and_then(Value::as_u64).unwrap_or_default(),
        lsn: text(row, "lsn"),
        leads: row.get("leads").and_then(Value::as_bool).unwrap_or(false),
    };
    if ended.rc != 0 || major(&server.pg_dump) != server.major() {
        return Err(format!("{}: {program} is of version '{}', the server of {}", node.name, server.pg_dump, server.version));
    }
    Ok(server)
}

fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

const DATABASES: &str = "SELECT datname AS name, pg_get_userbyid(datdba) AS owner, pg_database_size(oid) AS size, \
    pg_encoding_to_char(encoding) AS encoding, datcollate AS collation FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1";

/// All databases that can be dumped, with what a reader of the backup should know of each.
pub(super) async fn databases(work: &Work, node: &Node) -> Result<Vec<Found>, String> {
    let rows = work.nodes.rows(node, "postgres", DATABASES, LIMIT).await?;
    try_join_all(rows.iter().map(|row| database(work, node, row))).await
}

async fn database(work: &Work, node: &Node, row: &Map) -> Result<Found, String> {
    let name = text(row, "name");
    let user = literal(&node.backup_user);
    let query = format!(
        "SELECT (SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname)), '[]') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
           WHERE relpersistence = 'u' AND relkind = 'r') AS unlogged, \
         (SELECT coalesce(json_agg(json_build_object('name', extname, 'version', extversion) ORDER BY extname), '[]') FROM pg_extension) AS extensions, \
         EXISTS (SELECT FROM pg_largeobject_metadata) OR EXISTS (SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid \
           WHERE datname = current_database()) AS needs_superuser, \
         coalesce((SELECT rolbypassrls AND pg_has_role(oid, 'pg_read_all_data', 'MEMBER') \
           AND has_database_privilege(oid, current_database(), 'CONNECT') FROM pg_roles WHERE rolname = {user}), false) AS may_read"
    );
    let rows = work.nodes.rows(node, &name, &query, LIMIT).await?;
    let more = rows.first().cloned().unwrap_or_default();
    let is = |field: &str| more.get(field).and_then(Value::as_bool).unwrap_or(false);
    let list = |field: &str| more.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let extension = |value: &Value| Extension {
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        version: value["version"].as_str().unwrap_or_default().to_owned(),
    };
    Ok(Found {
        database: Database {
            owner: text(row, "owner"),
            size_bytes: row.get("size").and_then(Value::as_u64).unwrap_or_default(),
            encoding: text(row, "encoding"),
            collation: text(row, "collation"),
            unlogged: list("unlogged").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            extensions: list("extensions").iter().map(extension).collect(),
            name,
            ..Database::default()
        },
        readable: is("may_read") && !is("needs_superuser"),
    })
}

fn text(row: &Map, name: &str) -> String {
    row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
