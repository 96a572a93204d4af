//! `cluster_unlock`: whoever has the cluster loses it, on every host, with the connections over which he works.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use super::{Done, Trouble, Work};
use crate::process::Myself;

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let state = if work.is_check() { "told" } else { "ended" };
    let myself = Myself::new();
    let holder = json!({"token": myself.token(), "who": format!("unlock by {myself}")});
    let asked = work.nodes.all().iter().map(async |node| {
        let arguments = json!({"name": node.cluster, "state": state, "holder": holder});
        (node, work.nodes.call(node, "lease", arguments).await)
    });
    let (mut holders, mut silent, mut failed) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (node, answer) in join_all(asked).await {
        match answer {
            Err(unreachable) => silent.push(unreachable.message),
            Ok(outcome) if outcome.is_failed() => failed.push(format!("{}: {}", node.name, outcome.message)),
            Ok(outcome) => {
                if let Some(holder) = outcome.data.get("holder") {
                    holders.insert(holder.get("who").and_then(Value::as_str).unwrap_or("a run that says nothing of itself").to_owned());
                }
            }
        }
    }
    if !failed.is_empty() {
        return Err(Trouble::failed(failed.join("; ")));
    }
    if silent.len() == work.nodes.all().len() {
        return Err(Trouble::failed(silent.join("; ")));
    }
    let silent = if silent.is_empty() { String::new() } else { format!(" Not asked: {}.", silent.join("; ")) };
    let names: Vec<String> = holders.into_iter().collect();
    Ok(match (names.as_slice(), work.is_check()) {
        ([], _) => Done::unchanged().with("summary", format!("Nobody holds the cluster.{silent}")),
        (names, true) => Done::changed().with("summary", format!("Would be ended: {}.{silent}", names.join("; "))),
        (names, false) => Done::changed().with("summary", format!("Ended: {}.{silent}", names.join("; "))),
    })
}
