//! The screen of a person who watches: one line a task, details only where something changed or went wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use console::Style;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pgfleet_engine::{Ending, Event, TaskResult};
use pgfleet_playbook::{Kind, lookup_module};

use super::place::Places;
use super::{Reporter, diff, words};
use crate::screen;

/// A live screen.
pub(super) struct Live {
    verbosity: u8,
    bar: ProgressBar,
    task: Option<Task>,
    places: Places,
}

/// The task that runs.
struct Task {
    name: String,
    module: String,
    /// The controller does it for all hosts at once: no host is worth a word.
    whole: bool,
    begin: Instant,
    busy: Vec<String>,
    endings: BTreeMap<&'static str, usize>,
    details: Vec<String>,
}

impl Live {
    pub(super) fn new(verbosity: u8, places: Places) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(15));
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { verbosity, bar, places, task: None }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| screen::line(text));
    }

    /// What stands beside the clock.
    fn message(&self, text: &str) {
        self.bar.set_message(screen::coloured(text).into_owned());
    }

    /// Tells what the last task did.
    fn settle(&mut self) {
        let Some(task) = self.task.take() else { return };
        let count = |word: &str| task.endings.get(word).copied().unwrap_or_default();
        let (mark, style) = if count("failed") + count("unreachable") > 0 {
            ("✗", Style::new().red().bold())
        } else if count("changed") > 0 {
            ("●", Style::new().yellow())
        } else if count("ok") > 0 {
            ("✓", Style::new().green())
        } else {
            ("-", Style::new().dim())
        };
        // Tasks that were skipped everywhere say nothing to a person who watches.
        if mark == "-" && self.verbosity == 0 {
            return;
        }
        let parts: Vec<String> = ["ok", "changed", "skipped", "ignored", "failed", "unreachable"]
            .iter()
            .filter(|word| count(word) > 0)
            .map(|word| format!("{} {word}", count(word)))
            .collect();
        let seconds = task.begin.elapsed().as_secs_f64();
        let time = if seconds >= 0.1 { format!("  {seconds:.1} s") } else { String::new() };
        self.line(&format!(
            "  {} {}  {}{}",
            style.apply_to(mark),
            task.name,
            Style::new().dim().apply_to(if task.whole && count("failed") == 0 { String::new() } else { parts.join(", ") }),
            Style::new().dim().apply_to(time)
        ));
        for detail in &task.details {
            self.line(&format!("      {detail}"));
        }
    }

    fn result(&mut self, host: &str, item: Option<&str>, result: &TaskResult, ignored: bool) {
        let verbosity = self.verbosity;
        let Some(task) = &mut self.task else { return };
        let what = item.map_or_else(|| host.to_owned(), |item| format!("{host} ({})", screen::harmless(item)));
        let style = words::style(result.ending, ignored);
        for difference in &result.diff {
            task.details.push(style.apply_to(&what).to_string());
            task.details.extend(diff::lines(difference));
        }
        if result.is_bad() {
            let word = if ignored {
                "failed, ignored"
            } else if result.ending == Ending::Failed {
                "failed"
            } else {
                "unreachable"
            };
            task.details.push(style.apply_to(format!("{what}: {word}")).to_string());
            task.details.extend(words::failure(result, &self.places).into_iter().map(|line| format!("  {line}")));
        } else if task.module == "debug" && result.ending == Ending::Ok {
            task.details.extend(words::said(result));
        } else if task.whole {
            task.details.extend(words::details(result).filter(|_| verbosity > 0));
        } else if result.ending == Ending::Changed && verbosity == 0 {
            task.details.push(style.apply_to(what).to_string());
        } else if verbosity > 0 {
            let details = words::details(result).map(|details| format!(": {details}")).unwrap_or_default();
            task.details.push(format!("{}{details}", style.apply_to(what)));
        }
    }

    /// How far the task is: in bytes, where it counts them.
    fn show_progress(&self, what: &str, done: u64, total: Option<u64>) {
        let Some(task) = &self.task else { return };
        let amount = match total {
            Some(total) if total > 0 => {
                let percent = (done.min(total) * 100) / total;
                format!("  {} of about {} ({percent} %)", HumanBytes(done), HumanBytes(total))
            }
            _ if done > 0 => format!("  {}", HumanBytes(done)),
            _ => String::new(),
        };
        self.message(&format!("{}  {}", task.name, Style::new().dim().apply_to(format!("{}{amount}", screen::plain(what)))));
    }

    fn show_busy(&self) {
        let Some(task) = &self.task else { return };
        let busy = match task.busy.len() {
            _ if task.whole => String::new(),
            0 => String::new(),
            1..=4 => format!("  {}", task.busy.join(", ")),
            count => format!("  {count} hosts"),
        };
        self.message(&format!("{}{}", task.name, Style::new().dim().apply_to(busy)));
    }
}

