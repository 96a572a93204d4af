//! `postgresql_restore`: databases of a backup onto the running cluster. What has the names now is kept beside, until a person says
//! what to do with it.

mod anew;
mod load;
mod names;
mod pending;
mod room;
mod sql;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgfleet_protocol::{Items, Map};
use pgfleet_state::{Backups, Database};

use super::{Done, Trouble, Work};
use crate::nodes::Node;
use crate::restoring::{Source, find};
use crate::streams::Meter;
use load::{Loader, drop_database};
use names::change_names;
use pgfleet_cluster::shown_bytes;
use sql::{Beside, Renaming, beside, create, rights};

pub(crate) use anew::{fill as fill_anew, vacant};

const SHORT: Duration = Duration::from_secs(60);
/// Megabytes a second that a restore of middling rows takes on middling hardware, for an estimate.
const PACE: f64 = 25.0;

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    match work.argument::<String>("action")?.as_deref().unwrap_or("restore") {
        "restore" => restore(work).await,
        "list" => pending::list(work).await,
        "commit" => pending::commit(work).await,
        "undo" => pending::undo(work).await,
        other => Err(Trouble::failed(format!("argument 'action': '{other}' is none of restore, list, commit, undo"))),
    }
}

/// The backup; read in a thread of its own, since a dump in SQL is read as a whole.
async fn source(work: &Work, node: &Node) -> Result<Source, Trouble> {
    let folder: PathBuf = work.argument::<String>("folder")?.unwrap_or_default().into();
    let wanted = work.argument::<String>("backup")?.ok_or_else(|| Trouble::refused("no backup was named"))?;
    let project: PathBuf = work.argument::<String>("project")?.unwrap_or_default().into();
    let only = node.database.clone();
    let read = tokio::task::spawn_blocking(move || {
        let found = find(&Backups::in_folder(folder), &project, &wanted)?;
        Source::read(&found, &only)
    });
    let read = work.step("reading the backup", async { read.await.map_err(|error| Trouble::failed(error.to_string())) }).await?;
    read.map_err(|reason: String| Trouble::refused(reason).hint("see 'pgfleet backup list'"))
}

async fn leader(work: &Work) -> Result<&Node, Trouble> {
    let seen = work.look_at_members().await?;
    seen.view.may_decide()?;
    work.node(&seen.view.working_leader()?.name)
}

/// One database's way from the backup to its name.
struct Way {
    database: Database,
    /// What has the name now, as `pg_database` tells it.
    now: Option<Map>,
    /// Where it is restored.
    new: String,
    /// What has the name now is called so afterwards.
    kept: String,
}

async fn restore(work: &Work) -> Result<Done, Trouble> {
    let leader = leader(work).await?;
    let source = source(work, leader).await?;
    let ways = ways(work, leader, &source, chosen(work, &source)?).await?;
    let size: u64 = ways.iter().map(|way| way.database.size_bytes).sum();
    let rooms = room::rooms(work, size).await?;
    let preview = preview(&source, &ways, &rooms, size);
    preview.iter().for_each(|line| work.teller.say(line));
    room::suffices(&rooms)?;
    if work.is_check() {
        return Ok(Done::changed().with("summary", preview.join("\n")));
    }
    let loader = Loader { work, leader, source: &source, meter: Meter::default() };
    let done = async {
        loader.roles().await?;
        let told = fill(&loader, &ways).await?;
        work.step("the names change hands", swap(work, leader, &ways)).await?;
        Ok(told)
    };
    let mut told = match done.await {
        Ok(told) => told,
        Err(trouble) => {
            // Nothing has changed for anybody; what was begun goes.
            for way in &ways {
                drop(drop_database(work, leader, &way.new).await);
            }
            return Err(trouble);
        }
    };
    let kept: Vec<&str> = ways.iter().filter(|way| way.now.is_some()).map(|way| way.kept.as_str()).collect();
    if !kept.is_empty() {
        told.push(format!("kept until you decide: {}", kept.join(", ")));
        told.push("'pgfleet restore commit' removes what is kept, 'pgfleet restore undo' brings it back".to_owned());
    }
    Ok(Done::changed().with("summary", told.join("\n")).with("restore", source.id))
}

/// The databases that shall be restored: those named, or all but the one that everybody can log in to.
fn chosen(work: &Work, source: &Source) -> Result<Vec<Database>, Trouble> {
    let named: Items = work.argument("databases")?.unwrap_or_default();
    let names: Vec<&str> = source.databases.iter().map(|database| database.name.as_str()).collect();
    if let Some(unknown) = named.iter().find(|name| !names.contains(&name.as_str())) {
        let trouble = Trouble::refused(format!("{} has no database '{unknown}'", source.title));
        return Err(trouble.hint(format!("it has {}", names.join(", "))));
    }
    if named.iter().any(|name| name == "postgres") {
        let trouble = Trouble::refused("the database 'postgres' cannot be exchanged while the cluster runs");
        return Err(trouble.hint("restore the others; a deploy with -e restore_from_backup=true restores it into a new cluster"));
    }
    let is_chosen = |database: &&Database| if named.is_empty() { database.name != "postgres" } else { named.contains(&database.name) };
    let chosen: Vec<Database> = source.databases.iter().filter(is_chosen).cloned().collect();
    if chosen.is_empty() { Err(Trouble::refused(format!("{} has no database to restore", source.title))) } else { Ok(chosen) }
}

