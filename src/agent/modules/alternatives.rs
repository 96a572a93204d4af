//! `alternatives`: which of several programs a name means.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::settings::{AlternativeState, Alternatives};

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::content_diff;
use crate::system::Program;

pub(crate) fn plan(arguments: &Alternatives, context: &Context) -> Planned {
    let program = ["update-alternatives", "alternatives"].into_iter().find(|name| context.system.find_program(name).is_some());
    let program = program.ok_or_else(|| Failure::new("this host has neither update-alternatives nor alternatives"))?;
    let (name, path) = (arguments.name.as_str(), arguments.path.as_str());
    let found = context
        .run(Program::new([program, "--query", name]).env("LC_ALL", "C"))
        .context(format_args!("cannot run {program}"))?
        .stdout_text();
    let known = Known::read(&found);
    let priority = known.priority_of(path);
    let is_wished = arguments.state != AlternativeState::Absent;
    let mut steps: Vec<Vec<String>> = Vec::new();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if is_wished && priority != Some(arguments.priority) {
        let link = arguments.link.as_ref().map(|link| link.as_str()).or(known.link);
        let link = link.ok_or_else(|| Failure::new("Needed to install the alternative, but unable to do so as we are missing the link"))?;
        if context.system.stat_if_there(arguments.path.as_ref())?.is_none() && !context.mode.is_check() {
            return Err(Failure::new(format!("Specified path {path} does not exist")));
        }
        steps.push(words(&["--install", link, name, path, &arguments.priority.to_string()]));
    }
    match arguments.state {
        AlternativeState::Absent if priority.is_some() => steps.push(words(&["--remove", name, path])),
        AlternativeState::Selected if known.value != Some(path) || known.status == Some("auto") && !steps.is_empty() => {
            steps.push(words(&["--set", name, path]));
        }
        AlternativeState::Auto if known.status == Some("manual") => steps.push(words(&["--auto", name])),
        _ => {}
    }
    if steps.is_empty() {
        return Ok(Plan::Done(Outcome::unchanged()));
    }
    let side = |value: &str| format!("{name}: {value}\n").into_bytes();
    let after = if arguments.state == AlternativeState::Selected { path } else { arguments.state.word() };
    let outcome =
        Outcome::changed().showing(content_diff(arguments.path.as_ref(), Some(&side(known.value.unwrap_or("none"))), &side(after)));
    Ok(Plan::change(outcome, move |context, outcome| {
        for step in steps {
            let argv = [vec![program.to_owned()], step].concat();
            let finished = context.run(Program::new(argv.clone()).env("LC_ALL", "C")).context(format_args!("cannot run {program}"))?;
            if !finished.is_success() {
                return Err(
                    Failure::new(format!("{} failed: {}", argv.join(" "), finished.stderr_text().trim())).with("rc", finished.status)
                );
            }
        }
        Ok(outcome)
    }))
}

/// What `--query` tells.
struct Known<'a> {
    link: Option<&'a str>,
    status: Option<&'a str>,
    value: Option<&'a str>,
    choices: Vec<(&'a str, i64)>,
}

impl<'a> Known<'a> {
    fn read(text: &'a str) -> Self {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let mut choices: Vec<(&str, i64)> = Vec::new();
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("Alternative: ") {
                choices.push((path, 0));
            } else if let (Some(priority), Some(last)) = (line.strip_prefix("Priority: "), choices.last_mut()) {
                last.1 = priority.trim().parse().unwrap_or(0);
            }
        }
        Self { link: field("Link"), status: field("Status"), value: field("Value"), choices }
    }

    fn priority_of(&self, path: &str) -> Option<i64> {
        self.choices.iter().find(|(other, _)| *other == path).map(|(_, priority)| *priority)
    }
}
