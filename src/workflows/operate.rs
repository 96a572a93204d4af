//! Day two: a playbook of the cluster with its secrets as variables, and what its modules found out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pgfleet_engine::{Ending, Event, Finished, Report};
use pgfleet_protocol::Map;
use pgfleet_state::{Lock, Secrets};
use pgfleet_template::{Problem, Raw, from_json};
use serde_json::Value;

use crate::credentials;
use crate::deploy::{additions, state_folder};
use crate::groups::{ClusterHosts, add_optional_groups};
use crate::play::{Wish, prepare, run};
use crate::{WorkflowError, carried_agent};

/// What a person asks of a cluster that runs.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// Its name: that of the playbook in `playbooks/postgresql`, and of the lock.
    pub name: &'static str,
    /// Variables for the playbook, besides what the person gives.
    pub variables: Map,
    /// It only looks, and needs no lock.
    pub looks_only: bool,
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub struct Operated {
    /// How its run ended.
    pub finished: Finished,
    /// The last result of each module of the controller.
    pub results: BTreeMap<String, Map>,
}

/// Runs the playbook of an operation.
///
/// # Errors
/// Wrong input, a lock that is held, a cluster whose secrets are not here. What fails later is in the recap.
pub async fn operate(wish: &Wish, operation: &Operation, report: Report) -> Result<Operated, WorkflowError> {
    let playbook = PathBuf::from(format!("playbooks/postgresql/{}.yml", operation.name));
    let mut prepared = prepare(wish, Path::new(&playbook))?;
    if ClusterHosts::of(&prepared.inventory).nodes.is_empty() {
        let problem = Problem::new("no host is in the group 'postgresql'");
        return Err(problem.with_hint("put the nodes of the cluster into that group of the inventory").into());
    }
    add_optional_groups(&mut prepared.inventory)?;
    carried_agent().ok_or(WorkflowError::NoAgent)?;
    let folder = state_folder(wish, &prepared)?;
    let store = Secrets::in_folder(folder.join("secrets"));
    let missing = credentials::missing(&store)?;
    if !missing.is_empty() {
        return Err(WorkflowError::Refused {
            reason: format!("the cluster's secrets are not in {} (missing: {})", store.folder().display(), missing.join(", ")),
            hint: "work where the cluster was deployed, or deploy it first".to_owned(),
        });
    }
    let _lock = if operation.looks_only { None } else { Some(Lock::take(&wish.project.state(), operation.name)?) };
    let mut additions = additions(credentials::read_or_make(&store, false)?);
    additions.vars.insert("cluster_state_folder".to_owned(), Raw::from(from_json(&Value::from(folder.display().to_string()))));
    for (name, value) in &operation.variables {
        additions.vars.insert(name.clone(), Raw::from(from_json(value)));
    }
    let (report, results) = listening(report);
    let finished = run(wish, prepared, additions, report).await?;
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Operated { finished, results })
}

type Results = Arc<Mutex<BTreeMap<String, Map>>>;

/// The same report, with the results by module kept.
fn listening(report: Report) -> (Report, Results) {
    let results: Results = Arc::default();
    let sink = results.clone();
    let modules: Mutex<BTreeMap<usize, String>> = Mutex::default();
    let listener: Report = Arc::new(move |event: &Event| {
        match event {
            Event::TaskStarted { task, module, .. } => {
                modules.lock().unwrap_or_else(PoisonError::into_inner).insert(*task, module.clone());
            }
            // A task that was skipped has found out nothing.
            Event::HostDone { task, result, .. } if result.ending != Ending::Skipped => {
                if let Some(module) = modules.lock().unwrap_or_else(PoisonError::into_inner).get(task) {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).insert(module.clone(), result.data.clone());
                }
            }
            _ => {}
        }
        report(event);
    });
    (listener, results)
}

/// The cluster's name, as the variables have it.
///
/// # Errors
/// Wrong input.
pub fn cluster_name(wish: &Wish) -> Result<String, WorkflowError> {
    let prepared = prepare(wish, Path::new("playbooks/postgresql/status.yml"))?;
    prepared.global_text("postgresql_cluster_name")?.ok_or_else(|| Problem::new("the variable postgresql_cluster_name is not set").into())
}
