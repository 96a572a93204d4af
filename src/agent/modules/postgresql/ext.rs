//! `postgresql_ext`: extensions of a database.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::postgresql::PostgresqlExt;

use super::{Effect, Statement, ask, foretell, open, run};
use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::{Client, identifier, literal};

const DOING: &str = "Management of PostgreSQL extension failed";

/// What the server has of an extension, and could have.
struct Versions {
    current: Option<String>,
    default: Option<String>,
    available: Vec<String>,
    comment: String,
}

impl Versions {
    fn find(client: &mut Client, name: &str) -> Result<Self, Failure> {
        let name = literal(name);
        let statement = "SELECT extversion, pg_catalog.obj_description(oid, 'pg_extension') FROM pg_catalog.pg_extension WHERE extname";
        let current = ask(client, &format!("{statement} = {name}"))?;
        let default = ask(client, &format!("SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = {name}"))?;
        let available = ask(client, &format!("SELECT version FROM pg_catalog.pg_available_extension_versions WHERE name = {name}"))?;
        Ok(Self {
            current: current.cell(0).map(str::to_owned),
            default: default.cell(0).map(str::to_owned),
            available: available.column(),
            comment: current.cell(1).unwrap_or_default().to_owned(),
        })
    }
}

pub(crate) fn plan(arguments: &PostgresqlExt, context: &Context) -> Planned {
    let name = arguments.name.clone();
    let texts = [Some(name.as_str()), arguments.schema.as_deref(), arguments.version.as_deref(), arguments.comment.as_deref()];
    let mut client = open(&arguments.connection(), Some(&arguments.login_db), &texts, context)?;
    let found = Versions::find(&mut client, &name)?;
    let cascade = if arguments.cascade { " CASCADE" } else { "" };
    let mut statements = Vec::new();
    let mut version = String::new();
    if arguments.state == Presence::Absent {
        if found.current.is_some() {
            statements.push(Statement::new(format!("DROP EXTENSION {}{cascade}", identifier(&name))));
        }
    } else {
        let wished = wished(arguments, &found)?;
        version = found.current.clone().unwrap_or_else(|| wished.clone());
        let exact = arguments.version.as_deref().filter(|version| *version != "latest");
        match &found.current {
            None => {
                if arguments.version.is_some() && !found.available.contains(&wished) {
                    let which = if exact.is_some() { "Passed" } else { "Latest" };
                    return Err(Failure::new(format!("{which} version '{wished}' is not available")));
                }
                let schema = arguments.schema.as_ref().map_or_else(String::new, |schema| format!(" WITH SCHEMA {}", identifier(schema)));
                let at = exact.map_or_else(String::new, |version| format!(" VERSION {}", literal(version)));
                statements.push(Statement::new(format!("CREATE EXTENSION {}{schema}{at}{cascade}", identifier(&name))));
            }
            Some(current) if arguments.version.is_some() && *current != wished => {
                check_update(&mut client, &name, current, &wished, exact.is_some())?;
                let to = exact.map_or_else(String::new, |version| format!(" TO {}", literal(version)));
                statements.push(Statement::new(format!("ALTER EXTENSION {} UPDATE{to}", identifier(&name))));
                version = wished;
            }
            Some(_) => {}
        }
        if let Some(comment) = arguments.comment.as_deref().filter(|comment| *comment != found.comment) {
            statements.push(Statement::comment("EXTENSION", &name, comment));
        }
    }
    let outcome = Outcome::unchanged().with("db", arguments.login_db.as_str()).with("ext", name.as_str());
    let outcome = outcome.with("prev_version", found.current.unwrap_or_default()).with("version", version);
    let outcome = foretell(&statements, outcome);
    if statements.is_empty() {
        return Ok(Plan::Done(outcome));
    }
    Ok(Plan::change(outcome, move |_, outcome| {
        run(&mut client, &statements, Effect::OneByOne, DOING)?;
        let now = Versions::find(&mut client, &name)?.current.unwrap_or_default();
        Ok(outcome.with("version", now))
    }))
}

/// The version that is meant, where it is not written down the server's default.
fn wished(arguments: &PostgresqlExt, found: &Versions) -> Result<String, Failure> {
    match arguments.version.as_deref() {
        Some(version) if version != "latest" => Ok(version.to_owned()),
        _ if found.available.is_empty() => Err(Failure::new(format!(
            "Extension {} is not available: install the package that brings it on the server's host",
            arguments.name
        ))),
        _ => found
            .default
            .clone()
            .ok_or_else(|| Failure::new("Passed version 'latest' but no default_version available in extension control file")),
    }
}

fn check_update(client: &mut Client, name: &str, from: &str, to: &str, exact: bool) -> Result<(), Failure> {
    let paths = format!("SELECT path FROM pg_catalog.pg_extension_update_paths({})", literal(name));
    let found = ask(client, &format!("{paths} WHERE source = {} AND target = {} AND path IS NOT NULL", literal(from), literal(to)))?;
    if !found.rows().is_empty() {
        return Ok(());
    }
    let (which, more) = if exact { ("Passed", " or the passed version is not available") } else { ("Latest", "") };
    Err(Failure::new(format!("{which} version '{to}' has no valid update path from the currently installed version '{from}'{more}")))
}
