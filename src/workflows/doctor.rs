//! Every check of a cluster: a playbook's module looks at the hosts, and what only the controller knows goes with it.

use std::sync::Arc;
use std::time::SystemTime;

use pgfleet_cluster::Check;
use pgfleet_protocol::Map;
use pgfleet_state::Secrets;
use serde_json::{Value, json};

use crate::WorkflowError;
use crate::deploy::state_folder;
use crate::operate::{Operation, ask, ready};
use crate::play::{Wish, fleet, prepare_own};
use crate::seal::secrets_in;
use crate::secrets::interrupted;

const DAY: u64 = 86_400;

/// What the doctor found.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// All checks.
    pub checks: Vec<Check>,
    /// None of them failed.
    pub healthy: bool,
    /// How many ended how.
    pub summary: String,
}

/// Looks at every host and at the cluster.
///
/// # Errors
/// Wrong input. A host that does not answer is a check that failed.
pub async fn diagnosis(wish: &Wish) -> Result<Diagnosis, WorkflowError> {
    let prepared = prepare_own(wish, "playbooks/postgresql/doctor.yml")?;
    let store = secrets_in(wish, &state_folder(wish, &prepared)?);
    let mut days = Map::new();
    for (name, made) in store.names()? {
        if !name.ends_with("_scram") {
            let age = SystemTime::now().duration_since(made).unwrap_or_default().as_secs() / DAY;
            days.insert(name, Value::from(age));
        }
    }
    let variables = Map::from_iter([
        ("password_days".to_owned(), Value::Object(days)),
        ("interrupted_rotation".to_owned(), json!(interrupted(&store)?)),
        ("exposed_secrets".to_owned(), json!(exposed(&store)?)),
    ]);
    let ready = ready(wish, &Operation { name: "doctor", variables, looks_only: true })?;
    let answer = ask(Arc::new(fleet(wish)?), wish, ready, "cluster_doctor").await?;
    let checks = answer.get("checks").cloned().unwrap_or_default();
    Ok(Diagnosis {
        checks: serde_json::from_value(checks)
            .map_err(|error| WorkflowError::Failed(format!("the checks are not as expected: {error}")))?,
        healthy: answer.get("healthy") == Some(&Value::Bool(true)),
        summary: answer.get("summary").and_then(Value::as_str).unwrap_or_default().to_owned(),
    })
}

/// The files that others on this machine may read, with their modes.
fn exposed(store: &Secrets) -> Result<Vec<String>, WorkflowError> {
    Ok(store.exposed()?.into_iter().map(|(name, mode)| format!("{name} ({mode:04o})")).collect())
}
