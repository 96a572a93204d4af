//! `service_facts`: which services there are and what they do, as systemd and init scripts tell.

use std::path::Path;

use pgfleet_protocol::modules::search::ServiceFacts;
use pgfleet_protocol::{Map, Outcome};
use serde_json::json;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;

const BAD: [&str; 3] = ["not-found", "masked", "failed"];

pub(crate) fn plan(_: &ServiceFacts, context: &Context) -> Planned {
    let mut services = Map::new();
    if context.system.find_program("service").is_some() && context.system.exists(Path::new("/etc/init.d")) {
        init_scripts(context, &mut services);
    }
    if context.system.exists(Path::new("/run/systemd/system")) {
        units(context, &mut services)?;
        unit_files(context, &mut services)?;
    }
    if services.is_empty() {
        return Ok(Plan::Done(Outcome::skipped(
            "Failed to find any services. This can be due to privileges or some other configuration issue.",
        )));
    }
    Ok(Plan::Done(Outcome::unchanged().with("ansible_facts", json!({ "services": services }))))
}

fn systemctl(context: &Context, words: &[&str]) -> Result<String, Failure> {
    let argv = ["systemctl"].iter().chain(words).copied();
    let finished = context.run(Program::new(argv).env("LC_ALL", "C.UTF-8")).context("cannot run systemctl")?;
    Ok(finished.stdout_text())
}

fn service(name: &str, state: &str, status: &str) -> serde_json::Value {
    json!({"name": name, "state": state, "status": status, "source": "systemd"})
}

fn units(context: &Context, services: &mut Map) -> Result<(), Failure> {
    let text = systemctl(context, &["list-units", "--no-pager", "--type", "service", "--all", "--plain"])?;
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, _, active, sub, ..] = fields[..] else { continue };
        if !name.ends_with(".service") {
            continue;
        }
        let status = BAD.iter().find(|bad| fields[..fields.len() - 1].contains(bad)).copied().unwrap_or(active);
        let state = if sub == "running" { "running" } else { "stopped" };
        services.insert(name.to_owned(), service(name, state, status));
    }
    Ok(())
}

fn unit_files(context: &Context, services: &mut Map) -> Result<(), Failure> {
    let text = systemctl(context, &["list-unit-files", "--no-pager", "--type", "service", "--all"])?;
    let mut unloaded = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(status)) = (words.next(), words.next()) else { continue };
        if !name.ends_with(".service") {
            continue;
        }
        match services.get_mut(name) {
            Some(known) => {
                if !known["status"].as_str().is_some_and(|status| BAD.contains(&status)) {
                    known["status"] = status.into();
                }
            }
            None => unloaded.push((name, status)),
        }
    }
    // Templates have no state of their own. All others are asked about at once.
    let asked: Vec<&str> = unloaded.iter().map(|(name, _)| *name).filter(|name| !name.contains("@.")).collect();
    let mut states = Vec::new();
    if !asked.is_empty() {
        let words: Vec<&str> = ["show", "--property=ActiveState", "--"].into_iter().chain(asked.iter().copied()).collect();
        let text = systemctl(context, &words)?;
        states = text.lines().filter_map(|line| line.strip_prefix("ActiveState=").map(str::to_owned)).collect();
    }
    for (name, status) in unloaded {
        let at = asked.iter().position(|other| *other == name);
        let state = at.and_then(|at| states.get(at)).map_or("unknown", String::as_str);
        services.insert(name.to_owned(), service(name, state, status));
    }
    Ok(())
}

/// ` [ + ]  cron` a line. Where that cannot be asked, there is nothing to tell.
fn init_scripts(context: &Context, services: &mut Map) {
    let Ok(finished) = context.run(Program::new(["service", "--status-all"]).env("LC_ALL", "C.UTF-8")) else { return };
    for line in finished.stdout_text().lines() {
        let Some((mark, name)) = line.trim_start().strip_prefix("[ ").and_then(|rest| rest.split_once(" ]")) else { continue };
        let state = match mark {
            "+" => "running",
            "-" => "stopped",
            _ => continue,
        };
        let name = name.trim();
        services.insert(name.to_owned(), json!({"name": name, "state": state, "source": "sysv"}));
    }
}
