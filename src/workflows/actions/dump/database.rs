//! One database: dumped, its rows counted in the same snapshot, its table of contents read back.

use std::time::Instant;

use pgfleet_state::{Database, DumpFile, Format, Table};
use serde::Deserialize;

use super::survey::Found;
use super::{Broken, Making};
use crate::nodes::Node;
use crate::streams::{FileSink, FileSource, Streamed};

/// The beginning of a dump that has its table of contents in all but odd cases.
const HEAD: u64 = 32 << 20;
/// How the script's own lines begin.
const MARK: &str = "pgfleet:";

/// What the script tells beside the dump.
#[derive(Default)]
struct Told {
    /// pg_dump's exit code.
    rc: Option<i64>,
    snapshot: Option<Snapshot>,
    tables: Vec<Table>,
    /// All tables were counted.
    counted: bool,
    /// Lines of the table of contents.
    contents: Vec<String>,
    /// What pg_dump and psql complained of.
    complaints: Vec<String>,
}

#[derive(Deserialize)]
struct Snapshot {
    at: String,
    lsn: Option<String>,
}

impl Making<'_> {
    /// Dumps a database from a node, without staging anything there but for the format that needs it.
    pub(super) async fn dump(&self, node: &Node, lane: u8, found: &Found) -> Result<Database, Broken> {
        let begin = Instant::now();
        let name = &found.database.name;
        let file = file_name(name, self.wish.format);
        let user = if found.readable { node.backup_user.as_str() } else { "postgres" };
        let sink = self.draft.create(&file).map_err(|error| Broken::Other(format!("{file} cannot be written: {error}")))?;
        let (sink, arrival) = FileSink::new(sink, self.meter.clone());
        let streamed = self.work.nodes.stream_out(node, lane, &session(node, user, name), &self.script(node), sink).await;
        // Who tells it names the node already.
        let unnamed = |reason: String| reason.strip_prefix(&format!("{}: ", node.name)).map_or(reason.clone(), str::to_owned);
        let streamed = streamed.map_err(|reason| Broken::Other(unnamed(reason)))?;
        let told = Told::read(&streamed);
        told.judge(&streamed)?;
        let arrived = arrival.get().ok_or_else(|| Broken::Other("the dump did not arrive whole".to_owned()))?;
        if (arrived.bytes, &arrived.sha256) != (streamed.bytes, &streamed.sha256) {
            return Err(Broken::Other("what arrived is not what was sent: the checksums differ".to_owned()));
        }
        let entries = match self.wish.format {
            Format::Directory => told.contents.clone(),
            _ => self.contents(node, lane, &file, arrived.bytes).await.map_err(Broken::Other)?,
        };
        check_contents(&entries, &told.tables).map_err(Broken::Other)?;
        if !told.counted && self.wish.count {
            self.note(format!(
                "the rows of {name} were not counted: {}",
                told.complaints.last().map_or("no reason was given", String::as_str)
            ));
        }
        if !found.readable {
            self.note(format!("{name} was read as superuser: {} may not read all of it", node.backup_user));
        }
        if !found.database.unlogged.is_empty() {
            self.note(format!("{name}: only the definition of unlogged tables is in it: {}", found.database.unlogged.join(", ")));
        }
        Ok(Database {
            dump: Some(DumpFile { file, sha256: arrived.sha256, bytes: arrived.bytes }),
            snapshot_at: told.snapshot.as_ref().map(|snapshot| snapshot.at.clone()),
            lsn: told.snapshot.and_then(|snapshot| snapshot.lsn),
            seconds: begin.elapsed().as_secs_f64(),
            entries: entries.len() as u64,
            tables: told.tables,
            counted: told.counted,
            dumped_as: user.to_owned(),
            source: node.name.clone(),
            ..found.database.clone()
        })
    }

    /// psql keeps one snapshot open; pg_dump reads in it, what it prints is the dump; then the rows are counted in it, unless the
    /// dump failed. All else goes to standard error.
    fn script(&self, node: &Node) -> String {
        let bin = &node.bin_dir;
        let compress = self.compress();
        let dump = match self.wish.format {
            Format::Directory => format!(
                "find /var/tmp -maxdepth 1 -name 'pgfleet-backup-*' -user postgres -mtime +0 -exec rm -rf {{}} +; \
                 d=$(mktemp -d /var/tmp/pgfleet-backup-XXXXXX) && trap 'rm -rf \"$d\"' EXIT && \
                 free=$(df --output=avail -B1 \"$d\" | tail -1) && need=$(psql -X -q -A -t -c 'SELECT pg_database_size(current_database())') && \
                 if [ \"$free\" -lt \"$need\" ]; then echo \"{MARK}{{\\\"why\\\": \\\"/var/tmp has room for $free bytes, the dump may need $need\\\"}}\" >&2; false; fi && \
                 {bin}/pg_dump -Fd -j {} {compress} --snapshot=\"$PGFLEET_SNAPSHOT\" -f \"$d/dump\" && \
                 {bin}/pg_restore -l \"$d/dump\" | sed 's/^/{MARK}toc /' >&2 && tar -C \"$d\" -cf - dump",
                self.wish.jobs
            ),
            _ => format!("{bin}/pg_dump -Fc {compress} --snapshot=\"$PGFLEET_SNAPSHOT\""),
        };
        let count = if self.wish.count { COUNT } else { "" };
        let limits = if self.server.major() >= 17 { "SET transaction_timeout = 0;\n" } else { "" };
        format!(
            "\\o |cat >&2\n{limits}BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSET LOCAL row_security = off;\n\
             SELECT pg_export_snapshot() AS snapshot \\gset\n\\setenv PGFLEET_SNAPSHOT :snapshot\n{SNAPSHOT}\n\
             \\! ( {dump} ); rc=$?; echo '{MARK}{{\"rc\": '$rc'}}' >&2; [ $rc = 0 ] || kill $PPID\n{count}COMMIT;\n"
        )
    }

    /// What pg_dump is told of compression: quick where the server's version has it.
    fn compress(&self) -> String {
        match self.wish.compress.as_deref() {
            Some(given) if given.chars().all(|letter| letter.is_ascii_alphanumeric() || ":=,".contains(letter)) => {
                format!("--compress={given}")
            }
            // Since 16 it can do better than zlib, at a quarter of the time.
            _ if self.server.major() >= 16 => "--compress=zstd:3".to_owned(),
            _ => String::new(),
        }
    }

    /// The table of contents, read back by the node's own pg_restore from what is on this machine's disk.
    async fn contents(&self, node: &Node, lane: u8, file: &str, length: u64) -> Result<Vec<String>, String> {
        let path = self.draft.folder().join(file);
        let argv: Vec<String> =
            ["runuser", "-u", "postgres", "--", &format!("{}/pg_restore", node.bin_dir), "-l"].map(str::to_owned).to_vec();
        let mut most = HEAD;
        loop {
            let streamed = self.work.nodes.stream_in(node, lane, &argv, FileSource::head(&path, most)).await?;
            if streamed.rc == 0 {
                let lines = streamed.stdout.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
                return Ok(lines.map(str::to_owned).collect());
            }
            if most >= length {
                return Err(format!("its table of contents cannot be read back: {}", streamed.last_words()));
            }
            most = length;
        }
    }
}

