//! `postgresql_prove`: a backup is restored into a server of its own, beside the cluster, and compared with its manifest.

mod scratch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgfleet_cluster::{backup_sources, shown_bytes};
use pgfleet_state::{Backups, Database, Entry, Format, Manifest, Proof, Table, time_now};

use super::{Done, Trouble, Work};
use crate::nodes::Node;
use crate::streams::{FileSource, Meter};
use scratch::Scratch;

/// A large database takes its time.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let folder: PathBuf = work.argument::<String>("folder")?.ok_or_else(|| Trouble::failed("argument 'folder' is missing"))?.into();
    let backups = Backups::in_folder(folder);
    let entry = backups.find(&work.argument::<String>("backup")?.unwrap_or_else(|| "latest".to_owned()))?;
    let Some(manifest) = entry.good().cloned() else { return Err(Trouble::refused(format!("backup {} is not good", entry.id))) };
    let (view, _) = work.nodes.view().await;
    let names = backup_sources(&view, work.argument::<String>("node")?.as_deref())?;
    let node = work.node(names.first().map_or("", String::as_str))?;
    let size: u64 = manifest.databases.iter().map(|database| database.size_bytes).sum();
    let scratch = Scratch::on(work, node).await?;
    scratch.has_room(size).await?;
    if work.is_check() {
        let text = format!("would restore backup {} ({}) on {} in {}", entry.id, shown_bytes(size), node.name, scratch.folder());
        return Ok(Done::changed().with("summary", text));
    }
    let begin = Instant::now();
    let proof = prove(work, &scratch, &entry, &manifest).await;
    // Whatever came of it, nothing of it stays on the host.
    let removed = work.step(&format!("removing the restored copy from {}", node.name), scratch.remove()).await;
    let mut proof = proof?;
    removed?;
    proof.node.clone_from(&node.name);
    proof.seconds = begin.elapsed().as_secs_f64();
    let text = format!(
        "backup {} is proven: restored on {} in {:.1} s, {} tables with {} rows are as they were, indexes and tables checked",
        entry.id, node.name, proof.seconds, proof.tables, proof.rows
    );
    backups.update(&entry, &Manifest { proven: Some(proof), ..manifest })?;
    Ok(Done::changed().with("summary", text).with("backup", entry.id))
}

async fn prove(work: &Work, scratch: &Scratch<'_>, entry: &Entry, manifest: &Manifest) -> Result<Proof, Trouble> {
    let node = scratch.node();
    work.step(&format!("a server of its own on {}", node.name), scratch.start(manifest)).await?;
    let meter = Meter::default();
    let restored = async {
        if let Some(globals) = &manifest.globals {
            let content = FileSource::new(entry.folder.join(&globals.file), meter.clone());
            work.step("roles", scratch.globals(content)).await?;
        }
        if let Some(plain) = &manifest.plain {
            let content = FileSource::new(entry.folder.join(&plain.file), meter.clone());
            work.step(&format!("restoring {}", plain.file), scratch.everything(content)).await?;
        }
        for database in &manifest.databases {
            if let Some(dump) = &database.dump {
                let content = FileSource::new(entry.folder.join(&dump.file), meter.clone());
                let restore = scratch.database(&database.name, manifest.format == Format::Directory, content);
                work.step(&format!("restoring {}", database.name), restore).await?;
            }
        }
        Ok::<_, Trouble>(())
    };
    tokio::select! {
        restored = restored => restored?,
        interrupted = watch(work, &meter, manifest.bytes()) => return Err(interrupted),
    }
    let mut proof = Proof { at: time_now(), ..Proof::default() };
    for database in &manifest.databases {
        let rows = scratch.rows(&database.name, LIMIT).await?;
        compare(database, &rows, manifest.plain.is_none() && database.counted)?;
        proof.tables += rows.len() as u64;
        proof.rows += rows.iter().map(|table| table.rows).sum::<u64>();
    }
    work.step("checking tables and indexes with pg_amcheck", scratch.check(LIMIT)).await?;
    Ok(proof)
}

/// The rows that came must be those that the dump's snapshot had. `exact`: they were counted in it.
pub(super) fn compare(database: &Database, rows: &[Table], exact: bool) -> Result<(), Trouble> {
    let differs = |wanted: &&Table| {
        let found = rows.iter().find(|table| (&table.schema, &table.name) == (&wanted.schema, &wanted.name));
        found.is_none_or(|found| exact && found.rows != wanted.rows)
    };
    let told = |wanted: &Table| {
        let found = rows.iter().find(|table| (&table.schema, &table.name) == (&wanted.schema, &wanted.name));
        let found = found.map_or_else(|| "is not there".to_owned(), |found| format!("has {} rows", found.rows));
        format!("{}.{} {found}, the backup had {}", wanted.schema, wanted.name, wanted.rows)
    };
    let wrong: Vec<String> = database.tables.iter().filter(differs).take(10).map(told).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Trouble::unverified(format!("{}: {}", database.name, wrong.join("; ")))) }
}

/// Tells how far the restore is; ends only when a person asks for it.
async fn watch(work: &Work, meter: &Meter, total: u64) -> Trouble {
    loop {
        work.teller.progress("bytes restored", meter.bytes(), Some(total));
        if work.stop.is_asked() {
            return Trouble::failed("interrupted by a person");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What the scratch server needs to know of the node.
fn bin(node: &Node, program: &str) -> String {
    format!("{}/{program}", node.bin_dir)
}

#[cfg(test)]
mod tests {
    use super::compare;
    use pgfleet_state::{Database, Table};

    #[test]
    fn a_row_more_or_less_is_no_proof() {
        let table = |rows| Table { schema: "s".to_owned(), name: "t".to_owned(), rows };
        let database = Database { name: "d".to_owned(), tables: vec![table(3)], ..Database::default() };
        assert!(compare(&database, &[table(3)], true).is_ok());
        assert!(compare(&database, &[table(2)], true).is_err());
        assert!(compare(&database, &[table(2)], false).is_ok());
        assert!(compare(&database, &[], false).is_err());
    }
}
