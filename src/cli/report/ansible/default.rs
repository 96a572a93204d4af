//! Ansible's default form: headlines, a line for each host, a recap.

use std::sync::Arc;

use pgfleet_engine::{Counts, Ending, Event, Recap, TaskResult};
use pgfleet_template::Files;

use super::result::{Task, warnings};
use super::stats::Stats;
use super::{Said, View, origin, unified};
use crate::report::{Reporter, words};
use crate::screen;

/// Columns of a headline before its last star.
const WIDTH: usize = 79;

pub(super) struct Default {
    view: View,
    files: Arc<dyn Files>,
    said: Said,
    task: Task,
    stats: Stats,
    handler: bool,
    /// The headline of the running task is still to be shown.
    headline_due: bool,
}

impl Default {
    pub(super) fn new(view: View, files: Arc<dyn Files>) -> Self {
        Self { view, files, said: Said::default(), task: Task::default(), stats: Stats::default(), handler: false, headline_due: false }
    }

    fn task_headline(&mut self) {
        if !std::mem::take(&mut self.headline_due) {
            return;
        }
        let word = if self.handler { "RUNNING HANDLER" } else { "TASK" };
        headline(&format!("{word} [{}]{}", self.task.name, self.marker()));
        if self.view.verbosity > 1 && !self.task.place.is_empty() {
            self.path();
        }
    }

    fn path(&self) {
        let place = origin::absolute(&self.task.place);
        let place = place.rsplit_once(':').map_or(place.as_str(), |(place, _)| place);
        screen::line(&format!("task path: {place}"));
    }

    fn marker(&self) -> &'static str {
        if self.view.check && self.view.check_markers { " [CHECK MODE]" } else { "" }
    }

    /// One item's line, or a host's.
    fn result(&mut self, host: &str, item: Option<&str>, result: &TaskResult) {
        match result.ending {
            Ending::Skipped if !self.view.skipped => return,
            Ending::Ok if !self.view.ok => return,
            _ => {}
        }
        self.differences(result);
        self.task_headline();
        warnings(result).iter().for_each(|warning| self.said.warn(warning));
        if result.is_bad() {
            return self.failure(host, item, result);
        }
        let word = match result.ending {
            Ending::Changed => "changed",
            Ending::Skipped => "skipping",
            _ => "ok",
        };
        let mut line = format!("{word}: [{host}]");
        if let Some(item) = item {
            line += &format!(" => (item={item})");
            line += if result.ending == Ending::Skipped { " " } else { "" };
        }
        if self.task.is_shown(result, &self.view) {
            line += &format!(" => {}", self.task.text(result, &self.view));
        }
        screen::line(&words::style(result.ending, false).apply_to(line).to_string());
    }

    fn failure(&mut self, host: &str, item: Option<&str>, result: &TaskResult) {
        let error = self.task.error(result, &self.view, &self.files);
        self.said.error(&error, self.view.failed_to_stderr);
        if self.view.path_on_failure && self.view.verbosity < 2 && item.is_none() && result.ending == Ending::Failed {
            self.path();
        }
        let text = self.task.text(result, &self.view);
        let line = match (result.ending, item) {
            (Ending::Unreachable, _) => format!("fatal: [{host}]: UNREACHABLE! => {text}"),
            (_, Some(item)) => format!("failed: [{host}] (item={item}) => {text}"),
            (_, None) => format!("fatal: [{host}]: FAILED! => {text}"),
        };
        let line = words::style(result.ending, false).apply_to(line).to_string();
        if self.view.failed_to_stderr { screen::note(&line) } else { screen::line(&line) }
    }

    fn differences(&mut self, result: &TaskResult) {
        if !result.has_changed() {
            return;
        }
        let text: String = result.diff.iter().map(|diff| unified::unified(diff, self.view.context)).collect();
        if !text.is_empty() {
            self.task_headline();
            screen::line(text.strip_suffix('\n').unwrap_or(&text));
        }
    }

    fn host_done(&mut self, host: &str, result: &TaskResult, looped: bool, ignored: bool) {
        match (looped, result.ending) {
            (true, Ending::Failed) => self.task_headline(),
            // The items said it.
            (true, Ending::Ok | Ending::Changed) => {}
            _ => self.result(host, None, result),
        }
        if ignored {
            screen::line(&words::style(Ending::Skipped, false).apply_to("...ignoring").to_string());
        }
    }
}

