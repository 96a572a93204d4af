//! One look at the cluster, and what an action asks of it; the same words in all of them.

use std::time::{Duration, Instant};

use futures::future::join_all;
use pgfleet_cluster::{ClusterView, Member, NodeAnswer, Objection};
use serde_json::{Map, Value};

use super::{Trouble, Work};
use crate::nodes::Node;

/// How long a question in SQL may take.
pub(crate) const SQL: Duration = Duration::from_secs(10);

/// What etcd's voters may take to agree on a leader among them, on a busy machine; a look takes seconds where a host is silent.
const ELECTION: Duration = Duration::from_secs(12);

/// The cluster at one moment.
pub(crate) struct Seen {
    /// The view of all.
    pub(crate) view: ClusterView,
    answers: Vec<NodeAnswer>,
}

impl From<Objection> for Trouble {
    fn from(objection: Objection) -> Self {
        Self::refused(objection.reason).hint(objection.hint)
    }
}

impl Work {
    /// Looks at the whole cluster.
    pub(crate) async fn look(&self) -> Seen {
        let (view, answers) = self.nodes.view().await;
        Seen { view, answers }
    }

    /// The same, where some Patroni answers. What is decided on it shall not fail of a moment in which etcd elects its leader.
    pub(crate) async fn look_at_members(&self) -> Result<Seen, Trouble> {
        let begin = Instant::now();
        let mut seen = self.look().await;
        while seen.view.may_decide().is_err() && begin.elapsed() < ELECTION {
            tokio::time::sleep(Duration::from_millis(500)).await;
            seen = self.look().await;
        }
        if seen.view.members.is_empty() {
            let trouble = Trouble::refused("no Patroni answers: the cluster is down, or was never deployed");
            return Err(trouble.hint("'pgfleet start' starts a cluster that was stopped; see 'pgfleet status'"));
        }
        Ok(seen)
    }

    /// The node whose Patroni speaks for the cluster.
    pub(crate) fn speaker(&self, seen: &Seen) -> Result<&Node, Trouble> {
        let name = seen.view.source.as_deref().unwrap_or_default();
        self.nodes.find(name).ok_or_else(|| Trouble::failed("no Patroni answers"))
    }

    /// A fact that each database node tells in SQL; nodes that do not answer are left out.
    pub(crate) async fn each_says(&self, query: &str) -> Vec<(String, String)> {
        let ask = |node: &Node| {
            let node = node.clone();
            async move { (node.name.clone(), self.nodes.sql(&node, "postgres", query, SQL).await) }
        };
        let told = join_all(self.nodes.databases().map(ask)).await;
        told.into_iter().filter_map(|(name, answer)| Some((name, answer.ok()?))).collect()
    }
}

impl Seen {
    /// What a node's own Patroni says of it; null when it does not answer.
    pub(crate) fn own(&self, name: &str) -> Value {
        self.answers.iter().find(|answer| answer.node == name).and_then(|answer| answer.body("patroni")).unwrap_or_default()
    }

    /// The settings that all nodes share.
    pub(crate) fn config(&self) -> Option<Value> {
        let source = self.view.source.as_deref()?;
        self.answers.iter().find(|answer| answer.node == source)?.body("config")
    }

    /// The systemd state of a unit on a node; empty when unknown or missing.
    pub(crate) fn unit(&self, node: &str, unit: &str) -> String {
        let answer = self.answers.iter().find(|answer| answer.node == node);
        answer.and_then(|answer| answer.units().remove(unit)).map(|unit| unit.active).unwrap_or_default()
    }

    /// Why a node cannot be reached.
    pub(crate) fn unreachable(&self, name: &str) -> Option<&str> {
        self.answers.iter().find(|answer| answer.node == name)?.probe.as_ref().err().map(String::as_str)
    }

    /// The names of nodes whose Patroni answers.
    pub(crate) fn speaking(&self) -> Vec<&str> {
        let speaks = |answer: &&NodeAnswer| answer.body("patroni").is_some();
        self.answers.iter().filter(speaks).map(|answer| answer.node.as_str()).collect()
    }

    /// When a node's PostgreSQL was started.
    pub(crate) fn started(&self, name: &str) -> Option<String> {
        self.own(name).get("postmaster_start_time").and_then(Value::as_str).map(str::to_owned)
    }

    /// Why a node waits for a restart, by setting.
    pub(crate) fn pending_reasons(&self, name: &str) -> Map<String, Value> {
        self.own(name).get("pending_restart_reason").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// The position that the leader has written to.
    pub(crate) fn written(&self) -> Option<u64> {
        self.own(&self.view.leader()?.name).get("xlog")?.get("location")?.as_u64()
    }

    /// The positions that a replica has received and replayed.
    pub(crate) fn received(&self, name: &str) -> Option<(u64, u64)> {
        let own = self.own(name);
        let xlog = own.get("xlog")?;
        let replayed = xlog.get("replayed_location").and_then(Value::as_u64)?;
        Some((xlog.get("received_location").and_then(Value::as_u64).unwrap_or_default().max(replayed), replayed))
    }

    /// The member, well: a leader that runs, a replica that streams and has replayed up to a position. Otherwise what it is instead.
    pub(crate) fn well(&self, name: &str, position: u64) -> Result<&Member, String> {
        if let Some(reason) = self.unreachable(name) {
            return Err(reason.to_owned());
        }
        let member = self.view.member(name).ok_or("it is no member")?;
        let own = self.own(name);
        let state = own.get("state").and_then(Value::as_str).unwrap_or("not answering");
        if !member.is_well() || state != "running" {
            return Err(if member.is_well() { state.to_owned() } else { member.state.clone() });
        }
        match self.received(name) {
            Some((_, replayed)) if !member.is_leader() && replayed < position => Err(format!("{} bytes to replay", position - replayed)),
            None if !member.is_leader() => Err("its position is not known yet".to_owned()),
            _ => Ok(member),
        }
    }
}
