//! `hostname`: the host's name, in its file and in the running kernel.

use std::path::Path;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::system::Hostname;
use serde_json::json;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::content_diff;
use crate::system::Permissions;

const FILE: &str = "/etc/hostname";
const KERNEL: &str = "/proc/sys/kernel/hostname";

pub(crate) fn plan(arguments: &Hostname, context: &Context) -> Planned {
    let name = arguments.name.trim();
    let is_valid = !name.is_empty()
        && name.len() <= 64
        && name.split('.').all(|label| {
            !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
        && !name.starts_with('-');
    if !is_valid {
        return Err(Failure::new(format!("'{name}' cannot be a host's name: letters, digits, '-' and '.', at most 64 characters")));
    }
    if let Some(other) = arguments.r#use.as_deref().filter(|strategy| !matches!(*strategy, "systemd" | "debian" | "generic")) {
        return Err(Failure::new(format!("use: '{other}' is not known; systemd and debian are")));
    }
    let before = context.system.read_if_there(Path::new(FILE)).context(format_args!("cannot read {FILE}"))?;
    let permanent = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).trim().to_owned();
    let running =
        context.system.read_text(Path::new(KERNEL)).map_or_else(|_| context.system.uname().nodename, |text| text.trim().to_owned());
    let outcome = Outcome::changed_if(permanent != name || running != name).with("name", name).with(
        "ansible_facts",
        json!({
            "ansible_hostname": name.split('.').next().unwrap_or_default(),
            "ansible_nodename": name,
            "ansible_fqdn": name,
            "ansible_domain": name.split_once('.').map(|(_, domain)| domain).unwrap_or_default(),
        }),
    );
    if !outcome.is_changed() {
        return Ok(Plan::Done(outcome));
    }
    let found = if permanent == name { &running } else { &permanent };
    let line = |name: &str| format!("hostname = {name}\n");
    let outcome = outcome.showing(content_diff(Path::new(FILE), Some(line(found).as_bytes()), line(name).as_bytes()));
    let name = name.to_owned();
    Ok(Plan::change(outcome, move |context, outcome| {
        if permanent != name {
            let permissions = Permissions { mode: before.is_none().then_some(0o644), ..Permissions::default() };
            let text = format!("{name}\n");
            context
                .system
                .write_file_atomically(Path::new(FILE), text.as_bytes(), &permissions)
                .context(format_args!("cannot write {FILE}"))?;
        }
        if running != name {
            context.system.set_nodename(&name).context("cannot set the running kernel's host name")?;
        }
        Ok(outcome)
    }))
}
