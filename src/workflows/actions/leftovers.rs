//! `cluster_leftovers`: what an earlier try left on the hosts is told apart, and adopted or wiped where a person says so.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::try_join_all;
use pgfleet_cluster::{Leftovers, Policy, Remains, leftovers};
use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::{Done, Trouble, Work};
use crate::nodes::Node;

const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let found = work.argument::<Map>("found")?.unwrap_or_default();
    let policy = match work.argument::<String>("policy")?.unwrap_or_default().as_str() {
        "adopt" => Policy::Adopt,
        "wipe" => Policy::Wipe,
        _ => Policy::Stop,
    };
    let typed = work.argument::<String>("wipe")?.unwrap_or_default();
    let remains: Vec<Remains> = work.nodes.all().iter().filter_map(|node| found.get(&node.name).map(|facts| read(node, facts))).collect();
    let Some(cluster) = work.nodes.all().first().map(|node| node.cluster.clone()) else { return Ok(Done::unchanged()) };
    match leftovers(&cluster, &remains, policy, &typed)? {
        Leftovers::None => Ok(Done::unchanged()),
        Leftovers::Adopt(names) => {
            let first = most(work, &names).await?;
            work.teller.say(&format!("the data on {first} is adopted"));
            Ok(Done::unchanged().with("first", first))
        }
        Leftovers::Wipe { data, keys, voters } => {
            let what = [
                data.iter().map(|node| format!("the data on {node}")).collect::<Vec<_>>(),
                voters.iter().map(|node| format!("etcd's on {node}")).collect(),
            ];
            let mut what = what.concat();
            if keys {
                what.push("what etcd remembers of the cluster".to_owned());
            }
            if !work.is_check() {
                wipe(work, &cluster, &data, keys, &voters).await?;
            }
            Ok(Done::changed().with("summary", format!("Wiped: {}.", what.join(", "))))
        }
    }
}

fn read(node: &Node, facts: &Value) -> Remains {
    let text = |name: &str| facts[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let decoded = |text: String| String::from_utf8(STANDARD.decode(text).ok()?).ok();
    Remains {
        node: node.name.clone(),
        system: text("system").filter(|_| node.is_node),
        owned: text("scope").as_deref() == Some(&node.cluster),
        patroni: node.is_node && text("patroni").as_deref() == Some("active"),
        etcd: text("etcd_cluster").filter(|_| node.is_voter),
        initialize: text("initialize").and_then(decoded),
    }
}

/// The node whose data goes furthest: its timeline, then whether it was a leader, then its position.
async fn most(work: &Work, names: &[String]) -> Result<String, Trouble> {
    let mut best: Option<((u64, bool, u64), String)> = None;
    for name in names {
        let node = work.node(name)?;
        let program = format!("{}/pg_controldata", node.bin_dir);
        let ended = work.nodes.run(node, &["env", "LC_ALL=C", &program, "-D", &node.data_dir], "", LIMIT).await?;
        if ended.rc != 0 {
            return Err(Trouble::refused(format!("{name}: pg_controldata does not read the data: {}", ended.stderr.trim())));
        }
        let line = |label: &str| {
            ended.stdout.lines().find_map(|line| line.strip_prefix(label)).map(|rest| rest.trim_start_matches(':').trim().to_owned())
        };
        let timeline = line("Latest checkpoint's TimeLineID").and_then(|text| text.parse().ok()).unwrap_or_default();
        let led = line("Database cluster state").is_some_and(|state| matches!(state.as_str(), "in production" | "shut down"));
        let position = |label: &str| line(label).and_then(|text| lsn(&text)).unwrap_or_default();
        let reached = position("Latest checkpoint location").max(position("Minimum recovery ending location"));
        let this = (timeline, led, reached);
        if best.as_ref().is_none_or(|(other, _)| this > *other) {
            best = Some((this, name.clone()));
        }
    }
    best.map(|(_, name)| name).ok_or_else(|| Trouble::refused("no node holds data"))
}

fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}

async fn wipe(work: &Work, cluster: &str, data: &[String], keys: bool, voters: &[String]) -> Result<(), Trouble> {
    // The folder itself may be a mount point.
    let script = "systemctl stop \"$1\" 2>/dev/null; [ -d \"$2\" ] || exit 0; find \"$2\" -mindepth 1 -delete";
    let clear = async |name: &String, unit: &str, folder: String| {
        let node = work.node(name)?;
        let ended = work.nodes.run(node, &["sh", "-c", script, "sh", unit, &folder], "", LIMIT).await?;
        if ended.rc == 0 { Ok(()) } else { Err(Trouble::failed(format!("{name}: {folder} is not empty: {}", ended.stderr.trim()))) }
    };
    if keys {
        let voter = work.nodes.all().iter().find(|node| node.is_voter && !voters.contains(&node.name));
        let Some(voter) = voter else { return Err(Trouble::failed("no voter is left to forget the cluster")) };
        // All keys that begin so: up to the next text of that length.
        let keys =
            json!({"key": STANDARD.encode(format!("/service/{cluster}/")), "range_end": STANDARD.encode(format!("/service/{cluster}0"))});
        work.nodes.etcd(voter, 0, "/v3/kv/deleterange", &keys, LIMIT).await?;
    }
    let nodes = data.iter().map(async |name| {
        let folder = work.node(name)?.data_dir.clone();
        clear(name, "patroni", folder).await
    });
    work.step("data wiped", try_join_all(nodes)).await?;
    work.step("etcd wiped", try_join_all(voters.iter().map(|name| clear(name, "etcd", format!("/var/lib/etcd/{cluster}"))))).await?;
    Ok(())
}
