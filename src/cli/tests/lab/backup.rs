//! Backups: made, proven, and what goes wrong while they are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Ran, Rig, leader, members_as};

const PSQL: &str = "runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 -d application";
/// Bytes that no compression makes small.
const TABLES: &str = "CREATE TABLE backup_a (n int PRIMARY KEY); INSERT INTO backup_a SELECT generate_series(1, 1000);
    CREATE TABLE backup_z AS SELECT n, md5(n::text) AS a, md5((n * 7)::text) AS b FROM generate_series(1, 100000) AS n;
    CREATE UNLOGGED TABLE backup_u (n int);";

fn sql(rig: &Rig, host: &str, text: &str) -> String {
    rig.on(host, PSQL, text).expect(0).out.trim().to_owned()
}

fn leads(rig: &Rig) -> String {
    leader(&rig.status().1).expect("a leader")
}

/// The backups as the catalogue tells them, oldest first.
fn listed(rig: &Rig, arguments: &[&str]) -> Vec<Value> {
    let inventory = rig.inventory();
    let ran = rig.pgfleet(&[&["backup", "list", "-i", &inventory, "-o", "json"], arguments].concat()).expect(0);
    serde_json::from_str(&ran.out).expect("a list")
}

fn subcommand(rig: &Rig, word: &str, arguments: &[&str]) -> Ran {
    let inventory = rig.inventory();
    rig.pgfleet(&[&["backup", word, "-i", &inventory], arguments].concat())
}

