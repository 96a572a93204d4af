//! Ansible's programs by their own names: their options, settings, output and exit codes.

mod adhoc;
mod config;
mod flags;
mod grammar;
mod inventory;
mod playbook;
mod sources;
mod toml;
mod usage;
mod vault;
mod wish;

use std::path::Path;
use std::process::ExitCode;

use pgfleet_engine::Finished;
use pgfleet_template::{Files, Problem};
use pgfleet_workflows::WorkflowError;

use crate::report::ansible::error;
use crate::screen;
use config::Config;
use grammar::{Given, Grammar};

/// The names that this program answers to beside its own.
pub(crate) const NAMES: [&str; 4] = ["ansible-playbook", "ansible", "ansible-inventory", "ansible-vault"];

/// How Ansible's programs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Done = 0,
    Error = 1,
    /// A host failed, or the command line is wrong.
    Failed = 2,
    /// A host was not reached, or a file cannot be understood.
    Unreachable = 4,
    /// An option's value is wrong.
    Option = 5,
    Interrupted = 99,
}

/// Why a program ends before its work.
enum Stop {
    /// With a message.
    Said(Code, String),
    /// With what is wrong in files.
    Problems(Vec<Problem>),
    /// With another error.
    Workflow(WorkflowError),
}

impl From<WorkflowError> for Stop {
    fn from(error: WorkflowError) -> Self {
        match error {
            WorkflowError::Input(problems) => Self::Problems(problems),
            other => Self::Workflow(other),
        }
    }
}

/// Runs the program that the first word of the command line names; `None` for pgfleet itself.
pub(crate) fn run(arguments: &[String]) -> Option<ExitCode> {
    let name = Path::new(arguments.first()?).file_name()?.to_str()?;
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let arguments = arguments.get(1..).unwrap_or_default();
    let grammar = match name {
        "ansible-playbook" => flags::playbook(),
        "ansible" => flags::adhoc(),
        "ansible-inventory" => flags::inventory(),
        _ => flags::vault(),
    };
    let code = match grammar.read(arguments) {
        Err(message) => {
            screen::note(&format!("{}{}: error: {message}\n \n{}", usage::usage(&grammar), grammar.program, usage::help(&grammar)));
            Code::Failed
        }
        Ok(given) if given.has("help") => {
            screen::text(&usage::help(&grammar));
            Code::Done
        }
        Ok(given) => begin(&grammar, &given),
    };
    Some(ExitCode::from(code as u8))
}

fn begin(grammar: &Grammar, given: &Given) -> Code {
    let config = Config::find();
    let verbosity = given.count("verbose").max(usize::try_from(config.number("verbosity").unwrap_or_default()).unwrap_or_default());
    if given.has("version") {
        version(grammar, &config);
        return Code::Done;
    }
    config.warnings.iter().for_each(|warning| screen::note(&format!("[WARNING]: {warning}")));
    if verbosity > 0 {
        match &config.file {
            Some(file) => screen::line(&format!("Using {} as config file", file.display())),
            None => screen::line("No config file found; using defaults"),
        }
        config.unknown.iter().for_each(|name| screen::note(&format!("{name} means nothing here and is ignored")));
    }
    if config.flag("nocolor", false) || std::env::var_os("NO_COLOR").is_some() {
        console::set_colors_enabled(false);
    } else if config.flag("force_color", false) {
        console::set_colors_enabled(true);
    }
    let ended = match grammar.program {
        "ansible-playbook" => playbook::run(given, &config),
        "ansible" => adhoc::run(given, &config),
        "ansible-inventory" => inventory::run(given, &config),
        _ => vault::run(given, &config),
    };
    ended.unwrap_or_else(|stop| tell(&stop))
}

fn version(grammar: &Grammar, config: &Config) {
    let file = config.file.as_ref().map_or_else(|| "None".to_owned(), |file| file.display().to_string());
    screen::line(&format!(
        "{} [core 2.19.0] (pgfleet {})\n  config file = {file}\n  executable location = {}",
        grammar.program,
        env!("CARGO_PKG_VERSION"),
        std::env::current_exe().unwrap_or_default().display()
    ));
}

/// Says why, and with which code the program ends.
fn tell(stop: &Stop) -> Code {
    match stop {
        Stop::Said(code, message) => {
            screen::note(&format!("[ERROR]: {message}"));
            *code
        }
        Stop::Problems(problems) => {
            let files: std::sync::Arc<dyn Files> = std::sync::Arc::new(pgfleet_template::Disk);
            for problem in problems {
                let place = problem.place.as_ref().map(ToString::to_string).unwrap_or_default();
                let message = Problem { place: None, ..problem.clone() }.to_string();
                screen::note(error(&message, &place, &files).trim_end());
                if let Some(hint) = &problem.hint {
                    screen::note(&format!("\n{hint}"));
                }
            }
            Code::Unreachable
        }
        Stop::Workflow(error) => {
            screen::error(error);
            Code::Error
        }
    }
}

/// How a run ends its program: hosts that were lost weigh more than failures.
fn code_of(finished: &Finished) -> Code {
    if finished.interrupted {
        Code::Interrupted
    } else if finished.unreachable_hosts().next().is_some() {
        Code::Unreachable
    } else if finished.failed_hosts().next().is_some() {
        Code::Failed
    } else {
        Code::Done
    }
}
