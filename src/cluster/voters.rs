//! Where etcd's leader should be: on another host than the database's leader. A host that is lost with both costs an election of etcd
//! first, and the new leader of etcd lets the key of the lost one live for its whole time again.

use serde::Serialize;

use crate::ClusterView;

/// etcd's leader, and the voter that should lead in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EtcdMove {
    /// The host of both leaders.
    pub from: String,
    /// A healthy voter on another host.
    pub to: String,
}

/// Who should lead etcd; nothing where it leads well already, or nobody else could. A voter without a PostgreSQL comes first: it never
/// becomes the database's leader.
#[must_use]
pub fn etcd_move(view: &ClusterView) -> Option<EtcdMove> {
    let leader = &view.leader()?.name;
    view.etcd.iter().find(|voter| voter.leader && voter.name == *leader)?;
    let others = view.etcd.iter().filter(|voter| voter.healthy && voter.name != *leader);
    let to = others.min_by_key(|voter| (view.members.iter().any(|member| member.name == voter.name), &voter.name))?;
    Some(EtcdMove { from: leader.clone(), to: to.name.clone() })
}
