//! systemd units on several nodes at once: told to start or stop, then awaited by their state.

use std::time::Duration;

use futures::future::join_all;

use super::seen::Seen;
use super::{Trouble, Work};
use crate::nodes::Node;

/// Long enough for a checkpoint of a large memory; systemd itself gives up after that.
const LIMIT: Duration = Duration::from_secs(330);

/// A PostgreSQL that takes longer to end waits for something that a person may want to hear of.
const SLOW: Duration = Duration::from_secs(30);

/// What a unit is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Run.
    Start,
    /// End.
    Stop,
}

impl Order {
    fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }

    /// Whether the state of a unit is what was ordered; a unit that is on its way says so.
    fn is_met(self, state: &str) -> bool {
        match self {
            Self::Start => state == "active",
            Self::Stop => matches!(state, "inactive" | "failed" | ""),
        }
    }

    /// What is still in the way on a node: one that cannot be reached has not done anything, as far as is known.
    fn lacks(self, seen: &Seen, name: &str, unit: &str) -> Option<String> {
        match seen.unreachable(name) {
            Some(reason) => Some(reason.to_owned()),
            None => Some(seen.unit(name, unit)).filter(|state| !self.is_met(state)).map(|state| format!("{name} {state}")),
        }
    }
}

impl Work {
    /// Gives units of these nodes an order, and waits until it is met everywhere.
    pub(crate) async fn order(&self, order: Order, unit: &str, nodes: &[&Node]) -> Result<(), Trouble> {
        if nodes.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let what = format!("{} {unit} on {}", order.verb(), names.join(", "));
        let done = async {
            self.tell(order, unit, nodes).await?;
            self.until_seen(&what, LIMIT, &names, |seen| {
                let late: Vec<String> = names.iter().filter_map(|name| order.lacks(seen, name, unit)).collect();
                if late.is_empty() { Ok(()) } else { Err(late.join(", ")) }
            })
            .await
            .map_err(|trouble| trouble.hint(format!("'pgfleet logs --unit {unit}' says why")))
        };
        let step = self.step(&what, done);
        tokio::pin!(step);
        tokio::select! {
            ended = &mut step => return ended,
            () = tokio::time::sleep(SLOW), if order == Order::Stop && unit == "patroni" => {}
        }
        let causes = async {
            let seen = self.look().await;
            for node in nodes.iter().filter(|node| order.lacks(&seen, &node.name, unit).is_some()) {
                self.teller.say(&format!("{} is still stopping: {}", node.name, self.cause(node).await));
            }
        };
        tokio::join!(step, causes).0
    }

    /// Gives the order alone.
    pub(crate) async fn tell(&self, order: Order, unit: &str, nodes: &[&Node]) -> Result<(), Trouble> {
        let argv = ["systemctl", "--no-block", order.verb(), unit];
        let told = join_all(nodes.iter().map(|node| self.nodes.run(node, &argv, "", Duration::from_secs(30)))).await;
        for (node, ended) in nodes.iter().zip(told) {
            let ended = ended?;
            if ended.rc != 0 {
                return Err(Trouble::failed(format!("{}: systemctl {} {unit}: {}", node.name, order.verb(), ended.stderr.trim())));
            }
        }
        Ok(())
    }
}