/// Looks until a query says so.
fn until(rig: &Rig, host: &str, query: &str, wish: &str) {
    let end = Instant::now() + Duration::from_secs(90);
    while sql(rig, host, query) != "t" {
        assert!(Instant::now() < end, "after 90 s still not: {wish}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// From a replica, with the rows that are there; proven by a restore; and a flipped bit is found.
pub(crate) fn made_and_proven(rig: &Rig) {
    let leader = leads(rig);
    sql(rig, &leader, TABLES);
    let before = listed(rig, &[]).len();
    let would = rig.on_fleet("backup", &["--check", "-o", "lines"]).expect(0);
    assert!(would.out.contains("would back up") && listed(rig, &[]).len() == before, "{}", would.out);
    let ran = rig.on_fleet("backup", &["-o", "lines"]).expect(0);
    assert!(ran.out.contains("backup_u"), "the unlogged table is named: {}", ran.out);
    let made = listed(rig, &[]).pop().expect("a backup");
    let manifest = &made["manifest"];
    assert_eq!((made["good"].as_bool(), manifest["format"].as_str()), (Some(true), Some("custom")), "{made:#}");
    assert_ne!(manifest["source"].as_str(), Some(leader.as_str()), "a replica is read");
    let databases = manifest["databases"].as_array().expect("databases");
    let application = databases.iter().find(|database| database["name"] == "application").expect("the application's");
    assert_eq!(application["dumped_as"], "backup", "{application:#}");
    let table = |name: &str| application["tables"].as_array().into_iter().flatten().find(|table| table["name"] == name).cloned();
    assert_eq!(table("backup_z").map(|table| table["rows"].clone()), Some(100_000.into()), "{application:#}");
    let (_, status) = rig.status();
    assert_eq!(status["last_backup"]["id"], made["id"], "{status:#}");

    let proven = subcommand(rig, "verify", &["latest", "--restore", "-o", "lines"]).expect(0);
    assert!(proven.out.contains("is proven"), "{}", proven.out);
    let id = made["id"].as_str().expect("an id");
    assert!(subcommand(rig, "show", &[id]).expect(0).out.contains("proven at"));

    let dump = Path::new(made["folder"].as_str().expect("a folder")).join("application.dump");
    let mut bytes = fs::read(&dump).expect("the dump");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&dump, &bytes).expect("damaged");
    let damaged = subcommand(rig, "verify", &[id]).expect(8);
    assert!(damaged.out.contains("application.dump is damaged"), "{}", damaged.out);
    bytes[middle] ^= 1;
    fs::write(&dump, &bytes).expect("as it was");
    subcommand(rig, "verify", &[id]).expect(0);

    rig.on_fleet("backup", &["--format", "plain", "-o", "lines"]).expect(0);
    subcommand(rig, "prune", &["--keep", "1", "--yes"]).expect(0);
    let kept: Vec<Value> = listed(rig, &[]).iter().map(|entry| entry["id"].clone()).collect();
    assert!(kept.len() == 2 && kept.contains(&made["id"]), "the newest stays, and the proven one: {kept:?}");
}

/// A small disk of its own, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("a folder");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&path).status().expect("mount runs");
        assert!(status.success());
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A full disk, a pg_dump that is killed and a cable that is pulled: marked as failed, never listed as good, and nothing else is touched.
pub(crate) fn failures_are_marked(rig: &Rig) {
    let disk = SmallDisk::new(rig.project().join("small"));
    let folder = format!("backup_folder={}/backups", disk.0.display());
    let failed = rig.on_fleet("backup", &["-o", "lines", "-e", &folder]).expect(2);
    assert!(failed.out.contains("No space left on device"), "{}", failed.out);
    let only = listed(rig, &["-e", &folder]);
    assert_eq!((only.len(), only[0]["status"].as_str(), only[0]["good"].as_bool()), (1, Some("failed"), Some(false)), "{only:#?}");
    drop(disk);

    let (_, before) = rig.status();
    let source = members_as(&before, &["quorum_standby", "sync_standby", "replica"]).pop().expect("a replica");
    let leader = leads(rig);
    held(rig, &leader, &source, 240);
    let killed = std::thread::scope(|scope| {
        let backup = scope.spawn(|| rig.on_fleet("backup", &["--from", &source, "-o", "lines"]));
        until(rig, &source, WAITING, "pg_dump waits for the lock");
        rig.said(&source, "pkill -9 -x pg_dump");
        backup.join().expect("it ends")
    });
    assert!(killed.expect(2).out.contains("pg_dump ended with 137"));
    // The server does not see at once that nobody waits any more.
    sql(rig, &source, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pgfleet backup'");
    let cut_off = std::thread::scope(|scope| {
        let backup = scope.spawn(|| rig.on_fleet("backup", &["--from", &source, "-o", "lines"]));
        until(rig, &source, WAITING, "pg_dump waits for the lock");
        rig.lab(&["partition", &source]).expect(0);
        backup.join().expect("it ends")
    });
    rig.lab(&["heal"]).expect(0);
    assert!(cut_off.expect(2).out.contains("the host no longer answers"));
    let (_, after) = rig.status();
    assert_eq!(after["last_backup"]["id"], before["last_backup"]["id"], "the last good one is the one before");
    let removed = subcommand(rig, "prune", &["--keep", "9", "--check"]).expect(0);
    assert!(removed.out.contains("0 of them would be removed"), "what failed after the newest good one stays: {}", removed.out);
    let _ = sql(rig, &leader, RELEASE);
    until(rig, &source, FREE, "the replica knows that the lock is gone");
    rig.status_becomes("the replica that was cut off streams again", 120, |code, _| code == Some(0));
}

/// True while a dump waits for the table that is locked.
const WAITING: &str =
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'p%' AND wait_event_type = 'Lock' AND query LIKE '%backup_z%'";
const FREE: &str = "SELECT count(*) = 0 FROM pg_locks WHERE relation = 'backup_z'::regclass AND mode = 'AccessExclusiveLock'";
const RELEASE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'";

/// Sessions of dumps, also of one whose controller was cut off.
const NO_DUMP: &str = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name IN ('pg_dump', 'pgfleet backup')";

/// Locks a table on the leader, and so on every replica, in the background.
fn held(rig: &Rig, leader: &str, source: &str, seconds: u64) {
    until(rig, source, NO_DUMP, "earlier dumps are gone");
    let text = format!("BEGIN; LOCK TABLE backup_z; SELECT pg_sleep({seconds});");
    let script = format!(
        "PGAPPNAME=holder setsid nohup runuser -u postgres -- psql -X -q -d application -c '{text}' > /dev/null 2>&1 < /dev/null &"
    );
    rig.on(leader, &script, "").expect(0);
    let query = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'backup_z'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    until(rig, leader, query, "the lock is held");
    // The replica hears of it with the next write of the log.
    sql(rig, leader, "SELECT pg_switch_wal()");
    until(rig, source, query, "the replica knows of it");
}

/// A dump in the way of the log is cancelled and read again; and one whose cluster fails over meanwhile goes on to its end.
pub(crate) fn survives_conflict_and_failover(rig: &Rig) {
    let (_, before) = rig.status();
    let source = members_as(&before, &["quorum_standby", "sync_standby", "replica"]).pop().expect("a replica");
    let old = leads(rig);
    let on_source = |text: &str| sql(rig, &source, text);
    on_source("ALTER SYSTEM SET max_standby_streaming_delay = 500");
    on_source("SELECT pg_reload_conf()");
    held(rig, &old, &source, 240);
    let ran = std::thread::scope(|scope| {
        let backup = scope.spawn(|| rig.on_fleet("backup", &["--from", &source, "-o", "lines"]));
        until(rig, &source, WAITING, "pg_dump waits for the lock");
        sql(rig, &old, "DROP TABLE backup_a");
        until(rig, &source, "SELECT to_regclass('backup_a') IS NULL", "the replica goes on with the log");
        let _ = sql(rig, &old, RELEASE);
        backup.join().expect("it ends")
    });
    let ran = ran.expect(0);
    assert!(ran.out.contains("read again"), "{}", ran.out);
    on_source("ALTER SYSTEM RESET max_standby_streaming_delay");
    on_source("SELECT pg_reload_conf()");

    held(rig, &old, &source, 240);
    let ran = std::thread::scope(|scope| {
        let backup = scope.spawn(|| rig.on_fleet("backup", &["--from", &source, "-o", "lines"]));
        until(rig, &source, WAITING, "pg_dump waits for the lock");
        rig.lab(&["kill", &old]).expect(0);
        backup.join().expect("it ends")
    });
    assert!(ran.expect(0).out.contains("a failover or switchover happened meanwhile"));
    rig.lab(&["start", &old]).expect(0);
    rig.status_becomes("the crashed node streams again", 180, |code, _| code == Some(0));
    let leader = leads(rig);
    sql(rig, &leader, "DROP TABLE backup_z, backup_u");
    subcommand(rig, "verify", &["latest"]).expect(0);
}
