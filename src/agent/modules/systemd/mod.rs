//! `systemd`: units that run, rest, start at boot or are masked.

mod journal;
mod unit;

use pgfleet_protocol::modules::services::{ServiceState, Systemd};
use pgfleet_protocol::{Diff, Outcome};
use serde_json::json;

pub(crate) use journal::{last_lines, last_moments, state_line, unit_line};
pub(crate) use unit::{Systemctl, Unit};

use crate::module::{Context, Failure, Plan, Planned};

/// What has to be done so that the unit is as wished, as words for `systemctl`.
fn decide(wish: &Systemd, unit: &Unit, is_enabled: Option<bool>) -> Result<Vec<&'static str>, Failure> {
    let name = wish.name.as_deref().unwrap_or_default();
    if let Some(error) = unit.load_error() {
        return Err(Failure::new(format!("Error loading unit file '{name}': {error}")).with("status", unit.properties.clone()));
    }
    let mut steps = Vec::new();
    match wish.masked {
        Some(true) if !unit.is_masked() => steps.push("mask"),
        Some(false) if unit.is_masked() => steps.push("unmask"),
        _ => {}
    }
    match (wish.enabled, is_enabled) {
        (Some(true), Some(false)) => steps.push("enable"),
        (Some(false), Some(true)) => steps.push("disable"),
        _ => {}
    }
    match wish.state {
        Some(ServiceState::Started) if !unit.is_running() => steps.push("start"),
        Some(ServiceState::Stopped) if unit.is_running() || unit.is_stopping() => steps.push("stop"),
        Some(ServiceState::Restarted) => steps.push(if unit.is_running() { "restart" } else { "start" }),
        Some(ServiceState::Reloaded) => steps.push(if unit.is_running() { "reload" } else { "start" }),
        _ => {}
    }
    // A unit is disabled and stopped before it is masked: afterwards systemd refuses.
    if steps.first() == Some(&"mask") {
        steps.rotate_left(1);
    }
    Ok(steps)
}

/// Whether the unit starts at boot; `None` when there is nothing to enable or disable in it.
fn is_enabled(systemctl: &Systemctl, context: &Context, name: &str, unit: &Unit) -> Result<Option<bool>, Failure> {
    Ok(match unit.property("UnitFileState") {
        "enabled" => Some(true),
        "static" | "transient" => None,
        // An init script: only its own tool knows.
        "generated" | "" => Some(systemctl.run(context, &["is-enabled", "--", name])?.is_success()),
        _ => Some(false),
    })
}

/// A unit as found and what to do with it.
struct Found {
    unit: Unit,
    is_enabled: Option<bool>,
    steps: Vec<&'static str>,
}

fn inspect(wish: &Systemd, systemctl: &Systemctl, context: &Context, name: &str) -> Result<Found, Failure> {
    let unit = systemctl.show(context, name)?;
    if !unit.is_known() {
        // A unit can be masked before it is installed; nothing else can be done with it.
        let steps = if wish.masked == Some(true) && !unit.is_masked() { vec!["mask"] } else { Vec::new() };
        let needed = wish.state.is_some_and(|state| state != ServiceState::Stopped) || wish.enabled.is_some() || wish.state.is_some();
        if needed {
            return Err(Failure::new(format!("Could not find the requested service {name}: host")).with("name", name));
        }
        return Ok(Found { unit, is_enabled: None, steps });
    }
    let is_enabled = if wish.enabled.is_some() { is_enabled(systemctl, context, name, &unit)? } else { None };
    let steps = decide(wish, &unit, is_enabled)?;
    Ok(Found { unit, is_enabled, steps })
}

pub(crate) fn plan(arguments: &Systemd, context: &Context) -> Planned {
    let systemctl = Systemctl::new(&arguments.scope, arguments.no_block, arguments.force)?;
    let reloads = arguments.daemon_reload || arguments.daemon_reexec;
    let found = match arguments.name.as_deref() {
        None => None,
        Some(name) => match inspect(arguments, &systemctl, context, name) {
            Ok(found) => Some(found),
            // The unit file may have been put there since systemd last looked.
            Err(_) if reloads && !context.mode.is_check() => None,
            Err(failure) if context.mode.is_check() && failure.message.starts_with("Could not find") => {
                let message = format!("Service {name} not found on host, assuming it will exist on full run");
                return Ok(Plan::Done(Outcome::changed().saying(message).with("name", name)));
            }
            Err(failure) => return Err(failure),
        },
    };
    let outcome = describe(arguments, found.as_ref(), context.diff);
    let wish = arguments.clone();
    if !reloads {
        return Ok(match found {
            Some(found) if !found.steps.is_empty() => {
                Plan::change(outcome, move |context, outcome| apply(&wish, &systemctl, context, &found.steps).map(|()| outcome))
            }
            _ => Plan::Done(outcome),
        });
    }
    Ok(Plan::change(outcome, move |context, _| {
        for (wanted, word) in [(wish.daemon_reexec, "daemon-reexec"), (wish.daemon_reload, "daemon-reload")] {
            if wanted {
                let finished = systemctl.run(context, &[word])?;
                if !finished.is_success() {
                    return Err(Failure::new(format!("failure {} during {word}: {}", finished.status, finished.stderr_text().trim())));
                }
            }
        }
        let Some(name) = wish.name.as_deref() else { return Ok(Outcome::unchanged()) };
        // What was read before is out of date now.
        let found = inspect(&wish, &systemctl, context, name)?;
        apply(&wish, &systemctl, context, &found.steps)?;
        Ok(describe(&wish, Some(&found), context.diff))
    }))
}

