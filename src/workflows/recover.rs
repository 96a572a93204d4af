//! What of a cluster's state can be had from one of its nodes is brought back: passwords, verifiers, the authority's certificate, who is
//! in the cluster and how it is set. What is here already is never overwritten.

mod found;
mod topology;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pgfleet_engine::{Event, Report};
use pgfleet_protocol::Secret;
use pgfleet_state::{Lock, Secrets, StateError, put_aside, time_of, write};
use serde_json::Value;

use self::found::{Found, Thing};
use crate::WorkflowError;
use crate::authority;
use crate::credentials::{PASSWORDS, VERIFIERS, verifies};
use crate::deploy::state_folder;
use crate::groups::add_optional_groups;
use crate::play::{Additions, Prepared, Wish, prepare_own, run};
use crate::seal::secrets_in;

const PLAYBOOK: &str = "playbooks/postgresql/recover.yml";
/// Who is in the cluster and how it is set, as an inventory, below the folder of the cluster's state.
const TOPOLOGY: &str = "recovered.yml";
/// What follows where a password is known to its users alone.
const ONLY_VERIFIED: &str = "PostgreSQL keeps only a verifier of it, so it goes on to count for those who know it";

/// What was brought back.
#[derive(Debug, Default)]
pub struct Recovered {
    /// What is here now and was not before: what it is, and its file.
    pub brought: Vec<(String, PathBuf)>,
    /// What was here already, the same.
    pub same: Vec<String>,
    /// Where what was here before is kept.
    pub aside: Vec<PathBuf>,
    /// What no node knows, and what follows from that.
    pub lacking: Vec<(String, String)>,
    /// Hosts of the cluster that the inventory has not, and the other way round.
    pub differences: Vec<String>,
}

/// Brings back what `from` knows. With `force`, what is here and differs, or is damaged, makes room under another name.
///
/// # Errors
/// Wrong input, a lock that is held, a host that is no node, what is here and differs.
pub async fn recover(wish: &Wish, from: &str, force: bool) -> Result<Recovered, WorkflowError> {
    let prepared = prepare_own(wish, PLAYBOOK)?;
    let known = crate::groups::ClusterHosts::of(&prepared.inventory).nodes;
    let _lock = Lock::take(&wish.project.state(), "state recover")?;
    let folder = state_folder(wish, &prepared)?;
    let store = secrets_in(wish, &folder);
    let found = ask(wish, prepared, from).await?;
    let things = found.things()?;
    let topology = topology::written(&found, from);
    let mut plan = Plan { store: &store, folder: &folder, force, done: Recovered::default(), write: Vec::new(), conflicts: Vec::new() };
    for thing in things {
        plan.consider(thing);
    }
    plan.consider(Thing {
        name: TOPOLOGY.to_owned(),
        what: "who is in the cluster and how it is set".to_owned(),
        text: topology,
        file: true,
    });
    if !plan.conflicts.is_empty() {
        return Err(WorkflowError::Refused {
            reason: format!("{} has something else here than on {from}: {}", folder.display(), plan.conflicts.join("; ")),
            hint: "--force keeps what is here beside it, with .old- and the time behind its name; nothing was touched".to_owned(),
        });
    }
    let time = time_of(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs());
    let mut done = plan.carry_out(&time)?;
    if let Some(key) = authority::strange_key(wish, &folder)? {
        done.aside.extend(put_aside(&key, &time)?);
    }
    done.lacking = lacking(wish, &store, &folder, &found)?;
    done.differences = differences(&known, &found);
    Ok(done)
}

/// What the node says.
async fn ask(wish: &Wish, mut prepared: Prepared, from: &str) -> Result<Found, WorkflowError> {
    let answer: Arc<Mutex<(Option<Value>, Option<String>)>> = Arc::default();
    let sink = answer.clone();
    let report: Report = Arc::new(move |event: &Event| {
        let Event::HostDone { result, .. } = event else { return };
        let mut answer = sink.lock().unwrap_or_else(PoisonError::into_inner);
        if result.is_bad() {
            let reason = result.message().unwrap_or("no reason was given").to_owned();
            answer.1.get_or_insert(reason);
        } else if let Some(said) = result.data.get("ansible_facts").and_then(|facts| facts.get("recovered")) {
            answer.0 = Some(said.clone());
        }
    });
    add_optional_groups(&mut prepared.inventory)?;
    run(wish, prepared, Additions::default(), report).await?;
    let (said, reason) = std::mem::take(&mut *answer.lock().unwrap_or_else(PoisonError::into_inner));
    let Some(said) = said else {
        let reason = reason.unwrap_or_else(|| "it was not asked".to_owned());
        return Err(WorkflowError::Failed(format!("{from} tells nothing of a cluster: {reason}")));
    };
    Found::read(from, said)
}

