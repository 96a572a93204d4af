//! `patroni_reinit`: a replica throws its data away and copies the leader's, with progress told from the leader.

use std::time::{Duration, Instant};

use pgfleet_cluster::shown_bytes;
use serde_json::{Value, json};

use super::absence::Absence;
use super::seen::SQL;
use super::{Done, Trouble, Work};
use crate::nodes::Node;
use crate::sql::literal;

/// Without any news for so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long Patroni may take to begin.
const BEGIN: Duration = Duration::from_secs(60);
/// So many copies that break off are no accident; each of Patroni's is two of pg_basebackup.
const BREAKS: usize = 2;
/// What Patroni says of itself while it copies.
const COPYING: &str = "creating replica";
/// The data that lies in the data folder, without tablespaces elsewhere, in bytes.
const SIZE: &str = "SELECT pg_tablespace_size('pg_default') + pg_tablespace_size('pg_global');";
/// Bytes that are free where the data folder is, and bytes of the data that goes; nothing where counting them takes too long.
const ROOM: &str = "at=$0; used=0; if [ -d \"$at\" ]; then used=$(timeout 8 du -s -B1 \"$at\" | cut -f 1); else at=${at%/*}; fi; \
                    [ -z \"$used\" ] || { df --output=avail -B1 \"$at\" | tail -n 1; echo \"$used\"; }";

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let name: String = work.argument("node")?.ok_or_else(|| Trouble::failed("which node? give target_node"))?;
    let forced: bool = work.argument("force")?.unwrap_or(false);
    let node = work.node(&name)?;
    let seen = work.look_at_members().await?;
    seen.view.may_copy_anew(&name, forced)?;
    let leader = work.node(&seen.view.working_leader()?.name)?;
    if !seen.speaking().contains(&name.as_str()) {
        let trouble = Trouble::refused(format!("no Patroni answers on {name}"));
        return Err(trouble.hint(format!("start it with 'pgfleet start {name}'; 'pgfleet logs {name}' says why it does not run")));
    }
    let size = bytes_of(work, leader, SIZE).await.unwrap_or_default();
    if !forced {
        has_room(work, node, leader, size).await?;
    }
    if work.is_check() {
        let text = format!("{name} would throw its data away and copy about {} MB from {}.", size / 1_000_000, leader.name);
        return Ok(Done::changed().with("summary", text));
    }
    let started = seen.started(&name);
    let begin = Instant::now();
    let copied = work.step(&format!("copy of {}'s data to {name}", leader.name), copy(work, node, leader, started)).await?;
    let position = work.look().await.written().unwrap_or_default();
    let what = format!("{name} streams and has caught up");
    let names = [name.as_str()];
    let caught = work.until_seen(&what, PATIENCE, &names, |seen| seen.well(&name, position).map(drop));
    work.step(&what, caught).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let summary = format!("{name} is made anew from {} and streams: {} MB in {seconds:.1} s.", leader.name, copied / 1_000_000);
    Ok(Done::changed().with("summary", summary).with("bytes", copied).with("seconds", seconds))
}

