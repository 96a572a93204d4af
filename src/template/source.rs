//! A file in the Ansible dialect: read, parsed with positions, its lines kept for messages.

use std::path::Path;
use std::sync::Arc;

use crate::{Files, Node, Problem};

/// A YAML file that a person wrote.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its name, as shown to the person.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

impl SourceFile {
    /// Reads a file; a whole-file vault must be opened by the caller before (see `Vault::open_file`).
    ///
    /// # Errors
    /// When it cannot be read, is not UTF-8 or is over the size limit (10 MB).
    pub fn read(_files: &dyn Files, _path: &Path, _vault: &crate::Vault) -> Result<Self, Problem> {
        todo!()
    }

    /// A text that stands in no file: an argument of the command line, say.
    #[must_use]
    pub fn from_text(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Its documents. An empty file has none; JSON is YAML.
    ///
    /// # Errors
    /// Malformed YAML, a duplicate key, an alias bomb, nesting over 100 levels; each with place and excerpt.
    pub fn documents(&self) -> Result<Vec<Node>, Problem> {
        todo!()
    }

    /// The same problem with the line of this file that its place names.
    #[must_use]
    pub fn explain(&self, problem: Problem) -> Problem {
        let line = problem.place.as_ref().filter(|place| place.file == self.name).and_then(|place| self.text.lines().nth(place.line - 1));
        match line {
            Some(line) => problem.with_excerpt(line),
            None => problem,
        }
    }
}
