//! Which variables of the inventory win: the order that was measured with ansible-core 2.19.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexSet;
use pgfleet_template::{Disk, Problem, Raw, Value, Vars};

use crate::variables::VariableFolder;
use crate::{Host, HostName, Inventory};

/// Variables that the controller has where the inventory does not name it.
const OF_CONTROLLER: [(&str, &str); 2] = [("ansible_connection", "local"), ("ansible_python_interpreter", "/usr/bin/python3")];

impl Inventory {
    /// The variables of a host, lowest precedence first: those of `all` in the inventory, of its groups in the
    /// inventory, `group_vars/all` beside the inventory and beside the playbook, `group_vars` of its groups
    /// beside each, its own in the inventory, `host_vars` beside each. Groups count by depth, priority, name.
    ///
    /// The playbook's folder is the one given to [`Inventory::load`] unless another is given here.
    ///
    /// # Errors
    /// An unknown host, or a malformed file of a group that was made after loading.
    pub fn layers(&self, host: &HostName, playbook_folder: Option<&Path>) -> Result<Vec<Arc<Vars>>, Problem> {
        let Some(host) = self.hosts.get(host) else {
            return Err(Problem::new(format!("the inventory has no host '{host}'")));
        };
        self.layers_of(host, playbook_folder)
    }

    /// The variables of the controller under a name that the inventory does not have: those of `all`, how it is
    /// reached, `host_vars` of that name. It is in no group.
    ///
    /// # Errors
    /// A name that is none, or a malformed file in `host_vars`.
    pub fn controller_layers(&self, name: &str) -> Result<Vec<Arc<Vars>>, Problem> {
        let name = HostName::new(name).map_err(|error| Problem::new(format!("'{name}' is no name for a host: {error}")))?;
        let vars = OF_CONTROLLER.iter().map(|(name, value)| ((*name).to_owned(), Raw::from(Value::from(*value)))).collect();
        self.layers_of(&Host { name, vars: Arc::new(vars), groups: IndexSet::new(), origin: None }, None)
    }

    fn layers_of(&self, host: &Host, playbook_folder: Option<&Path>) -> Result<Vec<Arc<Vars>>, Problem> {
        let beside_playbook = match playbook_folder {
            Some(folder) => Some(Arc::new(VariableFolder::read(&Disk, folder, &self.vault))),
            None => self.beside_playbook.clone(),
        };
        let beside_playbook = beside_playbook.as_slice();
        let groups = self.groups_with(host);
        let (all, groups) = groups.split_first().ok_or_else(|| Problem::new("the inventory has no group 'all'"))?;
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();

        let mut layers = vec![all.vars.clone()];
        layers.extend(groups.iter().map(|group| group.vars.clone()));
        for (folders, groups) in [
            (self.beside_sources.as_slice(), ["all"].as_slice()),
            (beside_playbook, &["all"]),
            (self.beside_sources.as_slice(), &names),
            (beside_playbook, &names),
        ] {
            for entry in folders.iter().flat_map(|folder| groups.iter().filter_map(|group| folder.group(group))) {
                layers.push(vars_of(entry)?);
            }
        }
        layers.push(host.vars.clone());
        // A name that begins as a path is that of a changed root, which has no file of its own.
        if !host.name.as_str().starts_with('/') {
            for entry in self.beside_sources.iter().chain(beside_playbook).filter_map(|folder| folder.host(host.name.as_str())) {
                layers.push(vars_of(entry)?);
            }
        }
        layers.retain(|layer| !layer.is_empty());
        Ok(layers)
    }
}

fn vars_of(entry: &Result<Arc<Vars>, Vec<Problem>>) -> Result<Arc<Vars>, Problem> {
    match entry {
        Ok(vars) => Ok(vars.clone()),
        Err(problems) => Err(problems.first().cloned().unwrap_or_else(|| Problem::new("a file of variables cannot be read"))),
    }
}
