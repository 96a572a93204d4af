//! Who plays which part in a drill, and for how long.

use std::time::Duration;

use pgfleet_cluster::{Drill, Fault, LeaderFacts, SwitchoverLimits, may_switch_over};
use serde_json::{Value, json};

use crate::actions::seen::{SQL, Seen};
use crate::actions::{Trouble, Work};
use crate::nodes::Node;

/// A drill with its actors.
pub(super) struct Scene {
    pub(super) drill: &'static Drill,
    /// The leader before.
    pub(super) leader: Node,
    /// Where the clients are that go through the routers.
    pub(super) observer: Node,
    /// Whom it is done to.
    pub(super) victims: Vec<Node>,
    /// Who leads after a planned handing over.
    pub(super) successor: Option<Node>,
    pub(super) timeline: u64,
    /// How long the fault lasts; nothing for a blow.
    pub(super) hold: Duration,
    pub(super) synchronous_mode: String,
    /// Patroni's times.
    pub(super) settings: Value,
}

impl Scene {
    pub(super) async fn of(work: &Work, seen: &Seen, drill: &'static Drill) -> Result<Self, Trouble> {
        let leader = work.node(&seen.view.working_leader()?.name)?.clone();
        let replicas: Vec<&Node> = work.nodes.databases().filter(|node| node.name != leader.name).collect();
        let Some((first, others)) = replicas.split_first() else {
            let trouble = Trouble::refused("the cluster has one node: there is nobody to take over, and nobody to watch from");
            return Err(trouble.hint("add a node to the group 'postgresql' and deploy"));
        };
        let mut successor = None;
        let mut timeline = 0;
        let mut victims = vec![leader.clone()];
        let mut observer = (*first).clone();
        match drill.fault {
            Fault::LoseReplica => {
                // The observer must not be the one that is lost, where there is another.
                victims = vec![others.last().map_or((*first).clone(), |last| (*last).clone())];
            }
            Fault::LoseQuorum => victims = majority(work, seen)?,
            Fault::PowerCutAll => victims = work.nodes.all().to_vec(),
            Fault::Switchover | Fault::RollingRestart => {
                let facts = work
                    .nodes
                    .sql(&leader, "postgres", LeaderFacts::QUERY, SQL)
                    .await
                    .map_err(|reason| Trouble::from(reason).untouched())?;
                let facts: LeaderFacts = serde_json::from_str(&facts).map_err(|error| Trouble::failed(error.to_string()))?;
                let limits = SwitchoverLimits { lag: 1_048_576, transaction: 60.0, forced: false };
                let plan = may_switch_over(&seen.view, &facts, None, &limits)
                    .map_err(|reasons| reasons.into_iter().next().map_or(Trouble::refused("the cluster is not ready"), Trouble::from))?;
                let next = work.node(&plan.candidate)?.clone();
                observer = replicas.iter().find(|node| node.name != next.name).map_or_else(|| next.clone(), |node| (*node).clone());
                (successor, timeline) = (Some(next), plan.timeline);
            }
            _ => {}
        }
        let config = seen.config().unwrap_or_default();
        let ttl = config["ttl"].as_u64().unwrap_or(30);
        let asked: Option<u64> = work.argument("seconds")?;
        let usual = drill.seconds + if drill.outlasts_key { ttl } else { 0 };
        let seconds = if drill.seconds == 0 { 0 } else { asked.unwrap_or(usual) };
        let settings = ["ttl", "loop_wait", "retry_timeout", "failsafe_mode"].map(|name| (name.to_owned(), config[name].clone()));
        Ok(Self {
            drill,
            leader,
            observer,
            victims,
            successor,
            timeline,
            hold: Duration::from_secs(seconds),
            synchronous_mode: seen.view.synchronous_mode.clone(),
            settings: json!(serde_json::Map::from_iter(settings)),
        })
    }

    /// What is done, to whom.
    pub(super) fn deed(&self) -> String {
        let names: Vec<&str> = self.victims.iter().map(|node| node.name.as_str()).collect();
        let lasts = if self.hold.is_zero() { String::new() } else { format!(", for {} s", self.hold.as_secs()) };
        let to = self.successor.as_ref().map(|next| format!(", to {}", next.name)).unwrap_or_default();
        format!("{} ({}{to}): {}{lasts}", self.drill.name, names.join(", "), self.drill.does)
    }

    /// What would be done.
    pub(super) fn foretold(&self) -> String {
        if self.drill.fault.takes_all() {
            return format!(
                "{}.\nClients on this machine would write and read through the HAProxy of {} meanwhile.",
                self.deed(),
                self.observer.name
            );
        }
        format!(
            "{}.\nClients on {} would write and read through its HAProxy meanwhile, and one on each database host would write to its own PostgreSQL.",
            self.deed(),
            self.observer.name
        )
    }
}

/// So many voters that the others are no quorum, etcd's leader among them.
fn majority(work: &Work, seen: &Seen) -> Result<Vec<Node>, Trouble> {
    let (_, all, needed) = seen.view.quorum();
    let mut voters: Vec<_> = seen.view.etcd.iter().collect();
    voters.sort_by_key(|voter| !voter.leader);
    voters.into_iter().take(all - needed + 1).map(|voter| work.node(&voter.name).cloned()).collect()
}
