//! A text file that a module edits: read once, changed in memory, written back as a [`Replacement`].

use std::path::PathBuf;

use pgfleet_protocol::{FileAttributes, Outcome};
use serde_json::Value;

use crate::module::{Context, Failure, Plan, WithContext};
use crate::paths;
use crate::replacement::Replacement;

/// A file and its text.
pub(crate) struct TextFile {
    /// Where it is, links resolved.
    pub(crate) path: PathBuf,
    /// What it holds; `None` when it is not there.
    pub(crate) before: Option<String>,
    make_parents: bool,
}

impl TextFile {
    /// Reads the file. It must be text in UTF-8; bytes that are not would not survive the edit.
    pub(crate) fn read(context: &Context, written: &str, make_parents: bool) -> Result<Self, Failure> {
        let path = paths::expand(context.system, written)?;
        let path = context.system.real_path(&path).unwrap_or(path);
        let found = context.system.stat_if_there(&path).context(format_args!("cannot look at {}", path.display()))?;
        if found.is_some_and(|found| found.is_directory()) {
            return Err(Failure::new(format!("Path {} is a directory !", path.display())).with("rc", 256));
        }
        let bytes = context.system.read_if_there(&path).context(format_args!("cannot read {}", path.display()))?;
        let before = bytes.map(String::from_utf8).transpose().map_err(|_| Failure::new(format!("{} is not UTF-8 text", path.display())))?;
        Ok(Self { path, before, make_parents })
    }

    /// The text; empty when there is no file.
    pub(crate) fn text(&self) -> &str {
        self.before.as_deref().unwrap_or_default()
    }

    /// The file with new text.
    pub(crate) fn replaced(self, after: String) -> Replacement {
        Replacement {
            path: self.path,
            before: self.before.map(String::into_bytes),
            after: after.into_bytes(),
            make_parents: self.make_parents,
            ..Replacement::default()
        }
    }
}

impl Replacement {
    /// The same with a message.
    pub(crate) fn said(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same with what all editing modules take.
    pub(crate) fn with_options(mut self, backup: bool, validate: Option<&str>, attributes: FileAttributes) -> Self {
        self.backup = backup;
        self.validate = validate.map(str::to_owned);
        self.attributes = attributes;
        self
    }
}

impl Plan {
    /// The same plan with one more result.
    pub(crate) fn with(self, name: &str, value: impl Into<Value>) -> Self {
        match self {
            Self::Done(outcome) => Self::Done(outcome.with(name, value)),
            Self::Change(outcome, apply) => Self::Change(outcome.with(name, value), apply),
        }
    }
}

/// Nothing is to be done, since there is nothing.
pub(crate) fn not_there(message: impl Into<String>) -> Plan {
    Plan::Done(Outcome::unchanged().saying(message))
}

/// The lines with their ends, split at newlines only.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
}

/// A line without its end.
pub(crate) fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}
