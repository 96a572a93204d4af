//! The last that a unit said, for messages about what did not come.

use std::time::Duration;

use super::unit::{Systemctl, Unit};
use crate::module::Context;
use crate::system::Program;

/// The last lines of a unit's journal, oldest first; none when the journal cannot be read.
pub(crate) fn last_lines(context: &Context, unit: &str, count: usize) -> Vec<String> {
    journal(context, unit, count, &["--output=short-iso"])
}

/// The same since the host has started, with the moment of each line, in seconds since 1970, before the host and the program that said it.
pub(crate) fn last_moments(context: &Context, unit: &str, count: usize) -> Vec<String> {
    journal(context, unit, count, &["--output=short-unix", "--boot"])
}

fn journal(context: &Context, unit: &str, count: usize, options: &[&str]) -> Vec<String> {
    let count = count.to_string();
    let mut argv = vec!["journalctl", "--quiet", "--no-pager", "--lines", &count, "--unit", unit];
    argv.extend(options);
    let program = Program::new(argv).timeout(Duration::from_secs(5));
    let text = context.run(program).map(|finished| finished.stdout_text()).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with("-- ")).map(str::to_owned).collect()
}

/// One line on how a unit stands: `patroni.service: failed (exit-code, status 1), restarted 3 times, enabled`.
pub(crate) fn state_line(context: &Context, name: &str) -> String {
    match Systemctl::default().show(context, name) {
        Err(failure) => failure.message.replace('\n', "; "),
        Ok(unit) if !unit.is_known() => format!("{name}: there is no such unit"),
        Ok(unit) => unit_line(name, &unit),
    }
}

/// The same of a unit that was asked for already.
pub(crate) fn unit_line(name: &str, unit: &Unit) -> String {
    let id = Some(unit.property("Id")).filter(|id| !id.is_empty()).unwrap_or(name);
    let mut line = format!("{id}: {} ({}", unit.property("ActiveState"), unit.property("SubState"));
    let result = unit.property("Result");
    if !matches!(result, "" | "success") {
        line.push_str(&format!(", {result}, status {}", unit.property("ExecMainStatus")));
    }
    line.push(')');
    if !matches!(unit.property("NRestarts"), "" | "0") {
        line.push_str(&format!(", restarted {} times", unit.property("NRestarts")));
    }
    let file = unit.property("UnitFileState");
    if !file.is_empty() {
        line.push_str(&format!(", {file}"));
    }
    line
}
