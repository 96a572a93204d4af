//! `debconf`: answers a package's question before it asks.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::settings::Debconf;
use serde_json::json;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;

pub(crate) fn plan(arguments: &Debconf, context: &Context) -> Planned {
    let finished = context.run(Program::new(["debconf-show", &arguments.name])).context("cannot run debconf-show")?;
    if !finished.is_success() {
        return Err(Failure::new(format!("debconf-show failed: {}", finished.stderr_text().trim())).with("rc", finished.status));
    }
    let text = finished.stdout_text();
    let answers = text.lines().filter_map(|line| line.trim_start_matches(['*', ' ']).split_once(':'));
    let answers: Vec<(String, String)> = answers.map(|(question, answer)| (question.to_owned(), answer.trim().to_owned())).collect();
    let (Some(question), Some(kind), Some(value)) = (&arguments.question, &arguments.vtype, &arguments.value) else {
        let current: pgfleet_protocol::Map = answers.into_iter().map(|(question, answer)| (question, answer.into())).collect();
        return Ok(Plan::Done(Outcome::unchanged().with("current", current)));
    };
    let found = answers.iter().find(|(known, _)| known == question).map(|(_, answer)| answer.clone());
    let value = if kind == "boolean" { value.to_lowercase() } else { value.clone() };
    // A password is never shown; only setting it again makes sure.
    let is_same = kind != "password" && found.as_deref() == Some(value.trim());
    let outcome = Outcome::changed_if(!is_same)
        .with("current", json!({question.as_str(): value}))
        .with("previous", json!({question.as_str(): found}));
    if is_same {
        return Ok(Plan::Done(outcome));
    }
    let line = format!("{} {question} {kind} {value}\n", arguments.name);
    let unseen = arguments.unseen;
    Ok(Plan::change(outcome, move |context, outcome| {
        let argv = ["debconf-set-selections"].into_iter().chain(unseen.then_some("-u"));
        let finished = context.run(Program::new(argv).stdin(line)).context("cannot run debconf-set-selections")?;
        if finished.is_success() {
            return Ok(outcome);
        }
        Err(Failure::new(format!("debconf-set-selections failed: {}", finished.stderr_text().trim())).with("rc", finished.status))
    }))
}
