//! The routers of a cluster: HAProxy on every node, told at once what its own checks would find out later.

use futures::future::join_all;

use super::Work;
use crate::nodes::Node;

/// The part of HAProxy's configuration that leads to the leader.
const BACKEND: &str = "leader";

/// Sends what comes in to the new leader, everywhere at once. Where a router cannot be told, its checks find it out.
pub(super) async fn turn_to(work: &Work, leader: &str, from: &str) {
    let commands = format!("set server {BACKEND}/{from} health down; set server {BACKEND}/{leader} health up");
    for told in join_all(work.nodes.databases().map(|node| work.nodes.haproxy(node, &commands))).await {
        if let Err(reason) = told {
            work.teller.say(&format!("{reason}; its own checks will find the new leader"));
        }
    }
}

/// Sessions that a router still holds, as the leader's, to a node that leads no more.
pub(super) async fn sessions_to(work: &Work, old: &str) -> Vec<(String, u64)> {
    let asked = work.nodes.databases().map(|node: &Node| async move {
        let answer = work.nodes.haproxy(node, "show stat").await.ok()?;
        let count = sessions(&answer, old)?;
        (count > 0).then(|| (node.name.clone(), count))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The current sessions of a server, from HAProxy's statistics.
fn sessions(statistics: &str, server: &str) -> Option<u64> {
    let mut lines = statistics.lines();
    let column = lines.next()?.trim_start_matches("# ").split(',').position(|name| name == "scur")?;
    let line = lines.find(|line| line.starts_with(&format!("{BACKEND},{server},")))?;
    line.split(',').nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::sessions;

    #[test]
    fn statistics_are_read_by_their_header() {
        let text = "# pxname,svname,qcur,qmax,scur,smax\nleader,FRONTEND,,,4,5\nleader,a.lan,0,0,3,5\nleader,b.lan,0,0,0,1\n";
        assert_eq!((sessions(text, "a.lan"), sessions(text, "b.lan"), sessions(text, "c.lan")), (Some(3), Some(0), None));
    }
}
