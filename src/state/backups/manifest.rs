//! What a backup says of itself.

use serde::{Deserialize, Serialize};

/// How far a backup came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Whole, and checked as far as its making goes.
    Good,
    /// It failed.
    Failed,
    /// It is being made, or its making was cut off.
    #[default]
    Partial,
}

/// What the dumps are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A file a database, as `pg_dump -Fc` writes it.
    #[default]
    Custom,
    /// One file of SQL for the whole cluster, as `pg_dumpall | gzip` writes it.
    Plain,
    /// A tar file a database, of the folder that `pg_dump -Fd` writes.
    Directory,
}

/// A file of the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpFile {
    /// Its name in the backup's folder.
    pub file: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// A table and how many rows the dump has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows, counted in the dump's own snapshot.
    pub rows: u64,
}

/// An extension that the database uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A database of the backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its owner.
    #[serde(default)]
    pub owner: String,
    /// Its size on the server, in bytes.
    pub size_bytes: u64,
    /// Its dump; `None` in a plain backup, where all are in one file.
    #[serde(flatten)]
    pub dump: Option<DumpFile>,
    /// Its encoding.
    #[serde(default)]
    pub encoding: String,
    /// Its collation.
    #[serde(default)]
    pub collation: String,
    /// When the dump's snapshot was taken: a time in UTC.
    #[serde(default)]
    pub snapshot_at: Option<String>,
    /// Where in the log: what the node had replayed by then.
    #[serde(default)]
    pub lsn: Option<String>,
    /// Seconds that the dump took.
    #[serde(default)]
    pub seconds: f64,
    /// Entries of the dump's table of contents, as read back.
    #[serde(default)]
    pub entries: u64,
    /// Its tables with their rows; empty when they were not counted.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// True when `tables` were counted in the dump's own snapshot.
    #[serde(default)]
    pub counted: bool,
    /// Tables whose rows no replica has: the dump has only their definition.
    #[serde(default)]
    pub unlogged: Vec<String>,
    /// Extensions that a restore needs.
    #[serde(default)]
    pub extensions: Vec<Extension>,
    /// The role that read it.
    #[serde(default)]
    pub dumped_as: String,
    /// The node that it was read from.
    #[serde(default)]
    pub source: String,
}

/// When and how a restore of the backup was tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// A time in UTC.
    pub at: String,
    /// On whose host.
    pub node: String,
    /// Seconds that the restore took.
    pub seconds: f64,
    /// Tables whose rows were counted and are the same.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
}

/// What a backup says of itself: `manifest.json` in its folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`Manifest::VERSION`].
    pub version: u32,
    /// The backup's name, which is when it began.
    pub id: String,
    /// How far it came.
    pub status: Status,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What the dumps are.
    pub format: Format,
    /// The cluster's name.
    pub cluster: String,
    /// The node that was read.
    pub source: String,
    /// Its role when the backup began.
    #[serde(default)]
    pub source_role: String,
    /// The timeline when it began.
    pub timeline: u64,
    /// The timeline when it ended: another one when there was a failover meanwhile.
    #[serde(default)]
    pub timeline_after: u64,
    /// Where in the log the node was when it began.
    pub lsn: String,
    /// Bytes that it was behind the leader.
    #[serde(default)]
    pub lag_bytes: u64,
    /// When it began: a time in UTC.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// How long that was, in seconds.
    pub duration: f64,
    /// PostgreSQL's version.
    pub server_version: String,
    /// What made the dumps.
    #[serde(default)]
    pub pg_dump_version: String,
    /// The identity of the data.
    pub system_identifier: String,
    /// The databases, by name.
    pub databases: Vec<Database>,
    /// Roles and tablespaces; `None` in a plain backup.
    pub globals: Option<DumpFile>,
    /// The one file of a plain backup.
    #[serde(default)]
    pub plain: Option<DumpFile>,
    /// What a reader should know: what is not in it, what happened on the way.
    #[serde(default)]
    pub notes: Vec<String>,
    /// When a restore of it was tried.
    pub proven: Option<Proof>,
}

impl Manifest {
    /// The version of what is written now.
    pub const VERSION: u32 = 1;

    /// All files of the backup.
    pub fn files(&self) -> impl Iterator<Item = &DumpFile> {
        self.databases.iter().filter_map(|database| database.dump.as_ref()).chain(&self.globals).chain(&self.plain)
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }
}
