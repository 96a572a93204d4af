//! Holding the Patroni of bystanders for the moment between two leaders.
//!
//! A replica's Patroni that looks while nobody leads, and sees that a switchover is not to itself, rests two seconds before it looks again.
//! Commits wait for a replica to follow, so these two seconds would be seen by every client. Held, it looks when there is a leader.

use std::time::Duration;

use futures::future::join_all;

use super::Work;
use crate::nodes::Node;

/// What ends the hold; in a folder that a reboot empties.
const UNTIL: &str = "/run/pgfleet-hold.end";
/// Holds and lets go by itself: after a sign, or after five seconds whatever becomes of the controller. A Patroni rests up to twice as
/// long between two looks in any case. Its PostgreSQL goes on.
const SCRIPT: &str = "\
signal() { systemctl kill --kill-whom=main --signal=$1 patroni.service; }\n\
trap 'signal CONT; rm -f \"$0\"' EXIT\n\
signal STOP\n\
i=0; while [ ! -e \"$0\" ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i + 1)); done\n";
/// Above the script's own limit.
const LIMIT: Duration = Duration::from_secs(20);
/// The lane of calls that last as long as the hold.
const LANE: u8 = 4;

/// Holds until [`release`]; a node that cannot be held just takes its two seconds.
pub(super) async fn hold(work: &Work, bystanders: &[&Node]) {
    let held = bystanders.iter().map(|node| async move {
        let arguments = serde_json::json!({"argv": ["sh", "-c", SCRIPT, UNTIL], "expand_argument_vars": false});
        tokio::time::timeout(LIMIT, work.nodes.call_with(node, LANE, "command", arguments, None, None)).await
    });
    join_all(held).await;
}

/// Lets all go.
pub(super) async fn release(work: &Work, bystanders: &[&Node]) {
    join_all(bystanders.iter().map(|node| work.nodes.run(node, &["touch", UNTIL], "", LIMIT))).await;
}
