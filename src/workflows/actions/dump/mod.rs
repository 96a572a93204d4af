//! `postgresql_dump`: every database of the cluster, read from its healthiest replica straight into a folder of this machine.

mod database;
mod survey;
mod whole;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use pgfleet_cluster::{ClusterView, backup_sources, shown_bytes};
use pgfleet_state::{Backups, Database, Draft, Format, Manifest, Status, free_bytes, time_now};

use super::{Done, Trouble, Work};
use crate::nodes::Node;
use crate::streams::Meter;
pub(super) use database::COUNT;
use survey::{Found, Server};

/// Lanes below are used by others.
const FIRST_LANE: u8 = 16;
/// How often a dump that was in the way of the log is tried again on the same node.
const AGAIN: usize = 2;

/// What a person wishes for.
struct Wish {
    backups: Backups,
    format: Format,
    /// Processes that read one database, with [`Format::Directory`].
    jobs: u64,
    /// Databases at a time.
    lanes: u8,
    compress: Option<String>,
    count: bool,
}

/// A backup in the making.
struct Making<'a> {
    work: &'a Work,
    wish: &'a Wish,
    draft: &'a Draft,
    server: &'a Server,
    /// Nodes to read from, best first.
    sources: Vec<&'a Node>,
    meter: Meter,
    notes: Mutex<Vec<String>>,
}

/// Why a dump came to nothing.
enum Broken {
    /// The replica had to go on with the log, which the dump was in the way of.
    Conflict(String),
    /// Something else, which trying again would not mend.
    Other(String),
}

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let wish = wish(work)?;
    let (view, _) = work.nodes.view().await;
    let names = backup_sources(&view, work.argument::<String>("from")?.as_deref())?;
    let sources = names.iter().map(|name| work.node(name)).collect::<Result<Vec<_>, _>>()?;
    let Some(source) = sources.first().copied() else { return Err(Trouble::refused("no node can be read")) };
    let server = survey::server(work, source).await.map_err(Trouble::refused)?;
    let found = survey::databases(work, source).await.map_err(Trouble::refused)?;
    let size: u64 = found.iter().map(|found| found.database.size_bytes).sum();
    let last = wish.backups.latest()?;
    let expected = expected_bytes(last.as_ref().and_then(|entry| entry.good()), size);
    room(&wish, expected)?;
    let what = format!("{} databases, {}, from {}", found.len(), shown_bytes(size), source.name);
    if work.is_check() {
        return Ok(Done::changed().with("summary", format!("would back up {what} into {}", wish.backups.folder().display())));
    }
    let draft = wish.backups.begin()?;
    let mut manifest = begun(&wish, &view, source, &server, &draft);
    work.teller.say(&format!("backup {}: {what}", manifest.id));
    let begin = Instant::now();
    let making = Making { work, wish: &wish, draft: &draft, server: &server, sources, meter: Meter::default(), notes: Mutex::default() };
    let made = tokio::select! {
        made = making.make(&mut manifest, found) => made,
        reason = making.watch(expected) => Err(reason),
    };
    manifest.notes.extend(making.notes.into_inner().unwrap_or_else(PoisonError::into_inner));
    manifest.finished = time_now();
    manifest.duration = begin.elapsed().as_secs_f64();
    match made {
        Ok(()) => finished(work, draft, manifest, size).await,
        Err(reason) => Err(given_up(draft, manifest, reason)),
    }
}

fn wish(work: &Work) -> Result<Wish, Trouble> {
    let folder: PathBuf = work.argument::<String>("folder")?.ok_or_else(|| Trouble::failed("argument 'folder' is missing"))?.into();
    let jobs: Option<u64> = work.argument("jobs")?;
    let format = match (work.argument::<String>("format")?.as_deref(), jobs) {
        (None | Some("custom" | "directory"), Some(jobs)) if jobs > 0 => Format::Directory,
        (Some("directory"), _) => Format::Directory,
        (None | Some("custom"), _) => Format::Custom,
        (Some("plain"), None) => Format::Plain,
        (Some("plain"), Some(_)) => return Err(Trouble::refused("one file of SQL is written by one process").hint("leave out --jobs")),
        (Some(other), _) => return Err(Trouble::refused(format!("no format is called '{other}'")).hint("custom, plain or directory")),
    };
    // Each is a session of its own on one connection, of which sshd admits ten.
    let lanes = work.argument::<u64>("lanes")?.unwrap_or(2).clamp(1, 6);
    Ok(Wish {
        backups: Backups::in_folder(folder),
        format,
        jobs: jobs.unwrap_or(2).max(1),
        lanes: u8::try_from(lanes).unwrap_or(2),
        compress: work.argument("compress")?,
        count: work.argument("count_rows")?.unwrap_or(true),
    })
}

