//! Deploy: bare hosts become a cluster, and a cluster stays as its variables say.

use std::path::PathBuf;

use pgfleet_engine::{Event, Finished, Report};
use pgfleet_protocol::Mode;
use pgfleet_state::Lock;
use pgfleet_template::{Problem, Raw, Value};

use crate::authority::{add_authority, not_ended};
use crate::credentials::{self, Credentials};
use crate::declared::Declared;
use crate::groups::{ClusterHosts, add_optional_groups};
use crate::lost::Lost;
use crate::play::{Additions, Prepared, Wish, prepare_unchecked, run};
use crate::reach::check_reach;
use crate::rebuild::restore_variables;
use crate::seal::{keep_app_password, secrets_in};
use crate::settings::check_settings;
use crate::{WorkflowError, carried_agent, secrets};

const PLAYBOOK: &str = "playbooks/postgresql/deploy.yml";
/// The folder of a cluster's state below `state`, where no variable says.
const STATE_FOLDER: &str = "postgresql";

/// Deploys.
///
/// # Errors
/// Wrong input, a lock that is held, or a cluster whose secrets are not here.
pub async fn deploy(wish: &Wish, report: Report) -> Result<Finished, WorkflowError> {
    let mut prepared = prepare_unchecked(wish, PLAYBOOK)?;
    let hosts = ClusterHosts::of(&prepared.inventory);
    if hosts.nodes.is_empty() {
        let problem = Problem::new("no host is in the group 'postgresql'");
        return Err(problem
            .with_hint("put the nodes of the cluster into that group of the inventory, or list them in postgresql_nodes")
            .into());
    }
    add_optional_groups(&mut prepared.inventory)?;
    // Secrets are made only for a run that can begin.
    check_reach(wish, &prepared)?;
    for message in check_settings(&mut prepared)? {
        report(&Event::Warning { message });
    }
    let declared = Declared::read(&prepared)?;
    let restore = restore_variables(wish, &prepared)?;
    carried_agent().ok_or(WorkflowError::NoAgent)?;
    let _lock = Lock::take(&wish.project.state(), "deploy")?;
    let folder = state_folder(wish, &prepared)?;
    let store = secrets_in(wish, &folder);
    Lost::of(&prepared, &folder, &store)?.refuse_where_hosts_have_it(wish, &store).await?;
    let unfinished = secrets::interrupted(&store)?;
    if !unfinished.is_empty() {
        return Err(WorkflowError::Refused {
            reason: format!("a rotation of passwords was interrupted, and some nodes may have new ones already: {}", unfinished.join(", ")),
            hint: "'pgfleet secrets rotate' finishes it; nothing was touched".to_owned(),
        });
    }
    let keep = matches!(wish.mode, Mode::Apply);
    let credentials = credentials::read_or_make(&store, keep)?;
    if let Some(app) = credentials.app.as_ref().filter(|_| keep) {
        keep_app_password(&store, &folder, app)?;
    }
    if !credentials.unknown.is_empty() {
        report(&Event::Warning { message: unknown_passwords(&credentials.unknown) });
    }
    let mut additions = additions(credentials);
    additions.vars.extend(restore);
    let cluster = prepared.global_text("postgresql_cluster_name")?.unwrap_or_default();
    let tls = prepared.global_text("postgresql_tls")?.unwrap_or_default().to_lowercase();
    if !["off", "false"].contains(&tls.as_str()) {
        not_ended(&folder)?;
    }
    if let Some(message) = add_authority(wish, &folder, &store, &cluster, keep, &mut additions)? {
        report(&Event::Warning { message });
    }
    declared.add(&store, keep, &mut additions)?;
    run(wish, prepared, additions, report).await
}

fn unknown_passwords(names: &[&str]) -> String {
    format!(
        "the passwords of {} are not in state, only what PostgreSQL keeps of them: they go on to count; 'pgfleet secrets rotate {}' makes new ones",
        names.join(", "),
        names.join(" ")
    )
}

/// The folder of a cluster's state.
pub(crate) fn state_folder(wish: &Wish, prepared: &Prepared) -> Result<PathBuf, WorkflowError> {
    let name = prepared.global_text("postgresql_state_folder")?.unwrap_or_else(|| STATE_FOLDER.to_owned());
    Ok(wish.project.state().join(name))
}

pub(crate) fn additions(credentials: Credentials) -> Additions {
    let mut vars = credentials.vars;
    if let Some(agent) = carried_agent() {
        let path = format!("/var/lib/pgfleet/agent/{}/pgfleet-agent", agent.sha256);
        vars.insert("pgfleet_agent_path".to_owned(), Raw::from(Value::from(path)));
    }
    Additions { vars, secrets: credentials.secrets }
}
