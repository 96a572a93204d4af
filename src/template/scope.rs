//! What names mean for one host at one moment: layers of variables, rendered lazily.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Files, Problem, Value, Vars};

/// Filters, tests, functions and settings of the template language; made once a process.
pub struct Language {}

impl Language {
    /// The language as Ansible has it. Lookups and includes read through `files`.
    #[must_use]
    pub fn new(_files: Arc<dyn Files>) -> Arc<Self> {
        todo!()
    }
}

/// How a template file is rendered.
#[derive(Clone, Debug)]
pub struct TemplateOptions {
    /// Remove the newline after a block tag.
    pub trim_blocks: bool,
    /// Remove white space before a block tag.
    pub lstrip_blocks: bool,
    /// Ending of the result's lines.
    pub newline_sequence: String,
}

impl Default for TemplateOptions {
    fn default() -> Self {
        Self { trim_blocks: true, lstrip_blocks: false, newline_sequence: "\n".to_owned() }
    }
}

/// Names and their values. A clone shares everything; a layer added hides the names below it, also for the
/// lazily rendered variables of lower layers.
#[derive(Clone)]
pub struct Scope {}

impl Scope {
    /// An empty scope. `search` are folders in which lookups and includes look for files, first match counts
    /// (each tried as is and with `templates/`, `files/` below it by those who need that).
    #[must_use]
    pub fn new(_language: &Arc<Language>, _search: Vec<PathBuf>) -> Self {
        todo!()
    }

    /// The scope with one more layer above the others.
    #[must_use]
    pub fn over(&self, _vars: Arc<Vars>) -> Self {
        todo!()
    }

    /// The scope with several more layers, lowest first.
    #[must_use]
    pub fn over_all(&self, _layers: impl IntoIterator<Item = Arc<Vars>>) -> Self {
        todo!()
    }

    /// The scope with one more name above the others.
    #[must_use]
    pub fn with(&self, _name: &str, _value: Value) -> Self {
        todo!()
    }

    /// The value of a name, rendered when first asked for; `None` when nothing defines it.
    ///
    /// # Errors
    /// When rendering fails, with the trail of variables; a cycle is an error that names it.
    pub fn get(&self, _name: &str) -> Result<Option<Value>, Problem> {
        todo!()
    }

    /// True when something defines the name.
    #[must_use]
    pub fn defines(&self, _name: &str) -> bool {
        todo!()
    }

    /// All names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        todo!()
    }

    /// Renders a template file's text; `name` is its path, for messages and relative includes.
    ///
    /// # Errors
    /// With file, line and the name of what is undefined.
    pub fn render(&self, _name: &str, _source: &str, _options: &TemplateOptions) -> Result<String, Problem> {
        todo!()
    }
}
