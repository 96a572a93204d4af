//! `secrets_set`: roles get new passwords. PostgreSQL is only told verifiers, and each password is tried from every node.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use pgfleet_protocol::{Map, Secret};
use serde_json::Value;

use super::seen::{SQL, Seen};
use super::{Done, Trouble, Work};
use crate::credentials::verifies;
use crate::nodes::Node;
use crate::rotation::{self, Rotation};
use crate::sql::{ident, literal};

/// Until every node has what the leader has, and lets the new passwords in.
const LIMIT: Duration = Duration::from_secs(30);
/// Patroni's ttl, and time for the new leader to begin.
const TAKEN_OVER: Duration = Duration::from_secs(90);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let rotation = rotation::read(work.argument::<Map>("rotation")?.unwrap_or_default())?;
    let users: BTreeMap<String, String> = work.argument("users")?.unwrap_or_default();
    let (back, resumed) = (work.argument("back")?.unwrap_or(false), work.argument("resumed")?.unwrap_or(false));
    let seen = if back { led(work).await? } else { work.look_at_members().await? };
    let leader = seen.view.working_leader()?.name.clone();
    match (back, resumed) {
        (true, _) => {}
        (false, true) => seen.view.may_finish_passwords()?,
        (false, false) => seen.view.may_change_passwords()?,
    }
    if work.argument("only_look")?.unwrap_or(false) {
        return Ok(Done::unchanged());
    }
    let leader = work.node(&leader)?;
    let roles: Vec<(&str, &str)> = rotation.keys().filter_map(|name| Some((name.as_str(), users.get(name)?.as_str()))).collect();
    let names: Vec<&str> = rotation.keys().map(String::as_str).collect();
    if work.is_check() {
        return Ok(Done::changed().with("summary", format!("Would change: {}.", names.join(", "))));
    }
    // One that an interrupted change has shut out gets them once its Patroni logs in with them, which is the next step.
    let is_shut_out = |node: &&Node| (back || resumed) && seen.well(&node.name, 0).is_err();
    let nodes: Vec<&Node> = work.nodes.databases().filter(|node| !is_shut_out(node)).collect();
    let changed = work.step("the roles have their passwords", set(work, leader, &rotation, &roles)).await?;
    let arrived = work.step(
        "every node knows them",
        work.until("the passwords on every node", LIMIT, async || arrived(work, &nodes, &rotation, &roles).await),
    );
    arrived.await?;
    let tried = work.step("every node logs in with them", async {
        try_join_all(work.nodes.databases().map(|node| log_in(work, node, leader, &rotation, &users))).await
    });
    tried.await?;
    Ok(if changed { Done::changed() } else { Done::unchanged() })
}

/// The cluster once somebody leads: what failed on the way forth may have been the leader's host, and another node takes its place.
async fn led(work: &Work) -> Result<Seen, Trouble> {
    let led = work.until("somebody leads", TAKEN_OVER, || async {
        let seen = work.look().await;
        let leads = match seen.view.working_leader() {
            Err(objection) => Err(objection.reason),
            // Its key outlasts its host for a while.
            Ok(leader) if work.nodes.find(&leader.name).is_none() => Err(format!("{} leads, and is out of reach", leader.name)),
            Ok(leader) => seen.unreachable(&leader.name).map_or(Ok(()), |reason| Err(reason.to_owned())),
        };
        leads.map(|()| seen)
    });
    led.await
}

/// What each node has for the roles: a verifier by role.
async fn verifiers(work: &Work, node: &Node, roles: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
    let list: Vec<String> = roles.iter().map(|(_, role)| literal(role)).collect();
    if list.is_empty() {
        return Ok(BTreeMap::new());
    }
    let query = format!("SELECT rolname, coalesce(rolpassword, '') AS verifier FROM pg_authid WHERE rolname IN ({})", list.join(", "));
    let rows = work.nodes.rows(node, "postgres", &query, SQL).await?;
    let text = |row: &Map, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(rows.iter().map(|row| (text(row, "rolname"), text(row, "verifier"))).collect())
}

