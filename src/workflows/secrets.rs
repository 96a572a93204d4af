//! The secrets of a cluster as a person handles them: what there is, one of them, new ones.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pgfleet_engine::{Finished, Report, Verdict};
use pgfleet_protocol::{Mode, Secret};
use pgfleet_state::{Lock, Secrets, StateError, make_password};
use pgfleet_template::{Problem, Raw, Value, from_json};

use crate::WorkflowError;
use crate::credentials::{PASSWORDS, VERIFIERS, make_verifier, verifies};
use crate::deploy::state_folder;
use crate::operate::{Operation, ready};
use crate::play::{Additions, Wish, prepare_own, run};
use crate::rotation::{Change, Rotation};
use crate::seal::{keep_app_password, secrets_in};

/// What nobody but the cluster itself, and whoever operates it, logs in with.
const OWN: [&str; 7] = ["superuser", "replication", "rewind", "patroni_rest", "haproxy_stats", "etcd", "etcd_admin"];

/// A secret, without its value.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// When it was made.
    pub made: SystemTime,
    /// Who uses it.
    pub used_by: String,
    /// A rotation that was interrupted has left its successor.
    pub staged: bool,
}

/// What secrets there are.
///
/// # Errors
/// Wrong input, or a folder that cannot be read.
pub fn secrets(wish: &Wish) -> Result<Vec<Known>, WorkflowError> {
    let store = store(wish)?;
    let known = |(name, made): (String, SystemTime)| {
        let staged = store.staged(&name)?.is_some();
        Ok(Known { file: store.folder().join(&name), used_by: used_by(&name), made, staged, name })
    };
    store.names()?.into_iter().map(known).collect()
}

/// One secret.
///
/// # Errors
/// Wrong input, or none of that name.
pub fn secret(wish: &Wish, name: &str) -> Result<Secret, WorkflowError> {
    let store = store(wish)?;
    let names: Vec<String> = store.names()?.into_iter().map(|(name, _)| name).collect();
    if !names.iter().any(|known| known == name) {
        let problem = Problem::new(format!("there is no secret '{name}' in {}", store.folder().display()));
        return Err(problem.did_you_mean(name, names.iter().map(String::as_str)).into());
    }
    store.read(name)?.ok_or_else(|| WorkflowError::Failed(format!("the secret '{name}' is gone")))
}

fn store(wish: &Wish) -> Result<Secrets, WorkflowError> {
    let prepared = prepare_own(wish, "playbooks/postgresql/status.yml")?;
    Ok(secrets_in(wish, &state_folder(wish, &prepared)?))
}

fn used_by(name: &str) -> String {
    let text = match name {
        "superuser" => "role postgres: Patroni",
        "replication" => "role replicator: replicas, by Patroni",
        "rewind" => "role rewind: an old leader that comes back, by Patroni",
        "app" => "the application's role: applications",
        "readonly" => "the read-only role: people, reports",
        "app_scram" | "readonly_scram" => "its verifier, as PostgreSQL keeps it",
        "patroni_rest" => "changes through Patroni's REST API: pgfleet, patronictl",
        "haproxy_stats" => "HAProxy's statistics page: people",
        "etcd" => "the cluster's keys in etcd: Patroni",
        "etcd_admin" => "all of etcd: pgfleet, root's etcdctl",
        name => return name.strip_prefix("users/").map_or_else(String::new, |user| format!("role {user}")),
    };
    text.to_owned()
}

/// How a rotation ended.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// Its run, or that of the way back.
    pub finished: Finished,
    /// What came of it, line by line.
    pub lines: Vec<String>,
}

/// Gives the cluster new passwords. Without names these are all that only the cluster itself uses. What an interrupted rotation left
/// is finished with it.
///
/// # Errors
/// Wrong input, a lock that is held, secrets that cannot be kept.
pub async fn rotate(wish: &Wish, names: &[String], report: Report) -> Result<Rotated, WorkflowError> {
    let all = PASSWORDS.map(|(name, _)| name);
    if let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) {
        let problem = Problem::new(format!("'{unknown}' is no secret that can be rotated; these are {}", all.join(", ")));
        return Err(problem.did_you_mean(unknown, all).into());
    }
    let apply = wish.mode == Mode::Apply;
    let _lock = apply.then(|| Lock::take(&wish.project.state(), "secrets rotate")).transpose()?;
    let operation = Operation { name: "secrets-rotate", looks_only: true, ..Operation::default() };
    let folder = ready(wish, &operation)?.folder;
    let store = secrets_in(wish, &folder);
    let mut chosen: Vec<&str> = Vec::new();
    let mut fresh: Vec<&str> = Vec::new();
    for name in all {
        let asked = if names.is_empty() { OWN.contains(&name) } else { names.iter().any(|asked| asked == name) };
        match (store.staged(name)?, asked) {
            (Some(_), _) => chosen.push(name),
            (None, true) => {
                chosen.push(name);
                fresh.push(name);
            }
            (None, false) => {}
        }
    }
    let leftover: Vec<&str> = chosen.iter().copied().filter(|name| !fresh.contains(name)).collect();
    let mut rotation = Rotation::new();
    for name in &chosen {
        rotation.insert((*name).to_owned(), change(&store, name, apply)?);
    }
    let mut lines = Vec::new();
    if !leftover.is_empty() {
        lines.push(format!("A rotation that was interrupted is finished with this one: {}.", leftover.join(", ")));
    }
    let way = if leftover.is_empty() { Way::Forth } else { Way::ForthAgain };
    let finished = turn(wish, &operation, &rotation, way, report.clone()).await?;
    if !apply {
        return Ok(Rotated { finished, lines });
    }
    if is_good(&finished) {
        commit(&store, &folder, &chosen)?;
        lines.push(format!("New, and used on every node: {}.", chosen.join(", ")));
        if chosen.contains(&"app") || chosen.contains(&"readonly") {
            lines.push(
                "Sessions go on; applications need the new password when they connect again ('pgfleet secrets show app').".to_owned(),
            );
        }
        return Ok(Rotated { finished, lines });
    }
    if matches!(finished.verdict, Some(Verdict::Refused | Verdict::Locked)) {
        discard(&store, &fresh)?;
        return Ok(Rotated { finished, lines });
    }
    let again = "the new passwords are kept beside the old ones: run 'pgfleet secrets rotate' again to finish";
    if finished.interrupted {
        lines.push(format!("Interrupted; {again}."));
        return Ok(Rotated { finished, lines });
    }
    if rotation.values().any(|change| change.other.is_empty()) {
        lines.push(format!("It failed, and there is no way back to passwords that are not known; {again}, once the cluster is well."));
        return Ok(Rotated { finished, lines });
    }
    let back: Rotation = rotation.iter().map(|(name, change)| Ok((name.clone(), reversed(change)?))).collect::<Result<_, StateError>>()?;
    let returned = turn(wish, &operation, &back, Way::Back, report).await?;
    if is_good(&returned) {
        discard(&store, &chosen)?;
        lines.push(format!("It failed, and every node has its old passwords again: {}.", chosen.join(", ")));
    } else {
        lines.push(format!("It failed, and so did the way back; {again}, once every host can be reached."));
    }
    Ok(Rotated { finished, lines })
}

