//! `postgresql_connection`: what applications connect to, each way tried from a node, and the node to open a session on.

use std::time::Duration;

use pgfleet_cluster::{Endpoints, Format, Role, Way, node_for, ways, written};
use serde_json::{Value, json};

use super::{Done, Trouble, Work};
use crate::nodes::Node;

/// Above the limit that psql itself has for each of the hosts it tries.
const LIMIT: Duration = Duration::from_secs(30);
const QUESTION: &str = "SELECT host(inet_server_addr()), pg_is_in_recovery()";

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let nodes: Vec<&Node> = work.nodes.databases().collect();
    let Some(first) = nodes.first().copied() else { return Err(Trouble::refused("no host of the play has a PostgreSQL")) };
    let needed = |name: &str| work.argument::<String>(name)?.ok_or_else(|| Trouble::failed(format!("argument '{name}' is missing")));
    let port = |name: &str| work.argument::<u16>(name)?.ok_or_else(|| Trouble::failed(format!("argument '{name}' is missing")));
    let endpoints = Endpoints {
        addresses: nodes.iter().map(|node| node.address.clone()).collect(),
        port: first.port,
        leader_port: first.leader_port,
        replica_port: port("replica_port")?,
        any_port: port("any_port")?,
        service_name: needed("service_name")?,
        user: needed("user")?,
        database: first.database.clone(),
    };
    let mut done = Done::unchanged().with("cluster", first.cluster.clone()).with("bin_dir", first.bin_dir.clone());
    if let Some(wanted) = work.argument::<String>("choose")? {
        let role = match wanted.as_str() {
            "replica" => Role::Replica,
            "any" => Role::Any,
            _ => Role::Leader,
        };
        let (view, _) = work.nodes.view().await;
        let name = node_for(&view, role).map_err(|reason| Trouble::refused(reason).hint("see pgfleet status"))?;
        let is_leader = view.leader().is_some_and(|leader| leader.name == name);
        done = done.with("node", name).with("role", if is_leader { "leader" } else { "replica" });
    }
    if work.argument("test")?.unwrap_or(false) {
        done = done.with("tried", tried(work, &endpoints).await?);
    }
    Ok(done.with("endpoints", json!(endpoints)))
}

/// What each way leads to, asked from the first node that answers.
async fn tried(work: &Work, endpoints: &Endpoints) -> Result<Vec<Value>, Trouble> {
    let (_, answers) = work.nodes.view().await;
    let answering = answers.iter().find(|answer| answer.is_database && answer.probe.is_ok());
    let from =
        answering.ok_or_else(|| Trouble::failed("no node can be reached, so that nothing can be tried").hint("see pgfleet status"))?;
    let from = work.node(&from.node)?;
    from.knows_app_password()?;
    let ways = ways(endpoints);
    let mut tried = Vec::new();
    // One after the other, so that each has its own time.
    for way in &ways {
        tried.push(ask(work, from, endpoints, way).await);
    }
    Ok(tried)
}

async fn ask(work: &Work, from: &Node, endpoints: &Endpoints, way: &Way) -> Value {
    let uri = written(way, Format::Libpq, &endpoints.user, &endpoints.database, None);
    // The password is the first line of the input, so that no list of processes shows it.
    let script = "IFS= read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=5; exec psql -X -w -A -t -F ' ' -d \"$0\" -c \"$1\"";
    let argv = ["sh", "-c", script, uri.as_str(), QUESTION];
    let password = format!("{}\n", from.app_password);
    let begin = std::time::Instant::now();
    let answer = match work.nodes.run(from, &argv, &password, LIMIT).await {
        Ok(ended) if ended.rc == 0 => Ok(ended.stdout.trim().to_owned()),
        Ok(ended) => Err(ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ")),
        Err(error) => Err(error),
    };
    let seconds = begin.elapsed().as_secs_f64();
    let (node, role, error) = match &answer {
        Err(error) => (None, None, Some(error.clone())),
        Ok(text) => {
            let (address, in_recovery) = text.split_once(' ').unwrap_or((text, ""));
            let name = work.nodes.databases().find(|node| node.address == address).map_or(address, |node| node.name.as_str());
            let role = if in_recovery == "f" { Role::Leader } else { Role::Replica };
            let wrong = way.role != Role::Any && way.role != role;
            (Some(name.to_owned()), Some(role), wrong.then(|| "this is not the role that was asked for".to_owned()))
        }
    };
    json!({"way": way, "from": from.name, "node": node, "role": role, "error": error, "seconds": seconds})
}
