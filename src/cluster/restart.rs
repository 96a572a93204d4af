//! In which order PostgreSQL restarts on the nodes of a cluster.

use serde_json::{Map, Value};

use crate::{ClusterView, Objection};

/// Settings that a replica must have at least as high as its leader, or it does not start.
pub const SHARED_MEMORY: [&str; 5] =
    ["max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"];

/// What a person asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestartWish<'a> {
    /// Only this node.
    pub node: Option<&'a str>,
    /// Only where a changed setting waits for it.
    pub pending: bool,
    /// Restart the leader where it is, instead of letting another lead first.
    pub in_place: bool,
    /// Even when commits will have to wait.
    pub forced: bool,
}

/// Who restarts, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartPlan {
    /// The leader restarts where it is, before the others: a setting is lowered.
    pub leader_first: Option<String>,
    /// The replicas, one after the other.
    pub replicas: Vec<String>,
    /// The leader hands over, then restarts as a replica.
    pub hand_over: Option<String>,
    /// The leader restarts where it is, after the others.
    pub leader_last: Option<String>,
    /// Settings that are lowered.
    pub lowered: Vec<String>,
}

impl RestartPlan {
    /// Everyone who restarts, in order.
    #[must_use]
    pub fn order(&self) -> Vec<&str> {
        let parts = self.leader_first.iter().chain(&self.replicas).chain(&self.hand_over).chain(&self.leader_last);
        parts.map(String::as_str).collect()
    }
}

/// The settings of the five that are lower than before, from Patroni's `pending_restart_reason`.
#[must_use]
pub fn lowered(reasons: &Map<String, Value>) -> Vec<String> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    };
    let is_lower = |name: &&&str| {
        let reason = &reasons.get(**name);
        let part = |part: &str| reason.and_then(|reason| reason.get(part)).and_then(number);
        matches!((part("old_value"), part("new_value")), (Some(old), Some(new)) if new < old)
    };
    SHARED_MEMORY.iter().filter(is_lower).map(|name| (*name).to_owned()).collect()
}

/// Plans the restarts. `reasons` is what Patroni says that the leader's restart is waited for.
///
/// # Errors
/// Why it would be unsafe.
pub fn plan_restart(view: &ClusterView, wish: RestartWish<'_>, reasons: &Map<String, Value>) -> Result<RestartPlan, Objection> {
    let leader = view.working_leader()?;
    view.may_decide()?;
    if let Some(name) = wish.node
        && view.member(name).is_none()
    {
        return Err(Objection::new(format!("{name} is no member of the cluster"), "'pgfleet start' or 'pgfleet deploy' makes it one"));
    }
    let chosen = |name: &str, pending: bool| wish.node.is_none_or(|node| node == name) && (pending || !wish.pending);
    let mut plan = RestartPlan { lowered: lowered(reasons), ..RestartPlan::default() };
    plan.replicas = view
        .members
        .iter()
        .filter(|member| !member.is_leader() && chosen(&member.name, member.pending_restart))
        .map(|member| member.name.clone())
        .collect();
    if chosen(&leader.name, leader.pending_restart) {
        let name = Some(leader.name.clone());
        if leader.pending_restart && !plan.lowered.is_empty() {
            plan.leader_first = name;
        } else if wish.in_place {
            plan.leader_last = name;
        } else {
            let can_lead = |member: &&crate::Member| !member.is_leader() && member.is_well() && !member.has_tag("nofailover");
            if !view.members.iter().any(|member| can_lead(&member)) {
                let reason = format!("no replica can lead while {} restarts", leader.name);
                return Err(Objection::new(reason, "give --in-place to restart it where it is: nothing can be written meanwhile"));
            }
            plan.hand_over = name;
        }
    }
    if plan.leader_first.is_none()
        && !plan.lowered.is_empty()
        && plan.replicas.iter().any(|name| view.member(name).is_some_and(|member| member.pending_restart))
    {
        let reason = format!("{} is lowered, and a replica must have it as high as its leader", plan.lowered.join(", "));
        return Err(Objection::new(reason, "restart with --rolling: the leader then goes first"));
    }
    if !wish.forced {
        for name in &plan.replicas {
            view.may_rest(name)?;
        }
    }
    Ok(plan)
}
