//! May a node's PostgreSQL, or a node as a whole, go away for a while? Decided on one view; nothing is done here.

use crate::{ClusterView, Member};

/// Why something would be unsafe, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Why.
    pub reason: String,
    /// The next step.
    pub hint: String,
}

impl Objection {
    pub(crate) fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: hint.into() }
    }
}

type Verdict = Result<(), Objection>;

/// How etcd gets room in its database; `compact` wants the number that `endpoint status` calls Revision.
const ETCD_ROOM: &str = "on a voter as root ('sudo -i'): 'etcdctl endpoint status -w fields' tells the Revision, 'etcdctl compact REVISION', \
                         'etcdctl defrag --cluster', 'etcdctl alarm disarm'; or let it have more (ETCD_QUOTA_BACKEND_BYTES)";

/// Why passwords change everywhere or nowhere.
const PASSWORD_MISSED: &str = "see 'pgfleet status'; a node that misses the change could not come back";

impl ClusterView {
    /// The member of that name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// True where the node's host cannot be reached from here.
    pub(crate) fn is_out_of_reach(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.name == name && node.unreachable.is_some())
    }

    /// That there is no such member, and who is.
    pub(crate) fn no_member(&self, name: &str) -> Objection {
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        Objection::new(format!("'{name}' is no member of the cluster"), format!("its members are {}", names.join(", ")))
    }

    /// The leader, when it works.
    ///
    /// # Errors
    /// That there is none.
    pub fn working_leader(&self) -> Result<&Member, Objection> {
        let leader = self.leader().filter(|leader| leader.is_well());
        leader.ok_or_else(|| {
            Objection::new("the cluster has no leader that works", "see 'pgfleet status'; 'pgfleet failover' makes a new one")
        })
    }

    /// May settings be changed? They are kept in etcd.
    ///
    /// # Errors
    /// Why not.
    pub fn may_decide(&self) -> Verdict {
        let (healthy, all, needed) = self.quorum();
        if all > 0 && healthy >= needed {
            return Ok(());
        }
        if let Some(alarm) = self.etcd_alarm() {
            return Err(alarm);
        }
        let reason = format!("etcd has no quorum: {healthy} of {all} voters are healthy, {needed} are needed{}", self.ill_voters(""));
        Err(Objection::new(reason, "'pgfleet start' starts etcd where it does not run"))
    }

    /// The alarm that keeps etcd from taking writes, and what ends it.
    #[must_use]
    pub(crate) fn etcd_alarm(&self) -> Option<Objection> {
        let (voter, alarm) = self.etcd.iter().find_map(|voter| Some((&voter.name, voter.alarm.as_deref()?)))?;
        Some(match alarm {
            "NOSPACE" => Objection::new(format!("etcd takes no writes: its database on {voter} is full (alarm NOSPACE)"), ETCD_ROOM),
            _ => Objection::new(
                format!("etcd takes no writes: {voter} raised the alarm {alarm}"),
                format!("'pgfleet logs {voter} --unit etcd' says why, and etcd's manual what to do; then 'etcdctl alarm disarm'"),
            ),
        })
    }

    /// Which voters but this one are not healthy, and why, in brackets; nothing where all are.
    pub(crate) fn ill_voters(&self, but: &str) -> String {
        let ill = self.etcd.iter().filter(|voter| !voter.healthy && voter.name != but);
        let words: Vec<String> = ill
            .map(|voter| match &voter.error {
                Some(error) if error.contains(&voter.name) => error.clone(),
                Some(error) => format!("{}: {error}", voter.name),
                None => format!("{}: etcd is not healthy", voter.name),
            })
            .collect();
        if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
    }

    /// May passwords be changed? Every node has to learn them, so all of them must be there and well.
    ///
    /// # Errors
    /// Why not.
    pub fn may_change_passwords(&self) -> Verdict {
        self.may_finish_passwords()?;
        match self.members.iter().find(|member| !member.is_well()) {
            Some(member) => Err(Objection::new(format!("{} is {}", member.name, member.state), PASSWORD_MISSED)),
            None => Ok(()),
        }
    }

    /// The same where an earlier change of passwords was interrupted: a node that missed it may be ill for want of it.
    ///
    /// # Errors
    /// Why not.
    pub fn may_finish_passwords(&self) -> Verdict {
        self.may_decide()?;
        self.working_leader()?;
        if let Some(node) = self.nodes.iter().find(|node| node.unreachable.is_some()) {
            return Err(Objection::new(format!("{} cannot be reached, and would not learn its new passwords", node.name), PASSWORD_MISSED));
        }
        if self.paused {
            return Err(Objection::new("the cluster is paused", "'pgfleet resume' ends the pause"));
        }
        Ok(())
    }

    /// May the PostgreSQL of this replica go away for a while?
    ///
    /// # Errors
    /// Why not: it is what commits wait for.
    pub fn may_rest(&self, name: &str) -> Verdict {
        self.may_decide()?;
        let counts = |member: &&Member| !member.is_leader() && member.is_well() && !member.has_tag("nosync");
        let others = self.members.iter().filter(counts).filter(|member| member.name != name).count();
        let is_one = self.member(name).is_some_and(|member| counts(&member));
        if self.synchronous_mode == "off" || others > 0 || !is_one {
            return Ok(());
        }
        let reason = format!("{name} is the last replica that commits can be safe on (synchronous mode {})", self.synchronous_mode);
        Err(Objection::new(reason, "bring another replica back first; --force does it anyway, and writes may wait until it is back"))
    }

    /// May this node copy the leader's data anew?
    ///
    /// # Errors
    /// Why not.
    pub fn may_copy_anew(&self, name: &str, forced: bool) -> Verdict {
        self.may_decide()?;
        let leader = self.working_leader()?;
        if leader.name == name {
            let hint = format!("let another node lead first: 'pgfleet switchover', then 'pgfleet reinit {name}'");
            return Err(Objection::new(format!("{name} is the leader: its data is what the others copy"), hint));
        }
        let is_copying = |member: &&Member| member.name != name && member.state.contains("creating replica");
        if let Some(other) = self.members.iter().find(is_copying) {
            let reason = format!("{} is being made anew right now, and one at a time keeps the leader free for its work", other.name);
            return Err(Objection::new(reason, "wait until it streams; see 'pgfleet status --watch'"));
        }
        if forced { Ok(()) } else { self.may_rest(name) }
    }

    /// May this node be stopped as a whole: its router, PostgreSQL and voter?
    ///
    /// # Errors
    /// Why not.
    pub fn may_stop(&self, name: &str, forced: bool) -> Verdict {
        // Without etcd the leader stays one only while every other node answers it.
        self.may_decide()?;
        if self.etcd.iter().any(|voter| voter.name == name && voter.healthy) {
            let (healthy, all, needed) = self.quorum();
            if healthy <= needed {
                let reason = format!(
                    "without {name} etcd would lose its quorum: {healthy} of {all} voters are healthy, and {needed} are needed{}",
                    self.ill_voters(name)
                );
                return Err(Objection::new(
                    reason,
                    "bring another voter back first; 'pgfleet stop' without a node stops the whole cluster",
                ));
            }
        }
        if forced {
            return Ok(());
        }
        if self.leader().is_some_and(|leader| leader.name == name) {
            let hint = "give --switchover to let another node lead first, or --force for a failover";
            return Err(Objection::new(format!("{name} is the leader"), hint));
        }
        if self.member(name).is_some() { self.may_rest(name) } else { Ok(()) }
    }
}

impl Member {
    /// True when a tag of it is set to something true.
    #[must_use]
    pub fn has_tag(&self, name: &str) -> bool {
        self.tags.get(name).is_some_and(|value| value == &serde_json::Value::Bool(true))
    }
}
