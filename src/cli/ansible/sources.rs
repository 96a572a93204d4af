//! Which inventories are meant: those of the command line, the settings' or the system's; what cannot be read is passed over.

use std::path::Path;
use std::sync::Arc;

use pgfleet_inventory::{Inventory, expand_list};
use pgfleet_template::{Disk, Problem, Vault};

use super::config::Config;
use super::grammar::Given;
use super::{Code, Stop};
use crate::screen;

/// Where the system's inventory is.
const SYSTEM: &str = "/etc/ansible/hosts";

/// The inventories that can be read; a word about the others.
pub(super) fn readable(given: &Given, config: &Config, vault: &Arc<Vault>) -> Result<Vec<String>, Stop> {
    let sources: Vec<String> = match (given.each("inventory"), config.text("inventory")) {
        ([], None) => return Ok(if Path::new(SYSTEM).exists() { vec![SYSTEM.to_owned()] } else { Vec::new() }),
        ([], Some(text)) if text.split(',').any(|part| Path::new(part).exists()) => text.split(',').map(str::to_owned).collect(),
        ([], Some(text)) => vec![text.to_owned()],
        (given, _) => given.to_vec(),
    };
    // The plugin for ranges in lists is one that has to be asked for.
    let ranges = config.text("enable_plugins").is_some_and(|plugins| plugins.contains("advanced_host_list"));
    let verbosity = super::wish::verbosity(given, config);
    let mut readable = Vec::new();
    for source in &sources {
        let expanded = (ranges && source.contains(',')).then(|| expand_list(source)).transpose();
        let expanded = match expanded {
            Ok(expanded) => expanded,
            Err(message) => {
                screen::note(&format!("[WARNING]: Failed to parse inventory with 'advanced_host_list' plugin: {message}"));
                pass_over(source, &[]);
                continue;
            }
        };
        let (list, unchanged) = expanded.unzip();
        for reason in unchanged.unwrap_or_default().iter().filter(|_| verbosity > 2) {
            screen::line(&format!("Unable to parse address from hostname, leaving unchanged: {reason}"));
        }
        let source = list.as_ref().unwrap_or(source);
        match Inventory::load(&Disk, std::slice::from_ref(source), None, vault) {
            Ok(_) => readable.push(source.clone()),
            Err(problems) if config.flag("any_unparsed_is_failed", false) => return Err(failed(source, &problems)),
            Err(problems) => pass_over(source, &problems),
        }
    }
    if readable.is_empty() && config.flag("unparsed_is_failed", false) {
        return Err(Stop::Said(Code::Error, "No inventory was parsed, please check your configuration and options.".to_owned()));
    }
    if readable.is_empty() && !sources.is_empty() && config.flag("inventory_unparsed_warning", true) {
        screen::note("[WARNING]: No inventory was parsed, only implicit localhost is available");
    }
    Ok(readable)
}

/// Says that groups have names that are no variables' names, where they have.
pub(super) fn warn_of_group_names(inventory: &Inventory, config: &Config) {
    let is_plain = |name: &str| {
        name.chars().all(|sign| sign.is_alphanumeric() || sign == '_') && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    if config.text("force_valid_group_names") == Some("always") && inventory.has_replaced_names() {
        screen::note("[WARNING]: Invalid characters were found in group names and automatically replaced, use -vvvv to see details");
    }
    if config.text("force_valid_group_names").is_none_or(|word| word == "never")
        && !inventory.groups().all(|group| is_plain(group.name.as_str()))
    {
        screen::note("[WARNING]: Invalid characters were found in group names but not replaced, use -vvvv to see details");
    }
}

/// Says that the hosts are few, where they are.
pub(super) fn warn_if_empty(inventory: &Inventory, config: &Config) {
    if inventory.hosts().next().is_none() && config.flag("localhost_warning", true) {
        screen::note(
            "[WARNING]: provided hosts list is empty, only localhost is available. Note that the implicit localhost does not match 'all'",
        );
    }
}

fn failed(source: &str, problems: &[Problem]) -> Stop {
    pass_over(source, problems);
    Stop::Said(Code::Error, format!("Completely failed to parse inventory source {source}"))
}

fn pass_over(source: &str, problems: &[Problem]) {
    for problem in problems {
        screen::note(&format!("[WARNING]: {problem}"));
    }
    let path = std::path::absolute(source).unwrap_or_else(|_| source.into());
    screen::note(&format!("[WARNING]: Unable to parse {} as an inventory source", path.display()));
}

/// What a limit leaves; `@file` stands for the lines of a file.
pub(super) fn limit(written: Option<&str>) -> Result<Option<String>, Stop> {
    let Some(written) = written else { return Ok(None) };
    let mut parts = Vec::new();
    for part in written.split(',') {
        match part.strip_prefix('@') {
            Some(file) if Path::new(file).is_dir() => {
                return Err(Stop::Said(Code::Error, format!("limit starting with \"@\" must be a file, not a directory: {file}")));
            }
            Some(file) => match std::fs::read_to_string(file) {
                Ok(text) => parts.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)),
                Err(error) => return Err(Stop::Said(Code::Error, format!("Unable to find limit file {file}: {error}"))),
            },
            None => parts.push(part.to_owned()),
        }
    }
    Ok(Some(parts.join(",")))
}

/// The limit must leave a host, and names that match nothing are told.
pub(super) fn check_limit(inventory: &Inventory, limit: Option<&str>, pattern: &str) -> Result<(), Stop> {
    let Some(limit) = limit else { return Ok(()) };
    let select = |pattern: &str| inventory.select(pattern).map_err(|problem| Stop::Problems(vec![problem]));
    let limited = select(limit)?;
    limited.warnings.iter().for_each(|warning| screen::note(&format!("[WARNING]: {}", unmatched(warning))));
    let chosen = select(pattern)?;
    // The controller that no inventory names is in no group: it is meant where it is named, or nobody else is there.
    let is_local = |word: &str| ["localhost", "127.0.0.1", "::1"].contains(&word);
    let local = is_local(pattern) && limit.split([',', ':']).any(is_local);
    if local || inventory.hosts().next().is_none() || limited.hosts.iter().any(|host| chosen.hosts.contains(host)) {
        return Ok(());
    }
    Err(Stop::Said(Code::Error, "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.".to_owned()))
}

/// A warning about a pattern in Ansible's words.
pub(super) fn unmatched(warning: &str) -> String {
    match warning.split('\'').nth(1) {
        Some(name) if warning.contains("match") => format!("Could not match supplied host pattern, ignoring: {name}"),
        _ => warning.to_owned(),
    }
}
