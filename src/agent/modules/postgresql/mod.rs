//! The modules of `community.postgresql`: each reads what the server has, writes down the statements that are missing, and runs them.

pub(super) mod db;
mod dump;
pub(super) mod ext;
pub(super) mod info;
pub(super) mod membership;
pub(super) mod owner;
pub(super) mod ping;
pub(super) mod privs;
pub(super) mod query;
mod role;
pub(super) mod schema;
pub(super) mod script;
pub(super) mod set;
pub(super) mod slot;
pub(super) mod tablespace;
pub(super) mod user;

use pgfleet_protocol::modules::postgresql::ConnectionArguments;
use pgfleet_protocol::{Diff, Outcome, Status};
use serde_json::Value;

use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::{Answer, Client, Login, identifier, is_dangerous, literal};

/// A statement, and how it is told: without the passwords in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    sql: String,
    told: String,
}

impl Statement {
    fn new(sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self { told: sql.clone(), sql }
    }

    /// The statement that describes an object; an empty text takes the description away.
    fn comment(kind: &str, name: &str, comment: &str) -> Self {
        Self::new(format!("COMMENT ON {kind} {} IS {}", identifier(name), literal(comment)))
    }
}

/// Whether statements take effect together or one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// All or none.
    Together,
    /// Some statements cannot stand in a transaction.
    OneByOne,
}

/// Logs in to a database, after the look that `trust_input: false` asks for.
fn open(arguments: &ConnectionArguments, database: Option<&str>, texts: &[Option<&str>], context: &Context) -> Result<Client, Failure> {
    refuse_dangerous(arguments, texts)?;
    Login::new(arguments, database, context)?.open(context)
}

fn refuse_dangerous(arguments: &ConnectionArguments, texts: &[Option<&str>]) -> Result<(), Failure> {
    if arguments.trust_input {
        return Ok(());
    }
    let role = arguments.session_role.as_deref();
    let found: Vec<&str> = texts.iter().copied().chain([role]).flatten().filter(|text| is_dangerous(text)).collect();
    if found.is_empty() { Ok(()) } else { Err(Failure::new(format!("Passed input '{}' is potentially dangerous", found.join(", ")))) }
}

/// Reads from the server.
fn ask(client: &mut Client, statement: &str) -> Result<Answer, Failure> {
    client.run(statement).map_err(|error| Failure::new(format!("Cannot execute SQL '{statement}': {error}")))
}

fn told(statements: &[Statement]) -> Value {
    statements.iter().map(|statement| Value::from(statement.told.as_str())).collect()
}

/// Runs statements; what goes wrong is told behind `doing`.
fn run(client: &mut Client, statements: &[Statement], effect: Effect, doing: &str) -> Result<(), Failure> {
    let mut send = |sql: &str| client.run(sql).map(drop).map_err(|error| Failure::new(format!("{doing}: {error}")));
    if effect == Effect::OneByOne {
        return statements.iter().try_for_each(|statement| send(&statement.sql));
    }
    send("BEGIN")?;
    statements.iter().try_for_each(|statement| send(&statement.sql))?;
    send("COMMIT")
}

/// The plan that runs these statements; nothing when there are none. Their texts are the diff.
fn settle(client: Client, statements: Vec<Statement>, effect: Effect, outcome: Outcome, doing: &'static str) -> Planned {
    let outcome = foretell(&statements, outcome);
    if statements.is_empty() {
        return Ok(Plan::Done(outcome));
    }
    let mut client = client;
    Ok(Plan::change(outcome, move |_, outcome| run(&mut client, &statements, effect, doing).map(|()| outcome)))
}

/// The outcome with `queries`, their diff, and changed when there are any.
fn foretell(statements: &[Statement], outcome: Outcome) -> Outcome {
    let mut outcome = outcome.with("queries", told(statements));
    if !statements.is_empty() {
        outcome.status = Status::Changed;
        outcome = outcome.showing(diff(statements));
    }
    outcome
}

fn diff(statements: &[Statement]) -> Diff {
    let after: String = statements.iter().map(|statement| format!("{};\n", statement.told.trim_end_matches(';'))).collect();
    Diff { before_header: "statements".to_owned(), after_header: "statements".to_owned(), before: String::new(), after, attributes: None }
}

/// Whether a role of that name is there.
fn role_exists(client: &mut Client, name: &str) -> Result<bool, Failure> {
    Ok(!ask(client, &format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(name)))?.rows().is_empty())
}

/// Adds a word of warning to what a module says.
fn warn(outcome: Outcome, warnings: Vec<String>) -> Outcome {
    if warnings.is_empty() { outcome } else { outcome.with("warnings", warnings) }
}
