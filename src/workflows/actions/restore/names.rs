//! The exchange of names, judged by what the cluster says afterwards.

use std::time::Duration;

use super::sql::{Renaming, exchange, send_away};
use super::{SHORT, Trouble, Work};
use crate::nodes::Node;
use crate::sql::{ident, literal};

/// All names in one go. Afterwards nobody reads from what is kept, on replicas neither.
pub(super) async fn change_names(work: &Work, leader: &Node, renamings: &[Renaming]) -> Result<(), Trouble> {
    let done = work.nodes.sql(leader, "postgres", &exchange(renamings), SHORT).await;
    // The cluster says whether it happened: an answer may get lost.
    let names = work.nodes.names(leader, "SELECT datname AS name FROM pg_database", SHORT).await?;
    let is_there = |name: &String| names.contains(name);
    // A name that was free before, and is taken now, tells it.
    if renamings.iter().filter(|renaming| !renaming.opens || renamings.len() == 1).all(|renaming| is_there(&renaming.to))
        && renamings.iter().filter(|renaming| renaming.opens).all(|renaming| !is_there(&renaming.from))
    {
        send_all_away(work, leader, renamings).await;
        return Ok(());
    }
    let open = |renaming: &Renaming| format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;\n", ident(&renaming.from));
    let reopened = work.nodes.sql(leader, "postgres", &renamings.iter().map(open).collect::<String>(), SHORT).await;
    let reason = done.err().unwrap_or_else(|| "nobody knows why".to_owned());
    let trouble = Trouble::failed(format!("the names could not be changed, and are as before: {reason}"));
    Err(match reopened {
        Ok(_) => trouble,
        Err(error) => {
            trouble.hint(format!("nobody can connect to these databases now ({error}): ALTER DATABASE ... ALLOW_CONNECTIONS true"))
        }
    })
}

/// Sessions of replicas live on in what has lost its name; they come again, and find the new one.
async fn send_all_away(work: &Work, leader: &Node, renamings: &[Renaming]) {
    let closed: Vec<String> = renamings.iter().filter(|renaming| !renaming.opens).map(|renaming| literal(&renaming.to)).collect();
    if closed.is_empty() {
        return;
    }
    for node in work.nodes.databases().filter(|node| node.name != leader.name) {
        // A replica that does not answer has no sessions to speak of.
        drop(work.nodes.sql(node, "postgres", &send_away(&closed), Duration::from_secs(10)).await);
    }
}