impl Reporter for Default {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, .. } => headline(&play(name, self.marker())),
            Event::PlayEmpty { name } => {
                headline(&play(name, self.marker()));
                screen::line("skipping: no hosts matched");
            }
            Event::TaskStarted { name, module, handler, place, .. } => {
                self.task = Task { name: name.trim().to_owned(), module: module.clone(), place: place.clone() };
                self.handler = *handler;
                self.headline_due = true;
                if self.view.ok && self.view.skipped {
                    self.task_headline();
                }
            }
            Event::ItemDone { host, item, result, .. } => self.result(host, Some(item), result),
            Event::HostDone { host, result, ignored, delegate, looped, .. } => {
                if self.view.stats {
                    self.stats.take(host, result);
                }
                let skipped = result.ending == Ending::Skipped;
                let delegate = delegate.as_ref().filter(|_| !skipped);
                let host = delegate.map_or_else(|| host.clone(), |delegate| format!("{host} -> {delegate}"));
                self.host_done(&host, result, *looped, *ignored);
            }
            Event::Retrying { host, left, .. } => {
                self.task_headline();
                screen::line(&format!("FAILED - RETRYING: [{host}]: {} ({left} retries left).", self.task.name));
            }
            Event::Included { file, hosts, item } => {
                // A role goes by its name.
                let file = if file.contains('/') { origin::absolute(&format!("{file}:1:1")) } else { file.clone() };
                let file = file.strip_suffix(":1:1").unwrap_or(&file);
                let item = item.as_ref().map(|item| format!(" => (item={item})")).unwrap_or_default();
                screen::line(&format!("included: {file} for {}{item}", hosts.join(", ")));
            }
            Event::DuplicateKey { .. } if !self.view.duplicates => {}
            Event::DuplicateKey { key, place, .. } => self.said.duplicate(key, place, &self.files),
            Event::Warning { message } => self.said.warn(message),
            Event::Interrupted => screen::note(" [ERROR]: User interrupted execution"),
            Event::Finished { recap, .. } => {
                headline("PLAY RECAP");
                recap_lines(recap).iter().for_each(|line| screen::line(line));
                screen::line("");
                let stats = self.stats.lines();
                if !stats.is_empty() {
                    headline("CUSTOM STATS:");
                    stats.iter().for_each(|line| screen::line(line));
                    screen::line("");
                }
                if self.view.check && self.view.check_markers {
                    headline("DRY RUN");
                }
            }
            Event::Said { text, .. } => screen::line(&screen::plain(text)),
            Event::NoHostsLeft | Event::HostStarted { .. } | Event::Progress { .. } => {}
        }
    }
}

fn play(name: &str, marker: &str) -> String {
    let name = name.trim();
    if name.is_empty() { format!("PLAY{marker}") } else { format!("PLAY [{name}]{marker}") }
}

/// A headline, filled with stars.
pub(super) fn headline(text: &str) {
    let text = text.trim();
    let stars = "*".repeat(WIDTH.saturating_sub(console::measure_text_width(text)).max(3));
    screen::line(&format!("\n{text} {stars}"));
}

fn recap_lines(recap: &Recap) -> Vec<String> {
    let mut hosts: Vec<(&String, &Counts)> = recap.hosts.iter().collect();
    hosts.sort_by_key(|(host, _)| *host);
    hosts.into_iter().map(|(host, counts)| words::recap_line(host, counts, 26)).collect()
}
