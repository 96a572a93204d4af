//! `ansible-inventory`.

use std::sync::Arc;

use pgfleet_inventory::{Inventory, Listing};
use pgfleet_template::{Value, Vault, mapping, to_exact_json, to_yaml};
use pgfleet_workflows::load_inventory;

use super::config::Config;
use super::grammar::Given;
use super::{Code, Stop, sources, toml, wish};
use crate::report::ansible::json;
use crate::screen;

pub(super) fn run(given: &Given, config: &Config) -> Result<Code, Stop> {
    let refused = |message: &str| Stop::Said(Code::Option, message.to_owned());
    let actions = ["list", "host", "graph"].into_iter().filter(|action| given.has(action)).count();
    match actions {
        1 => {}
        0 => return Err(refused("No action selected, at least one of --host, --graph or --list needs to be specified.")),
        _ => return Err(refused("Conflicting options used, only one of --host, --graph or --list can be used at the same time.")),
    }
    let mut wish = wish::wish(given, config)?;
    wish.limit = sources::limit(wish.limit.as_deref())?;
    wish.inventories = sources::readable(given, config, &Arc::new(Vault::none()))?;
    let inventory = load_inventory(&wish)?;
    sources::warn_of_group_names(&inventory, config);
    let mut listing = Listing { export: given.has("export") || config.flag("export", false), hosts: None, variables: given.has("vars") };
    if let Some(limit) = &wish.limit {
        sources::check_limit(&inventory, Some(limit), "all")?;
        let limited = inventory.select(limit).map_err(|problem| Stop::Problems(vec![problem]))?;
        listing.hosts = Some(limited.hosts.iter().map(ToString::to_string).collect());
    }
    let text = if given.has("graph") {
        graph(given, &inventory, &listing)?
    } else {
        let host = given.one("host").map(|name| host(&inventory, name)).transpose()?;
        if given.has("yaml") {
            to_yaml(&host.unwrap_or_else(|| inventory.nested(&listing))).map_err(|problem| failed(problem.message))?
        } else if given.has("toml") {
            toml::document(&host.unwrap_or_else(|| inventory.tables(&listing))).map_err(failed)?
        } else {
            let value = host.unwrap_or_else(|| inventory.list(&listing));
            json(&to_exact_json(&value).map_err(|problem| failed(problem.message))?, Some(4))
        }
    };
    match given.one("output") {
        Some(file) => {
            std::fs::write(file, &text).map_err(|error| failed(format!("Unable to write to destination file ({file}): {error}")))?
        }
        None => screen::line(text.strip_suffix('\n').unwrap_or(&text)),
    }
    Ok(Code::Done)
}

fn graph(given: &Given, inventory: &Inventory, listing: &Listing) -> Result<String, Stop> {
    let group = given.words.first().map_or("all", String::as_str);
    if inventory.group(group).is_none() {
        return Err(Stop::Said(Code::Option, "Pattern must be valid group name when using --graph".to_owned()));
    }
    Ok(inventory.tree(group, listing))
}

fn host(inventory: &Inventory, name: &str) -> Result<Value, Stop> {
    if let Some(variables) = inventory.variables_as_written(name) {
        return Ok(variables);
    }
    if ["localhost", "127.0.0.1", "::1"].contains(&name) {
        return Ok(mapping::<&str>([]));
    }
    screen::note(&format!("[WARNING]: Could not match supplied host pattern, ignoring: {name}"));
    Err(Stop::Said(Code::Option, "You must pass a single valid host to --host parameter".to_owned()))
}

fn failed(message: String) -> Stop {
    Stop::Said(Code::Error, message)
}
