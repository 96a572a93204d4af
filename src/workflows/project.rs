//! The folder that a person works in: inventory, playbooks, templates and state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Files, Overlay, tidy};

use crate::carried_files;

/// Where pgfleet's own playbooks stand, in a project and in the program.
const OWN: &str = "playbooks/postgresql";

/// A project's folder. What it lacks of pgfleet's own playbooks and their templates, the program carries.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    files: Arc<Overlay>,
    on_disk: Arc<Overlay>,
}

impl Project {
    /// The project in a folder.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let files = Arc::new(Overlay::new(&root, carried_files().iter().copied()));
        let on_disk = Arc::new(Overlay::new(&root, []));
        Self { root, files, on_disk }
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

    /// The files that a playbook sees. Only pgfleet's own may find what the program carries: a template that somebody forgot to bring
    /// along is missing, whatever it is called.
    #[must_use]
    pub fn files_for(&self, playbook: &Path) -> Arc<dyn Files> {
        if self.is_own(playbook) { self.files.clone() } else { self.on_disk.clone() }
    }

    /// Is it one of pgfleet's own playbooks, or the project's copy of one?
    #[must_use]
    pub fn is_own(&self, playbook: &Path) -> bool {
        let absolute = |path: &Path| std::path::absolute(path).map(|path| tidy(&path));
        absolute(playbook).is_ok_and(|path| absolute(&self.root.join(OWN)).is_ok_and(|own| path.starts_with(own)))
    }

    /// A path as given on the command line: relative to where the person stands, or else to the project.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        if path.is_absolute() || path.exists() { path.to_owned() } else { self.root.join(path) }
    }
}
