//! `postgresql_query`: runs statements as they are given.

use std::time::Instant;

use pgfleet_protocol::modules::postgresql::{ConnectionArguments, PostgresqlQuery};
use pgfleet_protocol::{Map, Outcome, Status};
use serde_json::Value;

use super::refuse_dangerous;
use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::{Answer, Arguments, Client, Login, ServerError, fill};

/// Statements in the order in which they were given, each with its placeholders filled in.
struct Script {
    statements: Vec<String>,
    given: Value,
    search_path: Vec<String>,
    autocommit: bool,
}

pub(crate) fn plan(arguments: &PostgresqlQuery, context: &Context) -> Planned {
    let connection = arguments.connection();
    refuse_dangerous(&connection, &[])?;
    let queries: Vec<String> = match &arguments.query {
        Some(Value::String(query)) => vec![query.clone()],
        Some(Value::Array(queries)) => {
            let text = |query: &Value| {
                query.as_str().map(str::to_owned).ok_or_else(|| Failure::new("query argument must be of type string or list"))
            };
            queries.iter().map(text).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(Failure::new("query argument must be of type string or list")),
        None => Vec::new(),
    };
    if queries.is_empty() {
        return Err(Failure::new("module 'postgresql_query': missing required arguments: query"));
    }
    if arguments.autocommit && context.mode.is_check() {
        return Err(Failure::new("Using autocommit is mutually exclusive with check_mode"));
    }
    let values = placeholders(arguments.positional_args.as_ref(), arguments.named_args.as_ref())?;
    let filled = |query: &String| match &values {
        Some(values) => fill(query, values).map_err(|problem| Failure::new(format!("Cannot execute SQL '{query}': {problem}"))),
        None => Ok(query.clone()),
    };
    let script = Script {
        statements: queries.iter().map(filled).collect::<Result<_, _>>()?,
        given: Value::from(queries),
        search_path: arguments.search_path.clone(),
        autocommit: arguments.autocommit,
    };
    let mut client = login(&connection, arguments.login_db.as_deref(), arguments.encoding.as_deref(), context)?;
    if context.mode.is_check() {
        // Only running it tells what it would do; the transaction is never committed.
        return script.run(&mut client, "ROLLBACK").map(Plan::Done);
    }
    Ok(Plan::change(Outcome::changed(), move |_, _| script.run(&mut client, "COMMIT")))
}

/// Logs in with an encoding.
pub(super) fn login(
    connection: &ConnectionArguments,
    database: Option<&str>,
    encoding: Option<&str>,
    context: &Context,
) -> Result<Client, Failure> {
    let mut connection = connection.clone();
    if let Some(encoding) = encoding {
        connection.connect_params.insert("client_encoding".to_owned(), encoding.into());
    }
    Login::new(&connection, database, context)?.open(context)
}

/// What stands for the placeholders; nothing when neither list nor mapping has anything.
pub(super) fn placeholders(positional: Option<&Value>, named: Option<&Map>) -> Result<Option<Arguments>, Failure> {
    Ok(match (positional, named) {
        (Some(Value::Array(values)), _) => Some(Arguments::Positional(values.clone())).filter(|_| !values.is_empty()),
        (Some(Value::String(text)), _) => Some(Arguments::Positional(text.split(',').map(Value::from).collect())),
        (Some(_), _) => return Err(Failure::new("argument 'positional_args': expected a list")),
        (None, Some(values)) => Some(Arguments::Named(values.clone())).filter(|_| !values.is_empty()),
        (None, None) => None,
    })
}

/// Lets the session look in these schemas.
pub(super) fn look_in(client: &mut Client, schemas: &[String]) -> Result<(), Failure> {
    if schemas.is_empty() {
        return Ok(());
    }
    let schemas: Vec<&str> = schemas.iter().map(|schema| schema.trim()).collect();
    let statement = format!("SET search_path TO {}", schemas.join(","));
    client.run(&statement).map(drop).map_err(|error| Failure::new(format!("Cannot execute SQL '{statement}': {error}")))
}

/// Rows as Ansible tells them: an empty mapping where there are none.
pub(super) fn rows_of(answer: &Answer) -> Value {
    let rows: Vec<Value> = answer.mappings().into_iter().map(Value::Object).collect();
    if rows.is_empty() { Value::Object(Map::new()) } else { Value::Array(rows) }
}

impl Script {
    fn run(&self, client: &mut Client, end: &str) -> Result<Outcome, Failure> {
        look_in(client, &self.search_path)?;
        let mut session = |statement: &str| client.run(statement);
        let failed = |statement: &str, error: &ServerError| {
            Failure::new(format!("Cannot execute SQL '{statement}': {}, query list: {}", error.with_place(statement), self.given))
        };
        if !self.autocommit {
            session("BEGIN").map_err(|error| failed("BEGIN", &error))?;
        }
        let (mut all, mut times, mut rows, mut is_change) = (Vec::new(), Vec::new(), 0, false);
        let mut last = Answer::default();
        for statement in &self.statements {
            let begin = Instant::now();
            last = session(statement).map_err(|error| failed(statement, &error))?;
            times.push(Value::from((begin.elapsed().as_secs_f64() * 1e7).round() / 1e4));
            rows += last.count();
            is_change |= changes(&last.tag);
            all.push(rows_of(&last));
        }
        if !self.autocommit {
            session(end).map_err(|error| failed(end, &error))?;
        }
        let mut outcome = Outcome { status: if is_change { Status::Changed } else { Status::Unchanged }, ..Outcome::default() };
        outcome = outcome
            .with("query", self.statements.last().map(String::as_str).unwrap_or_default())
            .with("query_list", self.given.clone())
            .with("statusmessage", last.tag.as_str())
            .with("query_result", all.last().cloned().unwrap_or_default())
            .with("query_all_results", all)
            .with("rowcount", rows)
            .with("execution_time_ms", times);
        Ok(outcome)
    }
}

/// Whether a statement with that answer counts as a change: all but those that read, and those that touched no row.
fn changes(tag: &str) -> bool {
    if tag.contains("SELECT") || tag.contains("SHOW") {
        return false;
    }
    let words: Vec<&str> = tag.split_whitespace().collect();
    let counts = ["UPDATE", "INSERT", "DELETE"].iter().any(|word| tag.contains(word));
    !(counts && matches!(words.as_slice(), [_, "0"] | [_, _, "0"]))
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn what_touches_no_row_is_no_change() {
        for (tag, expect) in [
            ("SELECT 3", false),
            ("SHOW", false),
            ("UPDATE 0", false),
            ("UPDATE 2", true),
            ("INSERT 0 0", false),
            ("INSERT 0 1", true),
            ("CREATE TABLE", true),
        ] {
            assert_eq!(changes(tag), expect, "{tag}");
        }
    }
}
