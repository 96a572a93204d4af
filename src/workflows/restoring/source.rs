//! What is restored: a backup of the catalogue, or a file of SQL from elsewhere.

use std::path::{Path, PathBuf};

use pgfleet_engine::Content;
use pgfleet_state::{Backups, Database, Entry, Format, Manifest, time_of};

use super::plain::{Part, PlainDump, PlainSource};
use crate::streams::{FileSource, Meter};

/// A backup or a file, not read yet.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A backup of the catalogue.
    Backup(Box<(Entry, Manifest)>),
    /// A file of SQL.
    File(PathBuf),
}

/// Looks for a backup's id, `latest`, or a file: as it is written, below the project, or among the backups.
///
/// # Errors
/// Where it was looked for.
pub(crate) fn find(backups: &Backups, project: &Path, wanted: &str) -> Result<Found, String> {
    let is_file = wanted.ends_with(".sql.gz") || wanted.ends_with(".sql");
    if !is_file {
        let entry = backups.find(wanted).map_err(|error| error.to_string())?;
        let manifest = entry.good().cloned().ok_or_else(|| format!("backup {} is not good", entry.id))?;
        return Ok(Found::Backup(Box::new((entry, manifest))));
    }
    let entries = backups.list().map_err(|error| error.to_string())?;
    let is_of = |entry: &&Entry| entry.good().is_some_and(|manifest| manifest.plain.as_ref().is_some_and(|plain| plain.file == wanted));
    if let Some(entry) = entries.iter().rev().find(is_of)
        && let Some(manifest) = entry.good()
    {
        return Ok(Found::Backup(Box::new((entry.clone(), manifest.clone()))));
    }
    let places = [PathBuf::from(wanted), project.join(wanted), backups.folder().join(wanted)];
    match places.iter().find(|path| path.is_file()) {
        Some(path) => Ok(Found::File(path.clone())),
        None => Err(format!("there is no file {wanted}: not here, not in {}, not in {}", project.display(), backups.folder().display())),
    }
}

/// A backup that was read as far as a restore must know it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name, for names of databases.
    pub(crate) id: String,
    /// As a person calls it.
    pub(crate) title: String,
    /// Its databases, with their tables where the rows are known.
    pub(crate) databases: Vec<Database>,
    /// SQL of its roles.
    pub(crate) globals: String,
    /// Seconds that a restore of it took.
    pub(crate) took: Option<f64>,
    format: Format,
    folder: PathBuf,
    plain: Option<(PathBuf, PlainDump)>,
}

impl Source {
    /// Reads it. `only` is the name of the database in a dump of one, which does not say it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(found: &Found, only: &str) -> Result<Self, String> {
        let (path, entry) = match found {
            Found::File(path) => (Some(path.clone()), None),
            Found::Backup(backup) => (backup.1.plain.as_ref().map(|plain| backup.0.folder.join(&plain.file)), Some(&**backup)),
        };
        let plain = path.map(|path| PlainDump::scan(&path).map(|dump| (path, dump))).transpose()?;
        let mut source = match entry {
            Some((entry, manifest)) => Self {
                id: entry.id.clone(),
                title: format!("backup {}", entry.id),
                databases: manifest.databases.clone(),
                globals: String::new(),
                took: manifest.proven.as_ref().map(|proof| proof.seconds),
                format: manifest.format,
                folder: entry.folder.clone(),
                plain,
            },
            None => Self {
                id: now(),
                title: found.title(),
                databases: Vec::new(),
                globals: String::new(),
                took: None,
                format: Format::Plain,
                folder: PathBuf::new(),
                plain,
            },
        };
        if let Some((_, manifest)) = entry
            && let Some(globals) = &manifest.globals
        {
            let path = source.folder.join(&globals.file);
            source.globals = std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        }
        source.read_plain(only);
        Ok(source)
    }

    /// Takes the databases, and what is known of their rows, from the dump itself.
    fn read_plain(&mut self, only: &str) {
        let Some((_, dump)) = &self.plain else { return };
        if dump.is_of_all {
            self.globals.clone_from(&dump.globals);
        }
        let known = std::mem::take(&mut self.databases);
        for found in dump.databases.iter().filter(|database| database.name != "template1") {
            let name = if found.name.is_empty() { only } else { &found.name };
            let mut database = known.iter().find(|database| database.name == name).cloned().unwrap_or_else(|| Database {
                name: name.to_owned(),
                // Indexes come on top of the rows.
                size_bytes: found.bytes * 2,
                ..Database::default()
            });
            database.tables.clone_from(&found.tables);
            database.counted = true;
            self.databases.push(database);
        }
    }

    /// True for a dump in SQL, which psql reads.
    pub(crate) fn is_sql(&self) -> bool {
        self.plain.is_some()
    }

    /// True for a dump in SQL of a whole cluster.
    pub(crate) fn is_of_all_in_sql(&self) -> bool {
        self.plain.as_ref().is_some_and(|(_, dump)| dump.is_of_all)
    }

    /// All databases of a dump in SQL as content, and its bytes.
    pub(crate) fn all_in_sql(&self, meter: &Meter) -> Option<(Content, u64)> {
        let (path, dump) = self.plain.as_ref()?;
        let bytes = dump.databases.iter().map(|database| database.bytes).sum();
        Some((PlainSource::new(path, Part::Databases, meter.clone()), bytes))
    }

    /// True for a folder in a tar file.
    pub(crate) fn is_tar(&self) -> bool {
        self.format == Format::Directory
    }

    /// A database's dump as content, with the checksum that it must have and its bytes. SQL is told for a database of any name.
    pub(crate) fn content(&self, database: &Database, meter: &Meter) -> Result<(Content, Option<String>, u64), String> {
        if let Some((path, dump)) = &self.plain {
            let part = if dump.is_of_all { Part::Inside(database.name.clone()) } else { Part::All };
            let bytes = dump.databases.iter().find(|found| found.name == database.name).map_or(dump.bytes, |found| found.bytes);
            return Ok((PlainSource::new(path, part, meter.clone()), None, bytes));
        }
        let file = database.dump.as_ref().ok_or_else(|| format!("{} has no dump of {}", self.title, database.name))?;
        let content = FileSource::new(self.folder.join(&file.file), meter.clone());
        Ok((content, Some(file.sha256.clone()), file.bytes))
    }
}

impl Found {
    /// The major version of the server that it is of, where that is known.
    pub(crate) fn major(&self) -> Option<u32> {
        let Self::Backup(backup) = self else { return None };
        backup.1.server_version.split('.').next()?.parse().ok()
    }

    /// As a person calls it.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Backup(backup) => format!("backup {}", backup.0.id),
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

fn now() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    time_of(seconds)
}
