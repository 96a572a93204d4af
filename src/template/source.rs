//! A file in the Ansible dialect: read, parsed with positions, its lines kept for messages.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::shelf::Documents;
use crate::{Duplicate, Files, Node, Place, Problem, Shelf, Vault, yaml};

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
    shelf: Option<Arc<Shelf>>,
}

/// Words in keys whose values are nobody's business.
const SECRET_WORDS: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "private_key:"];
const MASK: &str = "********";

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
            return Ok(Self { name, text: opened.reveal().into(), opened: true, shelf: files.shelf() });
        }
        Ok(Self { name, text: text.into(), opened: false, shelf: files.shelf() })
    }

    /// A text that stands in no file: an argument of the command line, say.
    #[must_use]
    pub fn from_text(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into(), opened: false, shelf: None }
    }

    /// Its documents. An empty file has none; JSON is YAML.
    ///
    /// # Errors
    /// Malformed YAML, an alias bomb, nesting over 100 levels; each with place and excerpt.
    pub fn documents(&self) -> Result<Vec<Node>, Problem> {
        yaml::documents(&self.name, &self.text).map(|read| read.nodes).map_err(|problem| self.explain(problem))
    }

    /// The same, parsed once for all who read through the same files.
    fn shared(&self) -> Result<Arc<Documents>, Problem> {
        let parse = || {
            let read = yaml::loaded(&self.name, &self.text).map_err(|problem| self.explain(problem))?;
            Ok(Documents { nodes: read.nodes.into_iter().map(Arc::new).collect(), duplicates: read.duplicates })
        };
        match &self.shelf {
            Some(shelf) => shelf.documents(&self.name, &self.text, parse),
            None => parse().map(Arc::new),
        }
    }

    /// Keys that stand twice in one mapping, of which the last one counts; none where the file cannot be parsed.
    #[must_use]
    pub fn duplicates(&self) -> Vec<Duplicate> {
        self.shared().map(|documents| documents.duplicates.clone()).unwrap_or_default()
    }

    /// The only document, `None` for an empty file. It is parsed once for all who read through the same files.
    ///
    /// # Errors
    /// As `documents`; and where there is a second document, which `second` says of it.
    pub fn document(&self, second: &str) -> Result<Option<Arc<Node>>, Problem> {
        let documents = self.shared()?;
        match documents.nodes.get(1) {
            Some(other) => Err(self.explain(other.problem(second))),
            None => Ok(documents.nodes.first().cloned()),
        }
    }

    /// The same problem with the line of this file that its place names, unless the file was encrypted.
    #[must_use]
    pub fn explain(&self, problem: Problem) -> Problem {
        let place = problem.place.as_ref().filter(|place| !self.opened && place.file == self.name && place.line > 0);
        let line = place.and_then(|place| Some((place.column, self.text.lines().nth(place.line - 1)?)));
        match line {
            Some((column, line)) => problem.with_excerpt(shown(line).chars().take(column + 200).collect::<String>()),
            None => problem,
        }
    }
}

/// A line as it may be shown: what looks like a password written out is masked.
fn shown(line: &str) -> Cow<'_, str> {
    let lower = line.to_ascii_lowercase();
    let Some(word) = SECRET_WORDS.iter().filter_map(|word| lower.find(word)).min() else { return Cow::Borrowed(line) };
    let Some(separator) = line[word..].find([':', '=']).map(|at| word + at + 1) else { return Cow::Borrowed(line) };
    let value = line[separator..].trim();
    match value.is_empty() || value.contains("{{") || value.starts_with('!') {
        true => Cow::Borrowed(line),
        false => Cow::Owned(format!("{} {MASK}", &line[..separator])),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn passwords_are_masked_in_excerpts() {
        for (line, expect) in [
            ("db_password: hunter2", "db_password: ********"),
            ("web1 ansible_password=hunter2 x=1", "web1 ansible_password= ********"),
            ("  API_TOKEN: 'x'", "  API_TOKEN: ********"),
            ("password: \"{{ lookup('file', 'x') \"", "password: \"{{ lookup('file', 'x') \""),
            ("password: !vault |", "password: !vault |"),
            ("passwords:", "passwords:"),
            ("state: present", "state: present"),
        ] {
            assert_eq!(shown(line), expect);
        }
    }
}
