//! `patroni_restart`: PostgreSQL restarts on one node after the other. The leader's turn comes after it has handed over, which is
//! another task: this one then says `hand_over`, and is called once more.

use std::time::{Duration, Instant};

use pgfleet_cluster::{RestartPlan, RestartWish, plan_restart};
use pgfleet_protocol::Items;
use serde_json::{Value, json};

use super::absence::Absence;
use super::{Done, Trouble, Work};

/// A PostgreSQL with much to recover takes its time.
const LIMIT: Duration = Duration::from_secs(600);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let node: Option<String> = work.argument("node")?;
    let wish = RestartWish {
        node: node.as_deref(),
        pending: work.argument("pending")?.unwrap_or(false),
        in_place: work.argument("in_place")?.unwrap_or(false),
        forced: work.argument("force")?.unwrap_or(false),
    };
    let since: Option<String> = work.argument("since")?;
    let done_before: Items = work.argument("restarted")?.unwrap_or_default();
    if let Some(name) = &node {
        work.node(name)?;
    }
    let seen = work.look_at_members().await?;
    let leader = seen.view.working_leader()?.name.clone();
    let plan = plan_restart(&seen.view, wish, &seen.pending_reasons(&leader))?;
    if plan.order().is_empty() {
        let text = if wish.pending { "Nothing waits for a restart." } else { "There is nothing to restart." };
        return Ok(Done::unchanged().with("summary", text));
    }
    if !done_before.is_empty() && plan.hand_over.is_some() && !work.is_check() {
        return Err(
            Trouble::failed(format!("{leader} leads again, and was not restarted")).hint("restart it alone: 'pgfleet restart NODE'")
        );
    }
    if work.is_check() {
        return Ok(Done::changed().with("summary", foretold(&plan)).with("hand_over", false));
    }
    let mut restarted: Vec<String> = done_before.clone();
    // A leader that hands over is started anew as a replica: where that took up everything, it is restarted already.
    if let Some(name) = node.as_ref().filter(|_| since.is_some())
        && seen.started(name).is_some_and(|now| Some(now) != since)
        && seen.view.member(name).is_some_and(|member| !member.pending_restart)
    {
        work.teller.say(&format!("{name} was started anew when it handed over"));
        restarted.push(name.clone());
        let summary = format!("Restarted: {}. {leader} leads.", restarted.join(", "));
        return Ok(Done::changed().with("summary", summary).with("restarted", restarted));
    }
    let here = plan.leader_first.iter().chain(&plan.replicas).chain(&plan.leader_last);
    for name in here {
        if work.stop.is_asked() {
            break;
        }
        // Each one is judged anew: what was safe at the beginning may not be so now.
        let now = work.look().await;
        if !wish.forced && *name != leader {
            now.view.may_rest(name).map_err(|objection| Trouble::failed(objection.reason).hint(objection.hint))?;
        }
        work.step(&format!("restart of {name}"), restart(work, name, wish.pending)).await?;
        restarted.push(name.clone());
    }
    // Older versions do not say what is lowered: a replica that went before its leader still waits.
    let seen = work.look().await;
    let waiting: Vec<&str> = seen.view.members.iter().filter(|member| member.pending_restart).map(|member| member.name.as_str()).collect();
    let leader_now = seen.view.leader().map(|leader| leader.name.clone()).unwrap_or_default();
    let mut summary = format!("Restarted: {}. {leader_now} leads.", restarted.join(", "));
    if !waiting.is_empty() && plan.hand_over.is_none() {
        summary += &format!(" Still waiting for a restart: {}.", waiting.join(", "));
    }
    let hand_over = plan.hand_over.clone().filter(|_| !work.stop.is_asked());
    Ok(Done::changed()
        .with("summary", summary)
        .with("restarted", restarted)
        .with("leader", hand_over.clone())
        .with("started", hand_over.as_deref().and_then(|name| seen.started(name)))
        .with("hand_over", hand_over.is_some()))
}

fn foretold(plan: &RestartPlan) -> String {
    let mut lines = Vec::new();
    if let Some(leader) = &plan.leader_first {
        lines.push(format!(
            "{leader}, the leader, would restart first: {} is lowered. Nothing can be written meanwhile.",
            plan.lowered.join(", ")
        ));
    }
    if !plan.replicas.is_empty() {
        lines.push(format!("Replicas, one after the other: {}.", plan.replicas.join(", ")));
    }
    if let Some(leader) = &plan.hand_over {
        lines.push(format!("Then {leader} would let another node lead, and restart."));
    }
    if let Some(leader) = &plan.leader_last {
        lines.push(format!("{leader}, the leader, would restart where it is. Nothing can be written meanwhile."));
    }
    lines.join("\n")
}

/// Restarts one, and waits until it runs, streams and has caught up.
pub(super) async fn restart(work: &Work, name: &str, pending: bool) -> Result<(), Trouble> {
    let node = work.node(name)?;
    let before = work.look().await;
    let is_replica = before.view.member(name).is_some_and(|member| !member.is_leader() && member.is_well());
    if let Some(position) = before.written().filter(|_| is_replica) {
        // A setting that the leader has lowered reaches a replica with its log.
        let what = format!("{name} has all that its leader wrote");
        work.until_seen(&what, LIMIT, &[name], |seen| seen.well(name, position).map(drop)).await?;
    }
    let started = before.started(name);
    let body = if pending { json!({"restart_pending": true}) } else { json!({}) };
    let asked = work.nodes.patroni(node, "POST", "/restart", &body, LIMIT);
    tokio::pin!(asked);
    let mut answer = None;
    let (begin, absence) = (Instant::now(), Absence::default());
    loop {
        // An answer may be lost or late: what counts is that PostgreSQL was started anew.
        tokio::select! {
            told = &mut asked, if answer.is_none() => answer = Some(told),
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        let seen = work.look().await;
        if seen.started(name).is_some_and(|now| Some(now) != started) {
            break;
        }
        let refusal = match &answer {
            Some(Ok(told)) if told.status != 200 => Some(format!("Patroni on {name} answers {}: {}", told.status, told.body.trim())),
            Some(Err(reason)) => Some(reason.clone()),
            _ => None,
        };
        if let Some(reason) = refusal.filter(|_| seen.own(name).get("state") == Some(&Value::from("running"))) {
            return Err(Trouble::failed(format!("{name} was not restarted: {reason}")).hint(format!("'pgfleet logs {name}' says more")));
        }
        if let Some(reason) = absence.lost(&seen, &[name]) {
            return Err(Trouble::unverified(format!("PostgreSQL on {name} was to restart: {reason}")));
        }
        if absence.hopeless(&seen, &[name]).is_some() {
            return Err(work.not_starting(name).await);
        }
        if begin.elapsed() > LIMIT {
            return Err(Trouble::unverified(format!("PostgreSQL on {name} has not started again within {} s", LIMIT.as_secs())));
        }
        work.teller.progress(&format!("restart of {name}"), 0, None);
    }
    let position = work.look().await.written().unwrap_or_default();
    let what = format!("{name} works again and has caught up");
    work.until_seen(&what, LIMIT, &[name], |seen| seen.well(name, position).map(drop)).await
}
