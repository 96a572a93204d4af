//! The output of Ansible's own programs, for people and scripts that read it: its default form, `minimal`, `oneline` and JSON.

mod brief;
mod default;
mod dump;
mod origin;
mod result;
mod stats;
mod tasks;
mod unified;

use std::collections::BTreeSet;
use std::sync::Arc;

use pgfleet_template::Files;

use super::Reporter;
use crate::screen;

pub(crate) use dump::{Format, json};
pub(crate) use origin::error;

/// Tells which playbook begins, for those who want to know much.
pub(crate) fn opening(playbook: &std::path::Path, plays: usize) {
    let name = playbook.file_name().unwrap_or_default().to_string_lossy();
    default::headline(&format!("PLAYBOOK: {name}"));
    crate::screen::line(&format!("{plays} plays in {}", playbook.display()));
}

/// Which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Plays, tasks and a recap.
    #[default]
    Default,
    /// A host's result, indented.
    Minimal,
    /// A host's result on a line.
    OneLine,
    /// Everything at the end, as one JSON value.
    Json,
}

/// What a person wants to see.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Which form.
    pub(crate) form: Form,
    /// How results are printed.
    pub(crate) format: Format,
    /// Indented results, or not; `None` leaves it to the form.
    pub(crate) pretty: Option<bool>,
    /// How much is said.
    pub(crate) verbosity: u8,
    /// Show hosts that a task was skipped on.
    pub(crate) skipped: bool,
    /// Show hosts on which nothing changed.
    pub(crate) ok: bool,
    /// Failures go to standard error.
    pub(crate) failed_to_stderr: bool,
    /// Say `[CHECK MODE]` in headlines.
    pub(crate) check_markers: bool,
    /// Say which keys stand twice.
    pub(crate) duplicates: bool,
    /// Say the task's path at a failure.
    pub(crate) path_on_failure: bool,
    /// Show at the end what `set_stats` said.
    pub(crate) stats: bool,
    /// Lines of context in differences.
    pub(crate) context: usize,
    /// The run is a check.
    pub(crate) check: bool,
    /// The task of an ad-hoc run, as its errors show it.
    pub(crate) adhoc: Option<String>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            form: Form::Default,
            format: Format::Json,
            pretty: None,
            verbosity: 0,
            skipped: true,
            ok: true,
            failed_to_stderr: false,
            check_markers: false,
            duplicates: true,
            path_on_failure: false,
            stats: false,
            context: 3,
            check: false,
            adhoc: None,
        }
    }
}

/// The reporter of a view.
pub(crate) fn reporter(view: View, files: Arc<dyn Files>) -> Box<dyn Reporter> {
    match view.form {
        Form::Default => Box::new(default::Default::new(view, files)),
        Form::Minimal | Form::OneLine => Box::new(brief::Brief::new(view, files)),
        Form::Json => Box::new(tasks::Tasks::new(view)),
    }
}

/// What is said once only.
#[derive(Default)]
struct Said(BTreeSet<String>);

impl Said {
    /// Says a warning on standard error.
    fn warn(&mut self, message: &str) {
        let text = format!("[WARNING]: {message}");
        if self.0.insert(text.clone()) {
            screen::note(&text);
        }
    }

    /// Says that a key stands twice.
    fn duplicate(&mut self, key: &str, place: &str, files: &Arc<dyn Files>) {
        let origin = origin::of(place, files);
        self.warn(&format!("Found duplicate mapping key {key}.{origin}\nUsing last defined value only.\n"));
    }

    /// Says an error where results are said.
    fn error(&mut self, text: &str, to_stderr: bool) {
        if self.0.insert(text.to_owned()) {
            if to_stderr { screen::note(text) } else { screen::line(text) }
        }
    }
}