async fn set(work: &Work, leader: &Node, rotation: &Rotation, roles: &[(&str, &str)]) -> Result<bool, Trouble> {
    let now = verifiers(work, leader, roles).await?;
    if let Some((_, missing)) = roles.iter().find(|(_, role)| !now.contains_key(*role)) {
        return Err(Trouble::failed(format!("{}: there is no role '{missing}'", leader.name)).hint("'pgfleet deploy' makes it"));
    }
    let has = |name: &str, role: &str| verifies(&now[role], &Secret::new(rotation[name].password.as_str()));
    let late: Vec<&(&str, &str)> = roles.iter().filter(|(name, role)| !has(name, role)).collect();
    if late.is_empty() {
        return Ok(false);
    }
    // One transaction, and nothing of it in a log. Nobody is waited for, since a replica may be shut out until then; each is looked at afterwards.
    let mut sql = String::from(
        "SET synchronous_commit = local;\nSET log_min_error_statement = panic;\nSET log_statement = 'none';\nSET log_min_duration_statement = -1;\nBEGIN;\n",
    );
    for (name, role) in late {
        sql.push_str(&format!("ALTER ROLE {} PASSWORD {};\n", ident(role), literal(&rotation[*name].verifier)));
    }
    sql.push_str("COMMIT;\n");
    work.nodes.sql(leader, "postgres", &sql, LIMIT).await?;
    Ok(true)
}

/// Nothing once each of these nodes has verifiers of the passwords; otherwise which has not.
async fn arrived(work: &Work, nodes: &[&Node], rotation: &Rotation, roles: &[(&str, &str)]) -> Result<(), String> {
    let each = join_all(nodes.iter().map(async |node| (node.name.as_str(), verifiers(work, node, roles).await))).await;
    for (node, answer) in each {
        let now = answer?;
        let late = roles.iter().find(|(name, role)| {
            now.get(*role).is_none_or(|verifier| !verifies(verifier, &Secret::new(rotation[*name].password.as_str())))
        });
        if let Some((_, role)) = late {
            return Err(format!("{node} has not got that of {role} yet"));
        }
    }
    Ok(())
}

/// Logs in with each password as its user does: replication and rewind at the leader, the others through HAProxy.
async fn log_in(work: &Work, node: &Node, leader: &Node, rotation: &Rotation, users: &BTreeMap<String, String>) -> Result<(), Trouble> {
    for (name, change) in rotation {
        let Some(user) = users.get(name) else { continue };
        let target = match name.as_str() {
            "replication" => format!("host={} port={} user={user} replication=true", leader.address, leader.port),
            "rewind" => format!("host={} port={} user={user} dbname=postgres", leader.address, leader.port),
            "app" | "readonly" => format!("host=127.0.0.1 port={} user={user} dbname={}", node.leader_port, node.database),
            // The superuser logs in by who the system says it is; its verifier was compared.
            _ => continue,
        };
        let question = if name == "replication" { "IDENTIFY_SYSTEM" } else { "SELECT 1" };
        work.until(&format!("{}: a login of {user}", node.name), LIMIT, async || {
            try_password(work, node, &target, question, &change.password).await
        })
        .await?;
    }
    Ok(())
}

/// Asks a question with a password, which is the first line of the input and on no list of processes.
pub(super) async fn try_password(work: &Work, node: &Node, target: &str, question: &str, password: &str) -> Result<(), String> {
    let script = "IFS= read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=5; exec psql -X -w -A -t -d \"$0\" -c \"$1\"";
    let ended = work.nodes.run(node, &["sh", "-c", script, target, question], &format!("{password}\n"), SQL).await?;
    if ended.rc == 0 { Ok(()) } else { Err(ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ")) }
}