/// What will be written, decided before anything is.
struct Plan<'a> {
    store: &'a Secrets,
    folder: &'a Path,
    force: bool,
    done: Recovered,
    write: Vec<Thing>,
    conflicts: Vec<String>,
}

impl Plan<'_> {
    fn path(&self, thing: &Thing) -> PathBuf {
        if thing.file { self.folder.join(&thing.name) } else { self.store.folder().join(&thing.name) }
    }

    /// The text that is here; `None` when nothing is, and why when it is of no use.
    fn here(&self, thing: &Thing) -> Result<Option<String>, String> {
        let says = |error: StateError| error.to_string();
        if !thing.file {
            return Ok(self.store.read_document(&thing.name).map_err(says)?.map(|secret| secret.reveal().to_owned()));
        }
        match std::fs::read_to_string(self.path(thing)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", thing.name)),
        }
    }

    fn consider(&mut self, thing: Thing) {
        match self.here(&thing) {
            Ok(Some(text)) if text.trim_end() == thing.text.trim_end() => self.done.same.push(thing.what),
            Ok(None) => self.write.push(thing),
            _ if self.force => self.write.push(thing),
            Ok(Some(_)) => self.conflicts.push(format!("{} ({})", thing.name, thing.what)),
            Err(reason) => self.conflicts.push(reason),
        }
    }

    fn carry_out(mut self, time: &str) -> Result<Recovered, WorkflowError> {
        // What is sealed stays so; what makes room may have been the only one that told.
        let sealed = self.store.is_sealed().unwrap_or_default();
        for thing in std::mem::take(&mut self.write) {
            let path = self.path(&thing);
            self.done.aside.extend(put_aside(&path, time)?);
            if thing.file {
                write(&path, format!("{}\n", thing.text.trim_end()).as_bytes())?;
            } else {
                self.store.store_as(&thing.name, &Secret::new(thing.text), sealed)?;
            }
            self.done.brought.push((thing.what, path));
        }
        Ok(self.done)
    }
}

/// What is not here even now.
fn lacking(wish: &Wish, store: &Secrets, folder: &Path, found: &Found) -> Result<Vec<(String, String)>, WorkflowError> {
    let mut lacking = Vec::new();
    let mut add = |name: &str, follows: &str| lacking.push((name.to_owned(), follows.to_owned()));
    if let Some(reason) = &found.silent {
        add("PostgreSQL's verifiers", &format!("{}'s PostgreSQL did not tell them ({reason}): ask another node", found.host));
    }
    for (password, _) in PASSWORDS {
        let verifier = VERIFIERS.iter().find(|(name, ..)| *name == password).map(|(_, file, _)| *file);
        match (store.read(password)?, verifier.map(|file| store.read(file)).transpose()?.flatten()) {
            (None, Some(_)) => add(
                &format!("secrets/{password}"),
                &format!("{ONLY_VERIFIED}: write it there if you do, or 'pgfleet secrets rotate {password}' makes a new one"),
            ),
            (None, None) => add(&format!("secrets/{password}"), "this node does not know it: ask another one"),
            (Some(known), Some(verifier)) if !verifies(verifier.reveal(), &known) => {
                add(&format!("secrets/{password}"), "what is here is not what PostgreSQL has: a deploy would give PostgreSQL what is here");
            }
            _ => {}
        }
    }
    for user in found.users() {
        if store.read(&crate::declared::password_file(user))?.is_none() {
            add(&format!("secrets/users/{user}"), ONLY_VERIFIED);
        }
    }
    if authority::keys_in(wish, folder).read_document(authority::KEY)?.is_none() {
        add(
            "pki/ca.key",
            "it is on no node: what it signed goes on to count, and nothing new can be signed; the next deploy says what to do",
        );
    }
    add("backups", "they are kept here alone, on no node; make one soon: 'pgfleet backup'");
    Ok(lacking)
}

/// Where the inventory and the cluster differ, as far as an inventory was given that has a cluster.
fn differences(known: &[String], found: &Found) -> Vec<String> {
    let members = found.members();
    if known.is_empty() || members.is_empty() {
        return Vec::new();
    }
    let absent =
        |names: &[String], others: &[String]| -> Vec<String> { names.iter().filter(|name| !others.contains(name)).cloned().collect() };
    let names: Vec<String> = members.into_iter().map(|(name, _)| name).collect();
    let mut told = Vec::new();
    let (here, there) = (absent(known, &names), absent(&names, known));
    if !there.is_empty() {
        told.push(format!("members of the cluster that the inventory lacks: {}", there.join(", ")));
    }
    if !here.is_empty() {
        told.push(format!("nodes of the inventory that are no members: {}", here.join(", ")));
    }
    told
}
