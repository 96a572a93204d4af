//! `postgresql_owner`: who owns an object, or all that others own.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::postgresql::PostgresqlOwner;

use super::role::existing;
use super::{Effect, Statement, ask, open, role_exists, settle, warn};
use crate::module::{Context, Failure, Planned};
use crate::postgres::{Client, identifier, literal, path};

/// Kinds of objects: their word, table, column of the name, column of the owner.
const KINDS: [(&str, &str, &str, &str, &str); 22] = [
    ("aggregate", "AGGREGATE", "pg_proc", "proname", "proowner"),
    ("collation", "COLLATION", "pg_collation", "collname", "collowner"),
    ("conversion", "CONVERSION", "pg_conversion", "conname", "conowner"),
    ("database", "DATABASE", "pg_database", "datname", "datdba"),
    ("domain", "DOMAIN", "pg_type", "typname", "typowner"),
    ("event_trigger", "EVENT TRIGGER", "pg_event_trigger", "evtname", "evtowner"),
    ("foreign_data_wrapper", "FOREIGN DATA WRAPPER", "pg_foreign_data_wrapper", "fdwname", "fdwowner"),
    ("foreign_table", "FOREIGN TABLE", "pg_class", "relname", "relowner"),
    ("function", "FUNCTION", "pg_proc", "proname", "proowner"),
    ("language", "LANGUAGE", "pg_language", "lanname", "lanowner"),
    ("matview", "MATERIALIZED VIEW", "pg_class", "relname", "relowner"),
    ("procedure", "PROCEDURE", "pg_proc", "proname", "proowner"),
    ("publication", "PUBLICATION", "pg_publication", "pubname", "pubowner"),
    ("routine", "ROUTINE", "pg_proc", "proname", "proowner"),
    ("schema", "SCHEMA", "pg_namespace", "nspname", "nspowner"),
    ("sequence", "SEQUENCE", "pg_class", "relname", "relowner"),
    ("server", "SERVER", "pg_foreign_server", "srvname", "srvowner"),
    ("statistics", "STATISTICS", "pg_statistic_ext", "stxname", "stxowner"),
    ("table", "TABLE", "pg_class", "relname", "relowner"),
    ("tablespace", "TABLESPACE", "pg_tablespace", "spcname", "spcowner"),
    ("type", "TYPE", "pg_type", "typname", "typowner"),
    ("view", "VIEW", "pg_class", "relname", "relowner"),
];

pub(crate) fn plan(arguments: &PostgresqlOwner, context: &Context) -> Planned {
    let owner = arguments.new_owner.as_str();
    let texts = [Some(owner), arguments.obj_name.as_deref()];
    let mut client = open(&arguments.connection(), arguments.login_db.as_deref(), &texts, context)?;
    if !role_exists(&mut client, owner)? {
        return Err(Failure::new(format!("Role '{owner}' does not exist")));
    }
    let mut warnings = Vec::new();
    let statement = match (&arguments.obj_name, &arguments.reassign_owned_by) {
        (Some(name), _) => object(arguments.obj_type.as_deref(), name, owner, &mut client)?,
        (None, others) => {
            let others = others.clone().unwrap_or_default();
            let there = existing(&mut client, &others)?;
            for missing in others.iter().filter(|role| !there.contains(role)) {
                if arguments.fail_on_role.unwrap_or(true) {
                    return Err(Failure::new(format!("Role '{missing}' does not exist")));
                }
                warnings.push(format!("Role '{missing}' does not exist, pass"));
            }
            let names: Vec<String> = there.iter().map(|role| identifier(role)).collect();
            (!names.is_empty()).then(|| format!("REASSIGN OWNED BY {} TO {}", names.join(","), identifier(owner)))
        }
    };
    let statements = statement.map(Statement::new).into_iter().collect();
    settle(client, statements, Effect::Together, warn(Outcome::unchanged(), warnings), "Cannot change the owner")
}

/// The statement that gives an object to its new owner, unless it is his.
fn object(kind: Option<&str>, name: &str, owner: &str, client: &mut Client) -> Result<Option<String>, Failure> {
    let words: Vec<&str> = KINDS.iter().map(|kind| kind.0).collect();
    let unknown = || Failure::new(format!("obj_type: '{}' is not one of {}", kind.unwrap_or_default(), words.join(", ")));
    let (word, statement, table, name_column, owner_column) = *KINDS.iter().find(|known| Some(known.0) == kind).ok_or_else(unknown)?;
    let is_routine = table == "pg_proc";
    let (bare, signature) = if is_routine { name.split_once('(').map_or((name, ""), |(bare, rest)| (bare, rest)) } else { (name, "") };
    let is_global = matches!(
        word,
        "database" | "schema" | "tablespace" | "language" | "server" | "foreign_data_wrapper" | "publication" | "event_trigger"
    );
    let quoted = if is_global { identifier(bare) } else { path(bare) };
    let schema_and_name = if is_global { (None, bare.to_owned()) } else { parts(&quoted) };
    let in_schema = match &schema_and_name.0 {
        Some(schema) => format!(" AND {}namespace = {}::regnamespace", &owner_column[..3], literal(&identifier(schema))),
        None => String::new(),
    };
    let owned = format!(
        "SELECT pg_catalog.pg_get_userbyid({owner_column}) FROM pg_catalog.{table} WHERE {name_column} = {}{in_schema}",
        literal(&schema_and_name.1)
    );
    if ask(client, &owned)?.column().iter().any(|found| found == owner) {
        return Ok(None);
    }
    let arguments = if signature.is_empty() { String::new() } else { format!("({signature}") };
    Ok(Some(format!("ALTER {statement} {quoted}{arguments} OWNER TO {}", identifier(owner))))
}

/// Schema and name of a quoted path.
fn parts(quoted: &str) -> (Option<String>, String) {
    let plain = |part: &str| part.trim_matches('"').replace("\"\"", "\"");
    match quoted.rsplit_once("\".\"") {
        Some((schema, name)) => (Some(plain(schema)), plain(name)),
        None => (None, plain(quoted)),
    }
}
