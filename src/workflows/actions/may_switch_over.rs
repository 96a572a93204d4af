//! `patroni_may_switch_over`: whether another node may lead now, and which, judged from one look at the cluster, once nodes that have just come back count again.

use std::time::{Duration, Instant};

use pgfleet_cluster::{ClusterView, LeaderFacts, Member, SwitchoverLimits, may_switch_over};

use super::{Done, Trouble, Work};

/// What the leader's answer may take.
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let limits = SwitchoverLimits {
        lag: work.argument("maximum_lag")?.unwrap_or(1_048_576),
        transaction: work.argument("maximum_transaction")?.unwrap_or(60.0),
        forced: work.argument("force")?.unwrap_or(false),
    };
    let wanted: Option<String> = work.argument("candidate")?;
    let view = counted_again(work, wanted.as_deref()).await?;
    let facts = match view.leader() {
        Some(leader) => {
            // One that has just come back may let nobody in yet.
            let text = work
                .nodes
                .sql(work.node(&leader.name)?, "postgres", LeaderFacts::QUERY, LIMIT)
                .await
                .map_err(|reason| Trouble::from(reason).untouched())?;
            serde_json::from_str(&text).map_err(|error| Trouble::failed(format!("{}: an answer that is no JSON: {error}", leader.name)))?
        }
        None => LeaderFacts::default(),
    };
    let plan = may_switch_over(&view, &facts, wanted.as_deref(), &limits).map_err(|reasons| {
        let text = reasons.iter().map(|reason| reason.reason.as_str()).collect::<Vec<_>>().join("; ");
        let trouble = Trouble::refused(text);
        reasons.first().map_or(Trouble::refused("the cluster is not ready"), |first| trouble.hint(first.hint.as_str()))
    })?;
    for warning in &plan.warnings {
        work.teller.say(&format!("accepted by --force: {warning}"));
    }
    work.teller
        .say(&format!("{} leads on timeline {}; {} is {} bytes behind in replaying", plan.leader, plan.timeline, plan.candidate, plan.lag));
    Ok(Done::unchanged()
        .with("leader", plan.leader)
        .with("candidate", plan.candidate)
        .with("timeline", plan.timeline)
        .with("lag", plan.lag))
}

/// A look at the cluster once somebody who may lead counts for commits: who has just come back is in the quorum when Patroni has looked.
async fn counted_again(work: &Work, wanted: Option<&str>) -> Result<ClusterView, Trouble> {
    let begin = Instant::now();
    let limit = work.nodes.databases().map(|node| 2 * node.patroni_loop_wait + 5).max().unwrap_or_default();
    let comes =
        |member: &Member| member.is_well() && member.role == "replica" && !["nosync", "nofailover"].iter().any(|tag| member.has_tag(tag));
    loop {
        let view = work.look_at_members().await?.view;
        let mut candidates = view.members.iter().filter(|member| wanted.is_none_or(|name| name == member.name));
        let may_come = view.synchronous_mode == "quorum" && !view.paused && view.working_leader().is_ok() && view.may_decide().is_ok();
        let is_late = may_come && candidates.clone().any(comes) && !candidates.any(|member| member.role == "quorum_standby");
        if !is_late || work.stop.is_asked() || begin.elapsed() > Duration::from_secs(limit) {
            return Ok(view);
        }
        work.teller.progress(&format!("waiting until {} is in the quorum", wanted.unwrap_or("a replica")), 0, None);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
