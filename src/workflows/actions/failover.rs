//! `patroni_failover`: a node takes over without the leader's help. What it lacks is said in bytes, and must be agreed to.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgfleet_cluster::{Standing, Successor, Witnesses, choose_successor};
use serde_json::{Value, json};

use super::seen::Seen;
use super::{Done, Trouble, Work, voters};

/// A leader goes on writing while a person thinks: so much more is still what was agreed to.
const SLACK: u64 = 1 << 20;
/// A leader that is gone keeps its place for its time to live, and a promotion may have much to replay.
const LIMIT: Duration = Duration::from_secs(180);
/// How long the others may take until they follow.
const FOLLOW: Duration = Duration::from_secs(90);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let wanted: Option<String> = work.argument("candidate")?;
    let forced: bool = work.argument("force")?.unwrap_or(false);
    let agreed: Option<u64> = work.argument("agreed")?;
    if let Some(name) = &wanted {
        work.node(name)?;
    }
    let seen = work.look_at_members().await?;
    let standings = standings(work, &seen);
    let (status, sync) = tokio::join!(kept(work, &seen, "status"), kept(work, &seen, "sync"));
    // The last position of a leader that Patroni has kept.
    let written = status["optime"].as_u64().max(seen.written()).unwrap_or_default();
    let successor = choose_successor(&seen.view, &standings, written, &Witnesses::read(&sync), wanted.as_deref())?;
    let mut loss = loss(&successor);
    if sync.is_null() && seen.view.synchronous_mode != "off" {
        loss += " etcd did not say whom commits waited for: what only nodes have that do not answer is lost.";
    }
    let leader_is_silent = seen.view.leader().is_none_or(|leader| seen.own(&leader.name).is_null());
    if seen.view.synchronous_mode == "off" && leader_is_silent {
        loss += " Replication is asynchronous: the lost leader may have acknowledged more in its last seconds.";
    }
    let lost = loss.clone();
    if successor.leader_works
        && let Some(leader) = seen.view.leader()
    {
        loss += &format!(" {} leads and works: its sessions end.", leader.name);
    }
    if work.is_check() {
        let summary = format!("{} would lead. {loss}", successor.name);
        let done = Done::changed().with("summary", summary).with("loss", loss);
        return Ok(done.with("candidate", successor.name).with("behind", successor.behind));
    }
    if !forced && agreed.is_none_or(|agreed| successor.behind > agreed.saturating_add(SLACK)) {
        let trouble = Trouble::refused(format!("nobody has agreed to this: {loss}"));
        return Err(trouble.hint("look with --check, then give --force"));
    }
    let timeline = standings.iter().map(|standing| standing.timeline).max().unwrap_or_default();
    let old = seen.view.leader().map(|leader| leader.name.clone());
    let node = work.speaker(&seen)?;
    let begin = Instant::now();
    let name = successor.name.clone();
    let what = format!("{name} leads on a new timeline");
    let promoted = async {
        let body = json!({"candidate": name});
        let answer = work.nodes.patroni(node, "POST", "/failover", &body, Duration::from_secs(60)).await;
        let refused = match &answer {
            Ok(answer) if matches!(answer.status, 400 | 401 | 403 | 412) => Some(format!("{}: {}", answer.status, answer.body.trim())),
            _ => None,
        };
        // An error is no answer to the question who leads: that is asked of the cluster.
        let limit = if refused.is_some() { Duration::from_secs(5) } else { LIMIT };
        let waited = work.until(&what, limit, async || leads(&work.look().await, &name, timeline)).await;
        waited.map_err(|trouble| match refused {
            Some(told) => Trouble::failed(format!("Patroni on {} refuses the failover: {told}", node.name)),
            None => trouble,
        })
    };
    let timeline = work.step(&what, promoted).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let follow = work.step("the other nodes follow", async { Ok(follow(work, &name).await) }).await?;
    voters::keep_apart(work).await;
    let was = old.filter(|old| *old != name).map(|old| format!(" instead of {old}")).unwrap_or_default();
    let summary = format!("{name} leads{was} on timeline {timeline}, after {seconds:.1} s. {lost}{follow}");
    Ok(Done::changed().with("summary", summary).with("leader", name).with("timeline", timeline).with("behind", successor.behind))
}

