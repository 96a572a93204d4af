//! Hosts and groups that tasks add to the inventory in memory.

use std::sync::PoisonError;

use pgfleet_protocol::Argument;
use pgfleet_protocol::{Items, Map};
use pgfleet_template::{Problem, Raw, Scope, Vars, from_json, to_json};
use serde_json::Value as Json;

use crate::actions::shown;
use crate::attempt::Attempt;
use crate::{Ending, TaskResult};

/// A change of the inventory, kept so that it can be made again after the inventory was read anew.
#[derive(Clone, Debug)]
pub(crate) enum Addition {
    Host { name: String, groups: Vec<String>, vars: Vars },
    Member { host: String, group: String, parents: Vec<String> },
}

/// Whose variables a change of the inventory may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Nobody,
    Itself,
    Everybody,
}

impl Addition {
    pub(crate) fn make(&self, inventory: &mut pgfleet_inventory::Inventory) -> Result<Reach, Problem> {
        let reach = |changed: bool, reach: Reach| if changed { reach } else { Reach::Nobody };
        match self {
            Self::Host { name, groups, vars } => Ok(reach(inventory.add_host(name, groups, vars.clone())?, Reach::Itself)),
            Self::Member { host, group, parents } => {
                let mut reached = reach(inventory.add_to_group(host, group)?, Reach::Itself);
                for parent in parents {
                    reached = reached.max(reach(inventory.add_parent(group, parent)?, Reach::Everybody));
                }
                Ok(reached)
            }
        }
    }

    fn host(&self) -> &str {
        match self {
            Self::Host { name, .. } | Self::Member { host: name, .. } => name,
        }
    }
}

/// A host's name and the port behind it, where there is one: `host:22`, `[::1]:22`.
fn address(written: &str) -> (String, Option<u16>) {
    let (name, port) = match (written.rsplit_once(':'), written.starts_with('[')) {
        (Some((name, port)), true) if name.ends_with(']') => (name.trim_start_matches('[').trim_end_matches(']'), port),
        (Some((name, port)), false) if !name.contains(':') => (name, port),
        _ => return (written.to_owned(), None),
    };
    match port.parse() {
        Ok(port) => (name.to_owned(), Some(port)),
        Err(_) => (written.to_owned(), None),
    }
}

impl Attempt<'_> {
    pub(crate) fn add_host(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut name = None;
        let mut groups = Vec::new();
        let mut own = Map::new();
        for (key, value) in self.exact_arguments(scope)? {
            match key.as_str() {
                "name" => name = Some(shown(&value)),
                "groups" => groups = Items::read(&value).map_err(|_| Problem::new("Groups must be specified as a list."))?,
                _ => drop(own.insert(key, value)),
            }
        }
        let name = name.ok_or_else(|| Problem::new("name, host or hostname needs to be provided"))?;
        let (name, port) = address(&name);
        if let Some(port) = port {
            own.insert("ansible_ssh_port".to_owned(), Json::from(port));
        }
        let mut distinct: Vec<String> = Vec::new();
        for group in groups.iter().map(|group| group.trim().to_owned()).filter(|group| !group.is_empty()) {
            if !distinct.contains(&group) {
                distinct.push(group);
            }
        }
        let vars = own.iter().map(|(key, value)| (key.clone(), Raw::from(from_json(value)))).collect();
        let changed = self.add(Addition::Host { name: name.clone(), groups: distinct.clone(), vars })?;
        let added = serde_json::json!({"host_name": name, "groups": distinct, "host_vars": own});
        Ok(TaskResult::new(if changed { Ending::Changed } else { Ending::Ok }).with("add_host", added))
    }

    pub(crate) fn group_by(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let dashed = |name: &str| name.replace(' ', "-");
        let key = self.text(scope, "key")?.ok_or_else(|| Problem::new("the 'key' param is required when using group_by"))?;
        let group = dashed(&key);
        let parents: Vec<String> = match self.raw_argument("parents") {
            None => vec!["all".to_owned()],
            Some(raw) => match to_json(&raw.evaluate(scope)?)? {
                Json::String(name) => vec![dashed(&name)],
                other => Items::read(&other).map_err(Problem::new)?.iter().map(|name| dashed(name)).collect(),
            },
        };
        let addition = Addition::Member { host: self.host.name.clone(), group: group.clone(), parents: parents.clone() };
        let changed = self.add(addition)?;
        let result = TaskResult::new(if changed { Ending::Changed } else { Ending::Ok });
        Ok(result.with("add_group", group).with("parent_groups", parents))
    }

    fn add(&self, addition: Addition) -> Result<bool, Problem> {
        let reached = addition.make(&mut self.run.inventory.write().unwrap_or_else(PoisonError::into_inner))?;
        match reached {
            Reach::Nobody => return Ok(false),
            Reach::Itself => self.run.renew(Some(addition.host()))?,
            Reach::Everybody => self.run.renew(None)?,
        }
        self.run.additions.lock().unwrap_or_else(PoisonError::into_inner).push(addition);
        Ok(true)
    }
}
