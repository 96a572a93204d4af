//! `secrets_use`: Patroni and HAProxy take up the passwords that their files have, and each node proves it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use pgfleet_protocol::Map;
use serde_json::json;

use super::{Done, Trouble, Work};
use crate::nodes::Node;
use crate::rotation::{self, Change, OF_PATRONI, Rotation};

const LIMIT: Duration = Duration::from_secs(30);
/// When PostgreSQL last read its configuration: Patroni makes it do so once it has read its own.
const READ_AT: &str = "SELECT extract(epoch FROM pg_conf_load_time());";

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let rotation = rotation::read(work.argument::<Map>("rotation")?.unwrap_or_default())?;
    let names: Vec<&str> = rotation.keys().map(String::as_str).collect();
    if work.is_check() {
        return Ok(Done::changed().with("summary", format!("Would change on every node: {}.", names.join(", "))));
    }
    let seen = work.look_at_members().await?;
    let leader = seen.view.working_leader()?.name.clone();
    if OF_PATRONI.iter().any(|name| rotation.contains_key(*name)) {
        // One replica goes first; what breaks there leaves the others as they were.
        let (first, rest): (Vec<&Node>, Vec<&Node>) = {
            let replicas: Vec<&Node> = work.nodes.databases().filter(|node| node.name != leader).collect();
            let rest = replicas.iter().skip(1).copied().chain(work.nodes.find(&leader)).collect();
            (replicas.into_iter().take(1).collect(), rest)
        };
        for nodes in [first, rest].into_iter().filter(|nodes| !nodes.is_empty()) {
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            work.step(&format!("Patroni uses them on {}", names.join(", ")), patroni(work, &nodes, &leader, &rotation)).await?;
        }
    }
    if let Some(change) = rotation.get("haproxy_stats") {
        work.step("HAProxy uses them", try_join_all(work.nodes.databases().map(|node| haproxy(work, node, change)))).await?;
    }
    let summary = format!("Changed on every node, and proven there: {}.", names.join(", "));
    Ok(Done::changed().with("summary", summary))
}

async fn patroni(work: &Work, nodes: &[&Node], leader: &str, rotation: &Rotation) -> Result<(), Trouble> {
    let read_at = async || {
        let told = work.each_says(READ_AT).await;
        told.into_iter().collect::<BTreeMap<String, String>>()
    };
    let before = read_at().await;
    try_join_all(nodes.iter().map(|node| reload(work, node, "patroni"))).await?;
    let limit = LIMIT + Duration::from_secs(nodes.first().map_or(10, |node| node.patroni_loop_wait));
    work.until("Patroni's reload", limit, async || {
        let now = read_at().await;
        let is_late = |node: &&&Node| !now.contains_key(&node.name) || now.get(&node.name) == before.get(&node.name);
        let Some(late) = nodes.iter().find(is_late) else { return Ok(()) };
        // One whose host is gone says nothing, for a reason that counts for more.
        Err(work.look().await.unreachable(&late.name).map_or_else(|| format!("not yet on {}", late.name), str::to_owned))
    })
    .await?;
    let leader = work.node(leader)?;
    // One replica after the other: each stops streaming for some seconds.
    for node in nodes {
        prove(work, node, leader, rotation).await?;
    }
    Ok(())
}

/// Lets a service read its configuration again. By systemd, which remembers when that was: a deploy asks it.
async fn reload(work: &Work, node: &Node, service: &str) -> Result<(), Trouble> {
    let ended = work.nodes.run(node, &["systemctl", "reload", service], "", LIMIT).await?;
    if ended.rc == 0 { Ok(()) } else { Err(Trouble::failed(format!("{}: {service} does not reload: {}", node.name, ended.stderr.trim()))) }
}

async fn post_reload(work: &Work, node: &Node, password: &str) -> Result<u64, String> {
    let url = format!("{}/reload", node.patroni_url);
    let question = json!({"url": url, "method": "POST", "body": {}, "user": "patroni", "password": password, "timeout": 10});
    work.nodes.ask(node, 1, question).await.map(|answer| answer.status)
}

