//! `postgresql_db`: databases.

use pgfleet_protocol::modules::postgresql::{DatabaseState, PostgresqlDb};
use pgfleet_protocol::{Map, Outcome};
use serde_json::Value;

use super::{Effect, Statement, ask, diff, dump, open, run, told};
use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::{Client, identifier, literal};

const DOING: &str = "Database query failed";

pub(crate) fn plan(arguments: &PostgresqlDb, context: &Context) -> Planned {
    if matches!(arguments.state, DatabaseState::Dump | DatabaseState::Restore) {
        return dump::plan(arguments, context);
    }
    if arguments.state == DatabaseState::Rename {
        check_rename(arguments)?;
    }
    let limit = arguments.conn_limit.as_deref().filter(|limit| !limit.is_empty());
    if limit.is_some_and(|limit| limit.parse::<i64>().is_err()) {
        return Err(Failure::new(format!("conn_limit: '{}' is not a whole number", limit.unwrap_or_default())));
    }
    let names = [&arguments.owner, &arguments.encoding, &arguments.name, &arguments.template, &arguments.tablespace];
    let texts: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).chain([limit, arguments.comment.as_deref()]).collect();
    let mut client = open(&arguments.connection(), Some(&arguments.maintenance_db), &texts, context)?;
    let found = find(&mut client, &arguments.name)?;
    let mut statements = match (arguments.state, &found) {
        (DatabaseState::Absent, Some(_)) => removal(arguments, &client),
        (DatabaseState::Present, None) => vec![creation(arguments, limit, &client)],
        (DatabaseState::Present, Some(found)) => changes(arguments, limit, found, &mut client)?,
        (DatabaseState::Rename, found) => renaming(arguments, found.is_some(), &mut client)?,
        _ => Vec::new(),
    };
    let described = found.as_ref().map_or("", |found| text(found, "comment"));
    if let Some(comment) = arguments.comment.as_deref().filter(|comment| *comment != described)
        && arguments.state == DatabaseState::Present
    {
        statements.push(Statement::comment("DATABASE", &arguments.name, comment));
    }
    let outcome =
        Outcome::changed_if(!statements.is_empty()).with("db", arguments.name.as_str()).with("executed_commands", told(&statements));
    if statements.is_empty() {
        return Ok(Plan::Done(outcome));
    }
    let outcome = outcome.showing(diff(&statements));
    Ok(Plan::change(outcome, move |_, outcome| run(&mut client, &statements, Effect::OneByOne, DOING).map(|()| outcome)))
}

fn check_rename(arguments: &PostgresqlDb) -> Result<(), Failure> {
    if arguments.target.is_empty() {
        return Err(Failure::new("The \"target\" option must be defined when the \"rename\" option is used."));
    }
    if arguments.name == arguments.target {
        return Err(Failure::new("The \"name/db\" option and the \"target\" option cannot be the same."));
    }
    if arguments.maintenance_db == arguments.name {
        return Err(Failure::new("The \"maintenance_db\" option and the \"name/db\" option cannot be the same."));
    }
    Ok(())
}

/// What the server has of a database. The locale's provider is told since version 15, its name has had two columns.
fn find(client: &mut Client, name: &str) -> Result<Option<Map>, Failure> {
    let locale = match client.version() {
        170_000.. => {
            "datlocale AS icu_locale, CASE datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END AS locale_provider"
        }
        150_000.. => "daticulocale AS icu_locale, CASE datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' END AS locale_provider",
        _ => "NULL AS icu_locale, NULL AS locale_provider",
    };
    let statement = format!(
        "SELECT pg_catalog.pg_get_userbyid(datdba) AS owner, pg_catalog.pg_encoding_to_char(encoding) AS encoding, encoding AS encoding_id, \
         datcollate AS lc_collate, datctype AS lc_ctype, {locale}, datconnlimit AS conn_limit, spcname AS tablespace, \
         pg_catalog.shobj_description(d.oid, 'pg_database') AS comment \
         FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE datname = {}",
        literal(name)
    );
    Ok(ask(client, &statement)?.mappings().into_iter().next())
}

