//! What systemd says of a unit, in one question.

use pgfleet_protocol::Map;
use serde_json::json;

use crate::module::{Context, Failure, WithContext};
use crate::system::{Finished, Program};

/// How a unit's manager is spoken to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Systemctl {
    options: Vec<&'static str>,
}

impl Systemctl {
    /// The manager of that scope.
    pub(crate) fn new(scope: &str, no_block: bool, force: bool) -> Result<Self, Failure> {
        let mut options = match scope {
            "system" => Vec::new(),
            "user" => vec!["--user"],
            "global" => vec!["--global"],
            other => return Err(Failure::new(format!("scope must be system, user or global, not '{other}'"))),
        };
        if no_block {
            options.push("--no-block");
        }
        if force {
            options.push("--force");
        }
        Ok(Self { options })
    }

    /// Runs `systemctl` with these words.
    pub(crate) fn run(&self, context: &Context, words: &[&str]) -> Result<Finished, Failure> {
        let argv = ["systemctl"].iter().chain(&self.options).chain(words).copied();
        context.run(Program::new(argv).env("LC_ALL", "C.UTF-8")).context("cannot run systemctl; is this host managed by systemd?")
    }

    /// All that systemd knows of a unit.
    pub(crate) fn show(&self, context: &Context, name: &str) -> Result<Unit, Failure> {
        let finished = self.run(context, &["show", "--no-pager", "--", name])?;
        if !finished.is_success() {
            let said = finished.stderr_text();
            return Err(Failure::new(format!("cannot ask systemd about '{name}': {}", said.trim())).with("rc", finished.status));
        }
        Ok(Unit { properties: parse(&finished.stdout_text()) })
    }
}

/// A unit as systemd knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    /// All properties under systemd's names.
    pub(crate) properties: Map,
}

impl Unit {
    pub(crate) fn property(&self, name: &str) -> &str {
        self.properties.get(name).and_then(|value| value.as_str()).unwrap_or_default()
    }

    /// True when there is a unit of that name.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self.property("LoadState"), "" | "not-found")
    }

    pub(crate) fn is_masked(&self) -> bool {
        self.property("LoadState") == "masked" || self.property("UnitFileState").starts_with("masked")
    }

    /// True when it runs or is about to.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.property("ActiveState"), "active" | "activating" | "reloading")
    }

    /// True when it is about to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.property("ActiveState") == "deactivating"
    }

    /// Why systemd could not read it.
    pub(crate) fn load_error(&self) -> Option<&str> {
        let broken = self.is_known() && !self.is_masked();
        Some(self.property("LoadError")).filter(|error| broken && !error.is_empty())
    }
}

/// `Name=value` lines; the values of `Exec*` may go over several lines within braces.
fn parse(text: &str) -> Map {
    let mut properties = Map::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let mut value = value.to_owned();
        if name.starts_with("Exec") && value.trim_start().starts_with('{') {
            while !value.trim_end().ends_with('}') {
                let Some(next) = lines.next() else { break };
                value.push('\n');
                value.push_str(next);
            }
        }
        properties.insert(name.to_owned(), json!(value));
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::{Unit, parse};

    #[test]
    fn properties_are_read_with_their_continued_lines() {
        let unit = Unit {
            properties: parse("ExecStart={ path=/bin/sh ; argv[]=sh -c a\nb=c }\nLoadState=loaded\nActiveState=activating\nEmpty=\n"),
        };
        assert_eq!(unit.property("ExecStart"), "{ path=/bin/sh ; argv[]=sh -c a\nb=c }");
        assert!(unit.is_known() && unit.is_running() && !unit.is_masked());
        assert_eq!(unit.property("Empty"), "");
    }
}
