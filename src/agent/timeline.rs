//! Before Patroni promotes this node: a number for its timeline that no other node has taken.
//!
//! PostgreSQL counts on from the timelines that it knows of. A leader that dies before anybody has followed it leaves its number to
//! the next one, and PostgreSQL takes the two timelines for one: the node comes back, and streams on top of rows of its own. So whoever
//! is promoted writes its number into etcd first. For numbers that were taken, and not followed, it lays files of history without a
//! line beside its log: PostgreSQL begins the timeline after the last file that it finds, and follows none that is no child of its own.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::patroni::{CONFIG, setting, top};
use crate::http::voter::Voter;
use crate::system::{Permissions, System};

/// Another node may take a number at the same time; nobody is that unlucky more often.
const TRIES: usize = 3;
/// More than so many numbers that nobody followed are no cluster's, but a mistake.
const MOST: u32 = 1000;
/// What stands in the place of another node's history.
const EMPTY: &str = "# This timeline was taken by a node that nobody followed (pgfleet).\n";

/// This node, as its Patroni knows it.
struct Node {
    name: String,
    /// The key in etcd: who took which number last.
    key: String,
    /// Where PostgreSQL's log is.
    log: PathBuf,
    /// The cluster's identifier in PostgreSQL: another cluster's numbers do not count.
    system_id: u64,
    /// The newest timeline that is known here.
    newest: u32,
}

/// Takes the number of the timeline that a promotion will begin; answers what was taken, for a person.
///
/// # Errors
/// What is missing on this node, or why no voter of etcd takes it. Patroni promotes nevertheless.
pub fn claim(system: &dyn System) -> io::Result<String> {
    claim_as(&system.read_text(Path::new(CONFIG))?, system)
}

/// The same with Patroni's configuration in hand.
fn claim_as(config: &str, system: &dyn System) -> io::Result<String> {
    let node = Node::of(config, system)?;
    let mut reasons = Vec::new();
    for voter in Voter::all(config) {
        match node.claim(&voter, system) {
            Ok(taken) => {
                node.fill(taken.before, system)?;
                let others = taken.before.saturating_sub(node.newest);
                let passed = if others > 0 { format!("; passed over: {others}, taken before and not known here") } else { String::new() };
                return Ok(format!("timeline {} is taken for {}{passed}", taken.number, node.name));
            }
            Err(reason) => reasons.push(format!("{}: {reason}", voter.address())),
        }
    }
    Err(io::Error::other(format!("no voter of etcd knows who took which timeline: {}", reasons.join("; "))))
}

/// What was taken.
struct Taken {
    number: u32,
    /// The last one that somebody took before.
    before: u32,
}

impl Node {
    fn of(config: &str, system: &dyn System) -> io::Result<Self> {
        let missing = |key: &str| io::Error::other(format!("{CONFIG} has no {key}"));
        let scope = top(config, "scope").ok_or_else(|| missing("scope"))?;
        let name = top(config, "name").ok_or_else(|| missing("name"))?;
        let data = PathBuf::from(setting(config, "postgresql", "data_dir").ok_or_else(|| missing("postgresql.data_dir"))?);
        let control = system.read_file(&data.join("global/pg_control"))?;
        // The file begins with it, in all versions.
        let system_id =
            control.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)).ok_or_else(|| io::Error::other("pg_control is empty"))?;
        let log = data.join("pg_wal");
        let newest = system.list_dir(&log)?.iter().filter_map(|name| number(name)).max().unwrap_or(1);
        Ok(Self { name, key: format!("/service/{scope}/pgfleet-timeline"), log, system_id, newest })
    }

    fn claim(&self, voter: &Voter, system: &dyn System) -> Result<Taken, String> {
        let key = STANDARD.encode(&self.key);
        for _ in 0..TRIES {
            let found = voter.ask(system, "range", &json!({"key": key})).map_err(|error| error.to_string())?;
            let found = &found["kvs"][0];
            let before = self.read(found);
            if before > self.newest.saturating_add(MOST) {
                return Err(format!("it says that timeline {before} is taken, and the newest here is {}", self.newest));
            }
            let number = before.max(self.newest) + 1;
            let record = json!({"timeline": number, "node": self.name, "system": self.system_id.to_string()}).to_string();
            let question = json!({
                "compare": [{"key": key, "target": "MOD", "mod_revision": found["mod_revision"].as_str().unwrap_or("0")}],
                "success": [{"request_put": {"key": key, "value": STANDARD.encode(record)}}],
            });
            let told = voter.ask(system, "txn", &question).map_err(|error| error.to_string())?;
            if told["succeeded"] == true {
                return Ok(Taken { number, before });
            }
        }
        Err(format!("others took a timeline {TRIES} times in the same moment"))
    }

    /// The number that was taken last in this cluster; 0 where none was.
    fn read(&self, found: &Value) -> u32 {
        let record = found["value"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        let record: Value = serde_json::from_slice(&record).unwrap_or_default();
        let is_ours = record["system"].as_str().is_some_and(|id| id.parse() == Ok(self.system_id));
        record["timeline"].as_u64().filter(|_| is_ours).and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
    }

    /// A file for each number that is taken and not known here, the last one at the end: PostgreSQL looks for them in a row.
    fn fill(&self, taken: u32, system: &dyn System) -> io::Result<()> {
        for number in self.newest + 1..=taken {
            let permissions = Permissions { mode: Some(0o600), ..Permissions::default() };
            system.write_file_atomically(&self.log.join(format!("{number:08X}.history")), EMPTY.as_bytes(), &permissions)?;
        }
        Ok(())
    }
}

