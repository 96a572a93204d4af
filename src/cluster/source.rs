//! Which nodes a backup may be read from, best first.

use crate::{ClusterView, Member};

/// A replica that is further behind gives an old backup, in bytes.
const MOST_LAG: u64 = 64 << 20;

/// Nodes to read a backup from, best first: replicas that stream, the one without a duty as synchronous standby and with the
/// least lag before the others. The leader serves clients, and is read only when it is named.
///
/// # Errors
/// Why there is none: the reason, and the next step.
pub fn backup_sources(view: &ClusterView, wanted: Option<&str>) -> Result<Vec<String>, (String, String)> {
    if let Some(name) = wanted {
        return match view.members.iter().find(|member| member.name == name) {
            Some(member) if member.is_well() => Ok(vec![member.name.clone()]),
            Some(member) => Err((format!("{name} is {}", member.state), "name another node, or let the best one be chosen".to_owned())),
            None => {
                let names: Vec<&str> = view.members.iter().map(|member| member.name.as_str()).collect();
                Err((format!("'{name}' is no member of the cluster"), format!("its members are {}", names.join(", "))))
            }
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
    let leader = view.members.iter().find(|member| member.is_leader()).map_or("NODE", |member| member.name.as_str());
    Err((
        format!("no replica is fit to be read: {seen}"),
        format!("mend a replica, or read the leader with --from {leader}, which its clients will feel"),
    ))
}

fn is_synchronous(member: &Member) -> bool {
    matches!(member.role.as_str(), "sync_standby" | "quorum_standby")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::backup_sources;
    use crate::{ClusterView, Member};

    fn view(members: &[(&str, &str, &str, Option<u64>)]) -> ClusterView {
        let mut view = ClusterView::from_answers(&[]);
        view.members = members
            .iter()
            .map(|(name, role, state, lag)| Member {
                name: (*name).to_owned(),
                host: String::new(),
                port: 5432,
                role: (*role).to_owned(),
                state: (*state).to_owned(),
                timeline: Some(1),
                lag: *lag,
                pending_restart: false,
                scheduled_restart: None,
                tags: BTreeMap::new(),
                patroni: Some("4.0.7".to_owned()),
            })
            .collect();
        view
    }

    #[test]
    fn the_replica_that_is_missed_least_comes_first() {
        let leader = ("a", "leader", "running", None);
        for (members, expect) in [
            (vec![leader, ("b", "replica", "streaming", Some(9)), ("c", "replica", "streaming", Some(1))], "c b"),
            (vec![leader, ("b", "sync_standby", "streaming", Some(0)), ("c", "replica", "streaming", Some(1))], "c b"),
            (vec![leader, ("b", "quorum_standby", "streaming", Some(1)), ("c", "quorum_standby", "streaming", Some(0))], "c b"),
            (vec![leader, ("b", "sync_standby", "streaming", Some(0)), ("c", "replica", "starting", None)], "b"),
            (vec![leader, ("b", "replica", "streaming", Some(1 << 40)), ("c", "replica", "streaming", Some(1))], "c"),
        ] {
            assert_eq!(backup_sources(&view(&members), None).expect("a source").join(" "), expect, "{members:?}");
        }
    }

    #[test]
    fn the_leader_is_read_only_when_it_is_named() {
        let alone = view(&[("a", "leader", "running", None), ("b", "replica", "stopped", None)]);
        let (reason, hint) = backup_sources(&alone, None).expect_err("no replica");
        assert!(reason.contains("b is stopped") && hint.contains("--from a"), "{reason} {hint}");
        assert_eq!(backup_sources(&alone, Some("a")), Ok(vec!["a".to_owned()]));
        assert!(backup_sources(&alone, Some("b")).is_err() && backup_sources(&alone, Some("x")).is_err());
    }
}
