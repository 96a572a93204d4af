//! What names mean for a host: the order of layers, and the variables that the engine itself gives.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use pgfleet_inventory::Inventory;
use pgfleet_playbook::{Role, Task};
use pgfleet_template::{Problem, Raw, Scope, Value, Vars, computed_map, mapping};

use crate::hosts::HostState;
use crate::play::Playing;
use crate::roles::role_variables;
use crate::run::Run;

/// The version of the language, under the number that playbooks ask for.
const LANGUAGE_VERSION: &str = "2.19.0";

/// The inventory's layers of a host, or of the controller where the inventory does not name it.
pub(crate) fn inventory_layers(inventory: &Inventory, name: &str) -> Result<Option<Vec<Arc<Vars>>>, Problem> {
    match inventory.host(name) {
        Some(host) => inventory.layers(&host.name, None).map(Some),
        None if is_controller(name) => inventory.controller_layers(name).map(Some),
        None => Ok(None),
    }
}

/// True for the names that mean the controller itself.
pub(crate) fn is_controller(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

/// Where a task's files are looked for.
#[derive(Clone)]
pub(crate) struct Found {
    folders: Arc<[PathBuf]>,
    /// The same as a variable.
    search_path: Arc<Vars>,
}

impl Run {
    /// The scope of a task on a host, without the item of a loop.
    pub(crate) fn scope(self: &Arc<Self>, playing: &Playing, host: &HostState, task: Option<&Task>) -> Result<Scope, Problem> {
        let role = task.and_then(|task| task.settings.role.as_deref());
        let mut layers = vec![self.options.defaults.clone(), playing.roles.defaults()];
        layers.extend(role.map(Role::task_defaults));
        layers.extend(host.layers());
        layers.extend([host.facts(), playing.play.vars.clone()]);
        layers.extend(playing.vars_files_of(host));
        layers.push(playing.roles.vars());
        layers.extend(role.map(Role::task_vars));
        layers.extend(task.into_iter().flat_map(|task| task.settings.vars.iter().cloned()));
        layers.push(host.included());
        layers.extend(host.set());
        layers.extend(role.map(Role::task_parameters));
        layers.extend(task.into_iter().flat_map(|task| task.settings.parameters.iter().cloned()));
        layers.extend([self.options.extra.clone(), self.constants(), playing.magic.clone(), playing.roles.names()]);
        layers.extend(role.map(role_variables));
        layers.extend(task.map(|task| self.found(playing, Some(task)).search_path));
        layers.extend([playing.still(self.fates()), self.own_variables(host)]);
        Ok(Scope::new(&self.options.language, self.folders(playing, task)).assuming(self.assumed(host, task)).over_all(layers))
    }

    /// How a host is reached where nothing says: tasks see that as variables, other hosts do not.
    fn assumed(&self, host: &HostState, task: Option<&Task>) -> Arc<Vars> {
        let always = host.assumed(|layers| {
            let says = |name: &str| layers.iter().any(|vars| vars.contains_key(name));
            let fallback = |name: &str| self.options.habits.fallbacks.get(name).and_then(serde_json::Value::as_str);
            let connection = if is_controller(&host.name) { "local" } else { fallback("ansible_connection").unwrap_or("ssh") };
            let mut assumed = vars([("ansible_connection", Value::from(connection))]);
            let user = self.options.remote_user.as_deref().map(Value::from);
            for (name, other, value) in
                [("ansible_host", "ansible_ssh_host", Some(Value::from(host.name.as_str()))), ("ansible_user", "ansible_ssh_user", user)]
            {
                for (name, other) in [(name, other), (other, name)] {
                    let place = pgfleet_template::Place::new("connection", 1, 1);
                    let raw = match (says(other), &value) {
                        (true, _) => Raw::from_text(&format!("{{{{ {other} }}}}"), &place).ok(),
                        (false, value) => value.clone().map(Raw::from),
                    };
                    assumed.extend(raw.map(|raw| (name.to_owned(), raw)));
                }
            }
            assumed
        });
        let settings = task.map(|task| &task.settings);
        let said = [
            ("ansible_connection", settings.and_then(|own| own.connection.as_ref())),
            ("ansible_user", settings.and_then(|own| own.remote_user.as_ref())),
        ];
        if said.iter().all(|(_, raw)| raw.is_none()) {
            return always;
        }
        let mut assumed = (*always).clone();
        assumed.extend(said.into_iter().filter_map(|(name, raw)| Some((name.to_owned(), raw?.clone()))));
        Arc::new(assumed)
    }

    /// The scope in which names of handlers are rendered: no host, since they are the same for all.
    pub(crate) fn handler_scope(self: &Arc<Self>, playing: &Playing, handler: &Task) -> Scope {
        let role = handler.settings.role.as_deref();
        let scope = Scope::new(&self.options.language, self.folders(playing, Some(handler))).over(self.options.defaults.clone());
        let scope = scope.over(playing.roles.defaults()).over_all(role.map(Role::task_defaults)).over(playing.play.vars.clone());
        let scope = scope.over(playing.roles.vars()).over_all(role.map(Role::task_vars));
        let scope = scope.over_all(handler.settings.vars.iter().cloned()).over_all(role.map(Role::task_parameters));
        let scope = scope.over_all(handler.settings.parameters.iter().cloned()).over(self.options.extra.clone()).over(self.constants());
        scope.over(playing.magic.clone()).over(playing.roles.names()).over_all(role.map(role_variables))
    }

    /// Folders in which a task looks for files: its roles', its own, the play's, the project's.
    pub(crate) fn folders(&self, playing: &Playing, task: Option<&Task>) -> Arc<[PathBuf]> {
        self.found(playing, task).folders
    }

    fn found(&self, playing: &Playing, task: Option<&Task>) -> Found {
        let mut last = playing.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (task.and_then(|task| task.settings.role.clone()), task.map(|task| task.folder.clone()));
        match &*last {
            Some((known, found)) if is_same(&known.0, &key.0) && is_same(&known.1, &key.1) => found.clone(),
            _ => {
                let folders = self.folders_of(playing, task);
                let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string();
                let written: Vec<String> = folders.iter().map(absolute).collect();
                let search_path = Arc::new(vars([("ansible_search_path", Value::from(written))]));
                let found = Found { folders: folders.into(), search_path };
                *last = Some((key, found.clone()));
                found
            }
        }
    }

    fn folders_of(&self, playing: &Playing, task: Option<&Task>) -> Vec<PathBuf> {
        let roles = task.and_then(|task| task.settings.role.as_deref());
        let mut folders: Vec<PathBuf> = roles.into_iter().flat_map(|role| role.chain().map(|role| role.path.clone())).collect();
        folders.extend(task.map(|task| task.folder.to_path_buf()));
        folders.push(playing.play.folder.to_path_buf());
        folders.push(self.options.project.clone());
        let mut seen = std::collections::HashSet::new();
        // What is written in two ways is one folder.
        folders.retain(|folder| {
            seen.insert(std::path::absolute(folder).map_or_else(|_| folder.clone(), |folder| folder.components().collect()))
        });
        folders
    }

    /// The scope in which a play's own keywords are rendered: no host yet.
    pub(crate) fn play_scope(self: &Arc<Self>, folder: &Path, vars: &Arc<Vars>) -> Scope {
        let scope = self.empty_scope(folder, folder).over(self.options.defaults.clone()).over(vars.clone());
        scope.over(self.options.extra.clone()).over(self.constants())
    }

    fn empty_scope(&self, folder: &Path, play_folder: &Path) -> Scope {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut search = vec![absolute(folder)];
        for more in [play_folder, self.options.project.as_path()].map(absolute) {
            if !search.contains(&more) {
                search.push(more);
            }
        }
        Scope::new(&self.options.language, search)
    }

    /// The scope of another host, as `hostvars` and `delegate_to` see it.
    pub(crate) fn outside_scope(self: &Arc<Self>, host: &HostState) -> Result<Scope, Problem> {
        let scope = self.empty_scope(&self.options.project, &self.options.project).over(self.options.defaults.clone());
        let scope = scope.over_all(host.layers()).over(host.facts()).over(host.included()).over_all(host.set());
        Ok(scope.over(self.options.extra.clone()).over(self.constants()).over(self.own_variables(host)))
    }

    /// The host that `delegate_to` names.
    pub(crate) fn delegate_host(&self, name: &str) -> Result<Arc<HostState>, Problem> {
        if let Some(host) = self.host(name)? {
            return Ok(host);
        }
        // A name that the inventory does not know is reached as it is.
        Ok(self.stranger(name))
    }

    /// Variables about the host itself.
    fn own_variables(&self, host: &HostState) -> Arc<Vars> {
        host.own(|| {
            let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
            let name = host.name.as_str();
            let groups: Vec<String> = inventory.groups_of(name).into_iter().map(str::to_owned).collect();
            let short = if name.parse::<std::net::IpAddr>().is_ok() { name } else { name.split('.').next().unwrap_or(name) };
            let (file, folder) = match inventory.origin_of(name) {
                Some((file, folder)) => (Value::from(file.display().to_string()), Value::from(folder.display().to_string())),
                None if inventory.host(name).is_none() => (Value::UNDEFINED, Value::UNDEFINED),
                None => (Value::from(()), Value::from(())),
            };
            vars([
                ("inventory_hostname", Value::from(name)),
                ("inventory_hostname_short", Value::from(short)),
                ("group_names", Value::from(groups)),
                ("inventory_file", file),
                ("inventory_dir", folder),
            ])
        })
    }

    /// Variables that are the same for all hosts of a run.
    fn constants(self: &Arc<Self>) -> Arc<Vars> {
        let mut constants = self.constants.lock().unwrap_or_else(PoisonError::into_inner);
        constants.get_or_insert_with(|| Arc::new(self.make_constants())).clone()
    }

    /// Takes over what the inventory says after it has changed for one host, or for all.
    pub(crate) fn renew(&self, only: Option<&str>) -> Result<(), Problem> {
        *self.constants.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        let chosen: Vec<_> = match only {
            Some(name) => hosts.get(name).into_iter().collect(),
            None => hosts.values().collect(),
        };
        for host in chosen {
            if let Some(layers) = inventory_layers(&inventory, &host.name)? {
                host.relayer(layers);
            }
        }
        Ok(())
    }

    fn make_constants(self: &Arc<Self>) -> Vars {
        let options = &self.options;
        let version = mapping([
            ("string", Value::from(LANGUAGE_VERSION)),
            ("full", Value::from(LANGUAGE_VERSION)),
            ("major", Value::from(2)),
            ("minor", Value::from(19)),
            ("revision", Value::from(0)),
        ]);
        let mut constants = vars([
            ("hostvars", self.hostvars()),
            ("ansible_check_mode", Value::from(options.mode.is_check())),
            ("ansible_diff_mode", Value::from(options.diff)),
            ("ansible_forks", Value::from(options.forks)),
            ("ansible_verbosity", Value::from(u32::from(options.verbosity))),
            ("ansible_version", version),
            ("ansible_run_tags", Value::from(options.tags.only().to_vec())),
            ("ansible_skip_tags", Value::from(options.tags.skip().to_vec())),
            ("ansible_limit", options.limit.clone().map_or(Value::UNDEFINED, Value::from)),
            ("ansible_config_file", std::env::var("ANSIBLE_CONFIG").map_or_else(|_| Value::from(()), Value::from)),
            ("ansible_playbook_python", Value::from("/usr/bin/python3")),
            ("ansible_inventory_sources", Value::from(options.inventory_sources.iter().map(|source| absolute(source)).collect::<Vec<_>>())),
        ]);
        let run = Arc::downgrade(self);
        let groups = move || mapping(run.upgrade().map(|run| run.groups()).unwrap_or_default());
        constants.insert("groups".to_owned(), Raw::late(groups));
        constants
    }

    /// The members of all groups.
    fn groups(&self) -> Vec<(String, Value)> {
        let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
        let members = |name: &str| inventory.members(name).into_iter().map(ToString::to_string).collect::<Vec<String>>();
        inventory.groups().map(|group| (group.name.to_string(), Value::from(members(group.name.as_str())))).collect()
    }

    fn hostvars(self: &Arc<Self>) -> Value {
        // Weak: the run keeps this value, which must not keep the run.
        let (run, named) = (Arc::downgrade(self), Arc::downgrade(self));
        let get = move |name: &str| -> Result<Option<Value>, Problem> {
            let Some(run) = run.upgrade() else { return Ok(None) };
            let Some(host) = run.host(name)? else { return Ok(None) };
            let values = run.outside_scope(&host)?;
            let names = values.clone();
            Ok(Some(computed_map(move |variable| values.get(variable), move || names.names().into_iter().map(Arc::from).collect())))
        };
        let names = move || {
            let Some(run) = named.upgrade() else { return Vec::new() };
            let inventory = run.inventory.read().unwrap_or_else(PoisonError::into_inner);
            inventory.hosts().map(|host| Arc::from(host.name.as_str())).collect()
        };
        computed_map(get, names)
    }
}

fn is_same<T>(left: &Option<Arc<T>>, right: &Option<Arc<T>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right),
        (left, right) => left.is_none() && right.is_none(),
    }
}

/// Variables from names and values.
pub(crate) fn vars<const COUNT: usize>(entries: [(&str, Value); COUNT]) -> Vars {
    entries.into_iter().filter(|(_, value)| !value.is_undefined()).map(|(name, value)| (name.to_owned(), Raw::from(value))).collect()
}

/// A source of the inventory as playbooks see it: a list of hosts as it was given, all else with its whole path.
fn absolute(source: &str) -> String {
    match std::path::absolute(source) {
        Ok(path) if !source.contains(',') => path.display().to_string(),
        _ => source.to_owned(),
    }
}