/// The timeline of a file of history.
fn number(name: &Path) -> Option<u32> {
    let digits = name.to_str()?.strip_suffix(".history")?;
    (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::{EMPTY, claim_as};
    use crate::http::server::{Server, nobody};
    use crate::system::Linux;

    /// A node of the cluster 7 that knows timelines up to this one.
    fn node(newest: u32) -> tempfile::TempDir {
        let data = tempfile::tempdir().expect("a folder");
        for folder in ["global", "pg_wal"] {
            fs::create_dir(data.path().join(folder)).expect("a folder");
        }
        fs::write(data.path().join("global/pg_control"), [7_u64.to_ne_bytes(), [1; 8]].concat()).expect("a file");
        for number in 2..=newest {
            fs::write(data.path().join(format!("pg_wal/{number:08X}.history")), "1\t0/3000000\tno recovery target specified\n")
                .expect("a file");
        }
        data
    }

    fn config(data: &Path, voters: &[&str]) -> String {
        let voters: String = voters.iter().map(|voter| format!("    - \"{voter}\"\n")).collect();
        format!("scope: \"x\"\nname: \"b.lan\"\netcd3:\n  hosts:\n{voters}\npostgresql:\n  data_dir: \"{}\"\n", data.display())
    }

    fn answer(body: &Value) -> String {
        let body = body.to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn record(timeline: u32, system: &str) -> Value {
        let record = json!({"timeline": timeline, "node": "a.lan", "system": system}).to_string();
        json!({"kvs": [{"value": STANDARD.encode(record), "mod_revision": "41"}]})
    }

    /// What a node that knows timelines up to 2 makes of etcd's answers: what it says, and what it asked last.
    fn claim(data: &Path, answers: &[Value]) -> (Result<String, String>, Value) {
        let answers: Vec<String> = answers.iter().map(answer).collect();
        let server = Server::new(&answers.iter().map(String::as_str).collect::<Vec<_>>());
        let told = claim_as(&config(data, &[&nobody(), &server.address]), &Linux).map_err(|error| error.to_string());
        let asked: Vec<String> = answers.iter().map(|_| server.next()).collect();
        let asked = asked.last().expect("a question");
        (told, serde_json::from_str(asked.rsplit("\r\n").next().expect("a body")).expect("JSON"))
    }

    fn histories(data: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(data.join("pg_wal"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_next_number_is_taken_where_nobody_was_ahead() {
        for before in [json!({}), record(2, "7"), record(9, "8")] {
            let data = node(2);
            let (told, asked) = claim(data.path(), &[before.clone(), json!({"succeeded": true})]);
            assert_eq!(told.as_deref(), Ok("timeline 3 is taken for b.lan"));
            assert_eq!(histories(data.path()), ["00000002.history"]);
            let revision = if before == json!({}) { "0" } else { "41" };
            assert_eq!(
                asked["compare"],
                json!([{"key": STANDARD.encode("/service/x/pgfleet-timeline"), "target": "MOD", "mod_revision": revision}])
            );
            let put = asked["success"][0]["request_put"]["value"].as_str().expect("a value");
            let put: Value = serde_json::from_slice(&STANDARD.decode(put).expect("base64")).expect("JSON");
            assert_eq!(put, json!({"timeline": 3, "node": "b.lan", "system": "7"}));
        }
    }

    #[test]
    fn numbers_that_nobody_followed_are_passed_over() {
        let data = node(2);
        // Between question and answer another node was first.
        let (told, _) = claim(data.path(), &[record(3, "7"), json!({}), record(4, "7"), json!({"succeeded": true})]);
        assert_eq!(told.as_deref(), Ok("timeline 5 is taken for b.lan; passed over: 2, taken before and not known here"));
        assert_eq!(histories(data.path()), ["00000002.history", "00000003.history", "00000004.history"]);
        assert_eq!(fs::read_to_string(data.path().join("pg_wal/00000004.history")).expect("a file"), EMPTY);
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let data = node(1);
        let (told, _) = claim(data.path(), &[record(4_000_000_000, "7")]);
        assert!(told.expect_err("too many").contains("timeline 4000000000 is taken, and the newest here is 1"));
        assert_eq!(histories(data.path()), [""; 0]);
        let told = claim_as(&config(data.path(), &[&nobody()]), &Linux).expect_err("no voter").to_string();
        assert!(told.contains("connection refused"), "{told}");
    }
}