/// The session that the script runs in. The database's name is in the environment, where no character of it has a meaning.
pub(super) fn session(node: &Node, user: &str, database: &str) -> Vec<String> {
    let mut argv: Vec<String> = ["runuser", "-u", "postgres", "--", "env"].map(str::to_owned).to_vec();
    argv.extend([
        format!("PGPORT={}", node.port),
        format!("PGUSER={user}"),
        format!("PGDATABASE={database}"),
        "PGAPPNAME=pgfleet backup".to_owned(),
        "PGCONNECT_TIMEOUT=10".to_owned(),
        // What a role or a database has of limits is not for this.
        "PGOPTIONS=-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0".to_owned(),
    ]);
    argv.extend(["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"].map(str::to_owned));
    argv
}

const SNAPSHOT: &str = "SELECT 'pgfleet:' || json_build_object('snapshot', json_build_object('at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
    'lsn', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END));";

/// Rows of every table that a dump has data of: not what belongs to an extension, not what no replica has.
pub(in super::super) const COUNT: &str = "SELECT format('SELECT ''pgfleet:'' || json_build_object(''schema'', %L, ''name'', %L, ''rows'', count(*)) FROM ONLY %I.%I', \
    nspname, relname, nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
    WHERE relkind = 'r' AND relpersistence = 'p' AND nspname !~ '^pg_' AND nspname <> 'information_schema' \
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
    ORDER BY nspname, relname \\gexec\nSELECT 'pgfleet:{\"counted\": true}';\n";

impl Told {
    fn read(streamed: &Streamed) -> Self {
        let mut told = Self::default();
        for line in streamed.stderr.lines() {
            let Some(rest) = line.strip_prefix(MARK) else {
                if !line.trim().is_empty() {
                    told.complaints.push(line.to_owned());
                }
                continue;
            };
            if let Some(entry) = rest.strip_prefix("toc ") {
                if !entry.starts_with(';') && !entry.trim().is_empty() {
                    told.contents.push(entry.to_owned());
                }
                continue;
            }
            let Ok(value) = serde_json::from_str::<serde_json::Value>(rest) else { continue };
            if let Some(rc) = value.get("rc").and_then(serde_json::Value::as_i64) {
                told.rc = Some(rc);
            } else if let Some(why) = value.get("why").and_then(serde_json::Value::as_str) {
                told.complaints.push(why.to_owned());
            } else if value.get("counted").is_some() {
                told.counted = true;
            } else if let Some(snapshot) = value.get("snapshot") {
                told.snapshot = serde_json::from_value(snapshot.clone()).ok();
            } else if let Ok(table) = serde_json::from_value(value) {
                told.tables.push(table);
            }
        }
        if !told.counted {
            told.tables.clear();
        }
        told
    }

