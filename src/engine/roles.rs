//! The roles of a play while it runs: their variables, their handlers, and where they have run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pgfleet_playbook::{Included, Play, Role, Task};
use pgfleet_template::{Value, Vars};

use crate::hosts::HostState;
use crate::scopes::vars;

/// Kept by a play for its roles.
pub(crate) struct Roles(Mutex<Kept>);

struct Kept {
    roles: Vec<Arc<Role>>,
    handlers: Arc<Vec<Arc<Task>>>,
    /// What the roles let all tasks of the play see.
    defaults: Arc<Vars>,
    vars: Arc<Vars>,
    names: Arc<Vars>,
    /// Use of a role, and host: a task of it was done there, all of it was.
    begun: BTreeSet<(String, String)>,
    complete: BTreeSet<(String, String)>,
}

impl Roles {
    pub(crate) fn of(play: &Play) -> Self {
        let mut kept = Kept {
            roles: play.used_roles.clone(),
            handlers: Arc::new(play.handlers.clone()),
            defaults: Arc::default(),
            vars: Arc::default(),
            names: Arc::default(),
            begun: BTreeSet::new(),
            complete: BTreeSet::new(),
        };
        kept.renew();
        Self(Mutex::new(kept))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All handlers, those of roles first.
    pub(crate) fn handlers(&self) -> Arc<Vec<Arc<Task>>> {
        self.kept().handlers.clone()
    }

    /// Defaults that all tasks of the play see.
    pub(crate) fn defaults(&self) -> Arc<Vars> {
        self.kept().defaults.clone()
    }

    /// Variables of roles that all tasks of the play see.
    pub(crate) fn vars(&self) -> Arc<Vars> {
        self.kept().vars.clone()
    }

    /// Variables with the names of roles.
    pub(crate) fn names(&self) -> Arc<Vars> {
        self.kept().names.clone()
    }

    /// Takes what an include brought.
    pub(crate) fn add(&self, included: &Included) {
        if included.roles.is_empty() && included.handlers.is_empty() {
            return;
        }
        let mut kept = self.kept();
        kept.roles.extend(included.roles.iter().cloned());
        Arc::make_mut(&mut kept.handlers).extend(included.handlers.iter().cloned());
        kept.renew();
    }

    /// Hosts on which the role is to run.
    pub(crate) fn lacking(&self, role: &Role, mut hosts: Vec<Arc<HostState>>) -> Vec<Arc<HostState>> {
        if !role.allow_duplicates {
            let kept = self.kept();
            hosts.retain(|host| !kept.complete.contains(&(role.identity.clone(), host.name.clone())));
        }
        hosts
    }

    /// Notes that a task of the role was done on a host.
    pub(crate) fn note_run(&self, role: &Role, host: &HostState) {
        self.kept().begun.insert((role.identity.clone(), host.name.clone()));
    }

    /// Notes that the role is at its end.
    pub(crate) fn complete(&self, role: &Role, hosts: &[Arc<HostState>]) {
        let mut kept = self.kept();
        for host in hosts {
            let key = (role.identity.clone(), host.name.clone());
            if kept.begun.contains(&key) {
                kept.complete.insert(key);
            }
        }
    }
}

impl Kept {
    fn renew(&mut self) {
        let public = || self.roles.iter().filter(|role| role.public);
        let (mut defaults, mut all) = (Vars::new(), Vars::new());
        for role in public() {
            defaults.extend(role.exported_defaults().iter().map(|(name, raw)| (name.clone(), raw.clone())));
            all.extend(role.exported_vars().iter().map(|(name, raw)| (name.clone(), raw.clone())));
        }
        let direct: Vec<String> = self.roles.iter().map(|role| role.origin.name.clone()).collect();
        let depended: BTreeSet<String> =
            self.roles.iter().flat_map(|role| role.dependencies.iter().map(|origin| origin.name.clone())).collect();
        let every: BTreeSet<String> = depended.iter().chain(&direct).cloned().collect();
        let list = |names: BTreeSet<String>| Value::from(names.into_iter().collect::<Vec<_>>());
        self.names = Arc::new(vars([
            ("ansible_play_role_names", Value::from(direct.clone())),
            ("role_names", Value::from(direct)),
            ("ansible_dependent_role_names", list(depended)),
            ("ansible_role_names", list(every)),
        ]));
        self.defaults = Arc::new(defaults);
        self.vars = Arc::new(all);
    }
}

/// Variables that a task's role has about itself.
pub(crate) fn role_variables(role: &Role) -> Arc<Vars> {
    let path = std::path::absolute(&role.origin.path).unwrap_or_else(|_| role.origin.path.clone());
    Arc::new(vars([
        ("role_name", Value::from(role.origin.short.clone())),
        ("role_path", Value::from(path.components().collect::<std::path::PathBuf>().display().to_string())),
        ("ansible_role_name", Value::from(role.origin.name.clone())),
        ("ansible_collection_name", role.origin.collection.clone().map_or(Value::from(()), Value::from)),
    ]))
}
