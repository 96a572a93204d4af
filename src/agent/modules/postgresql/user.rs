//! `postgresql_user`: roles, their passwords, flags and settings.

use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::postgresql::PostgresqlUser;
use pgfleet_protocol::{Outcome, Status};
use serde_json::Value;

use super::role::{FLAGS, Role};
use super::{Effect, Statement, ask, foretell, open, run, settle};
use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::{Client, encoded, identifier, is_kept_by, literal};

const DOING: &str = "Unable to add user with given requirement due to";

pub(crate) fn plan(arguments: &PostgresqlUser, context: &Context) -> Planned {
    let flags = flags(&arguments.role_attr_flags)?;
    let password = arguments.password.as_ref().map(|password| password.reveal());
    let texts = [
        Some(arguments.name.as_str()),
        password,
        arguments.expires.as_deref(),
        Some(arguments.role_attr_flags.as_str()),
        arguments.comment.as_deref(),
    ];
    let database = Some(arguments.login_db.as_str());
    let mut client = open(&arguments.connection(), database, &texts, context)?;
    let outcome = Outcome::unchanged().with("user", arguments.name.as_str());
    if arguments.name == "PUBLIC" {
        return public(arguments, outcome);
    }
    let found = Role::find(&mut client, &arguments.name, arguments.expires.as_deref())?;
    if arguments.state == Presence::Absent {
        return match found {
            Some(_) => Ok(removal(arguments, client, outcome)),
            None => Ok(Plan::Done(outcome.with("queries", Vec::<Value>::new()))),
        };
    }
    let encryption = ask(&mut client, "SHOW password_encryption")?.cell(0).unwrap_or("md5").to_owned();
    let wish = Wish { arguments, flags, password, encryption };
    let mut statements: Vec<Statement> = match &found {
        None => vec![wish.creation()],
        Some(role) => wish.alteration(role).into_iter().collect(),
    };
    if let Some(comment) = arguments.comment.as_deref()
        && comment != found.as_ref().map_or("", Role::comment)
    {
        statements.push(Statement::comment("ROLE", &arguments.name, comment));
    }
    statements.extend(configuration(arguments, found.as_ref())?);
    settle(client, statements, Effect::Together, outcome, if found.is_some() { "Unable to change user" } else { DOING })
}

/// Everybody, who is always there and has nothing of his own.
fn public(arguments: &PostgresqlUser, outcome: Outcome) -> Planned {
    if arguments.password.is_some() {
        return Err(Failure::new("cannot change the password for PUBLIC user"));
    }
    if !arguments.role_attr_flags.is_empty() {
        return Err(Failure::new("cannot change the role_attr_flags for PUBLIC user"));
    }
    Ok(Plan::Done(outcome.with("queries", Vec::<Value>::new())))
}

fn removal(arguments: &PostgresqlUser, client: Client, outcome: Outcome) -> Plan {
    let statements = vec![Statement::new(format!("DROP USER {}", identifier(&arguments.name)))];
    let outcome = foretell(&statements, outcome).with("user_removed", true);
    let (mut client, must) = (client, arguments.fail_on_user);
    Plan::change(outcome, move |_, mut outcome| match run(&mut client, &statements, Effect::Together, "Unable to remove user") {
        Err(failure) if must => Err(failure),
        Err(failure) => {
            outcome.status = Status::Unchanged;
            outcome.diff.clear();
            Ok(outcome.with("user_removed", false).saying(failure.message))
        }
        Ok(()) => Ok(outcome),
    })
}

/// `CREATEDB,nologin` as flags.
fn flags(text: &str) -> Result<Vec<String>, Failure> {
    let flags: Vec<String> = text.split(',').map(|flag| flag.trim().to_ascii_uppercase()).filter(|flag| !flag.is_empty()).collect();
    let is_known = |flag: &&String| FLAGS.iter().any(|(name, _)| *name == plain(flag).0);
    let unknown: Vec<&str> = flags.iter().filter(|flag| !is_known(flag)).map(String::as_str).collect();
    if unknown.is_empty() { Ok(flags) } else { Err(Failure::new(format!("Invalid role_attr_flags specified: {}", unknown.join(" ")))) }
}

/// A flag's name, and whether it is wished to be set.
fn plain(flag: &str) -> (&str, bool) {
    flag.strip_prefix("NO").map_or((flag, true), |name| (name, false))
}

