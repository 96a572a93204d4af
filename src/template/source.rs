//! A file in the Ansible dialect: read, parsed with positions, its lines kept for messages.

use std::path::Path;
use std::sync::Arc;

use crate::{Files, Node, Place, Problem, Vault, yaml};

/// Files over this size are refused.
const LARGEST: usize = 10 * 1024 * 1024;

/// A YAML file that a person wrote.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its name, as shown to the person.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// The text was encrypted: no line of it is shown.
    opened: bool,
}

impl SourceFile {
    /// Reads a file; a file that is encrypted as a whole is opened.
    ///
    /// # Errors
    /// When it cannot be read or opened, is not UTF-8 or is over the size limit (10 MB).
    pub fn read(files: &dyn Files, path: &Path, vault: &Vault) -> Result<Self, Problem> {
        let name: Arc<str> = path.to_string_lossy().into();
        let place = Place::new(name.clone(), 1, 1);
        let bytes = files.read(path).map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
                _ => error.to_string(),
            };
            Problem::new(format!("cannot read '{name}': {why}"))
        })?;
        if bytes.len() > LARGEST {
            return Err(
                Problem::new(format!("the file has {} MB, more than the 10 MB that are allowed", bytes.len() / 1024 / 1024)).at(&place)
            );
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            Problem::new("the file is not UTF-8 text").at(&Place::new(name.clone(), line, 1))
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if Vault::is_vault(text) {
            let opened = vault.open(text).map_err(|problem| problem.at(&place))?;
            return Ok(Self { name, text: opened.reveal().into(), opened: true });
        }
        Ok(Self { name, text: text.into(), opened: false })
    }

    /// A text that stands in no file: an argument of the command line, say.
    #[must_use]
    pub fn from_text(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into(), opened: false }
    }

    /// Its documents. An empty file has none; JSON is YAML.
    ///
    /// # Errors
    /// Malformed YAML, a duplicate key, an alias bomb, nesting over 100 levels; each with place and excerpt.
    pub fn documents(&self) -> Result<Vec<Node>, Problem> {
        yaml::documents(&self.name, &self.text).map_err(|problem| self.explain(problem))
    }

    /// The same problem with the line of this file that its place names, unless the file was encrypted.
    #[must_use]
    pub fn explain(&self, problem: Problem) -> Problem {
        let place = problem.place.as_ref().filter(|place| !self.opened && place.file == self.name && place.line > 0);
        let line = place.and_then(|place| Some((place.column, self.text.lines().nth(place.line - 1)?)));
        match line {
            Some((column, line)) => problem.with_excerpt(line.chars().take(column + 200).collect::<String>()),
            None => problem,
        }
    }
}
