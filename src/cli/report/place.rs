//! Where a failure stands: the line of the file, where something written there is wrong, or else just the task.

use std::path::Path;
use std::sync::Arc;

use console::Style;
use pgfleet_engine::TaskResult;
use pgfleet_template::{Disk, Files, Place, Problem, SourceFile, Vault};

use crate::screen;

/// Reads the files that places name.
pub(super) struct Places {
    files: Arc<dyn Files>,
    /// The place of the running task.
    task: String,
}

impl Places {
    pub(super) fn new(files: Arc<dyn Files>) -> Self {
        Self { files, task: String::new() }
    }

    /// A task begins.
    pub(super) fn enter(&mut self, task: &str) {
        task.clone_into(&mut self.task);
    }

    /// Lines that say where a failure stands.
    pub(super) fn lines(&self, result: &TaskResult) -> Vec<String> {
        let Some(place) = &result.place else {
            return if self.task.is_empty() { Vec::new() } else { vec![format!("in the task at {}", self.named(&self.task))] };
        };
        let mut lines = vec![format!("at {}", self.named(place))];
        // What `no_log` hides may stand in the file as well.
        if !result.data.contains_key("censored") {
            lines.extend(self.excerpt(place).into_iter().flatten());
        }
        lines
    }

    /// The place, with a word where no such file is on disk.
    fn named(&self, place: &str) -> String {
        let file = place.rsplitn(3, ':').nth(2).map_or_else(|| Path::new(place), Path::new);
        let carried = !Disk.is_file(file) && self.files.is_file(file);
        format!("{place}{}", if carried { " (a file that pgfleet carries)" } else { "" })
    }

    fn excerpt(&self, place: &str) -> Option<[String; 3]> {
        let mut parts = place.rsplitn(3, ':');
        let (column, line, file) = (parts.next()?.parse().ok()?, parts.next()?.parse::<usize>().ok()?, parts.next()?);
        let source = SourceFile::read(&*self.files, Path::new(file), &Vault::none()).ok()?;
        let place = Place { line, column, ..Place::new(source.name.clone(), 1, 1) };
        let text = source.explain(Problem::new("").at(&place)).excerpt?;
        Some(screen::excerpt(line, column, &text, &Style::new().red().bold()))
    }
}
