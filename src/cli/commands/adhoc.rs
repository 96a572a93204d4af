//! `pgfleet run` and `pgfleet exec`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use console::{Color, Style};
use pgfleet_engine::{Ending, Event, Report, Stop};
use pgfleet_template::Problem;
use pgfleet_workflows::{AdHoc, Hear, Output, Project, WorkflowError, exec, run_task};
use serde_json::Value;
use tokio::sync::watch;

use crate::args::{ExecArgs, TaskArgs};
use crate::exit::Exit;
use crate::interrupt::{Asked, Signals, until_done};
use crate::report::Reporting;
use crate::{screen, settings};

/// Colours of hosts' names, one after the other.
const COLORS: [Color; 6] = [Color::Cyan, Color::Magenta, Color::Yellow, Color::Blue, Color::Green, Color::Red];

pub(crate) async fn run(project: Project, args: TaskArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let mut wish = settings::wish(project, &args.run, stop.clone())?;
    // Its result is what is asked for.
    wish.habits.brief = false;
    let text = args.args.trim();
    let arguments = match text.starts_with('{') && !text.starts_with("{{") {
        true => serde_yaml::from_str(text).map_err(|error| Problem::new(format!("-a: {error}")))?,
        false if text.is_empty() => Value::Null,
        false => Value::from(text),
    };
    let task = AdHoc { pattern: args.pattern, module: args.module, arguments, ..AdHoc::default() };
    let reporting = Reporting::begin(&wish.project, "run", &args.run);
    let finished = until_done(run_task(&wish, &task, reporting.report()), &stop).await;
    reporting.end();
    let Some(finished) = finished else { return Ok(Exit::Interrupted) };
    Ok(Exit::of_run(&finished?, args.run.exit_code))
}

/// Runs a command everywhere, and shows each line as it comes.
pub(crate) async fn stream(project: Project, args: ExecArgs) -> Result<Exit, WorkflowError> {
    let mut wish = settings::wish_to_look(project, &args.source, &args.connection, Stop::default())?;
    wish.r#become = args.become_user;
    let lines = Arc::new(Mutex::new(Lines { names: !args.no_names, ..Lines::default() }));
    let hearing = lines.clone();
    let hear: Hear = Arc::new(move |host, output, bytes| lock(&hearing).hear(host, output, bytes));
    let ending = lines.clone();
    let report: Report = Arc::new(move |event| lock(&ending).event(event));
    let (ask, asked) = watch::channel(false);
    let command = args.command.join(" ");
    let work = exec(&wish, &args.pattern, &command, hear, asked, report);
    tokio::pin!(work);
    let mut signals = Signals::listen().map_err(|error| WorkflowError::Failed(format!("no signals to listen for: {error}")))?;
    let mut interrupted = false;
    loop {
        tokio::select! {
            finished = &mut work => {
                let exit = Exit::of_run(&finished?, false);
                return Ok(if interrupted { Exit::Interrupted } else { exit });
            }
            asked = signals.next() => {
                if !interrupted {
                    interrupted = true;
                    screen::note("\ninterrupted: the commands are asked to end; once more ends this now");
                    ask.send_replace(true);
                } else if asked == Asked::ToEnd {
                    return Ok(Exit::Interrupted);
                }
            }
        }
    }
}

fn lock(lines: &Mutex<Lines>) -> std::sync::MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What hosts print, cut into lines.
#[derive(Default)]
struct Lines {
    names: bool,
    width: usize,
    order: Vec<String>,
    open: BTreeMap<(String, Output), Vec<u8>>,
}

impl Lines {
    fn hear(&mut self, host: &str, output: Output, bytes: &[u8]) {
        let open = self.open.entry((host.to_owned(), output)).or_default();
        open.extend_from_slice(bytes);
        let Some(end) = open.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = open.split_off(end + 1);
        let whole = std::mem::replace(open, rest);
        for line in whole[..end].split(|byte| *byte == b'\n') {
            self.show(host, output, line);
        }
    }

    fn show(&mut self, host: &str, output: Output, line: &[u8]) {
        let head = if self.names { format!("{} | ", self.name(host)) } else { String::new() };
        screen::printed(output, &head, line);
    }

    fn name(&mut self, host: &str) -> String {
        if !self.order.iter().any(|known| known == host) {
            self.order.push(host.to_owned());
        }
        self.width = self.width.max(host.len());
        let number = self.order.iter().position(|known| known == host).unwrap_or_default();
        let padded = format!("{host:<width$}", width = self.width);
        Style::new().fg(COLORS[number % COLORS.len()]).apply_to(padded).to_string()
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { hosts, .. } => {
                self.width = hosts.iter().map(String::len).max().unwrap_or_default();
                self.order.clone_from(hosts);
            }
            Event::HostDone { host, result, .. } => {
                for output in [Output::Standard, Output::Error] {
                    if let Some(rest) = self.open.remove(&(host.clone(), output)).filter(|rest| !rest.is_empty()) {
                        self.show(host, output, &rest);
                    }
                }
                let code = result.data.get("rc").and_then(Value::as_i64);
                match (result.ending, code) {
                    (Ending::Failed, Some(code)) => self.show(host, Output::Error, format!("exit code {code}").as_bytes()),
                    (Ending::Failed | Ending::Unreachable, _) => {
                        self.show(host, Output::Error, result.message().unwrap_or("it was lost").as_bytes())
                    }
                    _ => {}
                }
            }
            Event::DuplicateKey { .. } | Event::Warning { .. } => {
                screen::note(&format!("warning: {}", event.warning().unwrap_or_default()))
            }
            _ => {}
        }
    }
}
