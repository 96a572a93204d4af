//! The cluster at one moment, as its own parts describe it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Finding, NodeAnswer, Unit};

/// A member of the cluster, in Patroni's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its address.
    pub host: String,
    /// PostgreSQL's port.
    pub port: u16,
    /// `leader`, `sync_standby`, `quorum_standby`, `replica`, `standby_leader`.
    pub role: String,
    /// `running`, `streaming`, `stopped`, `starting` ...
    pub state: String,
    /// The timeline that it follows.
    pub timeline: Option<u64>,
    /// Bytes behind the leader; `None` when unknown, and for the leader.
    pub lag: Option<u64>,
    /// A changed setting waits for a restart.
    pub pending_restart: bool,
    /// When a restart is scheduled.
    pub scheduled_restart: Option<String>,
    /// Patroni's tags.
    pub tags: BTreeMap<String, Value>,
    /// The version of its Patroni; `None` when it did not answer.
    pub patroni: Option<String>,
}

/// The first version (major, minor) whose replicas are `streaming` where older ones only say `running`.
const SAYS_STREAMING: (u32, u32) = (3, 1);

impl Member {
    /// True for the leader of the cluster.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role.as_str(), "leader" | "standby_leader")
    }

    /// True for a leader that runs and for a replica that streams.
    #[must_use]
    pub fn is_well(&self) -> bool {
        match self.state.as_str() {
            "running" => self.is_leader() || !self.says_streaming(),
            "streaming" => !self.is_leader(),
            _ => false,
        }
    }

    fn says_streaming(&self) -> bool {
        let version = self.patroni.as_deref().unwrap_or_default();
        let mut numbers = version.split('.').map_while(|number| number.parse().ok());
        numbers.next().zip(numbers.next()).is_none_or(|version| version >= SAYS_STREAMING)
    }
}

/// A voter of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// Its name.
    pub name: String,
    /// It answers, and says that it is healthy.
    pub healthy: bool,
    /// It leads.
    pub leader: bool,
    /// Its version.
    pub version: Option<String>,
    /// Why it does not answer, or is not healthy.
    pub error: Option<String>,
    /// The alarm that it raised: `NOSPACE`, `CORRUPT`. Until somebody takes that back no voter calls itself healthy.
    #[serde(default)]
    pub alarm: Option<String>,
}

/// One host of the cluster, as pgfleet found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name in the inventory.
    pub name: String,
    /// Why it could not be reached.
    pub unreachable: Option<String>,
    /// Units of the cluster on it.
    pub units: BTreeMap<String, Unit>,
}

/// A switchover that is scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// When.
    pub at: String,
    /// From which member.
    pub from: Option<String>,
    /// To which.
    pub to: Option<String>,
}

/// The run that has the cluster, as long as it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What it does, by whom, on which machine, as which process.
    pub who: String,
    /// When it took the cluster, in seconds since 1970 by the clock of the first host that tells it.
    pub since: u64,
    /// For how many seconds it has had it, by that clock.
    pub age: u64,
    /// The hosts on which it has it.
    pub hosts: Vec<String>,
}

/// The cluster. Made once from the answers of all nodes, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Patroni's scope; empty when no Patroni answered.
    pub name: String,
    /// The node whose view of the cluster this is.
    pub source: Option<String>,
    /// Its members.
    pub members: Vec<Member>,
    /// Automatic failover is off.
    pub paused: bool,
    /// A switchover is scheduled.
    pub scheduled_switchover: Option<Scheduled>,
    /// `off`, `on` or `quorum`.
    pub synchronous_mode: String,
    /// Commits wait where no replica can acknowledge them.
    #[serde(default)]
    pub synchronous_mode_strict: bool,
    /// etcd's voters.
    pub etcd: Vec<EtcdMember>,
    /// The hosts.
    pub nodes: Vec<Node>,
    /// The run that changes it now.
    pub lease: Option<Lease>,
    /// What is worth knowing, worst first.
    pub findings: Vec<Finding>,
}

