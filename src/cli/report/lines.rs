//! Ansible's lines: for logs, pipes and people who are used to them.

use pgfleet_engine::{Ending, Event, TaskResult};

use super::place::Places;
use super::{Reporter, diff, words};
use crate::screen;

/// Columns that a headline is filled to.
const WIDTH: usize = 79;

/// Plain lines, in the order of events.
pub(super) struct Lines {
    verbosity: u8,
    module: String,
    places: Places,
}

impl Lines {
    pub(super) fn new(verbosity: u8, places: Places) -> Self {
        Self { verbosity, module: String::new(), places }
    }

    fn result(&self, host: &str, item: Option<&str>, result: &TaskResult, ignored: bool) {
        let style = words::style(result.ending, ignored);
        let word = match result.ending {
            Ending::Ok => "ok",
            Ending::Changed => "changed",
            Ending::Skipped => "skipping",
            Ending::Failed => "failed",
            Ending::Unreachable => "unreachable",
        };
        let mut line = match (result.ending, item) {
            (Ending::Failed, None) => format!("fatal: [{host}]: FAILED!"),
            (Ending::Unreachable, None) => format!("fatal: [{host}]: UNREACHABLE!"),
            _ => format!("{word}: [{host}]"),
        };
        if let Some(item) = item {
            line = format!("{line} => (item={})", screen::harmless(item));
        }
        if self.verbosity > 0
            && !result.is_bad()
            && let Some(details) = words::details(result)
        {
            line = format!("{line} => {details}");
        }
        for difference in result.diff.iter().filter(|_| result.ending != Ending::Failed) {
            diff::lines(difference).iter().for_each(|line| screen::line(line));
        }
        screen::line(&style.apply_to(line).to_string());
        if result.is_bad() {
            words::failure(result, &self.places).iter().for_each(|line| screen::line(&format!("    {line}")));
        } else if self.module == "debug" && result.ending == Ending::Ok {
            words::said(result).iter().for_each(|line| screen::line(&format!("    {line}")));
        }
        if ignored {
            screen::line("...ignoring");
        }
    }
}

impl Reporter for Lines {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, .. } => headline(&format!("PLAY [{name}]")),
            Event::PlayEmpty { name } => {
                headline(&format!("PLAY [{name}]"));
                screen::line("skipping: no hosts matched");
            }
            Event::TaskStarted { name, module, handler, place, .. } => {
                self.module.clone_from(module);
                self.places.enter(place);
                headline(&format!("{} [{name}]", if *handler { "RUNNING HANDLER" } else { "TASK" }));
                if self.verbosity > 1 {
                    screen::line(&format!("task path: {place}"));
                }
            }
            Event::ItemDone { host, item, result, ignored, .. } => self.result(host, Some(item), result, *ignored),
            Event::HostDone { looped: true, result, ignored, .. } if !result.is_bad() || *ignored => {}
            Event::HostDone { host, result, ignored, delegate, .. } => {
                let host = delegate.as_ref().map_or_else(|| host.clone(), |delegate| format!("{host} -> {delegate}"));
                self.result(&host, None, result, *ignored);
            }
            Event::Retrying { host, left, .. } => screen::line(&format!("FAILED - RETRYING: [{host}]: ({left} retries left).")),
            Event::Included { file, hosts, .. } => screen::line(&format!("included: {file} for {}", hosts.join(", "))),
            Event::DuplicateKey { .. } | Event::Warning { .. } => {
                screen::note(&format!("[WARNING]: {}", event.warning().unwrap_or_default()))
            }
            Event::NoHostsLeft => screen::line("\nNO MORE HOSTS LEFT"),
            Event::Interrupted => screen::line("\nINTERRUPTED"),
            Event::Finished { recap, .. } => {
                headline("PLAY RECAP");
                words::recap(recap).iter().for_each(|line| screen::line(line));
                screen::line("");
            }
            Event::Said { text, .. } => screen::line(&format!("    {}", screen::plain(text))),
            Event::HostStarted { .. } | Event::Progress { .. } => {}
        }
    }
}

fn headline(text: &str) {
    // Names may have what a host said in them.
    let text = screen::harmless(text);
    let stars = "*".repeat(WIDTH.saturating_sub(text.chars().count() + 1).max(3));
    screen::line(&format!("\n{text} {stars}"));
}