/// The node's Patroni wants the new password and refuses the old one; its replica can connect anew, and streams.
async fn prove(work: &Work, node: &Node, leader: &Node, rotation: &Rotation) -> Result<(), Trouble> {
    if let Some(change) = rotation.get("patroni_rest") {
        work.until(&format!("{}: the new REST password", node.name), LIMIT, async || {
            match (post_reload(work, node, &change.password).await?, post_reload(work, node, &change.other).await?) {
                (202, 401) => Ok(()),
                (new, old) => Err(format!("it answers {new} to the new password and {old} to the old one")),
            }
        })
        .await?;
    }
    let Some(change) = rotation.get("replication") else { return Ok(()) };
    if node.name == leader.name {
        return Ok(());
    }
    connect_anew(work, node, change).await?;
    // With that very file: what a walreceiver does that connects anew.
    let target = format!(
        "host={} port={} user=replicator replication=true passfile=/var/lib/postgresql/.patroni.pgpass",
        leader.address, leader.port
    );
    let argv = ["runuser", "-u", "postgres", "--", "psql", "-X", "-w", "-A", "-t", "-d", target.as_str(), "-c", "IDENTIFY_SYSTEM"];
    work.until(&format!("{}: replication with the new password", node.name), LIMIT, async || {
        let ended = work.nodes.run(node, &argv, "", LIMIT).await?;
        if ended.rc != 0 {
            return Err(ended.stderr.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        let view = work.look().await.view;
        match view.member(&node.name) {
            Some(member) if member.is_well() => Ok(()),
            Some(member) => Err(format!("it is {}", member.state)),
            None => Err("it is no member".to_owned()),
        }
    })
    .await
}

/// Lets a replica's walreceiver connect anew. As long as it lives, Patroni keeps the old password in the file that the walreceiver
/// reads, and writes it there again at each reload: a connection that breaks weeks later would come back with it.
async fn connect_anew(work: &Work, node: &Node, change: &Change) -> Result<(), Trouble> {
    // The shell compares by itself: a password that a program is given stands in the list of processes.
    let file_has_it = "IFS= read -r new; while IFS= read -r line || [ -n \"$line\" ]; do case $line in *\":$new\") exit 0 ;; esac; done \
                       < /var/lib/postgresql/.patroni.pgpass; exit 1";
    let has_it = async || {
        let ended = work.nodes.run(node, &["sh", "-c", file_has_it], &format!("{}\n", change.password), LIMIT).await?;
        Ok::<bool, String>(ended.rc == 0)
    };
    if has_it().await? {
        return Ok(());
    }
    let process = work.nodes.sql(node, "postgres", "SELECT pid FROM pg_stat_wal_receiver;", LIMIT).await?;
    if !process.is_empty() {
        work.nodes.run(node, &["kill", process.trim()], "", LIMIT).await?;
    }
    let password = node.patroni_password.as_str();
    work.until(&format!("{}: the new password in Patroni's file", node.name), LIMIT, async || {
        if has_it().await? {
            return Ok(());
        }
        // A change of nothing wakes Patroni up: it sees that nothing streams, and writes the file.
        let url = format!("{}/config", node.patroni_url);
        let question =
            json!({"url": url, "method": "PATCH", "body": {"nothing": null}, "user": "patroni", "password": password, "timeout": 10});
        work.nodes.ask(node, 1, question).await?;
        Err("not yet".to_owned())
    })
    .await
}

/// Where HAProxy's new process reads what the old one knew; templates/haproxy.cfg.j2 names it.
const KNOWN: &str = "/run/haproxy/servers.state";

/// Lets HAProxy's next process know which servers are up. Otherwise it takes all of them for the leader until its first checks.
async fn hand_over(work: &Work, node: &Node) -> Result<(), Trouble> {
    let state = work.nodes.haproxy(node, "show servers state").await?;
    if !state.contains("leader") {
        return Err(Trouble::failed(format!("{}: HAProxy does not tell which servers are up", node.name)));
    }
    let ended = work.nodes.run(node, &["sh", "-c", "cat > \"$0\"", KNOWN], &state, LIMIT).await?;
    if ended.rc == 0 { Ok(()) } else { Err(Trouble::failed(format!("{}: {KNOWN}: {}", node.name, ended.stderr.trim()))) }
}

async fn haproxy(work: &Work, node: &Node, change: &Change) -> Result<(), Trouble> {
    let port: u16 = work.argument("stats_port")?.unwrap_or(7000);
    let user: String = work.argument("stats_user")?.unwrap_or_else(|| "admin".to_owned());
    hand_over(work, node).await?;
    reload(work, node, "haproxy").await?;
    let asked = async |password: &str| {
        let url = format!("http://{}:{port}/;csv", node.address);
        let question = json!({"url": url, "user": user, "password": password, "timeout": 5});
        work.nodes.ask(node, 1, question).await.map(|answer| answer.status)
    };
    work.until(&format!("{}: the new statistics password", node.name), LIMIT, async || {
        match (asked(&change.password).await?, asked(&change.other).await?) {
            (200, 401) => Ok(()),
            (new, old) => Err(format!("it answers {new} to the new password and {old} to the old one")),
        }
    })
    .await?;
    // A later start must not believe it.
    work.nodes.run(node, &["rm", "-f", KNOWN], "", LIMIT).await?;
    Ok(())
}