fn apply(wish: &Systemd, systemctl: &Systemctl, context: &Context, steps: &[&str]) -> Result<(), Failure> {
    let name = wish.name.as_deref().unwrap_or_default();
    for step in steps {
        let finished = systemctl.run(context, &[step, "--", name])?;
        if finished.is_success() {
            continue;
        }
        let mut message = format!("Unable to {step} service {name}: {}", finished.stderr_text().trim());
        if matches!(*step, "start" | "restart" | "reload") {
            message.push_str(&format!("\n{}", state_line(context, name)));
            let lines = last_lines(context, name, 15);
            if !lines.is_empty() {
                message.push_str(&format!("\nIts last journal lines:\n  {}", lines.join("\n  ")));
            }
        }
        return Err(Failure::new(message).with("name", name).with("rc", finished.status));
    }
    Ok(())
}

/// The outcome as it will be when the steps are done.
fn describe(wish: &Systemd, found: Option<&Found>, diff: bool) -> Outcome {
    let Some(found) = found else { return Outcome::unchanged() };
    let name = wish.name.clone().unwrap_or_default();
    let mut outcome =
        Outcome::changed_if(!found.steps.is_empty()).with("name", name.as_str()).with("status", found.unit.properties.clone());
    if let Some(enabled) = wish.enabled {
        outcome =
            outcome.with("enabled", if found.is_enabled.is_some() { enabled } else { found.unit.property("UnitFileState") == "static" });
    }
    if let Some(state) = wish.state {
        outcome = outcome.with("state", if state == ServiceState::Stopped { "stopped" } else { "started" });
    }
    if diff && !found.steps.is_empty() {
        let text = |after: bool| {
            let mut lines = String::new();
            for step in &found.steps {
                let (before, now) = match *step {
                    "enable" => ("enabled: false".to_owned(), "enabled: true"),
                    "disable" => ("enabled: true".to_owned(), "enabled: false"),
                    "mask" => ("masked: false".to_owned(), "masked: true"),
                    "unmask" => ("masked: true".to_owned(), "masked: false"),
                    "stop" => (format!("state: {}", found.unit.property("ActiveState")), "state: inactive"),
                    "restart" => (format!("state: {}", found.unit.property("ActiveState")), "state: active (restarted)"),
                    "reload" => (format!("state: {}", found.unit.property("ActiveState")), "state: active (reloaded)"),
                    _ => (format!("state: {}", found.unit.property("ActiveState")), "state: active"),
                };
                lines.push_str(if after { now } else { &before });
                lines.push('\n');
            }
            lines
        };
        outcome = outcome.showing(Diff {
            before_header: name.clone(),
            after_header: name,
            before: text(false),
            after: text(true),
            attributes: None,
        });
    }
    outcome
}

/// The arguments of a plain wish, for modules that stand on this one.
pub(crate) fn wish(name: &str, state: Option<ServiceState>, enabled: Option<bool>, daemon_reload: bool) -> Result<Systemd, Failure> {
    let arguments = json!({"name": name, "state": state.map(ServiceState::word), "enabled": enabled, "daemon_reload": daemon_reload});
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    <Systemd as pgfleet_protocol::Arguments>::read(&arguments).map_err(|problem| Failure::new(problem.to_string()))
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::modules::services::ServiceState;
    use serde_json::json;

    use super::{Unit, decide, wish};

    fn unit(load: &str, active: &str, file: &str) -> Unit {
        let properties = json!({"LoadState": load, "ActiveState": active, "UnitFileState": file});
        Unit { properties: properties.as_object().expect("a mapping").clone() }
    }

    #[test]
    fn steps_lead_from_what_is_to_what_is_wished() {
        let check = |unit: &Unit, state, enabled, is_enabled, expect: &[&str]| {
            let wish = wish("x", state, enabled, false).expect("arguments");
            assert_eq!(decide(&wish, unit, is_enabled).expect("a plan"), expect);
        };
        let (running, resting) = (unit("loaded", "active", "enabled"), unit("loaded", "inactive", "disabled"));
        check(&running, Some(ServiceState::Started), Some(true), Some(true), &[]);
        check(&resting, Some(ServiceState::Started), Some(true), Some(false), &["enable", "start"]);
        check(&resting, Some(ServiceState::Stopped), Some(false), Some(false), &[]);
        check(&running, Some(ServiceState::Stopped), Some(false), Some(true), &["disable", "stop"]);
        check(&running, Some(ServiceState::Restarted), None, None, &["restart"]);
        check(&resting, Some(ServiceState::Restarted), None, None, &["start"]);
        check(&running, Some(ServiceState::Reloaded), None, None, &["reload"]);
        check(&unit("loaded", "failed", "static"), None, Some(true), None, &[]);
    }

    #[test]
    fn a_unit_is_stopped_before_it_is_masked() {
        let mut wished = wish("x", Some(ServiceState::Stopped), Some(false), false).expect("arguments");
        wished.masked = Some(true);
        assert_eq!(decide(&wished, &unit("loaded", "active", "enabled"), Some(true)).expect("a plan"), ["disable", "stop", "mask"]);
        assert_eq!(decide(&wished, &unit("masked", "inactive", "masked"), Some(false)).expect("a plan"), [""; 0]);
    }

    #[test]
    fn a_unit_that_systemd_cannot_read_is_said_so() {
        let mut broken = unit("bad-setting", "inactive", "disabled");
        broken.properties.insert("LoadError".to_owned(), json!("Unit x has a bad unit file setting."));
        let wish = wish("x", Some(ServiceState::Started), None, false).expect("arguments");
        assert!(decide(&wish, &broken, None).expect_err("fails").message.contains("bad unit file setting"));
    }
}
