//! What was parsed already: a file whose text is still the same is parsed once, whoever asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Node, Problem};

/// The documents of a file.
pub(crate) type Documents = Arc<Vec<Arc<Node>>>;

/// Documents by the name of their file.
#[derive(Debug, Default)]
pub struct Shelf {
    documents: Mutex<HashMap<Arc<str>, Known>>,
}

/// The text that was parsed, and what came of it.
type Known = (Arc<str>, Documents);

impl Shelf {
    /// The documents of this text; `parse` reads it where it is new, or not what it was.
    pub(crate) fn documents(
        &self,
        name: &Arc<str>,
        text: &Arc<str>,
        parse: impl FnOnce() -> Result<Vec<Node>, Problem>,
    ) -> Result<Documents, Problem> {
        let known = self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some((_, documents)) = known.filter(|(known, _)| known == text) {
            return Ok(documents);
        }
        let documents: Documents = Arc::new(parse()?.into_iter().map(Arc::new).collect());
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), (text.clone(), documents.clone()));
        Ok(documents)
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
        assert!(files.shelf().is_some());
        let read = || SourceFile::read(&files, &path, &Vault::none()).expect("read").document("two").expect("parses").expect("one");
        std::fs::write(&path, "a: 1").expect("written");
        let (first, second) = (read(), read());
        assert!(std::sync::Arc::ptr_eq(&first, &second));
        std::fs::write(&path, "a: 2").expect("written");
        assert_ne!(read(), first);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