impl Reporter for Live {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, hosts } => {
                self.settle();
                self.line(&format!(
                    "\n{}  {}",
                    Style::new().bold().apply_to(name),
                    Style::new().dim().apply_to(format!("{} hosts", hosts.len()))
                ));
            }
            Event::TaskStarted { name, module, handler, place, .. } => {
                self.places.enter(place);
                self.settle();
                let name = if *handler { format!("{name} (handler)") } else { name.clone() };
                let name = screen::harmless(&name);
                self.task = Some(Task {
                    name,
                    module: module.clone(),
                    whole: matches!(lookup_module(module), Ok((Kind::Controller, _))),
                    begin: Instant::now(),
                    busy: Vec::new(),
                    endings: BTreeMap::new(),
                    details: Vec::new(),
                });
                self.bar.reset_elapsed();
                self.show_busy();
            }
            Event::HostStarted { host, .. } => {
                if let Some(task) = &mut self.task {
                    task.busy.push(host.clone());
                }
                self.show_busy();
            }
            Event::ItemDone { host, item, result, ignored, .. } => self.result(host, Some(item), result, *ignored),
            Event::HostDone { host, result, ignored, looped, .. } => {
                let word = match result.ending {
                    _ if *ignored => "ignored",
                    Ending::Ok => "ok",
                    Ending::Changed => "changed",
                    Ending::Skipped => "skipped",
                    Ending::Failed => "failed",
                    Ending::Unreachable => "unreachable",
                };
                if let Some(task) = &mut self.task {
                    *task.endings.entry(word).or_default() += 1;
                    task.busy.retain(|busy| busy != host);
                }
                if !looped {
                    self.result(host, None, result, *ignored);
                }
                self.show_busy();
            }
            Event::Retrying { host, left, .. } => {
                if let Some(task) = &self.task {
                    self.message(&format!("{}  {host} tries again, {left} tries left", task.name));
                }
            }
            Event::DuplicateKey { .. } | Event::Warning { .. } => {
                self.line(&format!("{} {}", Style::new().yellow().apply_to("warning:"), event.warning().unwrap_or_default()));
            }
            Event::NoHostsLeft => {
                self.settle();
                self.line("\nNo hosts are left; the run ends here.");
            }
            Event::Interrupted => {
                self.settle();
                self.line("\nInterrupted.");
            }
            Event::Finished { recap, milliseconds } => {
                self.settle();
                self.bar.finish_and_clear();
                self.line("");
                for line in words::recap(recap) {
                    self.line(&line);
                }
                let seconds = *milliseconds as f64 / 1000.0;
                self.line(&format!("\n{} changed in {seconds:.1} s", recap.changed()));
            }
            Event::PlayEmpty { name } => self.line(&format!("\n{}  no hosts", Style::new().bold().apply_to(name))),
            Event::Said { text, .. } => {
                if let Some(task) = &mut self.task {
                    task.details.push(screen::plain(text));
                }
            }
            Event::Progress { what, done, total, .. } => self.show_progress(what, *done, *total),
            Event::Included { .. } => {}
        }
    }

    fn end(&mut self) {
        self.settle();
        self.bar.finish_and_clear();
    }
}
