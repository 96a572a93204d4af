//! `locale_gen`: locales that are made from their sources.

use std::path::Path;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::settings::LocaleGen;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::content_diff;
use crate::system::{Permissions, Program};

const LIST: &str = "/etc/locale.gen";
const SUPPORTED: &str = "/usr/share/i18n/SUPPORTED";

pub(crate) fn plan(arguments: &LocaleGen, context: &Context) -> Planned {
    let is_wished = arguments.state == Presence::Present;
    let made = context.run(Program::new(["locale", "-a"])).context("cannot run locale")?.stdout_text();
    let made: Vec<String> = made.lines().map(normal).collect();
    let differing: Vec<&String> = arguments.name.iter().filter(|name| made.contains(&normal(name)) != is_wished).collect();
    let outcome = Outcome::changed_if(!differing.is_empty()).with("name", arguments.name.clone());
    if differing.is_empty() {
        return Ok(Plan::Done(outcome));
    }
    let Some(before) = context.system.read_if_there(Path::new(LIST)).context(format_args!("cannot read {LIST}"))? else {
        return Err(Failure::new("/etc/locale.gen is missing. Is the package \"locales\" installed?"));
    };
    let mut lines: Vec<String> = String::from_utf8_lossy(&before).lines().map(str::to_owned).collect();
    let supported = context.system.read_text(Path::new(SUPPORTED)).unwrap_or_default();
    for name in differing {
        let is_named = |line: &str| line.trim_start_matches(['#', ' ']).split_whitespace().next() == Some(name);
        let known = lines.iter().position(|line| is_named(line));
        match (known, is_wished) {
            (Some(at), true) => lines[at] = lines[at].trim_start_matches(['#', ' ']).to_owned(),
            (Some(at), false) => lines[at] = format!("# {}", lines[at].trim_start_matches(['#', ' '])),
            (None, true) => {
                let line = supported.lines().find(|line| is_named(line));
                lines.push(
                    line.ok_or_else(|| Failure::new(format!("The following locales are not available on this system: {name}")))?.to_owned(),
                );
            }
            (None, false) => {}
        }
    }
    let after: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let outcome = outcome.showing(content_diff(Path::new(LIST), Some(&before), after.as_bytes()));
    Ok(Plan::change(outcome, move |context, outcome| {
        context
            .system
            .write_file_atomically(Path::new(LIST), after.as_bytes(), &Permissions::default())
            .context(format_args!("cannot write {LIST}"))?;
        let finished = context.run(Program::new(["locale-gen"])).context("cannot run locale-gen")?;
        if finished.is_success() {
            return Ok(outcome);
        }
        Err(Failure::new(format!("locale-gen failed: {}", finished.stderr_text().trim())).with("rc", finished.status))
    }))
}

/// `en_US.UTF-8` and `en_US.utf8` are the same.
fn normal(name: &str) -> String {
    let (language, rest) = name.split_once('.').unwrap_or((name, ""));
    let (charset, modifier) = rest.split_once('@').map_or((rest, String::new()), |(charset, modifier)| (charset, format!("@{modifier}")));
    format!("{language}.{}{modifier}", charset.to_lowercase().replace('-', ""))
}