/// What it will come to, after what it came to last time; without a last time it is not known.
fn expected_bytes(last: Option<&Manifest>, size: u64) -> Option<u64> {
    let last = last?;
    let size_then: u64 = last.databases.iter().map(|database| database.size_bytes).sum();
    let expected = u128::from(last.bytes()) * u128::from(size) / u128::from(size_then.max(1));
    u64::try_from(expected).ok()
}

/// Refuses what will not fit beside all that is there.
fn room(wish: &Wish, expected: Option<u64>) -> Result<(), Trouble> {
    let (Some(expected), Some(free)) = (expected, free_bytes(wish.backups.folder())) else { return Ok(()) };
    let needed = expected + expected / 5;
    if free >= needed {
        return Ok(());
    }
    let reason =
        format!("{} has room for {}, the backup needs about {}", wish.backups.folder().display(), shown_bytes(free), shown_bytes(needed));
    Err(Trouble::refused(reason).hint("make room: pgfleet backup prune --keep 7 removes old ones"))
}

fn begun(wish: &Wish, view: &ClusterView, source: &Node, server: &Server, draft: &Draft) -> Manifest {
    let member = view.members.iter().find(|member| member.name == source.name);
    let mut notes = vec![
        "each database is consistent in itself, but not with the other databases or with the roles".to_owned(),
        "not in it: template databases, configuration, replication slots, the log (no restore to a moment after the backup)".to_owned(),
    ];
    if let Some(member) = member.filter(|member| member.is_leader()) {
        notes.push(format!("read from the leader, {}, as was asked for", member.name));
    }
    Manifest {
        version: Manifest::VERSION,
        id: draft.id().to_owned(),
        status: Status::Partial,
        format: wish.format,
        cluster: source.cluster.clone(),
        source: source.name.clone(),
        source_role: member.map(|member| member.role.clone()).unwrap_or_default(),
        timeline: server.timeline,
        lsn: server.lsn.clone(),
        lag_bytes: member.and_then(|member| member.lag).unwrap_or_default(),
        started: time_now(),
        server_version: server.version.clone(),
        pg_dump_version: server.pg_dump.clone(),
        system_identifier: server.system_identifier.clone(),
        notes,
        ..Manifest::default()
    }
}

