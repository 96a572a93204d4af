//! A PostgreSQL of its own on a node's host: no port on the network, low priority, gone with its folder when it stops.

use std::time::Duration;

use pgfleet_engine::Content;
use pgfleet_state::{Manifest, Table};

use super::super::dump::COUNT;
use super::{Trouble, Work, bin};
use crate::nodes::{Ended, Node};
use crate::streams::Streamed;
use pgfleet_cluster::shown_bytes;

const UNIT: &str = "pgfleet-verify.service";
const LIMIT: Duration = Duration::from_secs(180);
/// Lanes of its own: others look at the node meanwhile.
const LANE: u8 = 12;
/// Lines of the roles' file that would reach outside the scratch server's folder.
const TABLESPACES: &str = "^(CREATE|ALTER|COMMENT ON|DROP) TABLESPACE |^(GRANT|REVOKE) .* ON TABLESPACE ";

/// The server. It stops by itself after a day, should nobody be left to stop it.
pub(super) struct Scratch<'a> {
    work: &'a Work,
    node: &'a Node,
    folder: String,
    libraries: String,
}

impl<'a> Scratch<'a> {
    /// A place for it, beside the node's own data.
    pub(super) async fn on(work: &'a Work, node: &'a Node) -> Result<Self, Trouble> {
        let beside = std::path::Path::new(&node.data_dir).parent().map(|folder| folder.display().to_string());
        let Some(beside) = beside.filter(|folder| folder.len() > 1) else {
            return Err(Trouble::refused(format!("{}: no folder beside the data in {}", node.name, node.data_dir)));
        };
        let libraries = work.nodes.sql(node, "postgres", "SHOW shared_preload_libraries;", LIMIT).await?;
        Ok(Self { work, node, folder: format!("{beside}/pgfleet-verify"), libraries })
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// The disk is the cluster's too: it must have room for all of it, and some more.
    pub(super) async fn has_room(&self, size: u64) -> Result<(), Trouble> {
        let parent = self.folder.trim_end_matches("/pgfleet-verify");
        let ended = self.root(&["df", "--output=avail", "-B1", parent]).await?;
        let free: u64 = ended.stdout.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or_default();
        let needed = size + size / 2 + (256 << 20);
        if free >= needed {
            return Ok(());
        }
        let (free, needed) = (shown_bytes(free), shown_bytes(needed));
        let trouble = Trouble::refused(format!("{}: {parent} has room for {free}, the restore needs {needed}", self.node.name));
        Err(trouble.hint("prove it on another host: --on NODE"))
    }

    /// Starts it, empty.
    pub(super) async fn start(&self, manifest: &Manifest) -> Result<(), Trouble> {
        self.remove().await?;
        let model = manifest.databases.iter().find(|database| database.name == "postgres").or(manifest.databases.first());
        let encoding = model.map(|model| model.encoding.as_str()).filter(|text| !text.is_empty()).unwrap_or("UTF8");
        let locale = model.map(|model| model.collation.as_str()).filter(|text| !text.is_empty()).unwrap_or("C.UTF-8");
        let data = format!("{}/data", self.folder);
        let (initdb, postgres) = (bin(self.node, "initdb"), bin(self.node, "postgres"));
        self.done(&["install", "-d", "-o", "postgres", "-g", "postgres", "-m", "0700", &self.folder]).await?;
        let encoding = format!("--encoding={encoding}");
        let locale = format!("--locale={locale}");
        self.done(&[
            "runuser",
            "-u",
            "postgres",
            "--",
            "nice",
            "-n",
            "19",
            &initdb,
            "-D",
            &data,
            "-U",
            "postgres",
            "-A",
            "peer",
            "--no-sync",
            &encoding,
            &locale,
        ])
        .await?;
        let (stop, sockets) = (format!("ExecStopPost=+/bin/rm -rf -- {}", self.folder), format!("unix_socket_directories={}", self.folder));
        let libraries = format!("shared_preload_libraries={}", self.libraries);
        let unit = format!("--unit={UNIT}");
        let mut argv = vec!["systemd-run", "--quiet", "--collect", &unit, "-p", "User=postgres", "-p", "Type=notify", "-p", "Nice=19"];
        argv.extend([
            "-p",
            "IOSchedulingClass=idle",
            "-p",
            "CPUWeight=10",
            "-p",
            "RuntimeMaxSec=1d",
            "-p",
            "KillMode=mixed",
            "-p",
            "KillSignal=SIGINT",
        ]);
        argv.extend(["-p", &stop, &postgres, "-D", &data]);
        let settings = [
            "listen_addresses=",
            "port=5432",
            &sockets,
            &libraries,
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "wal_level=minimal",
            "max_wal_senders=0",
            "archive_mode=off",
            "autovacuum=off",
            "max_connections=20",
            "shared_buffers=64MB",
            "maintenance_work_mem=128MB",
            "max_wal_size=2GB",
            "logging_collector=off",
            "ssl=off",
        ];
        argv.extend(settings.iter().flat_map(|setting| ["-c", setting]));
        self.done(&argv).await.map(drop)
    }

    /// Roles; what would make tablespaces outside of the folder is left out.
    pub(super) async fn globals(&self, content: Content) -> Result<(), Trouble> {
        let script = format!("grep -vE '{TABLESPACES}' | psql -X -q -d postgres");
        harmless("roles", &self.fed(&["bash", "-o", "pipefail", "-c", &script], content).await?)
    }

    /// A plain backup.
    pub(super) async fn everything(&self, content: Content) -> Result<(), Trouble> {
        let script = format!("gunzip | grep -avE '{TABLESPACES}' | psql -X -q -d postgres");
        harmless("the dump", &self.fed(&["bash", "-o", "pipefail", "-c", &script], content).await?)
    }

    /// One database.
    pub(super) async fn database(&self, name: &str, is_tar: bool, content: Content) -> Result<(), Trouble> {
        // The one to log in to is there already; all others are made as they were.
        let create = if name == "postgres" { "" } else { "-C" };
        let program = bin(self.node, "pg_restore");
        let script = if is_tar {
            format!(
                "rm -rf {0}/in && mkdir {0}/in && tar -C {0}/in -xf - && {program} {create} -j 2 -d postgres --exit-on-error --no-tablespaces {0}/in/dump && rm -rf {0}/in",
                self.folder
            )
        } else {
            format!("{program} {create} -d postgres --exit-on-error --no-tablespaces")
        };
        let ended = self.fed(&["bash", "-c", &script], content).await?;
        if ended.rc == 0 { Ok(()) } else { Err(Trouble::unverified(format!("{name} cannot be restored: {}", ended.last_words()))) }
    }

    /// The rows of every table of a database.
    pub(super) async fn rows(&self, database: &str, limit: Duration) -> Result<Vec<Table>, Trouble> {
        let variable = format!("PGDATABASE={database}");
        let mut argv = self.session();
        argv.extend([variable.as_str(), "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"].map(str::to_owned));
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let ended = self.work.nodes.run(self.node, &argv, COUNT, limit).await?;
        if ended.rc != 0 {
            return Err(Trouble::unverified(format!("{database}: its rows cannot be counted: {}", ended.stderr.trim())));
        }
        let lines = ended.stdout.lines().filter_map(|line| line.strip_prefix("pgfleet:"));
        Ok(lines.filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Reads all tables and indexes as they lie on the disk.
    pub(super) async fn check(&self, limit: Duration) -> Result<(), Trouble> {
        let program = bin(self.node, "pg_amcheck");
        let mut argv = self.session();
        argv.extend([program.as_str(), "--all", "--install-missing"].map(str::to_owned));
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let ended = self.work.nodes.run(self.node, &argv, "", limit).await?;
        let said = format!("{} {}", ended.stdout.trim(), ended.stderr.trim());
        if ended.rc == 0 {
            Ok(())
        } else {
            Err(Trouble::unverified(format!("pg_amcheck finds fault with what was restored: {}", said.trim())))
        }
    }

    /// Ends it and removes all of it; also what an earlier run left.
    pub(super) async fn remove(&self) -> Result<(), Trouble> {
        // It may not be there.
        drop(self.root(&["systemctl", "stop", UNIT]).await?);
        drop(self.root(&["systemctl", "reset-failed", UNIT]).await?);
        self.done(&["rm", "-rf", "--", &self.folder]).await.map(drop)
    }

    fn session(&self) -> Vec<String> {
        let words = [
            "runuser",
            "-u",
            "postgres",
            "--",
            "nice",
            "-n",
            "19",
            "ionice",
            "-c",
            "3",
            "env",
            "PGUSER=postgres",
            "PGPORT=5432",
            "PGAPPNAME=pgfleet verify",
        ];
        words.map(str::to_owned).into_iter().chain([format!("PGHOST={}", self.folder)]).collect()
    }

    async fn fed(&self, program: &[&str], content: Content) -> Result<Streamed, Trouble> {
        let argv: Vec<String> = self.session().into_iter().chain(program.iter().map(|word| (*word).to_owned())).collect();
        Ok(self.work.nodes.stream_in(self.node, LANE, &argv, content).await?)
    }

    async fn root(&self, argv: &[&str]) -> Result<Ended, Trouble> {
        Ok(self.work.nodes.run(self.node, argv, "", LIMIT).await?)
    }

    async fn done(&self, argv: &[&str]) -> Result<Ended, Trouble> {
        let ended = self.root(argv).await?;
        if ended.rc == 0 {
            return Ok(ended);
        }
        let said = if ended.stderr.trim().is_empty() { ended.stdout.trim() } else { ended.stderr.trim() };
        Err(Trouble::failed(format!("{}: {} ended with {}: {said}", self.node.name, argv.join(" "), ended.rc)))
    }
}

/// Every server has the superuser already; any other error is one.
fn harmless(what: &str, ended: &Streamed) -> Result<(), Trouble> {
    let is_error =
        |line: &&str| (line.contains("ERROR:") || line.contains("FATAL:")) && !line.ends_with("role \"postgres\" already exists");
    let errors: Vec<&str> = ended.stderr.lines().filter(is_error).take(5).collect();
    match (ended.rc, errors.as_slice()) {
        (0, []) => Ok(()),
        (_, []) => Err(Trouble::unverified(format!("{what} cannot be restored: {}", ended.last_words()))),
        (_, errors) => Err(Trouble::unverified(format!("{what} cannot be restored: {}", errors.join("; ")))),
    }
}
