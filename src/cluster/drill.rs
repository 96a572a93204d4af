//! Drills: failures made on purpose. Which there are, and what their clients' records prove.

mod record;

use serde::Serialize;

pub use record::{Attempt, Event, Gap, Leaders, Reply, Track, Usage, broken, two_leaders};

/// A failure that can be made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drill {
    /// Its name.
    pub name: &'static str,
    /// What is done.
    pub does: &'static str,
    /// What of the cluster it is done to.
    pub fault: Fault,
    /// Seconds that the fault lasts, beyond the time to live of the leader's key where it is about that key; 0 for a blow.
    pub seconds: u64,
    /// The key must run out meanwhile.
    pub outlasts_key: bool,
}

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// PostgreSQL of the leader is killed.
    KillPostgres,
    /// Patroni of the leader is killed.
    KillPatroni,
    /// Patroni of the leader is stopped, and goes on later.
    FreezePatroni,
    /// The leader's host is cut off from all but SSH.
    CutLeader,
    /// The leader's host no longer reaches etcd.
    CutLeaderFromEtcd,
    /// Most voters of etcd are killed.
    LoseQuorum,
    /// A replica is killed, and comes back later.
    LoseReplica,
    /// PostgreSQL is restarted on one node after the other.
    RollingRestart,
    /// Another node leads, as planned.
    Switchover,
    /// The leader's host loses its power.
    PowerOffLeader,
    /// All hosts lose their power at once.
    PowerCutAll,
}

impl Fault {
    /// True where hosts are switched off, and on again: somebody must be able to do that.
    #[must_use]
    pub fn needs_power(self) -> bool {
        matches!(self, Self::PowerOffLeader | Self::PowerCutAll)
    }

    /// True where clients on the victims' hosts are lost with them, and what they were told as well.
    #[must_use]
    pub fn takes_clients(self) -> bool {
        self == Self::PowerOffLeader
    }

    /// True where no host is left for a client to be on.
    #[must_use]
    pub fn takes_all(self) -> bool {
        self == Self::PowerCutAll
    }
}

const fn drill(name: &'static str, fault: Fault, does: &'static str, seconds: u64, outlasts_key: bool) -> Drill {
    Drill { name, does, fault, seconds, outlasts_key }
}

/// All of them, the gentle ones first.
pub const DRILLS: &[Drill] = &[
    drill("switchover", Fault::Switchover, "another node leads, as planned", 0, false),
    drill(
        "rolling-restart",
        Fault::RollingRestart,
        "PostgreSQL restarts on one node after the other, the leader last, after it has handed over",
        0,
        false,
    ),
    drill("replica-lost", Fault::LoseReplica, "PostgreSQL and Patroni of a replica are killed; they come back later", 20, false),
    drill("patroni-killed", Fault::KillPatroni, "Patroni of the leader is killed; PostgreSQL goes on", 0, false),
    drill("leader-killed", Fault::KillPostgres, "PostgreSQL of the leader is killed (-9)", 0, false),
    drill("etcd-quorum-lost", Fault::LoseQuorum, "most voters of etcd are killed; they come back later", 5, true),
    drill(
        "leader-frozen",
        Fault::FreezePatroni,
        "Patroni of the leader stands still (SIGSTOP), and goes on later; PostgreSQL goes on all the while",
        15,
        true,
    ),
    drill(
        "leader-partitioned-from-etcd",
        Fault::CutLeaderFromEtcd,
        "the leader's host no longer reaches etcd, but everybody else",
        20,
        true,
    ),
    drill("leader-partitioned", Fault::CutLeader, "the leader's host reaches nobody, and nobody reaches it but by SSH", 20, true),
    drill("leader-power-off", Fault::PowerOffLeader, "the leader's host loses its power, and boots later (lab only)", 20, true),
    drill("power-cut-all", Fault::PowerCutAll, "all hosts lose their power at once, and boot later (lab only)", 5, false),
];

/// The drill of that name.
#[must_use]
pub fn drill_named(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drill_is_found_by_its_name() {
        for drill in DRILLS {
            assert_eq!(drill_named(drill.name), Some(drill));
            assert!(drill.name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'), "{}", drill.name);
        }
        assert_eq!(drill_named("nothing"), None);
    }
}