/// Asks for it, and watches until PostgreSQL was started on the new data. Gives the bytes that were copied.
async fn copy(work: &Work, node: &Node, leader: &Node, started: Option<String>) -> Result<u64, Trouble> {
    let answer = work.nodes.patroni(node, "POST", "/reinitialize", &json!({"force": true}), Duration::from_secs(30)).await;
    let begin = Instant::now();
    let absence = Absence::default();
    let (mut last, mut news, mut begun, mut most) = (String::new(), Instant::now(), false, 0);
    let (mut was_copying, mut breaks) = (false, 0);
    loop {
        let seen = work.look().await;
        // A leader that is lost meanwhile may have no successor: what was acknowledged may have been on this replica alone beside it.
        if let Some(reason) = absence.lost(&seen, &[&node.name, &leader.name]) {
            let trouble = Trouble::unverified(format!("{} was to copy {}'s data: {reason}", node.name, leader.name));
            return Err(trouble.hint("Patroni goes on when that host is back, or another node leads; see 'pgfleet status', or ask again"));
        }
        let state = seen.own(&node.name).get("state").and_then(Value::as_str).unwrap_or("not answering").to_owned();
        let member = seen.view.member(&node.name).map(|member| member.state.clone()).unwrap_or_default();
        begun = begun || state != "running" || !matches!(member.as_str(), "streaming" | "running");
        let asked = async { if seen.unreachable(&leader.name).is_none() { progress(work, leader, &node.address).await } else { None } };
        let progress = asked.await.unwrap_or_default();
        begun = begun || progress.total > 0;
        most = most.max(progress.streamed);
        if begun && state == "running" && seen.started(&node.name).is_some_and(|now| Some(now) != started) {
            return Ok(most);
        }
        breaks += usize::from(was_copying && state == "stopped");
        was_copying = state == COPYING;
        if breaks == BREAKS {
            let trouble = Trouble::unverified(format!("the copy to {} breaks off again and again: {}", node.name, work.cause(node).await));
            return Err(
                trouble.hint("Patroni goes on trying by itself: mend the cause, and 'pgfleet status --watch' shows when it streams")
            );
        }
        if !begun && begin.elapsed() > BEGIN {
            let told = match &answer {
                Ok(answer) => format!("Patroni answers {}: {}", answer.status, answer.body.trim()),
                Err(reason) => reason.clone(),
            };
            return Err(Trouble::failed(format!("{} has not begun to copy: {told}", node.name)));
        }
        if begun && work.stop.is_asked() {
            let trouble = Trouble::unverified(format!("{} goes on copying; nobody waits for it", node.name));
            return Err(trouble.hint("'pgfleet status --watch' shows when it streams"));
        }
        let now = format!("{state} {} {most}", progress.phase);
        if now != last {
            (last, news) = (now, Instant::now());
        }
        if news.elapsed() > PATIENCE {
            let trouble = Trouble::unverified(format!("{} is {state}, and nothing has moved for {} s", node.name, PATIENCE.as_secs()));
            return Err(trouble.hint(format!("'pgfleet logs {}' says why", node.name)));
        }
        let what = if progress.phase.is_empty() { state } else { format!("{}{}", progress.phase, eta(&progress, begin.elapsed())) };
        work.teller.progress(&format!("{}: {what}", node.name), progress.streamed, Some(progress.total).filter(|total| *total > 0));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The data that is there goes first: no copy is begun that cannot end. A node that does not tell is no reason against it.
async fn has_room(work: &Work, node: &Node, leader: &Node, size: u64) -> Result<(), Trouble> {
    let asked = work.nodes.run(node, &["sh", "-c", ROOM, &node.data_dir], "", SQL).await;
    let told: Vec<u64> = asked.map(|told| told.stdout.lines().filter_map(|line| line.trim().parse().ok()).collect()).unwrap_or_default();
    let [free, own] = *told.as_slice() else { return Ok(()) };
    if free + own >= size {
        return Ok(());
    }
    let [free, own, size] = [free, own, size].map(shown_bytes);
    let trouble = Trouble::refused(format!(
        "{} has no room for {}'s data of {size}: {free} are free, and {own} of its own would go",
        node.name, leader.name
    ));
    Err(trouble.hint("make room; --force begins all the same"))
}

#[derive(Default)]
struct Progress {
    phase: String,
    streamed: u64,
    total: u64,
}

/// What is left, at the speed so far.
fn eta(progress: &Progress, spent: Duration) -> String {
    if progress.streamed == 0 || progress.total <= progress.streamed || spent < Duration::from_secs(2) {
        return String::new();
    }
    let left = spent.as_secs_f64() * (progress.total - progress.streamed) as f64 / progress.streamed as f64;
    format!(", {} s left", left.ceil())
}

async fn progress(work: &Work, leader: &Node, address: &str) -> Option<Progress> {
    let query = format!(
        "SELECT phase, coalesce(backup_streamed, 0) AS streamed, coalesce(backup_total, 0) AS total \
         FROM pg_stat_progress_basebackup JOIN pg_stat_replication USING (pid) WHERE host(client_addr) = {}",
        literal(address)
    );
    let rows = work.nodes.rows(leader, "postgres", &query, SQL).await.ok()?;
    let row = rows.first()?;
    let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
    Some(Progress {
        phase: row.get("phase").and_then(Value::as_str).unwrap_or_default().to_owned(),
        streamed: number("streamed"),
        total: number("total"),
    })
}

async fn bytes_of(work: &Work, node: &Node, query: &str) -> Option<u64> {
    work.nodes.sql(node, "postgres", query, SQL).await.ok()?.trim().parse().ok()
}
