//! `etcd_move_leader`: etcd's leader goes to another host than the database's leader.

use std::time::Duration;

use pgfleet_cluster::{ClusterView, EtcdMove, NodeAnswer, etcd_move, leaders_at};
use serde_json::{Value, json};

use super::{Done, Trouble, Work};

/// etcd hands over within a heartbeat or two; its answers to others may be late meanwhile.
const LIMIT: Duration = Duration::from_secs(20);
/// A question.
const SHORT: Duration = Duration::from_secs(10);
/// The lane of these calls: others look at the nodes meanwhile.
const LANE: u8 = 3;

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    // A short question first: mostly there is nothing to do.
    if !work.nodes.answers(leaders_at).await.iter().any(NodeAnswer::may_lead_both) {
        return Ok(Done::unchanged().with("summary", ""));
    }
    let (view, _) = work.nodes.view().await;
    let Some(wanted) = etcd_move(&view) else {
        return Ok(Done::unchanged().with("summary", ""));
    };
    let EtcdMove { from, to } = &wanted;
    let summary = if work.is_check() {
        format!("{to} would lead etcd, instead of {from}, which leads the database.")
    } else {
        hand_over(work, &wanted).await?;
        format!("{to} leads etcd, instead of {from}, which leads the database.")
    };
    Ok(Done::changed().with("summary", summary).with("from", from.clone()).with("to", to.clone()))
}

/// After another node has come to lead. What does not work here takes nothing from what was done: it is only said.
pub(super) async fn keep_apart(work: &Work) {
    let (view, _) = work.nodes.view().await;
    let Some(wanted) = etcd_move(&view) else { return };
    let moved = work.step(&format!("{} leads etcd, no longer {}", wanted.to, wanted.from), hand_over(work, &wanted)).await;
    if let Err(trouble) = moved {
        work.teller.say(&format!("etcd's leader stays with the database's on {}: {trouble}", wanted.from));
    }
}

async fn hand_over(work: &Work, wanted: &EtcdMove) -> Result<(), Trouble> {
    let leader = work.node(&wanted.from)?;
    let ask = async |path: &str, body: Value| work.nodes.etcd(leader, LANE, path, &body, SHORT).await;
    let listed = ask("/v3/cluster/member/list", json!({})).await?;
    let member = listed["members"].as_array().into_iter().flatten().find(|member| member["name"] == wanted.to.as_str());
    let id = member.and_then(|member| member["ID"].as_str()).ok_or_else(|| format!("etcd does not know {}", wanted.to))?;
    ask("/v3/maintenance/transfer-leadership", json!({"targetID": id})).await?;
    work.until("etcd has its new leader", LIMIT, || async {
        let (view, _) = work.nodes.view().await;
        settled(&view)
    })
    .await
}

fn settled(view: &ClusterView) -> Result<(), String> {
    match (etcd_move(view), view.etcd.iter().any(|voter| voter.leader)) {
        (Some(still), _) => Err(format!("{} still leads it", still.from)),
        (None, false) => Err("nobody leads it".to_owned()),
        (None, true) => Ok(()),
    }
}
