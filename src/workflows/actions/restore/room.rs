//! Is there room for a second copy of the databases? The leader needs it, and every replica too.

use futures::future::join_all;

use super::{SHORT, Trouble, Work};
use crate::nodes::Node;
use pgfleet_cluster::shown_bytes;

/// The disk of one node.
pub(super) struct Room {
    node: String,
    /// `None` when it did not say.
    free: Option<u64>,
    needed: u64,
}

impl Room {
    pub(super) fn told(&self) -> String {
        let needed = shown_bytes(self.needed);
        match self.free {
            Some(free) => format!("{}: {needed} needed on the disk, {} free", self.node, shown_bytes(free)),
            None => format!("{}: {needed} needed on the disk; how much is free, it does not say", self.node),
        }
    }
}

/// Asks every node for its disk. The log of the load comes on top of the data.
pub(super) async fn rooms(work: &Work, size: u64) -> Result<Vec<Room>, Trouble> {
    let needed = size + size / 2 + (256 << 20);
    let ask = |node: &Node| {
        let node = node.clone();
        async move {
            let ended = work.nodes.run(&node, &["df", "--output=avail", "-B1", &node.data_dir], "", SHORT).await;
            let free = ended.ok().and_then(|ended| ended.stdout.lines().last().and_then(|line| line.trim().parse().ok()));
            Room { node: node.name.clone(), free, needed }
        }
    };
    Ok(join_all(work.nodes.databases().map(ask)).await)
}

/// # Errors
/// Which node has too little.
pub(super) fn suffices(rooms: &[Room]) -> Result<(), Trouble> {
    let short: Vec<String> = rooms.iter().filter(|room| room.free.is_some_and(|free| free < room.needed)).map(Room::told).collect();
    if short.is_empty() {
        return Ok(());
    }
    let trouble = Trouble::refused(format!("the disk is too small for a second copy: {}", short.join("; ")));
    Err(trouble.hint("make room, or restore one database at a time: --database"))
}