fn text<'a>(found: &'a Map, name: &str) -> &'a str {
    found.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn creation(arguments: &PostgresqlDb, limit: Option<&str>, client: &Client) -> Statement {
    let mut sql = format!("CREATE DATABASE {}", identifier(&arguments.name));
    let mut say = |word: &str, value: String| {
        sql.push(' ');
        sql.push_str(word);
        sql.push(' ');
        sql.push_str(&value);
    };
    let has_providers = client.version() >= 150_000;
    for (word, name) in [("OWNER", &arguments.owner), ("TEMPLATE", &arguments.template)] {
        if !name.is_empty() {
            say(word, identifier(name));
        }
    }
    for (word, value, is_known) in [
        ("ENCODING", &arguments.encoding, true),
        ("LC_COLLATE", &arguments.lc_collate, true),
        ("LC_CTYPE", &arguments.lc_ctype, true),
        ("ICU_LOCALE", &arguments.icu_locale, has_providers),
        ("LOCALE_PROVIDER", &arguments.locale_provider, has_providers),
    ] {
        if !value.is_empty() && is_known {
            say(word, literal(value));
        }
    }
    if !arguments.tablespace.is_empty() {
        say("TABLESPACE", identifier(&arguments.tablespace));
    }
    if let Some(limit) = limit {
        say("CONNECTION LIMIT", limit.to_owned());
    }
    Statement::new(sql)
}

/// What can be changed; what cannot be is an error.
fn changes(arguments: &PostgresqlDb, limit: Option<&str>, found: &Map, client: &mut Client) -> Result<Vec<Statement>, Failure> {
    if !arguments.encoding.is_empty() {
        let wished = ask(client, &format!("SELECT pg_catalog.pg_char_to_encoding({})", literal(&arguments.encoding)))?;
        if wished.cell(0).and_then(|number| number.parse().ok()) != found.get("encoding_id").and_then(Value::as_i64) {
            return Err(Failure::new(format!(
                "Changing database encoding is not supported. Current encoding: {}",
                text(found, "encoding")
            )));
        }
    }
    for (label, column, wished) in [
        ("LC_COLLATE", "lc_collate", &arguments.lc_collate),
        ("LC_CTYPE", "lc_ctype", &arguments.lc_ctype),
        ("ICU_LOCALE", "icu_locale", &arguments.icu_locale),
        ("LOCALE_PROVIDER", "locale_provider", &arguments.locale_provider),
    ] {
        if !wished.is_empty() && *wished != text(found, column) {
            return Err(Failure::new(format!("Changing {label} is not supported. Current {label}: {}", text(found, column))));
        }
    }
    let quoted = identifier(&arguments.name);
    let mut statements = Vec::new();
    if !arguments.owner.is_empty() && arguments.owner != text(found, "owner") {
        statements.push(Statement::new(format!("ALTER DATABASE {quoted} OWNER TO {}", identifier(&arguments.owner))));
    }
    if let Some(limit) = limit.filter(|limit| limit.parse().ok() != found.get("conn_limit").and_then(Value::as_i64)) {
        statements.push(Statement::new(format!("ALTER DATABASE {quoted} CONNECTION LIMIT {limit}")));
    }
    if !arguments.tablespace.is_empty() && arguments.tablespace != text(found, "tablespace") {
        statements.push(Statement::new(format!("ALTER DATABASE {quoted} SET TABLESPACE {}", identifier(&arguments.tablespace))));
    }
    Ok(statements)
}

fn removal(arguments: &PostgresqlDb, client: &Client) -> Vec<Statement> {
    let (name, quoted) = (literal(&arguments.name), identifier(&arguments.name));
    match (arguments.force, client.version()) {
        (true, 130_000..) => vec![Statement::new(format!("DROP DATABASE {quoted} WITH (FORCE)"))],
        (true, _) => vec![
            Statement::new(format!("UPDATE pg_catalog.pg_database SET datallowconn = false WHERE datname = {name}")),
            Statement::new(format!(
                "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = {name} AND pid <> pg_backend_pid()"
            )),
            Statement::new(format!("DROP DATABASE {quoted}")),
        ],
        (false, _) => vec![Statement::new(format!("DROP DATABASE {quoted}"))],
    }
}

fn renaming(arguments: &PostgresqlDb, is_there: bool, client: &mut Client) -> Result<Vec<Statement>, Failure> {
    match (is_there, find(client, &arguments.target)?.is_some()) {
        (true, true) => Err(Failure::new("Both the source and the target databases exist.")),
        (false, false) => Err(Failure::new("The source and the target databases do not exist.")),
        (false, true) => Ok(Vec::new()),
        (true, false) => {
            let (from, to) = (identifier(&arguments.name), identifier(&arguments.target));
            Ok(vec![Statement::new(format!("ALTER DATABASE {from} RENAME TO {to}"))])
        }
    }
}
