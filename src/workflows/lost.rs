//! What of a cluster's state is not here: made anew for a cluster that runs, it would lock everybody out of it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pgfleet_engine::{Event, Report};
use pgfleet_state::Secrets;
use serde_json::Value;

use crate::WorkflowError;
use crate::authority;
use crate::credentials;
use crate::declared::without_password;
use crate::groups::add_optional_groups;
use crate::play::{Additions, Prepared, Wish, prepare_own, run};

const FIND: &str = "playbooks/postgresql/find.yml";

/// What a deploy would make.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    passwords: Vec<&'static str>,
    users: Vec<String>,
    authority: bool,
}

impl Lost {
    /// Looks at state alone.
    pub(crate) fn of(prepared: &Prepared, folder: &Path, store: &Secrets) -> Result<Self, WorkflowError> {
        Ok(Self {
            passwords: credentials::missing(store)?,
            users: without_password(prepared, store)?,
            authority: authority::is_missing(folder),
        })
    }

    /// Asks the hosts, where anything would be made.
    pub(crate) async fn refuse_where_hosts_have_it(&self, wish: &Wish, store: &Secrets) -> Result<(), WorkflowError> {
        if self.passwords.is_empty() && self.users.is_empty() && !self.authority {
            return Ok(());
        }
        let found = found(wish).await?;
        let on: Vec<&str> = found.iter().filter(|(_, found)| found["cluster"] == true).map(|(host, _)| host.as_str()).collect();
        let missing = self.missing_of(&found);
        if on.is_empty() || missing.is_empty() {
            // Hosts that were not reached may hold a cluster. The deploy itself reports them, before it changes anything.
            return Ok(());
        }
        Err(WorkflowError::Refused {
            reason: format!(
                "a cluster is on {} already, but its secrets are not in {} (missing: {})",
                on.join(", "),
                store.folder().display(),
                missing.join(", ")
            ),
            hint: hint(on[0]),
        })
    }

    /// What is missing here and counts there.
    fn missing_of(&self, found: &[(String, Value)]) -> Vec<String> {
        let mut missing: Vec<String> = self.passwords.iter().map(|name| (*name).to_owned()).collect();
        let has_role = |user: &str| {
            let roles = found.iter().filter_map(|(_, found)| found["roles"].as_array());
            roles.flatten().any(|role| role == user)
        };
        missing.extend(self.users.iter().filter(|user| has_role(user)).map(|user| format!("users/{user}")));
        if self.authority && found.iter().any(|(_, found)| found["authority"] == true) {
            missing.push("pki/ca.crt and pki/ca.key".to_owned());
        }
        missing
    }
}

/// What to do where a cluster's secrets are gone.
pub(crate) fn hint(host: &str) -> String {
    format!(
        "bring that folder back from where the cluster was deployed, or fetch what its nodes know with \
         'pgfleet state recover --from {host}'; nothing was touched"
    )
}

/// What each host says that could be asked.
async fn found(wish: &Wish) -> Result<Vec<(String, Value)>, WorkflowError> {
    let found: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let sink = found.clone();
    let report: Report = Arc::new(move |event: &Event| {
        if let Event::HostDone { host, result, .. } = event
            && let Some(said) = result.data.get("ansible_facts").and_then(|facts| facts.get("postgresql_found"))
        {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push((host.clone(), said.clone()));
        }
    });
    let mut prepared = prepare_own(wish, FIND)?;
    add_optional_groups(&mut prepared.inventory)?;
    run(wish, prepared, Additions::default(), report).await?;
    let mut found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    found.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::Lost;
    use serde_json::json;

    #[test]
    fn only_what_hosts_have_is_missed() {
        let lost = Lost { passwords: vec!["app"], users: vec!["report".to_owned(), "new".to_owned()], authority: true };
        let one = |found| vec![("a".to_owned(), found)];
        assert_eq!(lost.missing_of(&one(json!({"cluster": true, "roles": ["report"], "authority": false}))), ["app", "users/report"]);
        assert_eq!(lost.missing_of(&one(json!({"cluster": true}))), ["app"]);
        let lost = Lost { authority: true, ..Lost::default() };
        assert_eq!(lost.missing_of(&one(json!({"authority": true, "roles": null}))), ["pki/ca.crt and pki/ca.key"]);
    }
}
