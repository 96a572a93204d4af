//! Which nodes a backup may be read from, best first.

use crate::{ClusterView, Member, Objection};

/// A replica that is further behind gives an old backup, in bytes.
const MOST_LAG: u64 = 64 << 20;

/// Nodes to read a backup from, best first: replicas that stream, the one without a duty as synchronous standby and with the
/// least lag before the others. The leader serves clients, and is read only when it is named.
///
/// # Errors
/// Why there is none.
pub fn backup_sources(view: &ClusterView, wanted: Option<&str>) -> Result<Vec<String>, Objection> {
    if let Some(name) = wanted {
        return match view.member(name) {
            Some(member) if member.is_well() => Ok(vec![member.name.clone()]),
            Some(member) => Err(Objection::new(format!("{name} is {}", member.state), "name another node, or let the best one be chosen")),
            None => Err(view.no_member(name)),
        };
    }
    let replicas = || view.members.iter().filter(|member| !member.is_leader());
    let synchronous = replicas().filter(|member| member.is_well() && is_synchronous(member)).count();
    let is_fit = |member: &&Member| member.is_well() && member.lag.is_some_and(|lag| lag <= MOST_LAG);
    let mut fit: Vec<&Member> = replicas().filter(is_fit).collect();
    fit.sort_by_key(|member| (is_synchronous(member) && synchronous == 1, member.role == "sync_standby", member.lag, &member.name));
    if !fit.is_empty() {
        return Ok(fit.into_iter().map(|member| member.name.clone()).collect());
    }
    let seen: Vec<String> = replicas()
        .map(|member| {
            let lag = member.lag.map_or_else(|| "unknown lag".to_owned(), |lag| format!("{lag} bytes behind"));
            format!("{} is {}, {lag}", member.name, member.state)
        })
        .collect();
    let seen = if seen.is_empty() { "there is none".to_owned() } else { seen.join("; ") };
    let leader = view.leader().map_or("NODE", |member| member.name.as_str());
    Err(Objection::new(
        format!("no replica is fit to be read: {seen}"),
        format!("mend a replica, or read the leader with --from {leader}, which its clients will feel"),
    ))
}

fn is_synchronous(member: &Member) -> bool {
    matches!(member.role.as_str(), "sync_standby" | "quorum_standby")
}
