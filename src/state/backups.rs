//! The catalogue of backups: a folder each, in progress under a name that nobody takes for a backup, final by one rename.

mod manifest;
mod retention;
mod stamp;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use manifest::{Database, DumpFile, Extension, Format, Manifest, Proof, Status, Table};
pub use retention::{Retention, surplus};
pub use stamp::{seconds_of, time_now, time_of};

use crate::{StateError, durable};

const MANIFEST: &str = "manifest.json";
/// The end of the name of a folder that is being written.
const PARTIAL: &str = ".partial";
/// The end of the name of a folder that did not become a backup.
const FAILED: &str = ".failed";

/// The backups of one cluster.
#[derive(Clone, Debug)]
pub struct Backups {
    folder: PathBuf,
}

/// A folder of the catalogue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The backup's name.
    pub id: String,
    /// Where it is.
    pub folder: PathBuf,
    /// How far it came.
    pub status: Status,
    /// What is in it; without one that can be read, why.
    pub manifest: Result<Manifest, String>,
}

impl Entry {
    /// The manifest of a backup that is whole; `None` for what failed, is being written or cannot be read.
    #[must_use]
    pub fn good(&self) -> Option<&Manifest> {
        self.manifest.as_ref().ok().filter(|manifest| self.status == Status::Good && manifest.status == Status::Good)
    }
}

impl Backups {
    /// The catalogue in a folder, which need not exist yet: `state/postgresql/backups`.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All of them, oldest first; also what failed or is not whole.
    ///
    /// # Errors
    /// When the folder cannot be read. A manifest that cannot be read is part of its entry.
    pub fn list(&self) -> Result<Vec<Entry>, StateError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::read(&self.folder)(error)),
        };
        let mut found: Vec<Entry> = entries.filter_map(|entry| self.entry(&entry.ok()?.file_name().to_string_lossy())).collect();
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(found)
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        let (id, status) = if let Some(id) = name.strip_suffix(PARTIAL) {
            (id, Status::Partial)
        } else if let Some(id) = name.strip_suffix(FAILED) {
            (id, Status::Failed)
        } else {
            (name, Status::Good)
        };
        seconds_of(id)?;
        let folder = self.folder.join(name);
        Some(Entry { id: id.to_owned(), manifest: read(&folder.join(MANIFEST)), folder, status })
    }

    /// The newest that is whole.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn latest(&self) -> Result<Option<Entry>, StateError> {
        Ok(self.list()?.into_iter().rev().find(|entry| entry.good().is_some()))
    }

    /// A backup by its id, the beginning of one that no other has, or `latest`. Only what is whole is found.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, wanted: &str) -> Result<Entry, StateError> {
        let none = |reason: String| StateError::Backup { id: wanted.to_owned(), reason };
        if wanted == "latest" {
            return self.latest()?.ok_or_else(|| none(format!("there is no good backup in {}", self.folder.display())));
        }
        let all = self.list()?;
        let mut fitting: Vec<&Entry> = all.iter().filter(|entry| !wanted.is_empty() && entry.id.starts_with(wanted)).collect();
        if let Some(exact) = fitting.iter().find(|entry| entry.id == wanted) {
            fitting = vec![exact];
        }
        let good: Vec<&Entry> = fitting.iter().filter(|entry| entry.good().is_some()).copied().collect();
        match (good.as_slice(), fitting.first()) {
            ([one], _) => Ok((*one).clone()),
            ([], None) => Err(none(format!("there is none in {}", self.folder.display()))),
            ([], Some(bad)) => Err(none(match (&bad.status, &bad.manifest) {
                (Status::Partial, _) => "it is not complete: it is being made, or its making was cut off".to_owned(),
                (_, Ok(manifest)) => format!("it failed: {}", manifest.failure.as_deref().unwrap_or("no reason was kept")),
                (_, Err(reason)) => reason.clone(),
            })),
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|entry| entry.id.as_str()).collect();
                Err(none(format!("several begin so: {}", names.join(", "))))
            }
        }
    }

    /// Begins a backup: a folder named by the time, not to be taken for a backup yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self) -> Result<Draft, StateError> {
        durable::create_folder(&self.folder)?;
        let mut seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let taken = |id: &str| {
            [id.to_owned(), format!("{id}{PARTIAL}"), format!("{id}{FAILED}")].iter().any(|name| self.folder.join(name).exists())
        };
        while taken(&time_of(seconds)) {
            seconds += 1;
        }
        let id = time_of(seconds);
        let folder = self.folder.join(format!("{id}{PARTIAL}"));
        durable::create_folder(&folder)?;
        durable::sync_folder(&self.folder)?;
        Ok(Draft { catalogue: self.folder.clone(), folder, id })
    }

    /// Keeps a changed manifest, of a backup that was proven say.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn update(&self, entry: &Entry, manifest: &Manifest) -> Result<(), StateError> {
        store(&entry.folder, manifest)
    }

    /// Removes a backup: first its name, so that what is half removed is not taken for one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn delete(&self, entry: &Entry) -> Result<(), StateError> {
        let doomed = self.folder.join(format!("{}{FAILED}", entry.id));
        if entry.folder != doomed {
            std::fs::rename(&entry.folder, &doomed).map_err(StateError::write(&entry.folder))?;
            durable::sync_folder(&self.folder)?;
        }
        std::fs::remove_dir_all(&doomed).map_err(StateError::write(&doomed))?;
        durable::sync_folder(&self.folder)
    }
}

