//! The files that are looked at: each read once, and places in them found again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use pgfleet_playbook::Loader;
use pgfleet_template::{Duplicate, Node, Place, Problem, SourceFile};

/// Reads files as the loader of a run does, which parses none of them again.
pub(crate) struct Sources<'r> {
    loader: &'r Loader,
    documents: HashMap<PathBuf, Option<Arc<Node>>>,
    /// Keys that stand twice, not told yet.
    pub(crate) duplicates: Vec<Duplicate>,
    texts: HashMap<Arc<str>, Rc<SourceFile>>,
}

impl<'r> Sources<'r> {
    pub(crate) fn new(loader: &'r Loader) -> Self {
        Self { loader, documents: HashMap::new(), duplicates: Vec::new(), texts: HashMap::new() }
    }

    /// How many files were read.
    pub(crate) fn count(&self) -> usize {
        self.texts.len()
    }

    /// The text of a file; a problem is told once.
    pub(crate) fn text(&mut self, path: &Path) -> Result<Rc<SourceFile>, Problem> {
        let name: Arc<str> = path.to_string_lossy().into();
        if let Some(known) = self.texts.get(&name) {
            return Ok(known.clone());
        }
        let source = Rc::new(SourceFile::read(&**self.loader.files(), path, self.loader.vault())?);
        self.texts.insert(name, source.clone());
        Ok(source)
    }

    /// The document of a YAML file; `None` for an empty one. Its problem comes only with the first reading.
    pub(crate) fn document(&mut self, path: &Path) -> Result<Option<Arc<Node>>, Problem> {
        if let Some(known) = self.documents.get(path) {
            return Ok(known.clone());
        }
        self.documents.insert(path.to_owned(), None);
        let source = self.text(path)?;
        let document = source.document("a second document; a file here holds one")?.filter(|node| !node.is_null());
        self.duplicates.extend(source.duplicates());
        self.documents.insert(path.to_owned(), document.clone());
        Ok(document)
    }

    /// The line of a place, with passwords masked.
    pub(crate) fn excerpt(&self, place: &Place) -> Option<String> {
        let source = self.texts.get(&place.file)?;
        source.explain(Problem::new("").at(place)).excerpt.map(String::from)
    }

    /// Where a part of a scalar's text stands in the file, whichever way the scalar is written.
    pub(crate) fn within(&self, place: &Place, text: &str, offset: usize, length: usize) -> Place {
        self.search(place, text, offset, length).unwrap_or_else(|| place.clone())
    }

    fn search(&self, place: &Place, text: &str, offset: usize, length: usize) -> Option<Place> {
        let source = self.texts.get(&place.file)?;
        let first = line_offset(&source.text, place.line)?;
        let rest = source.text.get(first..)?;
        let start = first + rest.char_indices().nth(place.column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        let piece = piece_of(text, offset, length)?;
        let number = text.match_indices(piece.1).position(|(at, _)| at == piece.0)?;
        let (found, _) = source.text.get(start..)?.match_indices(piece.1).nth(number)?;
        // A piece that was widened to the left begins before the place that is meant.
        let at = start + found + offset.saturating_sub(piece.0);
        let before = source.text.get(..at)?;
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some(Place { file: place.file.clone(), line, column })
    }
}

/// The first line of a part of a text, not empty: where it begins and what it is.
fn piece_of(text: &str, offset: usize, length: usize) -> Option<(usize, &str)> {
    let part = text.get(offset..offset + length)?.lines().next().unwrap_or_default();
    if !part.trim().is_empty() {
        return Some((offset, part));
    }
    // Nothing there to look for: the signs around it must do.
    let line = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line..offset];
    let begin = before.char_indices().rev().nth(7).map_or(line, |(at, _)| line + at);
    let piece = text.get(begin..offset).filter(|piece| !piece.is_empty());
    piece.map(|piece| (begin, piece))
}

fn line_offset(text: &str, line: usize) -> Option<usize> {
    if line <= 1 {
        return Some(0);
    }
    text.match_indices('\n').nth(line - 2).map(|(at, _)| at + 1)
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
