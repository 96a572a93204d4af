//! What belongs to the cluster as a whole: its roles and tablespaces; and the one file of SQL that has everything.

use std::io::{BufReader, Read};
use std::path::Path;

use pgfleet_state::{Database, DumpFile, Manifest, Table, seconds_of};

use super::database::{COUNT, session};
use super::survey::Found;
use super::{FIRST_LANE, Making, side_by_side};
use crate::nodes::Node;
use crate::streams::{FileSink, Streamed};

/// What pg_dumpall ends with; without it the file is not whole.
const TRAILER: &str = "PostgreSQL database cluster dump complete";

impl Making<'_> {
    /// Roles and tablespaces. Only a superuser may read the passwords' verifiers.
    pub(super) async fn globals(&self, node: &Node) -> Result<DumpFile, String> {
        let program = format!("{}/pg_dumpall", node.bin_dir);
        let mut argv = dumpall(node);
        argv.extend([program, "--globals-only".to_owned()]);
        let file = self.whole(node, &argv, "globals.sql").await.map_err(|reason| format!("roles and tablespaces: {reason}"))?;
        let text = std::fs::read_to_string(self.draft.folder().join(&file.file)).map_err(|error| format!("globals.sql: {error}"))?;
        if text.contains(TRAILER) { Ok(file) } else { Err("globals.sql lacks its last line".to_owned()) }
    }

    /// Everything in one file, compressed on the node.
    pub(super) async fn plain(&self, manifest: &mut Manifest, found: Vec<Found>) -> Result<(), String> {
        let Some(node) = self.sources.first().copied() else { return Err("no node can be read".to_owned()) };
        let name =
            format!("postgres_backup_{}.sql.gz", manifest.id.get(..8).filter(|_| seconds_of(&manifest.id).is_some()).unwrap_or("00000000"));
        let mut argv = dumpall(node);
        // The exit code is that of the first one that fails, not only the last one's.
        argv.extend(["bash", "-o", "pipefail", "-c", "\"$1\" | gzip", "bash", &format!("{}/pg_dumpall", node.bin_dir)].map(str::to_owned));
        let file = self.whole(node, &argv, &name).await?;
        let path = self.draft.folder().join(&name);
        let checked = tokio::task::spawn_blocking(move || ends_well(&path)).await.map_err(|error| error.to_string())?;
        checked.map_err(|reason| format!("{name}: {reason}"))?;
        manifest.plain = Some(file);
        manifest.notes.push("rows were counted after the dump, not in its snapshot".to_owned());
        let counted = side_by_side(found.into_iter().map(|found| self.beside(node, found))).await;
        manifest.databases = counted;
        Ok(())
    }

    async fn whole(&self, node: &Node, argv: &[String], name: &str) -> Result<DumpFile, String> {
        let sink = self.draft.create(name).map_err(|error| format!("{name} cannot be written: {error}"))?;
        let (sink, arrival) = FileSink::new(sink, self.meter.clone());
        let streamed: Streamed = self.work.nodes.stream_out(node, FIRST_LANE, argv, "", sink).await?;
        if streamed.rc != 0 {
            return Err(format!("pg_dumpall on {} ended with {}: {}", node.name, streamed.rc, streamed.last_words()));
        }
        match arrival.get() {
            Some(arrived) if (arrived.bytes, &arrived.sha256) == (streamed.bytes, &streamed.sha256) => {
                Ok(DumpFile { file: name.to_owned(), sha256: arrived.sha256, bytes: arrived.bytes })
            }
            _ => Err(format!("{name}: what arrived is not what was sent")),
        }
    }

    /// The rows of a database, counted beside the dump: as many as nobody changes.
    async fn beside(&self, node: &Node, found: Found) -> Database {
        let mut database = Database { dumped_as: "postgres".to_owned(), source: node.name.clone(), ..found.database };
        if !self.wish.count {
            return database;
        }
        let argv = session(node, "postgres", &database.name);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let script = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n{COUNT}COMMIT;\n");
        if let Ok(ended) = self.work.nodes.run(node, &argv, &script, std::time::Duration::from_secs(6 * 3600)).await
            && ended.rc == 0
        {
            let lines = ended.stdout.lines().filter_map(|line| line.strip_prefix("pgfleet:"));
            database.tables = lines.filter_map(|line| serde_json::from_str::<Table>(line).ok()).collect();
        } else {
            self.note(format!("the rows of {} could not be counted", database.name));
        }
        database
    }
}

fn dumpall(node: &Node) -> Vec<String> {
    let mut argv: Vec<String> = ["runuser", "-u", "postgres", "--", "env"].map(str::to_owned).to_vec();
    argv.extend([format!("PGPORT={}", node.port), "PGAPPNAME=pgfleet backup".to_owned(), "PGCONNECT_TIMEOUT=10".to_owned()]);
    argv
}

/// Reads a compressed file to its end: it must be whole, and its last lines must say that the dump is.
fn ends_well(path: &Path) -> Result<(), String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = flate2::read::MultiGzDecoder::new(BufReader::new(file));
    let (mut tail, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match text.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                tail.extend_from_slice(&buffer[..count]);
                let surplus = tail.len().saturating_sub(4096);
                tail.drain(..surplus);
            }
            Err(error) => return Err(format!("it cannot be read to its end: {error}")),
        }
    }
    if String::from_utf8_lossy(&tail).contains(TRAILER) { Ok(()) } else { Err("it lacks the last line of a complete dump".to_owned()) }
}
