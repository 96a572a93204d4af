//! `postgresql_tablespace`: tablespaces.

use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::postgresql::PostgresqlTablespace;
use pgfleet_protocol::{Map, Outcome};
use serde_json::Value;

use super::{Effect, Statement, ask, open, settle};
use crate::module::{Context, Failure, Planned};
use crate::postgres::{identifier, literal};

pub(crate) fn plan(arguments: &PostgresqlTablespace, context: &Context) -> Planned {
    let name = arguments.name.as_str();
    let location = arguments.location.as_ref().map(pgfleet_protocol::HostPath::as_str);
    if arguments.state == Presence::Absent && (location.is_some() || arguments.owner.is_some() || arguments.set.is_some()) {
        return Err(Failure::new("state=absent is mutually exclusive location, owner, rename_to, and set"));
    }
    let texts = [Some(name), location, arguments.owner.as_deref(), arguments.comment.as_deref()];
    let mut client = open(&arguments.connection(), arguments.login_db.as_deref(), &texts, context)?;
    let statement = "SELECT pg_catalog.pg_get_userbyid(spcowner) AS owner, spcoptions AS options, pg_catalog.pg_tablespace_location(oid) AS location, \
                     pg_catalog.shobj_description(oid, 'pg_tablespace') AS comment FROM pg_catalog.pg_tablespace";
    let found = ask(&mut client, &format!("{statement} WHERE spcname = {}", literal(name)))?.mappings().into_iter().next();
    let text = |column: &str| found.as_ref().and_then(|found| found.get(column)).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut options = options(found.as_ref());
    let quoted = identifier(name);
    let mut statements = Vec::new();
    match (&found, arguments.state) {
        (Some(_), Presence::Absent) => statements.push(Statement::new(format!("DROP TABLESPACE {quoted}"))),
        (None, Presence::Present) => match location {
            Some(location) => statements.push(Statement::new(format!("CREATE TABLESPACE {quoted} LOCATION {}", literal(location)))),
            None => return Err(Failure::new("'location' parameter must be passed with state=present if the tablespace doesn't exist")),
        },
        (Some(_), Presence::Present) if location.is_some_and(|location| location != text("location")) => {
            return Err(Failure::new(format!("Tablespace '{name}' exists with different location '{}'", text("location"))));
        }
        _ => {}
    }
    if arguments.state == Presence::Present {
        if let Some(owner) = arguments.owner.as_ref().filter(|owner| **owner != text("owner")) {
            statements.push(Statement::new(format!("ALTER TABLESPACE {quoted} OWNER TO {}", identifier(owner))));
        }
        for (option, value) in arguments.set.iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if value == "reset" {
                if options.remove(option).is_some() {
                    statements.push(Statement::new(format!("ALTER TABLESPACE {quoted} RESET ({option})")));
                }
            } else if options.get(option).and_then(Value::as_str) != Some(&value) {
                statements.push(Statement::new(format!("ALTER TABLESPACE {quoted} SET ({option} = {})", literal(&value))));
                options.insert(option.clone(), value.into());
            }
        }
        if let Some(comment) = arguments.comment.as_deref().filter(|comment| *comment != text("comment")) {
            statements.push(Statement::comment("TABLESPACE", name, comment));
        }
    }
    let outcome = Outcome::unchanged()
        .with("state", arguments.state.word())
        .with("tablespace", name)
        .with("owner", arguments.owner.clone().unwrap_or_else(|| text("owner")))
        .with("options", options)
        .with("location", location.map_or_else(|| text("location"), str::to_owned))
        .with("comment", arguments.comment.clone().unwrap_or_else(|| text("comment")));
    settle(client, statements, Effect::OneByOne, outcome, "Cannot change the tablespace")
}

/// `{a=b,c=d}` as a mapping.
fn options(found: Option<&Map>) -> Map {
    let lines = found.and_then(|found| found.get("options")).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
