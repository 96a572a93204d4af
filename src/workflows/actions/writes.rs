//! Writes while a cluster changes hands: a client's view of it, and whether anything acknowledged was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::{Trouble, Work};
use crate::nodes::Node;
use crate::sql::ident;

/// Where the rows of a switchover go. Only one run at a time works on a cluster.
const TABLE: &str = "pgfleet.write_probe";
/// Where those of a drill go; nothing keeps a row from being there twice.
const DRILL_TABLE: &str = "pgfleet.drill";
/// What ends the writing; in a folder that a reboot empties.
const UNTIL: &str = "/run/pgfleet-write-probe.end";
/// Of statements that take no time.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest that is written, should nobody end it: seconds.
const LONGEST: u64 = 300;
/// The lane of calls that last as long as the writing.
const LANE: u8 = 3;
/// Milliseconds between two rows of a client that writes to its own host.
const LOCAL_INTERVAL: u64 = 100;

/// The way of whoever writes to the PostgreSQL of its own host begins so; its host's name follows.
pub(super) const LOCAL: &str = "local ";
/// The way of whoever reads from replicas.
pub(super) const READS: &str = "replica port";

/// A client on one node.
struct Client {
    node: Node,
    ways: Map,
    /// What ends its writing.
    until: String,
}

/// What a client tells.
pub(super) struct Told {
    /// Its host.
    pub(super) node: String,
    /// What it saw, by way.
    pub(super) ways: Map,
    /// When it began by its host's clock: milliseconds since 1970.
    pub(super) began: Option<u64>,
}

/// A client that tells nothing.
pub(super) struct Lost {
    /// Its host.
    pub(super) node: String,
    /// Why.
    pub(super) reason: String,
}

/// Clients that write, and the table that they write to.
pub(super) struct Writes {
    table: &'static str,
    clients: Vec<Client>,
    /// Ways whose rows must arrive before anything is done.
    ways: Vec<String>,
    traced: bool,
    longest: u64,
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
    /// For a switchover: makes the table on the leader. The client will be on a node that is neither the old nor the new leader, where there is one.
    pub(super) async fn prepare(work: &Work, leader: &Node, candidate: &Node) -> Result<Self, Trouble> {
        let others = work.nodes.databases().find(|node| node.name != leader.name && node.name != candidate.name);
        let node = others.unwrap_or(candidate).clone();
        let clients = vec![Client { ways: routed(&node), node, until: UNTIL.to_owned() }];
        let writes = Self { table: TABLE, clients, ways: named(), traced: false, longest: LONGEST };
        writes.make(work, leader, "PRIMARY KEY (way, n)").await?;
        Ok(writes)
    }

    /// For a drill: the same client, one that reads from replicas, and one on each database host that writes to its own PostgreSQL.
    pub(super) async fn everywhere(work: &Work, leader: &Node, observer: &Node, replica_port: u16, longest: u64) -> Result<Self, Trouble> {
        let client = |node: &Node| {
            let mut ways = if node.name == observer.name { routed(node) } else { Map::new() };
            if node.name == observer.name {
                ways.insert(READS.to_owned(), json!({"host": "127.0.0.1", "port": replica_port, "reads": true}));
            }
            let own = json!({"host": "127.0.0.1", "port": node.port, "interval": LOCAL_INTERVAL, "spares_standbys": true});
            ways.insert(format!("{LOCAL}{}", node.name), own);
            Client { node: node.clone(), ways, until: UNTIL.to_owned() }
        };
        let clients = work.nodes.databases().map(client).collect();
        let writes = Self { table: DRILL_TABLE, clients, ways: named(), traced: true, longest };
        writes.make(work, leader, "CHECK (n > 0)").await?;
        Ok(writes)
    }

    /// For a drill that no host outlives: a client on this machine, which comes to the leader and to replicas through two nodes' routers.
    pub(super) async fn from_here(work: &Work, leader: &Node, observer: &Node, replica_port: u16, longest: u64) -> Result<Self, Trouble> {
        let routers = [leader, observer]
            .map(|node| (format!("leader port of {}", node.name), json!({"host": node.address, "port": node.leader_port})));
        let names = routers.iter().map(|(name, _)| name.clone()).collect();
        let mut ways = Map::from_iter(routers);
        ways.insert(READS.to_owned(), json!({"host": observer.address, "port": replica_port, "reads": true}));
        let until = std::env::temp_dir().join(format!("pgfleet-write-probe.{}.end", std::process::id()));
        let client = Client { node: leader.here(), ways, until: until.display().to_string() };
        let writes = Self { table: DRILL_TABLE, clients: vec![client], ways: names, traced: true, longest };
        writes.make(work, leader, "CHECK (n > 0)").await?;
        Ok(writes)
    }

