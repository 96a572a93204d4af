//! The folder that a person works in: inventory, playbooks, templates and state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Files, Overlay};

use crate::carried_files;

/// A project's folder. What it lacks of playbooks and templates, the program carries.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    files: Arc<Overlay>,
}

impl Project {
    /// The project in a folder.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let files = Arc::new(Overlay::new(&root, carried_files().iter().copied()));
        Self { root, files }
    }

    /// The project around a folder: the nearest folder upwards that has an inventory or playbooks, or the folder itself.
    #[must_use]
    pub fn around(folder: &Path) -> Self {
        let marked = |folder: &&Path| ["inventory", "playbooks"].iter().any(|mark| folder.join(mark).is_dir());
        Self::at(folder.ancestors().find(marked).unwrap_or(folder))
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of its state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Its files, with those that the program carries behind them.
    #[must_use]
    pub fn files(&self) -> Arc<dyn Files> {
        self.files.clone()
    }

    /// A path as given on the command line: relative to where the person stands, or else to the project.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        if path.is_absolute() || path.exists() { path.to_owned() } else { self.root.join(path) }
    }
}
