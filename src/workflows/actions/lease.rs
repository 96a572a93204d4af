//! `cluster_lease`: the cluster is this run's alone, also among runs of other controllers, for as long as the run goes on.
//!
//! Each host of the play keeps the lease for its own connection, so it ends with the connection, and after a while of silence. Of two runs
//! that begin at one moment, the one that has the first host goes on.

use std::time::{Duration, Instant};

use futures::future::join_all;
use pgfleet_protocol::{Mode, Outcome, Request};
use serde_json::{Value, json};

use super::{Done, Trouble, Work};
use crate::nodes::Node;
use crate::process::Myself;

/// How long a run that has just ended may take to let go.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries of the run that has the first host, and of one that has not.
const FIRST: Duration = Duration::from_millis(50);
const OTHERS: Duration = Duration::from_millis(300);
/// Seconds of silence that end a lease, where nobody says otherwise.
const SECONDS: u64 = 60;

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    if work.is_check() {
        return Ok(Done::unchanged());
    }
    let doing: String = work.argument("work")?.unwrap_or_default();
    let seconds: u64 = work.argument("seconds")?.unwrap_or(SECONDS).max(1);
    let myself = Myself::new();
    let holder = json!({"token": myself.token(), "who": format!("{doing} by {myself}")});
    let wanted = json!({"state": "held", "holder": holder, "limit": seconds});
    let begin = Instant::now();
    let mut nodes: Vec<&Node> = work.nodes.all().iter().collect();
    nodes.sort_by(|left, right| left.name.cmp(&right.name));
    loop {
        let asked = join_all(nodes.iter().map(|node| ask(work, node, &wanted))).await;
        let answers: Vec<(&Node, Outcome)> = nodes.iter().zip(asked).filter_map(|(node, answer)| Some((*node, answer?))).collect();
        // One that cannot be reached is not tried again and again.
        nodes = answers.iter().map(|(node, _)| *node).collect();
        let Some((node, other)) = answers.iter().find(|(_, outcome)| outcome.is_failed()) else {
            answers.iter().for_each(|(node, _)| keep(work, node, &wanted, seconds));
            if let Some(warning) = warning(answers.len(), work.nodes.all().len()) {
                work.teller.say(&warning);
            }
            return Ok(Done::unchanged());
        };
        let Some(theirs) = other.data.get("holder") else {
            return Err(Trouble::failed(format!("{}: {}", node.name, other.message)));
        };
        let mine = answers.first().is_some_and(|(_, outcome)| !outcome.is_failed());
        if myself.knows_dead(text(theirs, "token")) {
            // Its process was on this machine and is no more; its connection does not know that yet.
            ask(work, node, &json!({"state": "ended", "holder": holder})).await;
        } else if !mine {
            let released = json!({"state": "released"});
            join_all(answers.iter().map(|(node, _)| ask(work, node, &released))).await;
        }
        if begin.elapsed() > PATIENCE {
            return Err(refusal(theirs, other.data.get("age").and_then(Value::as_u64), seconds));
        }
        tokio::time::sleep(if mine { FIRST } else { OTHERS }).await;
    }
}

/// A host's word about the lease; `None` where it cannot be reached: such a host does nothing for anybody.
async fn ask(work: &Work, node: &Node, wanted: &Value) -> Option<Outcome> {
    let mut arguments = wanted.clone();
    arguments["name"] = node.cluster.as_str().into();
    work.nodes.call(node, "lease", arguments).await.ok()
}

fn text<'a>(holder: &'a Value, name: &str) -> &'a str {
    holder.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What a person should know who has no majority of the hosts: most of a cluster may be gone, and it must be repairable then.
fn warning(had: usize, all: usize) -> Option<String> {
    (had < all && had * 2 <= all).then(|| {
        format!(
            "only {had} of {all} hosts were reached: a run of another controller, which reaches the others alone, would not be kept away"
        )
    })
}

fn refusal(holder: &Value, age: Option<u64>, seconds: u64) -> Trouble {
    let since = age.map(|age| format!(", for {age} s")).unwrap_or_default();
    let who = if holder.get("who").is_some() { text(holder, "who") } else { "another run" };
    Trouble::locked(format!("the cluster is being changed already: {who}{since}")).hint(format!(
        "wait for it to end; a controller that is gone loses the cluster within {seconds} s, 'pgfleet unlock' ends a run that hangs"
    ))
}

/// Goes on having a node's lease for as long as the run has a fleet. A run that lost it to another ends at its next step, and has no new
/// conversation with the node.
fn keep(work: &Work, node: &Node, wanted: &Value, seconds: u64) {
    let Some(mut arguments) = wanted.as_object().cloned() else { return };
    arguments.insert("name".to_owned(), node.cluster.as_str().into());
    arguments.insert("again".to_owned(), true.into());
    let request = Request {
        id: 0,
        module: "lease".to_owned(),
        arguments,
        mode: Mode::Apply,
        diff: false,
        brief: true,
        environment: Vec::new(),
        detached: None,
    };
    let (way, stop, teller, name) = (work.nodes.loosely(node), work.stop.clone(), work.teller.clone(), node.name.clone());
    if let Some((fleet, contact)) = way() {
        fleet.begin_with(&contact, request.clone());
    }
    let pause = Duration::from_millis(seconds * 1000 / 4);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let Some((fleet, contact)) = way() else { return };
            // A host that cannot be reached is the tasks' business.
            let Ok(outcome) = fleet.call(&contact, request.clone(), None, None).await else { continue };
            if let Some(holder) = outcome.data.get("holder").filter(|_| outcome.is_failed()) {
                teller.say(&format!("{name}: this run has lost the cluster to {}, and ends", text(holder, "who")));
                return stop.ask();
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::warning;

    #[test]
    fn who_has_no_majority_is_told() {
        for (had, all, is_told) in
            [(1, 1, false), (3, 3, false), (2, 3, false), (3, 4, false), (1, 2, true), (2, 4, true), (1, 3, true), (0, 3, true)]
        {
            assert_eq!(warning(had, all).is_some(), is_told, "{had} of {all}");
        }
        assert!(warning(2, 4).is_some_and(|text| text.starts_with("only 2 of 4 hosts were reached")));
    }
}
