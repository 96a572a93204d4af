//! What one node answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// So many seconds without a word of etcd are worth a warning; Patroni asks every ten, and waits ten for an answer.
const SILENCE: u64 = 60;

/// The state of a systemd unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// `active`, `inactive`, `failed`, `activating` ...; empty when there is no such unit.
    #[serde(default)]
    pub active: String,
    /// `running`, `dead` ...
    #[serde(default)]
    pub sub: String,
    /// `enabled`, `disabled`, `masked` ...
    #[serde(default)]
    pub enabled: String,
}

impl Unit {
    /// True for a unit that runs.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }
}

/// How long a node's certificate, or the authority's, is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateLife {
    /// For twenty days at least (the authority: ninety), or there is none.
    Good,
    /// Not for so long any more.
    EndsSoon,
    /// No more: nobody who asks for a good one trusts the node.
    Ended,
}

/// One node's answers, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeAnswer {
    /// The node's name in the inventory.
    pub node: String,
    /// Whether the node is an etcd voter by the inventory.
    pub is_voter: bool,
    /// Whether the node is a PostgreSQL node by the inventory.
    pub is_database: bool,
    /// The result of the module `probe`, or why the node could not be reached.
    pub probe: Result<Value, String>,
}

impl NodeAnswer {
    /// The JSON body of an HTTP answer, of any status.
    #[must_use]
    pub fn body(&self, question: &str) -> Option<Value> {
        let answer = self.probe.as_ref().ok()?.get("http")?.get(question)?;
        match answer.get("body")? {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => Some(other.clone()),
        }
    }

    /// True when the node's own Patroni says that PostgreSQL is a primary.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        let role = self.body("patroni").and_then(|patroni| patroni.get("role").and_then(Value::as_str).map(str::to_owned));
        matches!(role.as_deref(), Some("primary" | "master"))
    }

    /// False when the node says that its PostgreSQL does not lead, or its etcd does not.
    #[must_use]
    pub fn may_lead_both(&self) -> bool {
        let follows = |status: Value| Some(status.get("header")?.get("member_id")? != status.get("leader")?);
        let may_lead_etcd = self.is_voter && !self.body("etcd_status").and_then(follows).unwrap_or(false);
        may_lead_etcd && self.is_database && (self.is_primary() || self.body("patroni").is_none())
    }

    /// Why an HTTP question has no answer.
    #[must_use]
    pub fn error(&self, question: &str) -> Option<String> {
        let answer = self.probe.as_ref().ok()?.get("http")?.get(question)?;
        answer.get("error").and_then(Value::as_str).filter(|error| !error.is_empty()).map(str::to_owned)
    }

    /// What a command printed.
    #[must_use]
    pub fn command(&self, question: &str) -> Option<&str> {
        self.probe.as_ref().ok()?.get("commands")?.get(question)?.get("stdout")?.as_str()
    }

    /// What openssl says of the life of the node's certificate: that it will expire, twice where it has. A node without one, or without openssl,
    /// says nothing.
    #[must_use]
    pub fn certificate(&self) -> CertificateLife {
        self.life("certificate")
    }

    /// The same of the authority that the node trusts.
    #[must_use]
    pub fn authority(&self) -> CertificateLife {
        self.life("authority")
    }

    fn life(&self, question: &str) -> CertificateLife {
        match self.command(question).unwrap_or_default().matches("will expire").count() {
            0 => CertificateLife::Good,
            1 => CertificateLife::EndsSoon,
            _ => CertificateLife::Ended,
        }
    }

    /// How many commits wait for a replica, and for how many seconds the oldest has, where that is too long.
    #[must_use]
    pub fn waiting_commits(&self) -> Option<(u64, u64)> {
        let (count, seconds) = self.command("commits")?.trim().split_once(' ')?;
        Some((count.parse().ok()?, seconds.parse().ok()?))
    }

    /// Why the node's Patroni says nothing, though it runs.
    #[must_use]
    pub fn silent_patroni(&self) -> Option<String> {
        self.error("patroni").filter(|_| self.is_database && self.is_active("patroni"))
    }

    /// True when the node's HAProxy runs, and leads nobody to a PostgreSQL that takes writes. A host that is a client only has no such port.
    #[must_use]
    pub fn leads_nowhere(&self) -> bool {
        self.is_database && self.command("way").is_some_and(|said| said.trim() == "nowhere") && self.is_active("haproxy")
    }

    fn is_active(&self, unit: &str) -> bool {
        self.units().get(unit).is_some_and(Unit::is_active)
    }

    /// What the run that has the cluster wrote of itself on this node, and the node's time.
    #[must_use]
    pub fn lease(&self) -> Option<(Value, u64)> {
        let (record, now) = self.command("lease")?.trim().rsplit_once('\n')?;
        Some((serde_json::from_str(record).ok()?, now.trim().parse().ok()?))
    }

    /// For how many seconds the node's Patroni has not heard of etcd, by the node's own clock, where that is too long.
    #[must_use]
    pub fn without_etcd(&self) -> Option<u64> {
        let now = self.probe.as_ref().ok()?.get("time")?.as_u64()?;
        let silence = now.saturating_sub(self.body("patroni")?.get("dcs_last_seen")?.as_u64()?);
        (silence > SILENCE).then_some(silence)
    }

    /// The units asked for.
    #[must_use]
    pub fn units(&self) -> BTreeMap<String, Unit> {
        let units = self.probe.as_ref().ok().and_then(|probe| probe.get("units").cloned());
        units.and_then(|units| serde_json::from_value(units).ok()).unwrap_or_default()
    }
}
