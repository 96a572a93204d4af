//! `cluster_start`: a node or the whole cluster comes up: etcd first, then Patroni with PostgreSQL, then the routers.

use std::time::Duration;

use super::seen::Seen;
use super::stop::units_of;
use super::units::Order;
use super::{Done, Trouble, Work};
use crate::nodes::Node;

/// A voter waits for the others.
const VOTE: Duration = Duration::from_secs(120);
/// How long the one that was leader may take before the others are let go.
const FIRST: Duration = Duration::from_secs(90);
/// A PostgreSQL with much to recover takes its time.
const RECOVER: Duration = Duration::from_secs(900);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let name: Option<String> = work.argument("node")?;
    let chosen: Vec<&Node> = match &name {
        Some(name) => vec![work.node(name)?],
        None => work.nodes.all().iter().collect(),
    };
    let seen = work.look().await;
    let (silent, chosen): (Vec<&Node>, Vec<&Node>) = chosen.into_iter().partition(|node| seen.unreachable(&node.name).is_some());
    let names = |nodes: &[&Node]| nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
    if chosen.is_empty() {
        return Err(Trouble::refused(format!("{} cannot be reached", names(&silent))).hint("is the host up?"));
    }
    let with = |unit: &str| -> Vec<&Node> {
        chosen.iter().copied().filter(|node| units_of(node).contains(&unit) && seen.unit(&node.name, unit) != "active").collect()
    };
    let (voters, patronis, routers) = (with("etcd"), with("patroni"), with("haproxy"));
    if voters.is_empty() && patronis.is_empty() && routers.is_empty() {
        let text = if silent.is_empty() {
            "All of it runs.".to_owned()
        } else {
            format!("All that can be reached runs. Not reached: {}.", names(&silent))
        };
        return Ok(Done::unchanged().with("summary", text));
    }
    if work.is_check() {
        let parts = [("etcd", &voters), ("patroni", &patronis), ("haproxy", &routers)];
        let parts: Vec<String> =
            parts.iter().filter(|(_, nodes)| !nodes.is_empty()).map(|(unit, nodes)| format!("{unit} on {}", names(nodes))).collect();
        return Ok(Done::changed().with("summary", format!("Would start {}.", parts.join("; then "))));
    }
    vote(work, &voters).await?;
    members(work, &patronis).await?;
    work.order(Order::Start, "haproxy", &routers).await?;
    let seen = work.look().await;
    let leader = seen.view.leader().map_or_else(|| "Nobody leads yet.".to_owned(), |leader| format!("{} leads.", leader.name));
    let what = name.unwrap_or_else(|| "The cluster".to_owned());
    let lost = if silent.is_empty() { String::new() } else { format!(" Not reached: {}.", names(&silent)) };
    Ok(Done::changed().with("summary", format!("{what} runs. {leader}{lost}")))
}

/// Starts voters, and waits until they vote.
async fn vote(work: &Work, voters: &[&Node]) -> Result<(), Trouble> {
    if voters.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = voters.iter().map(|node| node.name.as_str()).collect();
    let what = format!("etcd has its quorum, with {}", names.join(", "));
    let voting = async {
        work.tell(Order::Start, "etcd", voters).await?;
        let waited = work.until_seen(&what, VOTE, &names, |seen| {
            let ill = names.iter().filter(|name| !seen.view.etcd.iter().any(|voter| voter.name == **name && voter.healthy));
            let ill: Vec<&str> = ill.copied().collect();
            match seen.view.may_decide() {
                Err(objection) => Err(objection.reason),
                Ok(()) if ill.is_empty() => Ok(()),
                Ok(()) => Err(format!("not healthy yet: {}", ill.join(", "))),
            }
        });
        waited.await.map_err(|trouble| trouble.hint("'pgfleet logs --unit etcd' says why; a quorum needs the other voters too"))
    };
    work.step(&what, voting).await
}

/// Starts Patroni, and waits until one leads and the others stream.
async fn members(work: &Work, nodes: &[&Node]) -> Result<(), Trouble> {
    if nodes.is_empty() {
        return Ok(());
    }
    let mut rest: Vec<&Node> = nodes.to_vec();
    if work.look().await.view.leader().is_none()
        && let Some(first) = newest(work, nodes).await
    {
        let what = format!("{}, which led last, leads", first.name);
        let leading = async {
            work.tell(Order::Start, "patroni", &[first]).await?;
            let leads = |seen: &Seen| seen.view.working_leader().map(drop).map_err(|objection| objection.reason);
            work.until_seen(&what, FIRST, &[first.name.as_str()], leads).await
        };
        // When it does not come up, the others choose among themselves.
        if work.step(&what, leading).await.is_ok() {
            rest.retain(|node| node.name != first.name);
        }
    }
    work.order(Order::Start, "patroni", &rest).await?;
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let what = format!("leading or streaming: {}", names.join(", "));
    let waited = work.until_seen(&what, RECOVER, &names, |seen| {
        let late = names.iter().filter_map(|name| seen.well(name, 0).err().map(|why| format!("{name} {why}")));
        let late: Vec<String> = late.collect();
        if late.is_empty() { Ok(()) } else { Err(late.join(", ")) }
    });
    let waited = async { waited.await.map_err(|trouble| trouble.hint("'pgfleet logs --unit patroni' says why")) };
    work.step(&what, waited).await
}

/// The node that was shut down as a leader, when its data is the newest of all. After a crash nobody can say so, and Patroni chooses.
async fn newest<'a>(work: &Work, nodes: &[&'a Node]) -> Option<&'a Node> {
    let mut found = Vec::new();
    for node in nodes {
        found.push((*node, Rest::of(work, node).await?));
    }
    let most = found.iter().map(|(_, rest)| (rest.timeline, rest.checkpoint)).max()?;
    let first = found.iter().find(|(_, rest)| rest.was_leader && (rest.timeline, rest.checkpoint) == most);
    first.map(|(node, _)| *node)
}

/// What a PostgreSQL that does not run has written into its control file.
struct Rest {
    was_leader: bool,
    timeline: u64,
    checkpoint: u64,
}

impl Rest {
    async fn of(work: &Work, node: &Node) -> Option<Self> {
        let program = format!("{}/pg_controldata", node.bin_dir);
        let argv = ["runuser", "-u", "postgres", "--", "env", "LC_ALL=C", program.as_str(), "-D", node.data_dir.as_str()];
        let ended = work.nodes.run(node, &argv, "", Duration::from_secs(30)).await.ok()?;
        Self::read(&ended.stdout)
    }

    fn read(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let (high, low) = value("Latest checkpoint location")?.split_once('/')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self {
            was_leader: value("Database cluster state")? == "shut down",
            timeline: value("Latest checkpoint's TimeLineID")?.parse().ok()?,
            checkpoint: number(high)? << 32 | number(low)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Rest;

    #[test]
    fn the_control_file_tells_who_led() {
        let text = "pg_control version number:            1700\nDatabase cluster state:               shut down\n\
                    Latest checkpoint location:           1/4000028\nLatest checkpoint's TimeLineID:       3\n";
        let rest = Rest::read(text).expect("read");
        assert_eq!((rest.was_leader, rest.timeline, rest.checkpoint), (true, 3, 0x1_0400_0028));
        assert!(!Rest::read(&text.replace("shut down", "shut down in recovery")).expect("read").was_leader);
        assert!(Rest::read("").is_none());
    }
}
