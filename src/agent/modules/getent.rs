//! `getent`: asks the host's databases.

use pgfleet_protocol::modules::search::Getent;
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;

pub(crate) fn plan(arguments: &Getent, context: &Context) -> Planned {
    let mut argv = vec!["getent".to_owned(), arguments.database.clone()];
    argv.extend(arguments.key.clone());
    if let Some(service) = &arguments.service {
        argv.extend(["-s".to_owned(), service.clone()]);
    }
    let finished = context.run(Program::new(argv)).context("cannot run getent")?;
    let fact = format!("getent_{}", arguments.database);
    let colon = matches!(arguments.database.as_str(), "passwd" | "shadow" | "group" | "gshadow").then_some(":");
    match (finished.status, &arguments.key) {
        (0, _) => {
            let found = parse(&finished.stdout_text(), arguments.split.as_deref().or(colon));
            Ok(Plan::Done(Outcome::unchanged().with("ansible_facts", json!({ fact: found }))))
        }
        (2, Some(key)) if !arguments.fail_key => Ok(Plan::Done(
            Outcome::unchanged()
                .saying("One or more supplied key could not be found in the database.")
                .with("ansible_facts", json!({ fact: {key: null} })),
        )),
        (status, _) => {
            let message = match status {
                1 => "Missing arguments, or database unknown.",
                2 => "One or more supplied key could not be found in the database.",
                3 => "Enumeration not supported on this database.",
                _ => "Unexpected failure!",
            };
            Err(Failure::new(message).with("rc", status).with("stderr", finished.stderr_text()))
        }
    }
}

/// A name to its fields; a name that is there several times has a list of them.
fn parse(text: &str, split: Option<&str>) -> Map {
    let mut found = Map::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words: Vec<&str> = match split {
            Some(split) if !split.is_empty() => line.split(split).collect(),
            _ => line.split_whitespace().collect(),
        };
        let name = words.remove(0).to_owned();
        let fields = Value::from(words);
        match found.get_mut(&name) {
            Some(Value::Array(several)) if several.first().is_some_and(Value::is_array) => several.push(fields),
            Some(one) => *one = json!([one.take(), fields]),
            None => {
                found.insert(name, fields);
            }
        }
    }
    found
}