async fn ways(work: &Work, leader: &Node, source: &Source, chosen: Vec<Database>) -> Result<Vec<Way>, Trouble> {
    let query = "SELECT to_jsonb(d) || jsonb_build_object('encoding', pg_encoding_to_char(encoding), 'owner', pg_get_userbyid(datdba), \
        'size', pg_database_size(oid)) AS it FROM pg_database d";
    let rows = work.nodes.rows(leader, "postgres", query, SHORT).await?;
    let named = |name: &str| rows.iter().filter_map(|row| row.get("it")).find(|it| it["datname"] == name).and_then(|it| it.as_object());
    let mut ways = Vec::new();
    for database in chosen {
        let name = |what| beside(&database.name, what, &source.id).map_err(Trouble::refused);
        let (new, kept) = (name(Beside::Restore)?, name(Beside::Before)?);
        if let Some(there) = [kept.clone(), name(Beside::Undone)?].into_iter().find(|name| named(name).is_some()) {
            let trouble = Trouble::refused(format!("{there} is still there: {} was restored from {} before", database.name, source.title));
            return Err(trouble.hint("decide about it first: 'pgfleet restore commit' or 'pgfleet restore undo'"));
        }
        let now = named(&database.name).map(|it| it.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
        ways.push(Way { now, new, kept, database });
    }
    Ok(ways)
}

fn preview(source: &Source, ways: &[Way], rooms: &[room::Room], size: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for Way { database, now, kept, .. } in ways {
        let size = shown_bytes(database.size_bytes);
        let old = now.as_ref().and_then(|now| now.get("size")?.as_u64());
        lines.push(match old {
            Some(old) => {
                format!("{} ({}) is replaced by that of {} ({size}), and kept as {kept}", database.name, shown_bytes(old), source.title)
            }
            None => format!("{} ({size}) comes from {}; nothing has that name now", database.name, source.title),
        });
    }
    lines.extend(rooms.iter().map(room::Room::told));
    let (seconds, known) = match source.took {
        Some(took) => (took, "as its last restore took"),
        None => (2.0 + size as f64 / PACE / 1e6, "at 25 MB a second"),
    };
    lines.push(format!("it will take about {seconds:.0} s ({known}); applications are cut off for a moment, at the end"));
    lines
}

/// Restores each into a database of its own, and compares it with the backup. Answers what came of it.
async fn fill(loader: &Loader<'_>, ways: &[Way]) -> Result<Vec<String>, Trouble> {
    let (work, leader) = (loader.work, loader.leader);
    let mut told = Vec::new();
    for Way { database, now, new, .. } in ways {
        let begin = Instant::now();
        let name = &database.name;
        let owner = match now.as_ref().and_then(|now| now.get("owner")?.as_str()) {
            Some(owner) => owner,
            None if database.owner.is_empty() => &leader.app_user,
            None => &database.owner,
        };
        // What an interrupted restore left.
        drop_database(work, leader, new).await?;
        let mut script = create(new, now.as_ref(), database, owner);
        if now.is_some() {
            script.push_str(&rights(name, new));
        }
        let made = async { Ok(work.nodes.sql(leader, "postgres", &script, SHORT).await?) };
        work.step(&format!("an empty database {new}"), made).await?;
        work.step(&format!("restoring {name}"), loader.fill(database, new)).await?;
        let (tables, rows) = work.step(&format!("counting the rows of {name}"), loader.verify(database, new)).await?;
        let words = if database.counted { "as in the backup" } else { "the backup has no counts to compare with" };
        let seconds = begin.elapsed().as_secs_f64();
        told.push(format!("{name} is restored from {}: {tables} tables, {rows} rows, {words} ({seconds:.1} s)", loader.source.title));
    }
    Ok(told)
}

async fn swap(work: &Work, leader: &Node, ways: &[Way]) -> Result<(), Trouble> {
    let mut renamings = Vec::new();
    for Way { database, now, new, kept } in ways {
        if now.is_some() {
            renamings.push(Renaming { from: database.name.clone(), to: kept.clone(), opens: false });
        }
        renamings.push(Renaming { from: new.clone(), to: database.name.clone(), opens: true });
    }
    change_names(work, leader, &renamings).await
}
