//! The hosts of a cluster: the groups `postgresql` and `etcd`, or a list of nodes instead of groups.

use std::path::PathBuf;

use pgfleet_inventory::Inventory;
use pgfleet_template::{Language, Problem, Raw, Scope, Value, Vars, from_json, mapping, to_json};
use std::sync::Arc;

/// Groups that a cluster is made of.
const NODES: &str = "postgresql";
const VOTERS: &str = "etcd";
pub(crate) const CLIENTS: &str = "postgresql_clients";

/// The names of a cluster's database nodes and voters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterHosts {
    pub(crate) nodes: Vec<String>,
    pub(crate) voters: Vec<String>,
}

impl ClusterHosts {
    pub(crate) fn of(inventory: &Inventory) -> Self {
        let members = |group: &str| inventory.members(group).into_iter().map(ToString::to_string).collect::<Vec<_>>();
        let nodes = members(NODES);
        let voters = Some(members(VOTERS)).filter(|voters| !voters.is_empty()).unwrap_or_else(|| nodes.clone());
        Self { nodes, voters }
    }

    /// Every host of the cluster, nodes first.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut all = self.nodes.clone();
        all.extend(self.voters.iter().filter(|voter| !self.nodes.contains(voter)).cloned());
        all
    }
}

/// Adds the groups that the playbooks name and an inventory may leave out, so that nothing warns of them.
pub(crate) fn add_optional_groups(inventory: &mut Inventory) -> Result<(), Problem> {
    [VOTERS, CLIENTS].into_iter().try_for_each(|group| inventory.add_group(group))
}

/// A variable as the group `all` has it, rendered; where that says nothing, as the first node has it; extra variables come first, defaults last.
pub(crate) fn global_variable(
    inventory: &Inventory,
    language: &Arc<Language>,
    defaults: &Arc<Vars>,
    extra: &Arc<Vars>,
    name: &str,
) -> Result<Option<Value>, Problem> {
    // A host that belongs to `all` alone sees just what everybody sees.
    const NOBODY: &str = "pgfleet-nobody";
    let mut inventory = inventory.clone();
    inventory.add_host(NOBODY, &[], Vars::new())?;
    let layers = match inventory.host(NOBODY) {
        Some(host) => inventory.layers(&host.name.clone(), None)?,
        None => Vec::new(),
    };
    let is_said = |layers: &[Arc<Vars>]| layers.iter().any(|vars| vars.contains_key(name));
    // The first node may say it too: people keep cluster variables in group_vars/postgresql.
    let first = inventory.members(NODES).into_iter().next().cloned();
    let layers = match first.map(|first| inventory.layers(&first, None)).transpose()? {
        Some(of_first) if !is_said(&layers) && is_said(&of_first) => of_first,
        _ => layers,
    };
    let groups = mapping([(NODES, Value::from(inventory.members(NODES).into_iter().map(ToString::to_string).collect::<Vec<_>>()))]);
    let scope = Scope::new(language, vec![PathBuf::from(".")]).over(defaults.clone()).over_all(layers).over(extra.clone());
    Ok(scope.with("groups", groups).get(name)?.filter(|value| !value.is_undefined()))
}

/// Makes the group `postgresql` from the list `postgresql_nodes` (name, host, ip, role) where there is one.
pub(crate) fn add_listed_nodes(inventory: &mut Inventory, list: &Value) -> Result<(), Problem> {
    let json = to_json(list)?;
    let Some(nodes) = json.as_array() else {
        return Err(Problem::new("postgresql_nodes is a list of nodes, each with name, host or ip, and role"));
    };
    for node in nodes {
        let text = |key: &str| node.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        let Some(name) = text("name").or_else(|| text("host")) else {
            return Err(Problem::new(format!("postgresql_nodes: {node} has no name")));
        };
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter)) {
            return Err(Problem::new(format!("postgresql_nodes: '{name}' is no name of a host")));
        }
        // The node may be in the inventory under its name or its host name already.
        let known = [text("host"), Some(name.clone())].into_iter().flatten().find(|name| inventory.host(name).is_some());
        let mut vars = Vars::new();
        if let Some(address) = text("ip").or_else(|| text("host")) {
            vars.insert("ansible_host".to_owned(), Raw::from(Value::from(address)));
        }
        if let Some(role) = text("role") {
            vars.insert("postgresql_role".to_owned(), Raw::from(from_json(&role.into())));
        }
        match known {
            Some(known) => {
                vars.shift_remove("ansible_host");
                inventory.add_host(&known, &[NODES.to_owned()], vars)?
            }
            None => inventory.add_host(&name, &[NODES.to_owned()], vars)?,
        };
    }
    Ok(())
}