impl ClusterView {
    /// Reads the answers of all nodes.
    #[must_use]
    pub fn from_answers(answers: &[NodeAnswer]) -> Self {
        let source = best_source(answers);
        let cluster = source.and_then(|answer| answer.body("cluster")).unwrap_or_default();
        let config = source.and_then(|answer| answer.body("config")).unwrap_or_default();
        let list = cluster.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut members: Vec<Member> = list.iter().map(|value| member(value, answers)).collect();
        members.sort_by(|left, right| (!left.is_leader(), &left.name).cmp(&(!right.is_leader(), &right.name)));
        let mut view = Self {
            name: text(&cluster, "scope").or_else(|| scope_of(answers)).unwrap_or_default(),
            source: source.map(|answer| answer.node.clone()),
            members,
            paused: cluster.get("pause").and_then(Value::as_bool).unwrap_or(false),
            scheduled_switchover: cluster.get("scheduled_switchover").and_then(scheduled),
            synchronous_mode: synchronous_mode(&config),
            synchronous_mode_strict: config.get("synchronous_mode_strict").and_then(Value::as_bool).unwrap_or(false),
            etcd: etcd(answers),
            nodes: answers.iter().map(node).collect(),
            lease: lease(answers),
            findings: Vec::new(),
        };
        view.findings = crate::findings::find(&view, answers);
        view
    }

    /// The leader.
    #[must_use]
    pub fn leader(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.is_leader())
    }

    /// True when nothing was found that is worse than a notice.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == crate::Severity::Notice)
    }

    /// Healthy voters, all voters, and the number that a quorum needs.
    #[must_use]
    pub fn quorum(&self) -> (usize, usize, usize) {
        let healthy = self.etcd.iter().filter(|member| member.healthy).count();
        (healthy, self.etcd.len(), self.etcd.len() / 2 + 1)
    }
}

/// Two runs at once have it for a moment only; who has the first host goes on.
fn lease(answers: &[NodeAnswer]) -> Option<Lease> {
    let mut found: Option<Lease> = None;
    for answer in answers {
        let Some((record, now)) = answer.lease() else { continue };
        let (Some(who), Some(since)) = (text(&record, "who"), record.get("since").and_then(Value::as_u64)) else { continue };
        let lease = found.get_or_insert_with(|| Lease { who: who.clone(), since, age: now.saturating_sub(since), hosts: Vec::new() });
        if lease.who == who {
            lease.hosts.push(answer.node.clone());
        }
    }
    found
}

/// The node whose view counts: the leader itself, or else one that has most members.
fn best_source(answers: &[NodeAnswer]) -> Option<&NodeAnswer> {
    let seen = |answer: &&NodeAnswer| {
        let members =
            answer.body("cluster").and_then(|cluster| cluster.get("members").and_then(Value::as_array).map(Vec::len)).unwrap_or_default();
        let role = answer.body("patroni").and_then(|patroni| text(&patroni, "role")).unwrap_or_default();
        let fresh = answer.body("patroni").and_then(|patroni| patroni.get("dcs_last_seen").and_then(Value::as_u64)).unwrap_or_default();
        (members > 0, matches!(role.as_str(), "primary" | "master"), fresh)
    };
    answers.iter().filter(|answer| seen(answer).0).max_by_key(seen)
}