    async fn make(&self, work: &Work, leader: &Node, constraint: &str) -> Result<(), Trouble> {
        leader.knows_app_password()?;
        let (table, user) = (self.table, ident(&leader.app_user));
        let sql = format!(
            "SET client_min_messages = warning;\nCREATE SCHEMA IF NOT EXISTS pgfleet;\nDROP TABLE IF EXISTS {table};\n\
             CREATE TABLE {table} (way text, n int, {constraint});\n\
             GRANT USAGE ON SCHEMA pgfleet TO {user};\nGRANT SELECT, INSERT ON {table} TO {user};"
        );
        work.nodes.sql(leader, "postgres", &sql, LIMIT).await?;
        for Client { node, until, .. } in &self.clients {
            work.nodes.run(node, &["rm", "-f", until.as_str()], "", LIMIT).await?;
        }
        Ok(())
    }

    /// Writes until it is ended; gives what each client tells, or why it tells nothing.
    pub(super) async fn go(&self, work: &Work) -> Vec<Result<Told, Lost>> {
        join_all(self.clients.iter().map(|client| self.write(work, client))).await
    }

    async fn write(&self, work: &Work, Client { node, ways, until }: &Client) -> Result<Told, Lost> {
        let lost = |reason: String| Lost { node: node.name.clone(), reason };
        let arguments = json!({
            "ways": ways,
            "user": node.app_user,
            "password": node.app_password,
            "table": self.table,
            "until": until,
            "limit": self.longest,
            "traced": self.traced,
        });
        let outcome = work.nodes.call_with(node, LANE, "write_probe", arguments, None, None).await.map_err(|error| lost(error.message))?;
        match outcome.data.get("ways") {
            Some(Value::Object(ways)) => {
                let began = outcome.data.get("began").and_then(Value::as_u64);
                Ok(Told { node: node.name.clone(), ways: ways.clone(), began })
            }
            _ => Err(lost(format!("{}: {}", node.name, outcome.message))),
        }
    }

    /// Waits until rows arrive through every way.
    pub(super) async fn begun(&self, work: &Work, leader: &Node) -> Result<(), Trouble> {
        let ways = self.ways.iter().map(|way| format!("'{way}'")).collect::<Vec<_>>().join(", ");
        let query = format!("SELECT count(DISTINCT way) FROM {} WHERE way IN ({ways});", self.table);
        work.until("rows arrive through every way", LIMIT, || async {
            let count = work.nodes.sql(leader, "postgres", &query, LIMIT).await?;
            if count == self.ways.len().to_string() { Ok(()) } else { Err(format!("{count} of {} so far", self.ways.len())) }
        })
        .await
    }

    /// Ends the writing.
    pub(super) async fn end(&self, work: &Work) {
        let ended =
            self.clients.iter().map(async |client| work.nodes.run(&client.node, &["touch", client.until.as_str()], "", LIMIT).await);
        for reason in join_all(ended).await.into_iter().filter_map(Result::err) {
            work.teller.say(&format!("the writing goes on for at most {} s: {reason}", self.longest));
        }
    }

    /// The rows that are there, by way.
    pub(super) async fn rows(&self, work: &Work, leader: &Node) -> Result<BTreeMap<String, Vec<u64>>, Trouble> {
        let query = format!("SELECT way, json_agg(n) AS rows FROM {} GROUP BY way", self.table);
        let rows = work.nodes.rows(leader, "postgres", &query, LIMIT).await?;
        let row = |row: &Map| {
            let numbers = row.get("rows")?.as_array()?.iter().filter_map(Value::as_u64).collect();
            Some((row.get("way")?.as_str()?.to_owned(), numbers))
        };
        Ok(rows.iter().filter_map(row).collect())
    }

    /// Compares what was acknowledged with what is there, and takes the table away.
    pub(super) async fn compare(&self, work: &Work, told: Vec<Result<Told, Lost>>, leader: &Node) -> Result<Vec<Witness>, Trouble> {
        let told = told.into_iter().collect::<Result<Vec<Told>, Lost>>().map_err(|lost| lost.reason)?;
        let rows = self.rows(work, leader).await?;
        let witness = |(way, told): (&String, &Value)| {
            let acknowledged = numbers(&told["acknowledged"]);
            let there: BTreeSet<u64> = rows.get(way).into_iter().flatten().copied().collect();
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
        let witnesses = told.iter().flat_map(|told| &told.ways).map(witness).collect();
        self.clear(work, leader).await;
        Ok(witnesses)
    }

    /// Takes the table away.
    pub(super) async fn clear(&self, work: &Work, leader: &Node) {
        if let Err(reason) = work.nodes.sql(leader, "postgres", &format!("DROP TABLE IF EXISTS {};", self.table), LIMIT).await {
            work.teller.say(&format!("the table {} in the database postgres is left over: {reason}", self.table));
        }
    }
}

/// The names of the ways that [`routed`] gives.
fn named() -> Vec<String> {
    ["leader port", "service name"].map(str::to_owned).to_vec()
}

/// The ways through the routers of a node.
fn routed(node: &Node) -> Map {
    Map::from_iter([
        ("leader port".to_owned(), json!({"host": "127.0.0.1", "port": node.leader_port})),
        ("service name".to_owned(), json!({"host": node.service_address, "port": node.port})),
    ])
}

/// Numbers from their ranges.
pub(super) fn numbers(ranges: &Value) -> BTreeSet<u64> {
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
