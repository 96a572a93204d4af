//! `cluster_stop`: a node or the whole cluster comes to rest: routers first, then PostgreSQL under Patroni, then etcd.

use super::units::Order;
use super::{Done, Trouble, Work};
use crate::nodes::Node;

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let name: Option<String> = work.argument("node")?;
    let forced: bool = work.argument("force")?.unwrap_or(false);
    match name {
        Some(name) => one(work, &name, forced).await,
        None => all(work, forced).await,
    }
}

async fn one(work: &Work, name: &str, forced: bool) -> Result<Done, Trouble> {
    let node = work.node(name)?;
    let seen = work.look().await;
    if let Some(reason) = seen.unreachable(name) {
        return Err(Trouble::refused(reason.to_owned()).hint("a host that cannot be reached cannot be stopped from here"));
    }
    let units: Vec<&str> =
        units_of(node).into_iter().filter(|unit| !matches!(seen.unit(name, unit).as_str(), "inactive" | "failed" | "")).collect();
    if units.is_empty() {
        return Ok(Done::unchanged().with("summary", format!("{name} was stopped before.")));
    }
    let leads = seen.view.leader().is_some_and(|leader| leader.name == name);
    let hand_over = leads && work.argument("switchover")?.unwrap_or(false);
    seen.view.may_stop(name, forced || hand_over)?;
    let first = if hand_over { "another node would lead; then " } else { "" };
    let plan = format!("On {name}, {first}these would stop: {}.", units.join(", "));
    if work.is_check() || work.argument("look_only")?.unwrap_or(false) {
        let done = if work.is_check() { Done::changed() } else { Done::unchanged() };
        return Ok(done.with("summary", plan).with("hand_over", hand_over));
    }
    for unit in units {
        if work.stop.is_asked() {
            return Ok(interrupted(unit));
        }
        work.order(Order::Stop, unit, &[node]).await?;
    }
    let seen = work.look().await;
    let leader = seen.view.leader().map_or_else(|| "Nobody leads now.".to_owned(), |leader| format!("{} leads.", leader.name));
    let (healthy, voters, needed) = seen.view.quorum();
    let summary = format!(
        "{name} is stopped; a reboot or 'pgfleet start {name}' brings it back. {leader} etcd: {healthy} of {voters} voters healthy, {needed} needed."
    );
    Ok(Done::changed().with("summary", summary))
}

async fn all(work: &Work, forced: bool) -> Result<Done, Trouble> {
    let seen = work.look().await;
    let silent: Vec<&str> = work.nodes.all().iter().filter_map(|node| seen.unreachable(&node.name)).collect();
    if !silent.is_empty() && !forced {
        let trouble = Trouble::refused(format!("a host that cannot be reached would go on without the others: {}", silent.join("; ")));
        return Err(trouble.hint("--force stops the hosts that can be reached"));
    }
    let runs = |node: &&Node, unit: &str| !matches!(seen.unit(&node.name, unit).as_str(), "inactive" | "failed" | "");
    let with =
        |unit: &str| -> Vec<&Node> { work.nodes.all().iter().filter(|node| units_of(node).contains(&unit) && runs(node, unit)).collect() };
    let (routers, patronis, voters) = (with("haproxy"), with("patroni"), with("etcd"));
    if routers.is_empty() && patronis.is_empty() && voters.is_empty() {
        return Ok(Done::unchanged().with("summary", "The cluster was stopped before."));
    }
    if work.is_check() || work.argument("look_only")?.unwrap_or(false) {
        let names = |nodes: &[&Node]| nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        let plan = format!(
            "Would stop HAProxy on {}; then Patroni with PostgreSQL on {}, the leader last; then etcd on {}.",
            names(&routers),
            names(&patronis),
            names(&voters)
        );
        let done = if work.is_check() { Done::changed() } else { Done::unchanged() };
        return Ok(done.with("summary", plan).with("hand_over", false));
    }
    let order = async |unit: &str, nodes: &[&Node]| if work.stop.is_asked() { Ok(()) } else { work.order(Order::Stop, unit, nodes).await };
    order("haproxy", &routers).await?;
    // The leader goes last: nobody takes over, and it is the one to begin with again.
    let leader = seen.view.leader().map(|leader| leader.name.as_str());
    let (last, replicas): (Vec<&Node>, Vec<&Node>) = patronis.into_iter().partition(|node| Some(node.name.as_str()) == leader);
    order("patroni", &replicas).await?;
    order("patroni", &last).await?;
    order("etcd", &voters).await?;
    if work.stop.is_asked() {
        return Ok(interrupted("the rest"));
    }
    Ok(Done::changed().with("summary", "The cluster is stopped. A reboot of its hosts or 'pgfleet start' brings it back."))
}

fn interrupted(before: &str) -> Done {
    Done::changed()
        .with("summary", format!("Interrupted before {before} was stopped. The same command goes on; 'pgfleet start' undoes it."))
}

/// The units of a node, in the order of their end.
pub(super) fn units_of(node: &Node) -> Vec<&'static str> {
    let mut units = if node.is_node { vec!["haproxy", "patroni"] } else { Vec::new() };
    if node.is_voter {
        units.push("etcd");
    }
    units
}
