//! Running other programs: their failure becomes an error that carries what they said.

use std::io::Write;
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::error::LabError;
use crate::preflight::find_program;

/// A program and all that it starts, found also where an ordinary PATH does not lead.
pub(crate) fn program(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(find_program(name).unwrap_or_else(|| name.into()));
    command.env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"));
    command
}

/// Runs a program to its end and returns what it wrote on stdout.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, LabError> {
    let output = attempt(program, arguments)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failure(program, arguments, &output))
}

/// Runs a program to its end; its failure is the caller's to judge.
pub(crate) fn attempt(program: &str, arguments: &[&str]) -> Result<Output, LabError> {
    let mut command = self::program(program);
    command.args(arguments).stdin(Stdio::null());
    command.output().map_err(|source| LabError::Start { command: line(program, arguments), source })
}

/// Whether a program ends with success.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> Result<bool, LabError> {
    Ok(attempt(program, arguments)?.status.success())
}

/// Runs a program with `input` on its stdin.
pub(crate) fn feed(program: &str, arguments: &[&str], input: &str) -> Result<(), LabError> {
    let start = |source| LabError::Start { command: line(program, arguments), source };
    let mut command = self::program(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input says why in its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|source| LabError::Start { command: line(program, arguments), source })?;
    if output.status.success() { Ok(()) } else { Err(failure(program, arguments, &output)) }
}

/// The error for a program that ended badly.
pub(crate) fn failure(program: &str, arguments: &[&str], output: &Output) -> LabError {
    let mut said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if said.is_empty() {
        said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    LabError::Command { command: line(program, arguments), code: code(output.status), stderr: said }
}

/// An exit status in words.
pub(crate) fn code(status: ExitStatus) -> String {
    status.to_string()
}

fn line(program: &str, arguments: &[&str]) -> String {
    let mut words = vec![program];
    words.extend(arguments);
    words.join(" ")
}
