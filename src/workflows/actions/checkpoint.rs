//! `patroni_checkpoint`: a checkpoint on one node after the other, so that a shutdown soon after has little left to write.

use std::time::Duration;

use pgfleet_protocol::Items;

use super::{Done, Trouble, Work};

/// A large and busy memory takes its time.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let names: Items = work.argument("nodes")?.unwrap_or_default();
    if !work.is_check() {
        for name in &names {
            let node = work.node(name)?;
            work.step(&format!("checkpoint on {name}"), async { Ok(work.nodes.sql(node, "postgres", "CHECKPOINT;", LIMIT).await?) })
                .await?;
        }
    }
    Ok(Done::unchanged())
}
