//! `patroni_pause`: automatic failover off or on, until every member has seen it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Done, Trouble, Work};

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
