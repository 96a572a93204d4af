//! What a module is given and what it answers: a context, a plan, a failure.

use std::fmt;
use std::io::{self, Read, Write};

use pgfleet_protocol::{Map, Mode, Outcome, Status};
use serde_json::Value;

use crate::system::{Finished, Program, System};

/// What a call is done with.
pub(crate) struct Context<'a> {
    /// The host.
    pub(crate) system: &'a dyn System,
    /// Apply or check; modules need not look, see [`Plan::Change`].
    pub(crate) mode: Mode,
    /// Whether diffs are wanted.
    pub(crate) diff: bool,
    /// Whether the result may leave out what is dear to find out.
    pub(crate) brief: bool,
    /// Environment variables for what is started.
    pub(crate) environment: &'a [(String, String)],
    /// File content from and to the controller.
    pub(crate) channel: &'a dyn Channel,
}

/// The way of file content between controller and agent.
pub(crate) trait Channel {
    /// Asks the controller for the call's content and writes it to `sink`. Answers the length.
    fn receive(&self, sink: &mut dyn Write) -> io::Result<u64>;
    /// Sends all of `source` to the controller. Answers the length.
    fn send(&self, source: &mut dyn Read) -> io::Result<u64>;
}

impl Context<'_> {
    /// Runs a program with the task's environment.
    pub(crate) fn run(&self, program: Program) -> io::Result<Finished> {
        let mut program = program;
        let own = std::mem::take(&mut program.env);
        program.env = self.environment.iter().cloned().chain(own).collect();
        self.system.run(&program)
    }
}

/// What a module found out before changing anything.
pub(crate) type Planned = Result<Plan, Failure>;

/// The second half of a module: makes the change and completes the outcome.
pub(crate) type Apply = Box<dyn FnOnce(&Context, Outcome) -> Result<Outcome, Failure>>;

/// What is to be done.
pub(crate) enum Plan {
    /// Nothing; this is the outcome.
    Done(Outcome),
    /// The outcome as it would be, and how to bring it about. Only [`crate::run`] decides whether it is applied.
    Change(Outcome, Apply),
}

impl Plan {
    /// A change, without writing the box.
    pub(crate) fn change(outcome: Outcome, apply: impl FnOnce(&Context, Outcome) -> Result<Outcome, Failure> + 'static) -> Self {
        Self::Change(outcome, Box::new(apply))
    }
}

/// Why a call could not be done: the only error that modules know. It becomes the outcome.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// A sentence that names the thing and the reason.
    pub(crate) message: String,
    /// Results that go with it (`rc`, `stderr` ...).
    pub(crate) data: Map,
}

impl Failure {
    /// A failure for the reason given.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: Map::new() }
    }

    /// The same failure with one more result.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(reason(&error))
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self { status: Status::Failed, message: failure.message, data: failure.data, diff: Vec::new() }
    }
}

/// Adds what was being done to an error.
pub(crate) trait WithContext<T> {
    /// `cannot read /etc/x` becomes `cannot read /etc/x: No such file or directory`.
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure>;
}

impl<T> WithContext<T> for io::Result<T> {
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{doing}: {}", reason(&error))))
    }
}

/// The operating system's words for an error, without the number that Rust adds.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(at)) => text[..at].to_owned(),
        _ => text,
    }
}
