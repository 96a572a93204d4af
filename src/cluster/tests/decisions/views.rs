//! Views of clusters, as the decisions are given them.

use pgfleet_cluster::{ClusterView, EtcdMember, Member};

/// Voters that are all well.
pub(crate) const VOTERS: [(&str, bool); 3] = [("a", true), ("b", true), ("c", true)];

/// A member: name, role, state.
pub(crate) fn member((name, role, state): &(&str, &str, &str)) -> Member {
    Member {
        name: (*name).to_owned(),
        host: (*name).to_owned(),
        port: 5432,
        role: (*role).to_owned(),
        state: (*state).to_owned(),
        timeline: Some(1),
        lag: Some(0),
        pending_restart: false,
        scheduled_restart: None,
        tags: Default::default(),
        patroni: Some("4.0.7".to_owned()),
    }
}

/// A cluster in synchronous mode quorum, of these members and these voters, each well or not.
pub(crate) fn view(members: &[(&str, &str, &str)], voters: &[(&str, bool)]) -> ClusterView {
    let voter = |(name, healthy): &(&str, bool)| EtcdMember {
        name: (*name).to_owned(),
        healthy: *healthy,
        leader: false,
        version: None,
        error: None,
        alarm: None,
    };
    ClusterView {
        members: members.iter().map(member).collect(),
        synchronous_mode: "quorum".to_owned(),
        etcd: voters.iter().map(voter).collect(),
        ..ClusterView::from_answers(&[])
    }
}
