//! `postgresql_set`: settings of the server, by `ALTER SYSTEM`.

use pgfleet_protocol::modules::postgresql::PostgresqlSet;
use pgfleet_protocol::{Outcome, Status};
use serde_json::{Value, json};

use super::{Statement, ask, foretell, open, warn};
use crate::module::{Context, Failure, Plan, Planned};
use crate::postgres::{Client, literal};

/// A setting as the server has it.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    shown: String,
    raw: Value,
    boot: Value,
    unit: Option<String>,
    context: String,
}

impl Setting {
    fn find(client: &mut Client, name: &str) -> Result<Self, Failure> {
        let statement = "SELECT setting, unit, context, boot_val, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings WHERE name";
        let answer = ask(client, &format!("{statement} = {}", literal(name)))?;
        let Some(row) = answer.rows().first() else {
            return Err(Failure::new(format!(
                "No such parameter: {name}. Please check its spelling or presence in your PostgreSQL version"
            )));
        };
        let text = |column: usize| row.get(column).cloned().flatten();
        let factor = match text(1).as_deref() {
            Some("kB") => Some(1 << 10),
            Some("MB") => Some(1 << 20),
            _ => None,
        };
        let scaled = |column: usize| match (text(column), factor) {
            (Some(text), Some(factor)) => match text.parse::<i64>() {
                Ok(number) if number > 0 => json!(number * factor),
                _ => json!(text),
            },
            (text, _) => json!(text),
        };
        Ok(Self {
            shown: text(4).unwrap_or_default(),
            raw: scaled(0),
            boot: scaled(3),
            unit: factor.map_or_else(|| text(1), |_| Some("b".to_owned())),
            context: text(2).unwrap_or_default(),
        })
    }

    fn value(&self) -> Value {
        json!({"value": self.raw, "unit": self.unit})
    }
}

pub(crate) fn plan(arguments: &PostgresqlSet, context: &Context) -> Planned {
    let name = arguments.name.clone();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte)) {
        return Err(Failure::new(format!("'{name}' cannot be a setting's name")));
    }
    let value = arguments.value.as_deref().map(written);
    match (&value, arguments.reset) {
        (Some(_), true) => return Err(Failure::new(format!("{name}: value and reset params are mutually exclusive"))),
        (None, false) => return Err(Failure::new(format!("{name}: at least one of value or reset param must be specified"))),
        _ => {}
    }
    if name == "shared_preload_libraries" && value.as_deref() == Some("") {
        return Err(Failure::new(
            "an empty shared_preload_libraries keeps the server from starting: use 'value: default' or 'reset: true'",
        ));
    }
    let (connection, database) = (arguments.connection(), arguments.login_db.clone());
    let mut client = open(&connection, database.as_deref(), &[Some(&name), value.as_deref()], context)?;
    let found = Setting::find(&mut client, &name)?;
    if found.context == "internal" {
        return Err(Failure::new(format!("{name}: cannot be changed (internal context)")));
    }
    let statement = match &value {
        Some(value) if same(value, &found.shown) => None,
        Some(value) if value == "default" => Some(format!("ALTER SYSTEM SET {name} = DEFAULT")),
        Some(value) => Some(format!("ALTER SYSTEM SET {name} = {}", listed(&name, value))),
        None if found.raw == found.boot => None,
        None => Some(format!("ALTER SYSTEM RESET {name}")),
    };
    let needs_restart = found.context == "postmaster";
    let statements: Vec<Statement> = statement.map(Statement::new).into_iter().collect();
    let outcome = Outcome::unchanged()
        .with("name", name.as_str())
        .with("context", found.context.as_str())
        .with("prev_val_pretty", found.shown.as_str())
        .with("value_pretty", if statements.is_empty() { found.shown.clone() } else { value.unwrap_or_else(|| found.shown.clone()) })
        .with("value", found.value())
        .with("restart_required", needs_restart);
    let outcome = foretell(&statements, outcome);
    let Some(statement) = statements.into_iter().next() else { return Ok(Plan::Done(outcome)) };
    Ok(Plan::change(outcome, move |context, outcome| {
        client.run(&statement.sql).map_err(|error| Failure::new(format!("Unable to set {name} value due to : {error}")))?;
        if needs_restart {
            return Ok(warn(outcome, vec![format!("Restart of PostgreSQL is required for setting {name}")]));
        }
        ask(&mut client, "SELECT pg_catalog.pg_reload_conf()")?;
        // A new session has what the server has now; this one may still have the old.
        let now = settled(&found, || Setting::find(&mut open(&connection, database.as_deref(), &[], context)?, &name), context)?;
        let mut outcome = outcome.with("value_pretty", now.shown.as_str()).with("value", now.value());
        outcome.status = if now.raw == found.raw { Status::Unchanged } else { Status::Changed };
        Ok(outcome)
    }))
}

/// The setting once the server has read its files again, which takes it a moment; or as it is where nothing comes of it.
fn settled(before: &Setting, mut look: impl FnMut() -> Result<Setting, Failure>, context: &Context) -> Result<Setting, Failure> {
    let mut now = look()?;
    for _ in 0..20 {
        if now.raw != before.raw {
            break;
        }
        context.system.sleep(std::time::Duration::from_millis(50));
        now = look()?;
    }
    Ok(now)
}

/// `1mb` and `1b` as PostgreSQL writes them, Python's booleans as its own.
fn written(value: &str) -> String {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    match (value, &value[digits..]) {
        ("True", _) => "on".to_owned(),
        ("False", _) => "off".to_owned(),
        (_, "mb" | "gb" | "tb" | "b") if digits > 0 => value.to_ascii_uppercase(),
        _ => value.to_owned(),
    }
}

/// A list is set item by item; commands and prefixes may have commas in them.
fn listed(name: &str, value: &str) -> String {
    if value.contains(',') && !name.ends_with("_command") && !name.ends_with("_prefix") {
        value.split(',').map(|item| literal(item.trim().trim_matches('"'))).collect::<Vec<_>>().join(",")
    } else {
        literal(value)
    }
}

/// Whether two notations mean the same: sizes in bytes, lists without quotes.
fn same(left: &str, right: &str) -> bool {
    let plain = |text: &str| text.split(',').map(|item| item.trim().trim_matches('"').to_owned()).collect::<Vec<_>>();
    left == right || plain(left) == plain(right) || bytes(left).is_some_and(|left| Some(left) == bytes(right))
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let power = match &text[digits..] {
        "" | "B" => 0,
        "kB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        _ => return None,
    };
    number.checked_mul(1024_u64.pow(power))
}

#[cfg(test)]
mod tests {
    use super::{listed, same, written};

    #[test]
    fn values_are_compared_by_meaning() {
        for (left, right, expect) in
            [("1GB", "1024MB", true), ("16MB", "16MB", true), ("on", "off", false), ("a, b", "\"a\",b", true), ("10", "11", false)]
        {
            assert_eq!(same(left, right), expect, "{left} {right}");
        }
        assert_eq!((written("64mb").as_str(), written("True").as_str(), written("orb").as_str()), ("64MB", "on", "orb"));
        assert_eq!(listed("shared_preload_libraries", "a, b"), "'a','b'");
        assert_eq!(listed("archive_command", "cp a,b"), "'cp a,b'");
    }
}
