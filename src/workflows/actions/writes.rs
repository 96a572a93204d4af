//! Writes while a cluster changes hands: a client's view of it, and whether anything acknowledged was lost.

use std::collections::BTreeSet;
use std::time::Duration;

use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::{Trouble, Work};
use crate::nodes::Node;
use crate::sql::ident;

/// Where the rows go. Only one run at a time works on a cluster.
const TABLE: &str = "pgfleet.write_probe";
/// What ends the writing; in a folder that a reboot empties.
const UNTIL: &str = "/run/pgfleet-write-probe.end";
/// Of statements that take no time.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest that is written, should nobody end it: seconds.
const LONGEST: u64 = 300;

/// A client on one node that writes through all ways to the leader.
pub(super) struct Writes {
    observer: Node,
    ways: Vec<&'static str>,
}

/// What the client saw on one way.
pub(super) struct Witness {
    pub(super) way: String,
    pub(super) acknowledged: usize,
    pub(super) errors: u64,
    pub(super) first_error: String,
    pub(super) unsure: u64,
    pub(super) longest_gap_ms: u64,
    pub(super) missing: usize,
}

impl Writes {
    /// Makes the table on the leader. The client will be on a node that is neither the old nor the new leader, where there is one.
    pub(super) async fn prepare(work: &Work, leader: &Node, candidate: &Node) -> Result<Self, Trouble> {
        let others = work.nodes.databases().find(|node| node.name != leader.name && node.name != candidate.name);
        let observer = others.unwrap_or(candidate).clone();
        let user = ident(&observer.app_user);
        let sql = format!(
            "SET client_min_messages = warning;\nCREATE SCHEMA IF NOT EXISTS pgfleet;\nDROP TABLE IF EXISTS {TABLE};\n\
             CREATE TABLE {TABLE} (way text, n int, PRIMARY KEY (way, n));\n\
             GRANT USAGE ON SCHEMA pgfleet TO {user};\nGRANT SELECT, INSERT ON {TABLE} TO {user};"
        );
        work.nodes.sql(leader, "postgres", &sql, LIMIT).await?;
        work.nodes.run(&observer, &["rm", "-f", UNTIL], "", LIMIT).await?;
        Ok(Self { observer, ways: vec!["leader port", "service name"] })
    }

    /// Writes until it is ended; gives what the client tells.
    pub(super) async fn go(&self, work: &Work) -> Result<Map, String> {
        let node = &self.observer;
        let arguments = json!({
            "ways": {
                "leader port": {"host": "127.0.0.1", "port": node.leader_port},
                "service name": {"host": node.service_address, "port": node.port},
            },
            "user": node.app_user,
            "password": node.app_password,
            "table": TABLE,
            "until": UNTIL,
            "limit": LONGEST,
        });
        let outcome = work.nodes.call_with(node, 3, "write_probe", arguments, None, None).await.map_err(|error| error.message)?;
        match outcome.data.get("ways") {
            Some(Value::Object(ways)) => Ok(ways.clone()),
            _ => Err(format!("{}: {}", node.name, outcome.message)),
        }
    }

    /// Waits until rows arrive through every way.
    pub(super) async fn begun(&self, work: &Work, leader: &Node) -> Result<(), Trouble> {
        let query = format!("SELECT count(DISTINCT way) FROM {TABLE};");
        work.until("rows arrive through every way", LIMIT, || async {
            let count = work.nodes.sql(leader, "postgres", &query, LIMIT).await?;
            if count == self.ways.len().to_string() { Ok(()) } else { Err(format!("{count} of {} so far", self.ways.len())) }
        })
        .await
    }

    /// Ends the writing.
    pub(super) async fn end(&self, work: &Work) {
        if let Err(reason) = work.nodes.run(&self.observer, &["touch", UNTIL], "", LIMIT).await {
            work.teller.say(&format!("the writing goes on for at most {LONGEST} s: {reason}"));
        }
    }

    /// Compares what was acknowledged with what is there, and takes the table away.
    pub(super) async fn compare(&self, work: &Work, told: &Map, leader: &Node) -> Result<Vec<Witness>, Trouble> {
        let query = format!("SELECT way, json_agg(n) AS rows FROM {TABLE} GROUP BY way");
        let rows = work.nodes.rows(leader, "postgres", &query, LIMIT).await?;
        let there = |way: &str| -> BTreeSet<u64> {
            let row = rows.iter().find(|row| row.get("way").and_then(Value::as_str) == Some(way));
            row.and_then(|row| row.get("rows")?.as_array()).into_iter().flatten().filter_map(Value::as_u64).collect()
        };
        let witness = |(way, told): (&String, &Value)| {
            let acknowledged = numbers(&told["acknowledged"]);
            let there = there(way);
            Witness {
                way: way.clone(),
                missing: acknowledged.difference(&there).count(),
                acknowledged: acknowledged.len(),
                errors: told["errors"].as_u64().unwrap_or_default(),
                first_error: told["first_error"].as_str().unwrap_or_default().to_owned(),
                unsure: told["unsure"].as_u64().unwrap_or_default(),
                longest_gap_ms: told["longest_gap_ms"].as_u64().unwrap_or_default(),
            }
        };
        let witnesses = told.iter().map(witness).collect();
        self.clear(work, leader).await;
        Ok(witnesses)
    }

    /// Takes the table away.
    pub(super) async fn clear(&self, work: &Work, leader: &Node) {
        if let Err(reason) = work.nodes.sql(leader, "postgres", &format!("DROP TABLE IF EXISTS {TABLE};"), LIMIT).await {
            work.teller.say(&format!("the table {TABLE} in the database postgres is left over: {reason}"));
        }
    }
}

/// Numbers from their ranges.
fn numbers(ranges: &Value) -> BTreeSet<u64> {
    let range = |range: &Value| Some(range.get(0)?.as_u64()?..=range.get(1)?.as_u64()?);
    ranges.as_array().into_iter().flatten().filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;
    use serde_json::json;

    #[test]
    fn ranges_are_unfolded() {
        assert_eq!(numbers(&json!([[1, 3], [7, 7]])).into_iter().collect::<Vec<_>>(), [1, 2, 3, 7]);
        assert!(numbers(&json!(null)).is_empty());
    }
}