struct Wish<'a> {
    arguments: &'a PostgresqlUser,
    flags: Vec<String>,
    password: Option<&'a str>,
    encryption: String,
}

impl Wish<'_> {
    fn creation(&self) -> Statement {
        let mut words = Words::new(format!("CREATE USER {}", identifier(&self.arguments.name)));
        if self.password.is_some_and(|password| !password.is_empty()) {
            self.say_password(&mut words);
        }
        self.say_rest(&mut words);
        words.add(&self.flags.join(" "));
        words.statement()
    }

    fn alteration(&self, role: &Role) -> Option<Statement> {
        let wish = self.arguments;
        let flags_differ = self.flags.iter().any(|flag| role.has(plain(flag).0) != plain(flag).1);
        let mut words = Words::new(format!("ALTER USER {}", identifier(&wish.name)));
        if wish.no_password_changes {
            words.add(&format!("WITH {}", self.flags.join(" ")));
            return flags_differ.then(|| words.statement());
        }
        let password_differs = self.password.is_some_and(|password| {
            !role.shows_password || !is_kept_by(role.password(), password, &wish.name, &self.encryption, wish.encrypted)
        });
        let limit_differs = wish.conn_limit.is_some() && wish.conn_limit != role.connection_limit();
        if !password_differs && !flags_differ && role.ends_as_wished() && !limit_differs {
            return None;
        }
        match (password_differs, self.password) {
            (true, Some("")) => words.add("WITH PASSWORD NULL"),
            (true, _) => self.say_password(&mut words),
            _ => words.add(if self.flags.is_empty() { "" } else { "WITH" }),
        }
        words.add(&self.flags.join(" "));
        self.say_rest(&mut words);
        Some(words.statement())
    }

    /// What the server would make of the password is sent, never the password: statements are logged.
    fn say_password(&self, words: &mut Words) {
        let way = if self.arguments.encrypted { "ENCRYPTED" } else { "UNENCRYPTED" };
        let kept = encoded(self.password.unwrap_or_default(), &self.arguments.name, &self.encryption);
        words.add_hidden(&format!("WITH {way} PASSWORD {}", literal(&kept)), &format!("WITH {way} PASSWORD %(password)s"));
    }

    fn say_rest(&self, words: &mut Words) {
        if let Some(moment) = &self.arguments.expires {
            words.add_hidden(&format!("VALID UNTIL {}", literal(moment)), "VALID UNTIL %(expires)s");
        }
        if let Some(limit) = self.arguments.conn_limit {
            words.add(&format!("CONNECTION LIMIT {limit}"));
        }
    }
}

/// A statement that grows, and how it is told.
struct Words(Statement);

impl Words {
    fn new(text: String) -> Self {
        Self(Statement::new(text))
    }

    fn add(&mut self, text: &str) {
        self.add_hidden(text, text);
    }

    fn add_hidden(&mut self, text: &str, told: &str) {
        for (all, more) in [(&mut self.0.sql, text), (&mut self.0.told, told)] {
            if !more.is_empty() {
                all.push(' ');
                all.push_str(more);
            }
        }
    }

    fn statement(self) -> Statement {
        self.0
    }
}

/// Settings that differ, or are there without being named.
fn configuration(arguments: &PostgresqlUser, found: Option<&Role>) -> Result<Vec<Statement>, Failure> {
    let (user, quotes) = (identifier(&arguments.name), arguments.quote_configuration_values);
    if quotes && arguments.configuration.keys().any(|name| name.contains(['"', '\''])) {
        return Err(Failure::new("The key of a configuration may not contain single or double quotes"));
    }
    let current = found.map(Role::configuration).unwrap_or_default();
    let mut statements = Vec::new();
    if arguments.reset_unspecified_configuration {
        let unnamed = current.iter().filter(|(name, _)| !arguments.configuration.contains_key(name));
        statements.extend(unnamed.map(|(name, _)| Statement::new(format!("ALTER ROLE {user} RESET {}", identifier(name)))));
    }
    for (name, value) in &arguments.configuration {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !current.iter().any(|(known, kept)| known == name && *kept == value) {
            let value = if quotes { literal(&value) } else { value };
            statements.push(Statement::new(format!("ALTER ROLE {user} SET {} TO {value}", identifier(name))));
        }
    }
    Ok(statements)
}