/// What is lost, in a sentence.
fn loss(successor: &Successor) -> String {
    let mut text = match successor.behind {
        0 => format!("{} has everything that is known to have been written.", successor.name),
        bytes => format!("{} lacks the last {bytes} bytes of the log: what was written there is lost.", successor.name),
    };
    if let [first, rest @ ..] = successor.unheard.as_slice() {
        let names = rest.iter().fold(first.clone(), |names, name| format!("{names}, {name}"));
        text += &format!(" Not heard: {names}. A row that was acknowledged just before may be there alone, and is lost then.");
    }
    if successor.is_outdated {
        text += " It follows an older timeline than another node: that node's writes are lost.";
    }
    text
}

fn standings(work: &Work, seen: &Seen) -> Vec<Standing> {
    let leader = seen.view.leader().map(|leader| leader.name.as_str());
    let standing = |name: &str| {
        let own = seen.own(name);
        if own.get("state").and_then(Value::as_str) != Some("running") {
            return None;
        }
        let (received, _) = seen.received(name)?;
        Some(Standing { name: name.to_owned(), timeline: own.get("timeline").and_then(Value::as_u64).unwrap_or_default(), received })
    };
    let names = work.nodes.databases().map(|node| node.name.as_str()).filter(|name| Some(*name) != leader);
    names.filter_map(standing).collect()
}

/// What Patroni has kept in etcd under a key of the cluster; null where it cannot be read.
async fn kept(work: &Work, seen: &Seen, key: &str) -> Value {
    let Some(voter) = work.nodes.all().iter().find(|node| seen.view.etcd.iter().any(|voter| voter.healthy && voter.name == node.name))
    else {
        return Value::Null;
    };
    let key = STANDARD.encode(format!("/service/{}/{key}", voter.cluster));
    let told = work.nodes.etcd(voter, 0, "/v3/kv/range", &json!({"key": key}), Duration::from_secs(5)).await.unwrap_or_default();
    let value = told["kvs"][0]["value"].as_str().and_then(|text| STANDARD.decode(text).ok());
    value.and_then(|value| serde_json::from_slice(&value).ok()).unwrap_or_default()
}

fn leads(seen: &Seen, name: &str, before: u64) -> Result<u64, String> {
    let own = seen.own(name);
    let timeline = own.get("timeline").and_then(Value::as_u64).unwrap_or_default();
    let role = own.get("role").and_then(Value::as_str).unwrap_or("not answering");
    match seen.view.leader() {
        Some(leader) if leader.name == name && leader.is_well() && matches!(role, "primary" | "master") && timeline > before => {
            Ok(timeline)
        }
        Some(leader) if leader.name == name => Err(format!("it is {} on timeline {timeline}", leader.state)),
        Some(leader) => Err(format!("{} has the leader's place", leader.name)),
        None => Err("nobody leads".to_owned()),
    }
}

/// Waits for the others; those that do not follow are named, since the failover itself is done.
async fn follow(work: &Work, leader: &str) -> String {
    let late = async || {
        let seen = work.look().await;
        let others = work.nodes.databases().map(|node| node.name.as_str()).filter(|name| *name != leader);
        others.filter(|name| seen.well(name, 0).is_err()).map(str::to_owned).collect::<Vec<_>>()
    };
    let waited = work.until("the other nodes follow", FOLLOW, async || {
        let seen = work.look().await;
        // A host that is gone is not waited for.
        let late: Vec<String> =
            late().await.into_iter().filter(|name| seen.unreachable(name).is_none() && !seen.own(name).is_null()).collect();
        if late.is_empty() { Ok(()) } else { Err(format!("not yet {}", late.join(", "))) }
    });
    drop(waited.await);
    match late().await.as_slice() {
        [] => String::new(),
        names => format!(" Not streaming yet: {}; see 'pgfleet status' and 'pgfleet logs'.", names.join(", ")),
    }
}