/// A backup in the making. One that is dropped stays `.partial`, which nobody takes for a backup.
#[derive(Clone, Debug)]
pub struct Draft {
    catalogue: PathBuf,
    folder: PathBuf,
    id: String,
}

impl Draft {
    /// The backup's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is being written.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new file in it, for the owner alone.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.folder.join(name))
    }

    /// Makes it a backup: the manifest is written and synced, then the folder gets its final name.
    ///
    /// # Errors
    /// When any step fails; it is then still in the making.
    pub fn commit(self, manifest: &Manifest) -> Result<PathBuf, StateError> {
        store(&self.folder, manifest)?;
        self.become_named(&self.id)
    }

    /// Marks it as failed; its data are removed, the manifest with the reason stays.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn fail(self, manifest: &Manifest) -> Result<PathBuf, StateError> {
        let folder = self.become_named(&format!("{}{FAILED}", self.id))?;
        // What was written is of no use, and may be what filled the disk.
        for entry in std::fs::read_dir(&folder).map_err(StateError::read(&folder))?.flatten() {
            drop(std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path())));
        }
        store(&folder, manifest)?;
        Ok(folder)
    }

    fn become_named(&self, name: &str) -> Result<PathBuf, StateError> {
        let to = self.catalogue.join(name);
        std::fs::rename(&self.folder, &to).map_err(StateError::write(&to))?;
        durable::sync_folder(&self.catalogue)?;
        Ok(to)
    }
}

/// Bytes that may still be written in a folder, or where it will be; `None` when that is not known.
#[must_use]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let found = rustix::fs::statvfs(there).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

fn read(path: &Path) -> Result<Manifest, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("its manifest cannot be read: {error}"))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| format!("its manifest is damaged: {error}"))?;
    if manifest.version == Manifest::VERSION {
        Ok(manifest)
    } else {
        Err(format!("its manifest is of version {}, which is not known here", manifest.version))
    }
}

fn store(folder: &Path, manifest: &Manifest) -> Result<(), StateError> {
    let path = folder.join(MANIFEST);
    let bytes = serde_json::to_vec_pretty(manifest).map_err(|error| StateError::write(&path)(error.into()))?;
    durable::write(&path, &bytes)
}

#[cfg(test)]
mod tests;