    /// A dump that was cancelled looks complete: only pg_dump's own exit code says that it is.
    fn judge(&self, streamed: &Streamed) -> Result<(), Broken> {
        if self.rc == Some(0) {
            return Ok(());
        }
        let said = self.complaints.iter().rev().take(4).rev().cloned().collect::<Vec<_>>().join("; ");
        let said = if said.is_empty() { "no reason was given".to_owned() } else { said };
        // Two that wait for each other, one of them the replay of the log, are told as a deadlock.
        let in_the_way = |line: &String| ["conflict with recovery", "deadlock detected"].iter().any(|words| line.contains(words));
        if self.complaints.iter().any(in_the_way) {
            return Err(Broken::Conflict("cancelled, since it was in the way of changes that the replica had to make".to_owned()));
        }
        let code = self.rc.map_or_else(|| format!("psql ended with {}", streamed.rc), |rc| format!("pg_dump ended with {rc}"));
        Err(Broken::Other(format!("{code}: {said}")))
    }
}

/// Every table that was counted must have its data in the dump.
fn check_contents(entries: &[String], tables: &[Table]) -> Result<(), String> {
    let data: Vec<&str> = entries.iter().filter_map(|entry| entry.split_once(" TABLE DATA ").map(|(_, rest)| rest)).collect();
    // pg_restore lists each on one line.
    let name = |table: &Table| format!("{} {} ", table.schema, table.name).replace(['\n', '\r'], " ");
    let is_there = |table: &&Table| data.iter().any(|entry| entry.starts_with(&name(table)));
    let missing: Vec<String> =
        tables.iter().filter(|table| !is_there(table)).map(|table| format!("{}.{}", table.schema, table.name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("the dump's table of contents lacks {}", missing.join(", "))) }
}

/// A name that any disk takes, and that two databases never share.
fn file_name(database: &str, format: Format) -> String {
    let end = if format == Format::Directory { "tar" } else { "dump" };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !database.is_empty() && database.len() < 100 && database.chars().all(plain) {
        return format!("{database}.{end}");
    }
    let shown: String = database.chars().filter(|letter| plain(*letter)).take(40).collect();
    format!("{shown}.{}.{end}", &pgfleet_protocol::sha256(database.as_bytes())[..12])
}

#[cfg(test)]
mod tests {
    use super::{Broken, Told, check_contents, file_name};
    use crate::streams::Streamed;
    use pgfleet_state::{Format, Table};

    fn told(stderr: &str) -> Told {
        Told::read(&Streamed { stderr: stderr.to_owned(), ..Streamed::default() })
    }

    #[test]
    fn only_an_exit_code_makes_a_dump_good() {
        let judge = |stderr: &str| told(stderr).judge(&Streamed { rc: 3, ..Streamed::default() });
        assert!(judge("pgfleet:{\"rc\": 0}\n").is_ok());
        assert!(matches!(judge(""), Err(Broken::Other(reason)) if reason.contains("psql ended with 3")));
        let conflict = "pg_dump: error: ERROR:  canceling statement due to conflict with recovery\npgfleet:{\"rc\": 1}\n";
        assert!(matches!(judge(conflict), Err(Broken::Conflict(_))));
        let deadlock = "pg_dump: error: query failed: ERROR:  deadlock detected\npgfleet:{\"rc\": 1}\n";
        assert!(matches!(judge(deadlock), Err(Broken::Conflict(_))));
        let killed = "Killed\npgfleet:{\"rc\": 137}\n";
        assert!(matches!(judge(killed), Err(Broken::Other(reason)) if reason == "pg_dump ended with 137: Killed"));
    }

    #[test]
    fn counts_are_told_only_when_all_of_them_came() {
        let line = "pgfleet:{\"schema\" : \"public\", \"name\" : \"t\", \"rows\" : 3}\n";
        assert_eq!(told(line).tables, []);
        let table = Table { schema: "public".to_owned(), name: "t".to_owned(), rows: 3 };
        assert_eq!(told(&format!("{line}pgfleet:{{\"counted\": true}}\n")).tables, std::slice::from_ref(&table));
        let entries = ["3335; 0 16389 TABLE DATA public t app_user".to_owned()];
        assert_eq!(check_contents(&entries, std::slice::from_ref(&table)), Ok(()));
        assert!(check_contents(&[], &[table]).is_err());
        let entries = ["7; 0 9 TABLE DATA s t of two lines app_user".to_owned()];
        let table = Table { schema: "s".to_owned(), name: "t\nof\rtwo lines".to_owned(), rows: 3 };
        assert_eq!(check_contents(&entries, &[table]), Ok(()));
    }

    #[test]
    fn names_of_files_are_harmless() {
        assert_eq!(file_name("application", Format::Custom), "application.dump");
        assert!(file_name("../etc", Format::Custom).starts_with("etc."));
        assert_ne!(file_name("a b", Format::Directory), file_name("a_b", Format::Directory));
    }
}
