//! What was parsed already: a file whose text is still the same is parsed once, whoever asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Node, Place, Problem};

/// A key that stands twice in a mapping, of which the last value counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The key as Python shows it: text in quotes.
    pub key: String,
    /// Where it stands again.
    pub place: Place,
    /// The line on which it stands first.
    pub first: usize,
}

impl Duplicate {
    /// As a problem.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let message = format!("duplicate key {}, first on line {}", self.key, self.first);
        Problem::new(message).at(&self.place).with_hint("the last value counts")
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Keys that stand twice in one mapping.
    pub(crate) duplicates: Vec<Duplicate>,
}

/// Documents by the name of their file.
#[derive(Debug, Default)]
pub struct Shelf {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Texts, and what came of them.
    files: HashMap<Arc<str>, (Arc<str>, Arc<Documents>)>,
    untold: Vec<Duplicate>,
}

impl Shelf {
    /// The documents of this text; `parse` reads it where it is new, or not what it was.
    pub(crate) fn documents(
        &self,
        name: &Arc<str>,
        text: &Arc<str>,
        parse: impl FnOnce() -> Result<Documents, Problem>,
    ) -> Result<Arc<Documents>, Problem> {
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).files.get(name).cloned();
        if let Some((_, documents)) = known.filter(|(known, _)| known == text) {
            return Ok(documents);
        }
        let documents = Arc::new(parse()?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.untold.extend(documents.duplicates.iter().cloned());
        kept.files.insert(name.clone(), (text.clone(), documents.clone()));
        Ok(documents)
    }

    /// Keys that stand twice in files that were parsed since this was asked last.
    #[must_use]
    pub fn take_duplicates(&self) -> Vec<Duplicate> {
        std::mem::take(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner).untold)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Files, Overlay, SourceFile, Vault};

    #[test]
    fn a_text_is_parsed_again_when_it_changed() {
        let folder = std::env::temp_dir().join(format!("pgfleet-shelf-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("a.yml");
        let files = Overlay::new(Path::new("/nowhere"), []);
        let read = || SourceFile::read(&files, &path, &Vault::none()).expect("read").document("two").expect("parses").expect("one");
        std::fs::write(&path, "a: 1\na: 2").expect("written");
        let (first, second) = (read(), read());
        assert!(std::sync::Arc::ptr_eq(&first, &second));
        std::fs::write(&path, "a: 3").expect("written");
        assert_ne!(read(), first);
        std::fs::remove_dir_all(&folder).expect("removed");
        let told: Vec<String> = files.shelf().expect("a shelf").take_duplicates().iter().map(|found| found.problem().to_string()).collect();
        assert_eq!(told, [format!("{}:2:1: duplicate key 'a', first on line 1", path.display())]);
    }
}