/// A password that changes, its successor kept before anything else happens.
fn change(store: &Secrets, name: &str, keep: bool) -> Result<Change, WorkflowError> {
    // One that only PostgreSQL knows, by its verifier, is replaced all the same; but there is no way back to it.
    let other = store.read(name)?.unwrap_or_else(|| Secret::new(String::new()));
    let scram = VERIFIERS.iter().find(|(password, ..)| *password == name).map(|(_, file, _)| *file);
    let password = match store.staged(name)? {
        Some(password) => password,
        None => make_password()?,
    };
    let kept = scram.map(|file| store.staged(file)).transpose()?.flatten().filter(|kept| verifies(kept.reveal(), &password));
    let verifier = kept.map_or_else(|| make_verifier(&password), Ok)?;
    if keep {
        if let Some(file) = scram {
            store.stage(file, &verifier)?;
        }
        store.stage(name, &password)?;
    }
    let text = |secret: &Secret| secret.reveal().to_owned();
    Ok(Change { password: text(&password), verifier: text(&verifier), other: text(&other) })
}

fn reversed(change: &Change) -> Result<Change, StateError> {
    let verifier = make_verifier(&Secret::new(change.other.as_str()))?;
    Ok(Change { password: change.other.clone(), verifier: verifier.reveal().to_owned(), other: change.password.clone() })
}

/// Whence a run of the playbook comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All nodes are as the last rotation left them.
    Forth,
    /// Some may have the new passwords already: an earlier run was interrupted.
    ForthAgain,
    /// To the old passwords, since the way forth failed.
    Back,
}

/// One run of the playbook: the cluster uses what the rotation says afterwards.
async fn turn(wish: &Wish, operation: &Operation, rotation: &Rotation, way: Way, report: Report) -> Result<Finished, WorkflowError> {
    let ready = ready(wish, operation)?;
    let mut additions: Additions = ready.additions;
    for (name, change) in rotation {
        let texts = [&change.password, &change.verifier, &change.other];
        additions.secrets.extend(texts.into_iter().filter(|text| !text.is_empty()).map(|text| Secret::new(text.as_str())));
        if let Some((_, variable)) = PASSWORDS.iter().find(|(file, _)| file == name) {
            additions.vars.insert((*variable).to_owned(), Raw::from(Value::from(change.password.as_str())));
        }
    }
    let json = serde_json::to_value(rotation).map_err(|error| WorkflowError::Failed(error.to_string()))?;
    additions.vars.insert("rotation".to_owned(), Raw::from(from_json(&json)));
    additions.vars.insert("rotation_back".to_owned(), Raw::from(Value::from(way == Way::Back)));
    additions.vars.insert("rotation_resumed".to_owned(), Raw::from(Value::from(way == Way::ForthAgain)));
    run(wish, ready.prepared, additions, report).await
}

pub(crate) fn is_good(finished: &Finished) -> bool {
    let recap = &finished.recap;
    let bad = recap.failed_hosts().next().is_some() || recap.unreachable_hosts().next().is_some();
    !bad && finished.verdict.is_none() && !finished.interrupted
}

/// The staged passwords become the secrets. The verifiers go first: a password that still is staged brings an interrupted commit back.
fn commit(store: &Secrets, folder: &Path, names: &[&str]) -> Result<(), WorkflowError> {
    for name in names {
        if *name == "app"
            && let Some(password) = store.staged(name)?
        {
            keep_app_password(store, folder, &password)?;
        }
        for (_, file, _) in VERIFIERS.iter().filter(|(password, ..)| password == name) {
            store.commit(file)?;
        }
        store.commit(name)?;
    }
    Ok(())
}

fn discard(store: &Secrets, names: &[&str]) -> Result<(), WorkflowError> {
    for name in names {
        store.discard(name)?;
        for (_, file, _) in VERIFIERS.iter().filter(|(password, ..)| password == name) {
            store.discard(file)?;
        }
    }
    Ok(())
}

/// The passwords whose rotation was interrupted.
pub(crate) fn interrupted(store: &Secrets) -> Result<Vec<&'static str>, StateError> {
    let mut found = Vec::new();
    for (name, _) in PASSWORDS {
        if store.staged(name)?.is_some() {
            found.push(name);
        }
    }
    Ok(found)
}