/// Its making is over: the source is looked at once more, then it is a backup.
async fn finished(work: &Work, draft: Draft, mut manifest: Manifest, size: u64) -> Result<Done, Trouble> {
    manifest.timeline_after = manifest.timeline;
    if let Ok(source) = work.node(&manifest.source)
        && let Ok(after) = survey::server(work, source).await
    {
        manifest.timeline_after = after.timeline;
        if after.timeline != manifest.timeline {
            let (before, now) = (manifest.timeline, after.timeline);
            manifest
                .notes
                .push(format!("a failover or switchover happened meanwhile: timeline {before} when it began, {now} when it ended"));
        }
        if after.leads && !matches!(manifest.source_role.as_str(), "leader" | "standby_leader") {
            manifest.notes.push(format!("{} was promoted meanwhile; its sessions went on to their end", manifest.source));
        }
    }
    manifest.status = Status::Good;
    let folder = match draft.clone().commit(&manifest) {
        Ok(folder) => folder,
        Err(error) => return Err(given_up(draft, manifest, said(&error))),
    };
    let bytes = manifest.bytes();
    let rate = rate(bytes, manifest.duration);
    let mut summary = vec![format!(
        "backup {}: {} databases, {} in {} of dumps, {:.1} s ({rate}), from {} (timeline {}, {})",
        manifest.id,
        manifest.databases.len(),
        shown_bytes(size),
        shown_bytes(bytes),
        manifest.duration,
        manifest.source,
        manifest.timeline,
        manifest.lsn,
    )];
    let rows: u64 = manifest.databases.iter().flat_map(|database| &database.tables).map(|table| table.rows).sum();
    let tables = manifest.databases.iter().map(|database| database.tables.len()).sum::<usize>();
    summary.push(format!("  {tables} tables with {rows} rows counted; in {}", folder.display()));
    summary.extend(manifest.notes.iter().skip(2).map(|note| format!("  note: {note}")));
    let manifest_value = serde_json::to_value(&manifest).unwrap_or_default();
    Ok(Done::changed().with("summary", summary.join("\n")).with("backup", manifest.id).with("manifest", manifest_value))
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for a person")]
fn rate(bytes: u64, seconds: f64) -> String {
    format!("{}/s", shown_bytes((bytes as f64 / seconds.max(0.001)) as u64))
}

/// Marks what was begun as failed.
fn given_up(draft: Draft, mut manifest: Manifest, reason: String) -> Trouble {
    manifest.status = Status::Failed;
    manifest.failure = Some(reason.clone());
    let id = manifest.id.clone();
    let marked = match draft.fail(&manifest) {
        Ok(_) => "it is marked as failed".to_owned(),
        Err(error) => format!("it could not even be marked ({}), and stays incomplete", said(&error)),
    };
    Trouble::failed(format!("backup {id}: {reason}; {marked}"))
        .hint("earlier backups are untouched: pgfleet backup list")
        .with("backup", id)
}

impl Making<'_> {
    async fn make(&self, manifest: &mut Manifest, found: Vec<Found>) -> Result<(), String> {
        if self.wish.format == Format::Plain {
            return self.plain(manifest, found).await;
        }
        let Some(source) = self.sources.first().copied() else { return Err("no node can be read".to_owned()) };
        let (globals, databases) = tokio::try_join!(self.globals(source), self.databases(found))?;
        manifest.globals = Some(globals);
        manifest.databases = databases;
        Ok(())
    }

    /// All databases, the largest first, so that the last ones to end are small.
    async fn databases(&self, mut found: Vec<Found>) -> Result<Vec<Database>, String> {
        found.sort_by_key(|found| found.database.size_bytes);
        let queue = Mutex::new(VecDeque::from(found));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_back();
        let lane = |lane: u8| async move {
            let mut done = Vec::new();
            while let Some(found) = next() {
                done.push(self.database(FIRST_LANE + 1 + lane, found).await?);
            }
            Ok::<_, String>(done)
        };
        let done = try_join_all((0..self.wish.lanes).map(lane)).await?;
        let mut done: Vec<Database> = done.into_iter().flatten().collect();
        done.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(done)
    }

    /// One database: after a conflict with the log it is tried again, then read from another replica.
    async fn database(&self, lane: u8, found: Found) -> Result<Database, String> {
        let mut conflicts = Vec::new();
        for source in &self.sources {
            for _ in 0..=AGAIN {
                match self.dump(source, lane, &found).await {
                    Ok(database) => return Ok(database),
                    Err(Broken::Conflict(reason)) => {
                        let text = format!("{} on {}: {reason}; read again", found.database.name, source.name);
                        self.work.teller.say(&text);
                        self.note(text);
                        conflicts.push(source.name.as_str());
                    }
                    Err(Broken::Other(reason)) => return Err(format!("{} on {}: {reason}", found.database.name, source.name)),
                }
            }
        }
        conflicts.dedup();
        let nodes = conflicts.join(", ");
        Err(format!("{}: cancelled again and again by changes that the replicas had to make ({nodes})", found.database.name))
    }

    fn note(&self, text: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Tells how much has arrived; ends only when a person asks for it.
    async fn watch(&self, expected: Option<u64>) -> String {
        loop {
            self.work.teller.progress("bytes of dumps", self.meter.bytes(), expected.map(|expected| expected.max(self.meter.bytes())));
            if self.work.stop.is_asked() {
                return "interrupted by a person".to_owned();
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Counts side by side, after the dump.
async fn side_by_side<T, F: Future<Output = T>>(work: impl IntoIterator<Item = F>) -> Vec<T> {
    join_all(work).await
}

/// An error with its causes.
fn said(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<pgfleet_state::StateError> for Trouble {
    fn from(error: pgfleet_state::StateError) -> Self {
        Self::failed(said(&error))
    }
}
