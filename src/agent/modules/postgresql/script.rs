//! `postgresql_script`: runs a file of statements.

use std::path::Path;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::postgresql::PostgresqlScript;

use super::query::{login, look_in, placeholders, rows_of};
use super::refuse_dangerous;
use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::fill;

pub(crate) fn plan(arguments: &PostgresqlScript, context: &Context) -> Planned {
    if context.mode.is_check() {
        return Ok(Plan::Done(Outcome::skipped("remote module (postgresql_script) does not support check mode")));
    }
    let connection = arguments.connection();
    refuse_dangerous(&connection, &[])?;
    let path = arguments.path.as_str().to_owned();
    let text = context.system.read_text(Path::new(&path));
    let text = text.map_err(|error| Failure::new(format!("Cannot read file '{path}' : {}", crate::module::reason(&error))))?;
    let text = match placeholders(arguments.positional_args.as_ref(), arguments.named_args.as_ref())? {
        Some(values) => fill(&text, &values).map_err(|problem| Failure::new(format!("Cannot execute SQL of {path}: {problem}")))?,
        None => text,
    };
    let mut client = login(&connection, arguments.login_db.as_deref(), arguments.encoding.as_deref(), context)?;
    let schemas = arguments.search_path.clone();
    Ok(Plan::change(Outcome::changed(), move |_, outcome| {
        look_in(&mut client, &schemas)?;
        let answer =
            client.run(&text).map_err(|error| Failure::new(format!("Cannot execute SQL of {path}: {}", error.with_place(&text))))?;
        Ok(outcome
            .with("query", text)
            .with("statusmessage", answer.tag.as_str())
            .with("query_result", rows_of(&answer))
            .with("rowcount", if answer.has_result() || answer.count() > 0 { answer.count().cast_signed() } else { -1 }))
    }))
}