fn scope_of(answers: &[NodeAnswer]) -> Option<String> {
    answers.iter().find_map(|answer| text(answer.body("patroni")?.get("patroni")?, "scope"))
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn member(value: &Value, answers: &[NodeAnswer]) -> Member {
    let name = text(value, "name").unwrap_or_default();
    let own = answers.iter().find(|answer| answer.node == name).and_then(|answer| answer.body("patroni"));
    // What a node says of itself is newer than what it has told etcd.
    let pending = own.as_ref().unwrap_or(value).get("pending_restart").and_then(Value::as_bool).unwrap_or(false);
    let streams = own.as_ref().and_then(|own| text(own, "replication_state")).is_some_and(|state| state == "streaming");
    let state = text(value, "state").unwrap_or_default();
    let lag = ["replay_lag", "lag"].iter().find_map(|key| value.get(key)).and_then(Value::as_u64);
    Member {
        patroni: own.and_then(|own| text(own.get("patroni")?, "version")),
        name,
        host: text(value, "host").unwrap_or_default(),
        port: value.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        role: text(value, "role").unwrap_or_default(),
        state: if state == "running" && streams { "streaming".to_owned() } else { state },
        timeline: value.get("timeline").and_then(Value::as_u64),
        lag,
        pending_restart: pending,
        scheduled_restart: value.get("scheduled_restart").and_then(|restart| text(restart, "schedule")),
        tags: value
            .get("tags")
            .and_then(Value::as_object)
            .map(|tags| tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
            .unwrap_or_default(),
    }
}

fn scheduled(value: &Value) -> Option<Scheduled> {
    Some(Scheduled { at: text(value, "at")?, from: text(value, "from"), to: text(value, "to") })
}

fn synchronous_mode(config: &Value) -> String {
    match config.get("synchronous_mode") {
        Some(Value::String(mode)) => mode.clone(),
        Some(Value::Bool(true)) => "on".to_owned(),
        _ => "off".to_owned(),
    }
}

fn node(answer: &NodeAnswer) -> Node {
    Node { name: answer.node.clone(), unreachable: answer.probe.as_ref().err().cloned(), units: answer.units() }
}

/// The voters: those that etcd itself lists, else those of the inventory.
fn etcd(answers: &[NodeAnswer]) -> Vec<EtcdMember> {
    let listed = answers.iter().find_map(|answer| answer.body("etcd_members")?.get("members")?.as_array().cloned());
    let leader = answers.iter().find_map(|answer| text(&answer.body("etcd_status")?, "leader").filter(|leader| leader != "0"));
    let answer_of = |name: &str| answers.iter().find(|answer| answer.node == name);
    let alarms = alarms(answers);
    let from_listed = |value: &Value| {
        let name = text(value, "name").unwrap_or_default();
        let id = text(value, "ID").unwrap_or_default();
        let member = etcd_member(&name, answer_of(&name), leader.as_deref() == Some(id.as_str()));
        EtcdMember { alarm: alarms.get(&id).cloned(), ..member }
    };
    let mut members: Vec<EtcdMember> = match listed {
        Some(list) => list.iter().map(from_listed).collect(),
        None => answers.iter().filter(|answer| answer.is_voter).map(|answer| etcd_member(&answer.node, Some(answer), false)).collect(),
    };
    members.sort_by(|left, right| left.name.cmp(&right.name));
    members
}

/// The alarms that stand, by the number of who raised them; every voter tells them all as `memberID:N alarm:KIND`.
fn alarms(answers: &[NodeAnswer]) -> BTreeMap<String, String> {
    let told = answers.iter().find_map(|answer| answer.body("etcd_status")?.get("errors")?.as_array().cloned()).unwrap_or_default();
    let read = |error: &Value| {
        let (member, kind) = error.as_str()?.trim().strip_prefix("memberID:")?.split_once(" alarm:")?;
        Some((member.to_owned(), kind.to_owned()))
    };
    told.iter().filter_map(read).collect()
}

fn etcd_member(name: &str, answer: Option<&NodeAnswer>, leader: bool) -> EtcdMember {
    let health = answer.and_then(|answer| answer.body("etcd_health"));
    let healthy =
        health.as_ref().and_then(|health| health.get("health")).is_some_and(|health| health == "true" || health == &Value::Bool(true));
    let version = answer.and_then(|answer| text(&answer.body("etcd_status")?, "version"));
    let reason = health.as_ref().and_then(|health| text(health, "reason")).filter(|reason| !reason.is_empty());
    let error = match answer {
        None => Some("not a host of the inventory".to_owned()),
        Some(answer) => answer.probe.as_ref().err().cloned().or_else(|| answer.error("etcd_health")).or_else(|| reason.clone()),
    };
    let answers = healthy || reason.is_some();
    EtcdMember {
        name: name.to_owned(),
        healthy,
        leader: leader && answers,
        version,
        error: if healthy { None } else { error },
        alarm: None,
    }
}
