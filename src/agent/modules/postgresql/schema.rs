//! `postgresql_schema`: schemas of a database.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::postgresql::PostgresqlSchema;

use super::{Effect, Statement, ask, open, settle};
use crate::module::{Context, Planned};
use crate::postgres::{identifier, literal};

pub(crate) fn plan(arguments: &PostgresqlSchema, context: &Context) -> Planned {
    let (name, owner, comment) = (arguments.name.as_str(), arguments.owner.as_str(), arguments.comment.as_deref());
    let mut client = open(&arguments.connection(), Some(&arguments.login_db), &[Some(name), Some(owner), comment], context)?;
    let statement =
        "SELECT pg_catalog.pg_get_userbyid(nspowner), pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace";
    let found = ask(&mut client, &format!("{statement} WHERE nspname = {}", literal(name)))?;
    let quoted = identifier(name);
    let mut statements = Vec::new();
    match (arguments.state, found.rows().is_empty()) {
        (Presence::Absent, true) => {}
        (Presence::Absent, false) => {
            statements.push(Statement::new(format!("DROP SCHEMA {quoted}{}", if arguments.cascade_drop { " CASCADE" } else { "" })));
        }
        (Presence::Present, true) => {
            let whose = if owner.is_empty() { String::new() } else { format!(" AUTHORIZATION {}", identifier(owner)) };
            statements.push(Statement::new(format!("CREATE SCHEMA {quoted}{whose}")));
        }
        (Presence::Present, false) if !owner.is_empty() && found.cell(0) != Some(owner) => {
            statements.push(Statement::new(format!("ALTER SCHEMA {quoted} OWNER TO {}", identifier(owner))));
        }
        (Presence::Present, false) => {}
    }
    if let Some(comment) = comment.filter(|comment| *comment != found.cell(1).unwrap_or_default())
        && arguments.state == Presence::Present
    {
        statements.push(Statement::comment("SCHEMA", name, comment));
    }
    settle(client, statements, Effect::Together, Outcome::unchanged().with("schema", name), "Database query failed")
}
