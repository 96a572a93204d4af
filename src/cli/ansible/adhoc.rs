//! `ansible`: one task on the hosts of a pattern.

use std::sync::Arc;

use pgfleet_playbook::parse_pairs;
use pgfleet_template::Vault;
use pgfleet_workflows::{AdHoc, check_task, run_task};
use serde_json::{Map, Value};

use super::config::Config;
use super::grammar::Given;
use super::{Code, Stop, code_of, sources, wish};
use crate::commands;
use crate::interrupt::until_done;
use crate::report::Reporting;
use crate::report::ansible::Form;
use crate::screen;

/// Modules that take free words.
const FREE: [&str; 6] = ["command", "shell", "raw", "script", "win_command", "win_shell"];
/// Characters of a task that an error shows.
const WIDEST: usize = 120;

/// What is said of `-o`.
const DEPRECATED: [&str; 3] = [
    "[WARNING]: Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.",
    "[DEPRECATION WARNING]: The '-o' argument is deprecated. This feature will be removed from ansible-core version 2.23. Use callback configuration to enable the oneline callback instead.",
    "[DEPRECATION WARNING]: The oneline callback plugin is deprecated. This feature will be removed from ansible-core version 2.23.",
];

pub(super) fn run(given: &Given, config: &Config) -> Result<Code, Stop> {
    let mut wish = wish::wish(given, config)?;
    wish.limit = sources::limit(wish.limit.as_deref())?;
    wish.inventories = sources::readable(given, config, &Arc::new(Vault::none()))?;
    let task = task(given, config)?;
    let inventory = check_task(&wish, &task)?;
    sources::warn_of_group_names(&inventory, config);
    sources::warn_if_empty(&inventory, config);
    let select = |pattern: &str| inventory.select(pattern).map_err(|problem| Stop::Problems(vec![problem]));
    let chosen = select(&task.pattern)?;
    let local = ["localhost", "127.0.0.1", "::1"].contains(&task.pattern.as_str());
    sources::check_limit(&inventory, wish.limit.as_deref(), &task.pattern)?;
    if given.has("list-hosts") {
        let limited = wish.limit.as_deref().map(select).transpose()?;
        let hosts: Vec<_> =
            chosen.hosts.iter().filter(|host| limited.as_ref().is_none_or(|limited| limited.hosts.contains(*host))).collect();
        screen::line(&format!("  hosts ({}):", hosts.len()));
        hosts.iter().for_each(|host| screen::line(&format!("    {host}")));
        return Ok(Code::Done);
    }
    if chosen.hosts.is_empty() && !local {
        chosen.warnings.iter().for_each(|warning| screen::note(&format!("[WARNING]: {}", sources::unmatched(warning))));
        screen::note("[WARNING]: No hosts matched, nothing to do");
        return Ok(Code::Done);
    }
    let mut view = wish::view(given, config);
    view.form = match config.text("stdout_callback") {
        _ if given.has("one-line") => Form::OneLine,
        Some(_) if std::env::var_os("ANSIBLE_LOAD_CALLBACK_PLUGINS").is_some() => view.form,
        _ => Form::Minimal,
    };
    if given.has("one-line") && config.flag("deprecation_warnings", true) {
        DEPRECATED.iter().for_each(|line| screen::note(line));
    }
    view.adhoc = Some(shown(given, &task));
    let reporting = Reporting::as_ansible(view, &wish.project);
    let work = async {
        let finished = until_done(run_task(&wish, &task, reporting.report()), &wish.stop).await;
        reporting.end();
        finished.transpose()
    };
    let finished = commands::with_runtime(work)?;
    Ok(finished.map_or(Code::Interrupted, |finished| code_of(&finished)))
}

fn task(given: &Given, config: &Config) -> Result<AdHoc, Stop> {
    let module = given.one("module-name").or(config.text("module_name")).unwrap_or("command").to_owned();
    if given.has("list-hosts") {
        // What would be done there does not matter.
        return Ok(AdHoc { pattern: given.words.join(","), module: "ping".to_owned(), arguments: Value::Null, keywords: Map::new() });
    }
    let arguments = given.one("args").unwrap_or_default();
    let short = module.rsplit('.').next().unwrap_or_default();
    if arguments.trim().is_empty() && FREE.contains(&short) {
        return Err(Stop::Said(Code::Option, format!("No argument passed to {module} module")));
    }
    if short == "import_playbook" {
        return Err(Stop::Said(Code::Option, format!("'{module}' is not a valid action for ad-hoc commands")));
    }
    let mut keywords = Map::new();
    let number = |name: &str| given.one(name).and_then(|text| text.trim().parse::<i64>().ok());
    for (option, keyword) in [("task-timeout", "timeout"), ("background", "async"), ("poll", "poll")] {
        if let Some(number) = number(option).filter(|number| *number > 0 || keyword == "poll") {
            keywords.insert(keyword.to_owned(), Value::from(number));
        }
    }
    if !keywords.contains_key("async") {
        keywords.remove("poll");
    }
    Ok(AdHoc { pattern: given.words.join(","), module, arguments: arguments_of(arguments)?, keywords })
}

/// A mapping where it is written as one, or else the words as they are.
fn arguments_of(text: &str) -> Result<Value, Stop> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    if !text.trim_start().starts_with('{') || text.trim_start().starts_with("{{") {
        return Ok(Value::from(text));
    }
    serde_yaml::from_str(text).map_err(|error| Stop::Said(Code::Unreachable, format!("the module's arguments cannot be read: {error}")))
}

/// The task as errors show it: Python's way of printing a mapping, cut where it is long.
fn shown(given: &Given, task: &AdHoc) -> String {
    let quoted = |text: &str| {
        if text.contains('\'') && !text.contains('"') { format!("\"{text}\"") } else { format!("'{}'", text.replace('\'', "\\'")) }
    };
    let mut pairs: Vec<String> = Vec::new();
    if let Value::String(text) = &task.arguments {
        let (named, free) = match FREE.contains(&task.module.as_str()) {
            true => (Default::default(), Some(text.clone())),
            false => parse_pairs(text, None).unwrap_or_default(),
        };
        pairs.extend(named.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))));
        pairs.extend(free.map(|free| format!("'_raw_params': {}", quoted(&free))));
    }
    let number = |name: &str, otherwise: i64| given.one(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let text = format!(
        "{{'action': {}, 'args': {{{}}}, 'timeout': {}, 'async_val': {}, 'poll': {}}}",
        quoted(&task.module),
        pairs.join(", "),
        number("task-timeout", 0),
        number("background", 0),
        number("poll", 15)
    );
    if text.chars().count() <= WIDEST {
        return text;
    }
    let mut kept = String::new();
    for word in text.split_whitespace() {
        if kept.chars().count() + word.chars().count() + 1 > WIDEST - " [...]".len() {
            break;
        }
        kept = if kept.is_empty() { word.to_owned() } else { format!("{kept} {word}") };
    }
    kept + " [...]"
}
