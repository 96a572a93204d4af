//! The command line of pgfleet: what a person types and sees. The only place that prints.

mod ansible;
mod args;
mod commands;
mod exit;
mod interrupt;
mod page;
mod prompt;
mod report;
mod screen;
mod settings;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    if let Some(code) = ansible::run(&arguments) {
        return code;
    }
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { exit::Exit::Input } else { exit::Exit::Done };
            return if error.print().is_ok() { code.into() } else { exit::Exit::Error.into() };
        }
    };
    commands::run(args).into()
}
