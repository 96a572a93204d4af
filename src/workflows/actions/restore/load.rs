//! Filling databases on the leader from a backup: roles first, then one database after the other, then a look at every table.

use std::time::Duration;

use pgfleet_engine::Content;
use pgfleet_state::{Database, Table};

use super::super::dump::COUNT;
use super::super::prove::compare;
use super::{Trouble, Work};
use crate::nodes::Node;
use crate::restoring::{Source, missing_roles};
use crate::sql::{ident, naming};
use crate::streams::{Meter, Streamed};

/// A lane of its own: others look at the node meanwhile.
const LANE: u8 = 14;
/// A large database takes its time.
pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);
const SHORT: Duration = Duration::from_secs(60);
/// Where a backup in tar files is unpacked.
const STAGE: &str = "/var/tmp/pgfleet-restore";

pub(super) struct Loader<'a> {
    pub(super) work: &'a Work,
    pub(super) leader: &'a Node,
    pub(super) source: &'a Source,
    pub(super) meter: Meter,
}

impl Loader<'_> {
    /// Makes the roles that the cluster lacks; those that it has keep their passwords.
    pub(super) async fn roles(&self) -> Result<Vec<String>, Trouble> {
        let existing = self.work.nodes.names(self.leader, "SELECT rolname AS name FROM pg_roles", SHORT).await?;
        let missing = missing_roles(&self.source.globals, &existing);
        if !missing.names.is_empty() && !self.work.is_check() {
            let quiet = "SET log_statement = 'none';\nSET log_min_error_statement = panic;\nSET log_min_duration_statement = -1;\n";
            let made = async { Ok(self.work.nodes.sql(self.leader, "postgres", &format!("{quiet}{}", missing.sql), SHORT).await?) };
            self.work.step(&format!("roles that were missing: {}", missing.names.join(", ")), made).await?;
        }
        Ok(missing.names)
    }

    fn session(&self) -> Vec<String> {
        // Nobody waits for the commits of a load; the exchange of names waits for all of it.
        let words = [
            "runuser",
            "-u",
            "postgres",
            "--",
            "env",
            "PGUSER=postgres",
            "PGAPPNAME=pgfleet restore",
            "PGOPTIONS=-c synchronous_commit=off",
        ];
        words.map(str::to_owned).into_iter().chain([format!("PGPORT={}", self.leader.port)]).collect()
    }

    /// Fills one database that is there, and is empty.
    pub(super) async fn fill(&self, database: &Database, into: &str) -> Result<(), Trouble> {
        let argv = if self.source.is_sql() { self.psql(into) } else { self.pg_restore(&["-d", &naming(into)]) };
        let (content, sum, bytes) = self.source.content(database, &self.meter)?;
        self.feed(&database.name, argv, content, sum, bytes).await
    }

    /// Makes a database as it was, and fills it.
    pub(super) async fn fill_new(&self, database: &Database) -> Result<(), Trouble> {
        let (content, sum, bytes) = self.source.content(database, &self.meter)?;
        self.feed(&database.name, self.pg_restore(&["-C", "-d", "postgres"]), content, sum, bytes).await
    }

    /// Makes and fills all databases of a dump in SQL.
    pub(super) async fn fill_all(&self) -> Result<(), Trouble> {
        let (content, bytes) = self.source.all_in_sql(&self.meter).ok_or_else(|| Trouble::failed("this is no dump in SQL"))?;
        self.feed("all databases", self.psql("postgres"), content, None, bytes).await
    }

    fn psql(&self, into: &str) -> Vec<String> {
        let into = naming(into);
        let words = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", &into];
        self.session().into_iter().chain(words.map(str::to_owned)).collect()
    }

    fn pg_restore(&self, options: &[&str]) -> Vec<String> {
        let program = format!("{}/pg_restore", self.leader.bin_dir);
        let script = if self.source.is_tar() {
            format!(
                "set -e; rm -rf {STAGE}; mkdir -m 0700 {STAGE}; trap 'rm -rf {STAGE}' EXIT; tar -C {STAGE} -xf -; \"$0\" -j 2 \"$@\" --exit-on-error {STAGE}/dump"
            )
        } else {
            "exec \"$0\" \"$@\" --exit-on-error".to_owned()
        };
        let words = ["bash", "-c", &script, &program].into_iter().chain(options.iter().copied());
        self.session().into_iter().chain(words.map(str::to_owned)).collect()
    }

    async fn feed(&self, name: &str, argv: Vec<String>, content: Content, sum: Option<String>, bytes: u64) -> Result<(), Trouble> {
        let before = self.meter.bytes();
        let streamed = tokio::select! {
            streamed = self.work.nodes.stream_in(self.leader, LANE, &argv, content) => streamed?,
            trouble = self.watch(name, before, bytes) => return Err(trouble),
        };
        self.judge(name, &streamed, sum)
    }

    fn judge(&self, name: &str, streamed: &Streamed, sum: Option<String>) -> Result<(), Trouble> {
        if streamed.rc != 0 {
            return Err(Trouble::failed(format!("{name} cannot be restored: {}", streamed.last_words())));
        }
        if sum.is_some_and(|sum| sum != streamed.sha256) {
            let trouble = Trouble::unverified(format!("the dump of {name} is damaged: its checksum is not that of the manifest"));
            return Err(trouble.hint("take another backup: 'pgfleet backup list', 'pgfleet backup verify'"));
        }
        Ok(())
    }

    /// Tells how far it is; ends only when a person asks for it.
    async fn watch(&self, name: &str, before: u64, bytes: u64) -> Trouble {
        loop {
            self.work.teller.progress(&format!("restoring {name}"), self.meter.bytes() - before, Some(bytes));
            if self.work.stop.is_asked() {
                return Trouble::failed("interrupted by a person; what had the names before still has them");
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Compares the rows of every table with the backup, and lets the planner know them. Answers tables and rows.
    pub(super) async fn verify(&self, database: &Database, name: &str) -> Result<(usize, u64), Trouble> {
        let rows = self.rows(name).await?;
        compare(database, &rows, database.counted)?;
        self.work.nodes.sql(self.leader, name, "ANALYZE;", LONG).await?;
        Ok((rows.len(), rows.iter().map(|table| table.rows).sum()))
    }

    pub(super) async fn rows(&self, name: &str) -> Result<Vec<Table>, Trouble> {
        let told = self.work.nodes.sql(self.leader, name, COUNT, LONG).await?;
        let lines = told.lines().filter_map(|line| line.strip_prefix("pgfleet:"));
        Ok(lines.filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// Removes a database that is not to be kept.
pub(super) async fn drop_database(work: &Work, leader: &Node, name: &str) -> Result<(), Trouble> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE);", ident(name));
    work.nodes.sql(leader, "postgres", &sql, Duration::from_secs(600)).await?;
    Ok(())
}
