//! `pgfleet inventory`.

use std::collections::BTreeSet;

use pgfleet_engine::Stop;
use pgfleet_inventory::Inventory;
use pgfleet_template::{Problem, wide};
use pgfleet_workflows::{Project, WorkflowError, load_inventory};

use serde_json::Value;

use crate::args::{ConnectionArgs, InventoryArgs};
use crate::exit::Exit;
use crate::{screen, settings};

pub(crate) fn run(project: Project, args: &InventoryArgs) -> Result<Exit, WorkflowError> {
    let wish = settings::wish_to_look(project, &args.source, &ConnectionArgs::default(), Stop::default())?;
    let inventory = load_inventory(&wish)?;
    let limited = match &args.source.limit {
        Some(limit) => Some(select(&inventory, limit)?),
        None => None,
    };
    let shows = |host: &str| limited.as_ref().is_none_or(|limited| limited.contains(host));
    if args.mode.graph {
        let graph = inventory.graph();
        // Hosts are the leaves of the tree; groups begin with '@'.
        let host = |line: &&str| line.rsplit("--").next().is_none_or(|name| name.starts_with('@') || shows(name));
        graph.trim_end().lines().filter(host).for_each(screen::line);
        return Ok(Exit::Done);
    }
    let value = match &args.mode.host {
        None => {
            let mut list = inventory.as_list();
            keep_hosts(&mut list, &shows);
            list
        }
        Some(name) => {
            let Some(host) = inventory.host(name) else {
                let known: Vec<String> = inventory.hosts().map(|host| host.name.to_string()).collect();
                return Err(Problem::new(format!("no host is called '{name}'"))
                    .did_you_mean(name, known.iter().map(String::as_str))
                    .into());
            };
            inventory.host_variables_as_written(host.name.as_str())
        }
    };
    let text = wide::to_text(&value, wide::Layout::Indented).map_err(|error| WorkflowError::Failed(error.to_string()))?;
    screen::line(&text);
    Ok(Exit::Done)
}

fn select(inventory: &Inventory, limit: &str) -> Result<BTreeSet<String>, WorkflowError> {
    let hosts: BTreeSet<String> = inventory.select(limit)?.hosts.iter().map(ToString::to_string).collect();
    if hosts.is_empty() {
        return Err(Problem::new(format!("the limit '{limit}' matches no host")).into());
    }
    Ok(hosts)
}

/// Takes all other hosts out of a listing.
fn keep_hosts(list: &mut Value, shows: &dyn Fn(&str) -> bool) {
    let Some(groups) = list.as_object_mut() else { return };
    for (name, group) in groups {
        if name == "_meta" {
            if let Some(hosts) = group.get_mut("hostvars").and_then(Value::as_object_mut) {
                hosts.retain(|host, _| shows(host));
            }
        } else if let Some(hosts) = group.get_mut("hosts").and_then(Value::as_array_mut) {
            hosts.retain(|host| host.as_str().is_none_or(shows));
        }
    }
}
