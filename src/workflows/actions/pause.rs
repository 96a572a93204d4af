//! `patroni_pause`: automatic failover off or on, until every member has seen it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Done, Trouble, Work};

/// A Patroni that has just begun takes the leader's key in its first round.
const LEADS: Duration = Duration::from_secs(20);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let paused: bool = work.argument("paused")?.unwrap_or(true);
    let seen = work.look_at_members().await?;
    let summary = match paused {
        true => "The cluster is paused: no automatic failover until 'pgfleet resume'.",
        false => "Automatic failover is on.",
    };
    let is_seen = |own: &Value| own.get("pause").and_then(Value::as_bool).unwrap_or(false) == paused;
    if seen.view.paused == paused && seen.speaking().iter().all(|name| is_seen(&seen.own(name))) {
        return Ok(Done::unchanged().with("summary", format!("It was so before. {summary}")));
    }
    seen.view.may_decide()?;
    if !paused {
        let what = "whoever takes writes leads";
        work.step(what, work.until(what, LEADS, async || unled(work).await)).await.map_err(not_yet)?;
    }
    if work.is_check() {
        let summary = if paused { "The cluster would be paused." } else { "The pause would end." };
        return Ok(Done::changed().with("summary", summary));
    }
    let node = work.speaker(&seen)?;
    let body = json!({"pause": if paused { Value::from(true) } else { Value::Null }});
    let answer = work.nodes.patroni(node, "PATCH", "/config", &body, Duration::from_secs(20)).await;
    let limit = Duration::from_secs(2 * node.patroni_loop_wait + 15);
    let what = if paused { "all members have paused" } else { "all members have resumed" };
    let waited = work.step(what, async {
        work.until(what, limit, async || {
            let seen = work.look().await;
            let late: Vec<&str> = seen.speaking().into_iter().filter(|name| !is_seen(&seen.own(name))).collect();
            if seen.view.paused == paused && late.is_empty() { Ok(seen) } else { Err(format!("not yet {}", late.join(", "))) }
        })
        .await
    });
    let seen = waited.await.map_err(|trouble| match &answer {
        Ok(answer) if answer.status == 200 => trouble,
        Ok(answer) => Trouble::failed(format!("Patroni on {} answers {}: {}", node.name, answer.status, answer.body.trim())),
        Err(reason) => Trouble::failed(reason.clone()),
    })?;
    let absent: Vec<&str> = work.nodes.databases().map(|node| node.name.as_str()).filter(|name| !seen.speaking().contains(name)).collect();
    let absent =
        if absent.is_empty() { String::new() } else { format!(" Not asked, since no Patroni answers there: {}.", absent.join(", ")) };
    Ok(Done::changed().with("summary", format!("{summary}{absent}")))
}

/// A node that takes writes without a Patroni that leads: others would be promoted beside it, once the pause is over.
async fn unled(work: &Work) -> Result<(), String> {
    let (seen, told) = tokio::join!(work.look(), work.each_says("SELECT pg_is_in_recovery()"));
    let leads = |name: &str| seen.view.leader().is_some_and(|leader| leader.name == name) && !seen.own(name).is_null();
    match told.iter().find(|(name, answer)| answer == "f" && !leads(name)) {
        Some((name, _)) if seen.own(name).is_null() => Err(format!("PostgreSQL on {name} takes writes, and no Patroni answers there")),
        Some((name, _)) => Err(format!("PostgreSQL on {name} takes writes, and its Patroni does not have the leader's key")),
        None => Ok(()),
    }
}

fn not_yet(trouble: Trouble) -> Trouble {
    trouble.untouched().hint(
        "after the pause another node would be promoted beside it; 'pgfleet start NODE' starts a Patroni, 'pgfleet logs NODE' says why one does not lead",
    )
}
