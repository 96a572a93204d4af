//! Day two: a playbook of the cluster with its secrets as variables, and what its modules found out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pgfleet_engine::{Ending, Event, Finished, Fleet, Report};
use pgfleet_protocol::Map;
use pgfleet_state::Lock;
use pgfleet_template::{Problem, Raw, from_json};
use serde_json::Value;

use crate::credentials;
use crate::deploy::{additions, state_folder};
use crate::groups::{ClusterHosts, add_optional_groups};
use crate::play::{Additions, Prepared, Wish, prepare_own, run, run_on};
use crate::seal::secrets_in;
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
    let ready = ready(wish, operation)?;
    let (report, results) = listening(report);
    let finished = run(wish, ready.prepared, ready.additions, report).await?;
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Operated { finished, results })
}

/// An operation that may begin.
pub(crate) struct Ready {
    pub(crate) prepared: Prepared,
    pub(crate) additions: Additions,
    /// The folder of the cluster's state.
    pub(crate) folder: PathBuf,
    _lock: Option<Lock>,
}

/// Reads everything that an operation needs, and takes the lock.
pub(crate) fn ready(wish: &Wish, operation: &Operation) -> Result<Ready, WorkflowError> {
    let playbook = format!("playbooks/postgresql/{}.yml", operation.name);
    let mut prepared = prepare_own(wish, &playbook)?;
    if ClusterHosts::of(&prepared.inventory).nodes.is_empty() {
        let problem = Problem::new("no host is in the group 'postgresql'");
        return Err(problem.with_hint("put the nodes of the cluster into that group of the inventory").into());
    }
    add_optional_groups(&mut prepared.inventory)?;
    carried_agent().ok_or(WorkflowError::NoAgent)?;
    let folder = state_folder(wish, &prepared)?;
    let store = secrets_in(wish, &folder);
    let missing = credentials::missing(&store)?;
    if !missing.is_empty() {
        return Err(WorkflowError::Refused {
            reason: format!("the cluster's secrets are not in {} (missing: {})", store.folder().display(), missing.join(", ")),
            hint: "work where the cluster was deployed, or deploy it first; where they were lost, 'pgfleet state recover --from HOST' fetches \
                   what its nodes know"
                .to_owned(),
        });
    }
    let lock = if operation.looks_only { None } else { Some(Lock::take(&wish.project.state(), operation.name)?) };
    let mut additions = additions(credentials::read_or_make(&store, false)?);
    additions.vars.insert("cluster_state_folder".to_owned(), Raw::from(from_json(&Value::from(folder.display().to_string()))));
    additions.vars.insert("only_looks".to_owned(), Raw::from(from_json(&Value::from(operation.looks_only))));
    for (name, value) in &operation.variables {
        additions.vars.insert(name.clone(), Raw::from(from_json(value)));
    }
    Ok(Ready { prepared, additions, folder, _lock: lock })
}

/// What failed, and what to do.
type Complaint = (String, Option<String>);

/// Asks a module of the controller something, and shows nothing of it. Gives what it answers.
pub(crate) async fn ask(fleet: Arc<dyn Fleet>, wish: &Wish, ready: Ready, module: &str) -> Result<Map, WorkflowError> {
    let complaint: Arc<Mutex<Option<Complaint>>> = Arc::default();
    let sink = complaint.clone();
    let report: Report = Arc::new(move |event: &Event| {
        if let Event::HostDone { result, .. } = event
            && result.is_bad()
        {
            let told = (result.message().unwrap_or("no reason was given").to_owned(), result.hint.clone());
            sink.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(told);
        }
    });
    let (report, results) = listening(report);
    run_on(fleet, wish, ready.prepared, ready.additions, report).await?;
    if let Some((reason, hint)) = complaint.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(match reason.strip_prefix("refused: ") {
            Some(reason) => {
                WorkflowError::Refused { reason: reason.to_owned(), hint: hint.unwrap_or_else(|| "nothing was touched".to_owned()) }
            }
            None => WorkflowError::Failed(reason),
        });
    }
    let answer = results.lock().unwrap_or_else(PoisonError::into_inner).remove(module);
    answer.ok_or_else(|| WorkflowError::Failed("no host of the play was asked; see --limit".to_owned()))
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
    let prepared = prepare_own(wish, "playbooks/postgresql/status.yml")?;
    prepared.global_text("postgresql_cluster_name")?.ok_or_else(|| Problem::new("the variable postgresql_cluster_name is not set").into())
}
