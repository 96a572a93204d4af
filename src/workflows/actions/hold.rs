//! Holding the Patroni of bystanders for the moment between two leaders.
//!
//! A replica's Patroni that looks while nobody leads, and sees that a switchover is not to itself, rests two seconds before it looks again.
//! Commits wait for a replica to follow, so these two seconds would be seen by every client. Held, it looks when there is a leader.

use std::time::{Duration, SystemTime};

use futures::future::join_all;

use super::Work;
use crate::nodes::Node;

/// A sign that ends a hold begins so; in a folder that a reboot empties.
const SIGN: &str = "/run/pgfleet-hold";
/// Holds and lets go by itself: after a sign, or after five seconds whatever becomes of the controller. A Patroni rests up to twice as
/// long between two looks in any case. Its PostgreSQL goes on.
const SCRIPT: &str = "\
signal() { systemctl kill --kill-whom=main --signal=$1 patroni.service; }\n\
trap 'signal CONT; rm -f \"$0\"' EXIT\n\
find /run -maxdepth 1 -name 'pgfleet-hold.*' -mmin +1 -delete\n\
signal STOP\n\
i=0; while [ ! -e \"$0\" ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i + 1)); done\n";
/// Above the script's own limit.
const LIMIT: Duration = Duration::from_secs(20);
/// The lane of calls that last as long as the hold.
const LANE: u8 = 4;

/// What ends one hold, and no other: a sign that came too late for its hold must not end the next one.
pub(super) struct Sign(String);

impl Sign {
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(format!("{SIGN}.{}-{}", std::process::id(), now.as_micros()))
    }

    /// Holds until [`Self::release`]; a node that cannot be held just takes its two seconds.
    pub(super) async fn hold(&self, work: &Work, bystanders: &[&Node]) {
        let held = bystanders.iter().map(|node| async move {
            let arguments = serde_json::json!({"argv": ["sh", "-c", SCRIPT, self.0], "expand_argument_vars": false});
            tokio::time::timeout(LIMIT, work.nodes.call_with(node, LANE, "command", arguments, None, None)).await
        });
        join_all(held).await;
    }

    /// Lets all go.
    pub(super) async fn release(&self, work: &Work, bystanders: &[&Node]) {
        join_all(bystanders.iter().map(async |node| work.nodes.run(node, &["touch", &self.0], "", LIMIT).await)).await;
    }
}
