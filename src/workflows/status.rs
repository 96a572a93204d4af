//! Status: one connection a host, one view of the cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pgfleet_cluster::{ClusterView, NodeAnswer, questions};
use pgfleet_engine::{Ending, Event, Report};
use pgfleet_protocol::Mode;
use pgfleet_template::{NodeKind, Problem, Raw, SourceFile, Vars, Vault};
use serde_json::Value;

use crate::WorkflowError;
use crate::groups::{ClusterHosts, add_optional_groups};
use crate::play::{Additions, Wish, prepare_own, run};

const PLAYBOOK: &str = "playbooks/postgresql/status.yml";

/// Asks all nodes and brings their answers together.
///
/// # Errors
/// Wrong input. A host that does not answer is part of the view, no error.
pub async fn status(wish: &Wish) -> Result<ClusterView, WorkflowError> {
    debug_assert!(wish.mode == Mode::Apply, "a status changes nothing, and is not checked");
    let mut prepared = prepare_own(wish, PLAYBOOK)?;
    let hosts = ClusterHosts::of(&prepared.inventory);
    if hosts.nodes.is_empty() {
        let problem = Problem::new("no host is in the group 'postgresql'");
        return Err(problem.with_hint("put the nodes of the cluster into that group of the inventory").into());
    }
    add_optional_groups(&mut prepared.inventory)?;
    let results: Arc<Mutex<BTreeMap<String, Result<Value, String>>>> = Arc::default();
    let sink = results.clone();
    let report: Report = Arc::new(move |event: &Event| {
        if let Event::HostDone { host, result, .. } = event {
            let answer = match result.ending {
                Ending::Failed | Ending::Unreachable => Err(result.message().unwrap_or("no reason was given").to_owned()),
                _ => Ok(Value::Object(result.data.clone())),
            };
            sink.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone(), answer);
        }
    });
    run(wish, prepared, Additions { vars: asked()?, secrets: Vec::new() }, report).await?;
    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
    let answers: Vec<NodeAnswer> = hosts
        .all()
        .into_iter()
        .map(|node| NodeAnswer {
            is_voter: hosts.voters.contains(&node),
            is_database: hosts.nodes.contains(&node),
            probe: results.remove(&node).unwrap_or_else(|| Err("it was not asked; see --limit".to_owned())),
            node,
        })
        .collect();
    Ok(ClusterView::from_answers(&answers))
}

/// The questions as variables, their templates still to be filled in for each node.
fn asked() -> Result<Vars, Problem> {
    let questions = questions();
    let mut vars = Vars::new();
    for (name, value) in [("probe_http", questions.http), ("probe_commands", questions.commands), ("probe_units", questions.units)] {
        let source = SourceFile::from_text("pgfleet status", value.to_string());
        let documents = source.documents()?;
        let node = documents.into_iter().next().unwrap_or(pgfleet_template::Node {
            place: pgfleet_template::Place::new("pgfleet status", 1, 1),
            tag: None,
            kind: NodeKind::Mapping(Vec::new()),
        });
        vars.insert(name.to_owned(), Raw::from_node(&node, &Arc::new(Vault::none()))?);
    }
    Ok(vars)
}
