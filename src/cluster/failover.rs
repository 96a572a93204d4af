//! Which replica takes over where no leader works, or one was named; and how much of the data it lacks.

use serde_json::Value;

use crate::{ClusterView, Member, Objection};

/// How far a replica has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The node.
    pub name: String,
    /// Its timeline.
    pub timeline: u64,
    /// The position up to which it has the log.
    pub received: u64,
}

/// Whom commits wait for, as Patroni keeps it in etcd; nobody with asynchronous replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witnesses {
    /// The leader that wrote this.
    pub leader: Option<String>,
    /// The replicas.
    pub names: Vec<String>,
    /// So many of them, beside one, must be heard to know of all that was acknowledged.
    pub quorum: usize,
}

/// Who takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The node.
    pub name: String,
    /// Bytes of the log that are known to exist and that it does not have.
    pub behind: u64,
    /// Another node follows a newer timeline.
    pub is_outdated: bool,
    /// The leader works: this is a switchover that was asked for as a failover.
    pub leader_works: bool,
    /// Nodes that were not heard, one of which may have acknowledged rows that nobody else has.
    pub unheard: Vec<String>,
}

impl Witnesses {
    /// Reads Patroni's key `sync`.
    #[must_use]
    pub fn read(kept: &Value) -> Self {
        let names = kept["sync_standby"].as_str().unwrap_or_default().split(',');
        Self {
            leader: kept["leader"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
            names: names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            quorum: kept["quorum"].as_u64().and_then(|quorum| usize::try_from(quorum).ok()).unwrap_or_default(),
        }
    }

    /// Who may know of an acknowledged row that nobody knows of who was heard.
    fn unheard(&self, standings: &[Standing]) -> Vec<String> {
        let is_heard = |name: &&String| standings.iter().any(|standing| standing.name == **name);
        let leader = self.leader.iter().filter(|name| !is_heard(name));
        if self.names.is_empty() {
            // It took nobody's word but its own.
            return leader.cloned().collect();
        }
        let (heard, unheard): (Vec<&String>, Vec<&String>) = self.names.iter().partition(is_heard);
        if heard.len() > self.quorum { Vec::new() } else { leader.chain(unheard).cloned().collect() }
    }
}

/// Chooses the successor. `written` is the last position that any leader is known to have written to.
///
/// # Errors
/// Why nobody can take over, or why it is not needed.
pub fn choose_successor(
    view: &ClusterView,
    standings: &[Standing],
    written: u64,
    witnesses: &Witnesses,
    wanted: Option<&str>,
) -> Result<Successor, Objection> {
    view.may_decide()?;
    let leader = view.leader().filter(|leader| leader.is_well());
    if let (Some(leader), None) = (leader, wanted) {
        if view.nodes.iter().any(|node| node.name == leader.name && node.unreachable.is_some()) {
            let hint =
                "Patroni replaces it by itself once its time is over, unless the cluster is paused; name a node with --target to go first";
            return Err(Objection::new(format!("{} has the leader's place, and cannot be reached from here", leader.name), hint));
        }
        let hint = "'pgfleet switchover' hands over without a loss; name a node with --target to fail over nevertheless";
        return Err(Objection::new(format!("{} leads and works", leader.name), hint));
    }
    let may = |standing: &&Standing| {
        let member = view.member(&standing.name);
        member.is_none_or(|member| !member.is_leader() && !may_never_lead(member))
    };
    let found = match wanted {
        Some(name) => standings.iter().find(|standing| standing.name == name).filter(may),
        None => standings.iter().filter(may).max_by_key(|standing| (standing.timeline, standing.received)),
    };
    let Some(found) = found else { return Err(nobody(view, wanted)) };
    let most = standings.iter().map(|standing| standing.received).max().unwrap_or_default().max(written);
    Ok(Successor {
        name: found.name.clone(),
        behind: most.saturating_sub(found.received),
        is_outdated: standings.iter().any(|other| other.timeline > found.timeline),
        leader_works: leader.is_some(),
        unheard: if leader.is_some() { Vec::new() } else { witnesses.unheard(standings) },
    })
}

fn may_never_lead(member: &Member) -> bool {
    let priority = member.tags.get("failover_priority").and_then(Value::as_i64);
    member.has_tag("nofailover") || priority.is_some_and(|priority| priority <= 0)
}

fn nobody(view: &ClusterView, wanted: Option<&str>) -> Objection {
    let Some(name) = wanted else {
        return Objection::new("no node's PostgreSQL runs that could lead", "bring one back with 'pgfleet start NODE'; see 'pgfleet logs'");
    };
    match view.member(name) {
        None => Objection::new(format!("{name} is no member of the cluster"), "see 'pgfleet status'"),
        Some(member) if member.is_leader() => Objection::new(format!("{name} is the leader already"), "name another node"),
        Some(member) if may_never_lead(member) => Objection::new(format!("{name} must not lead: its tags say so"), "name another node"),
        Some(member) => {
            let reason = format!("PostgreSQL on {name} does not run ({}), and nobody knows how far it has come", member.state);
            Objection::new(reason, format!("'pgfleet start {name}' brings it back; 'pgfleet logs {name}' says why it does not run"))
        }
    }
}
