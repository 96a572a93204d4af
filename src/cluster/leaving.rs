//! May a node leave the cluster for good? Decided on one view; nothing is done here.

use serde_json::{Value, json};

use crate::{ClusterView, Member, Objection};

/// How a node leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It works, and is taken out.
    InOrder,
    /// It works, and hands over first what it leads.
    AfterSwitchover,
    /// It is gone already, and nobody reaches it.
    Dead,
}

impl ClusterView {
    /// May this node leave?
    ///
    /// # Errors
    /// Why not, and what to do instead.
    pub fn may_leave(&self, name: &str, how: Leaving) -> Result<(), Objection> {
        self.members_can_spare(name, how)?;
        self.voters_can_spare(name)
    }

    fn members_can_spare(&self, name: &str, how: Leaving) -> Result<(), Objection> {
        let leader = self.working_leader()?;
        if self.paused {
            return Err(Objection::new(
                "the cluster is paused, and a Patroni that is stopped now would leave its PostgreSQL running",
                "end the pause first",
            ));
        }
        if let Some(scheduled) = &self.scheduled_switchover {
            return Err(Objection::new(format!("a switchover is scheduled for {}", scheduled.at), "wait for it, or cancel it"));
        }
        let member = self.member(name);
        if how == Leaving::Dead && member.is_some_and(Member::is_well) {
            let hint = "leave out --dead; of a host that died just now the cluster learns within 30 s";
            return Err(Objection::new(
                format!("{name} is not dead: the cluster says that it is {}", member.map_or("", |member| &member.state)),
                hint,
            ));
        }
        let leads = leader.name == name;
        if leads && how != Leaving::AfterSwitchover {
            return Err(Objection::new(format!("{name} is the leader"), "give --switchover to let another node lead first"));
        }
        let others = self.members.iter().filter(|other| !other.is_leader() && other.is_well() && other.name != name).count();
        if leads && others == 0 {
            return Err(Objection::new(
                format!("no replica is well enough to lead instead of {name}"),
                "bring one back first; see 'pgfleet status'",
            ));
        }
        // One of the others is the next leader, when this one leads.
        let replicas_left = others - usize::from(leads);
        if self.synchronous_mode != "off" && replicas_left == 0 && member.is_some_and(Member::is_well) {
            let reason =
                format!("without {name} no replica is left that commits can be safe on (synchronous mode {})", self.synchronous_mode);
            return Err(Objection::new(reason, "add another node first, or deploy with -e postgresql_synchronous_mode=off"));
        }
        Ok(())
    }

    fn voters_can_spare(&self, name: &str) -> Result<(), Objection> {
        if !self.etcd.iter().any(|voter| voter.name == name) {
            return Ok(());
        }
        self.may_decide()?;
        let others = self.etcd.len() - 1;
        let well = self.etcd.iter().filter(|voter| voter.healthy && voter.name != name).count();
        let wanted = others / 2 + 1;
        if well < wanted {
            let reason = format!(
                "without {name} etcd would lose its quorum: {well} of the other {others} voters are healthy, and {wanted} would be needed{}",
                self.ill_voters(name)
            );
            let hint = if well < others {
                "bring the others back first; see 'pgfleet status'"
            } else {
                "add a voter first: put another host into the group etcd, and deploy"
            };
            return Err(Objection::new(reason, hint));
        }
        Ok(())
    }
}

/// The replication slot that Patroni gives a member.
#[must_use]
pub fn slot_of(member: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9' | '_') => letter.to_string(),
        '-' | '.' => "_".to_owned(),
        other => format!("u{:04}", u32::from(other)),
    };
    member.chars().map(letter).collect::<String>().chars().take(63).collect()
}

/// How long Patroni keeps the slot of a member that is away.
const SLOTS_TTL: &str = "member_slots_ttl";
/// What that was, as long as it is another: the cluster itself remembers it, so that whoever comes next puts it back (tasks/patroni.yml too).
const SLOTS_TTL_BEFORE: &str = "pgfleet_member_slots_ttl";
/// Stands there for none.
const UNSET: &str = "unset";

/// The change of the shared settings with which Patroni keeps no slot of a member that is away.
#[must_use]
pub fn no_slots_kept(shared: &Value) -> Value {
    let before = shared.get(SLOTS_TTL_BEFORE).or_else(|| shared.get(SLOTS_TTL)).cloned();
    json!({SLOTS_TTL: 0, SLOTS_TTL_BEFORE: before.unwrap_or_else(|| UNSET.into())})
}

/// The change that takes this back; nothing where there is nothing to take back.
#[must_use]
pub fn slots_kept_again(shared: &Value) -> Option<Value> {
    let before = shared.get(SLOTS_TTL_BEFORE)?;
    let before = if before == UNSET { &Value::Null } else { before };
    Some(json!({SLOTS_TTL: before, SLOTS_TTL_BEFORE: null}))
}

#[cfg(test)]
mod tests {
    use super::{no_slots_kept, slots_kept_again};
    use serde_json::json;

    #[test]
    fn how_long_slots_are_kept_outlasts_whoever_changed_it() {
        let interrupted = no_slots_kept(&json!({"ttl": 30, "member_slots_ttl": "10min"}));
        assert_eq!(interrupted, json!({"member_slots_ttl": 0, "pgfleet_member_slots_ttl": "10min"}));
        assert_eq!(no_slots_kept(&interrupted), interrupted, "asked again, it still knows what was before");
        let again = json!({"member_slots_ttl": "10min", "pgfleet_member_slots_ttl": null});
        assert_eq!(slots_kept_again(&interrupted), Some(again));
        let again = json!({"member_slots_ttl": null, "pgfleet_member_slots_ttl": null});
        assert_eq!(slots_kept_again(&no_slots_kept(&json!({"ttl": 30}))), Some(again), "nobody had set it");
        assert_eq!(slots_kept_again(&json!({"member_slots_ttl": 0})), None, "somebody's own wish");
    }
}
