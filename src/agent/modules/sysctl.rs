//! `sysctl`: kernel parameters in a file and in the running kernel, without a program in between.

use std::path::{Path, PathBuf};

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::system::Sysctl;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::content_diff;
use crate::system::{Permissions, System};

pub(crate) fn plan(arguments: &Sysctl, context: &Context) -> Planned {
    let wish = arguments.clone();
    let value = match (arguments.state, arguments.value.as_deref().map(normal)) {
        (Presence::Absent, _) => None,
        (Presence::Present, Some(value)) if !value.is_empty() => Some(value),
        (Presence::Present, _) => return Err(Failure::new("value cannot be empty while state is present")),
    };
    let name = arguments.name.trim();
    if name.is_empty() || name.contains(['\n', '=']) || name.contains("..") {
        return Err(Failure::new(format!("'{name}' cannot be a kernel parameter's name")));
    }
    let path = PathBuf::from(arguments.sysctl_file.as_str());
    let before = context.system.read_if_there(&path).context(format_args!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
    let after = with_value(&text, name, value.as_deref());
    let file_changes = after != text;
    let kernel = read_kernel(context.system, name);
    let sets_kernel = arguments.sysctl_set && value.as_ref().is_some_and(|value| kernel.as_deref() != Some(value.as_str()));
    if sets_kernel && kernel.is_none() && !arguments.ignoreerrors {
        return Err(Failure::new(format!("the kernel of this host has no parameter '{name}'")));
    }
    if !file_changes && !sets_kernel {
        return Ok(Plan::Done(Outcome::unchanged()));
    }
    let mut outcome = Outcome::changed();
    if file_changes {
        outcome = outcome.showing(content_diff(&path, before.as_deref(), after.as_bytes()));
    }
    if sets_kernel && !file_changes {
        let line = |value: &str| format!("{name} = {value}\n").into_bytes();
        let found = line(kernel.as_deref().unwrap_or_default());
        outcome = outcome.showing(content_diff(Path::new("kernel"), Some(&found), &line(value.as_deref().unwrap_or_default())));
    }
    let name = name.to_owned();
    Ok(Plan::change(outcome, move |context, outcome| {
        if let Some(value) = value.filter(|_| sets_kernel) {
            set_kernel(context, &wish, &name, &value)?;
        }
        if file_changes {
            let permissions = Permissions::default();
            context
                .system
                .write_file_atomically(&path, after.as_bytes(), &permissions)
                .context(format_args!("cannot write {}", path.display()))?;
            if wish.reload {
                for (name, value) in assignments(&after) {
                    if read_kernel(context.system, name).as_deref() != Some(normal(value).as_str()) {
                        set_kernel(context, &wish, name, value)?;
                    }
                }
            }
        }
        Ok(outcome)
    }))
}

/// Booleans as numbers, blanks as the kernel prints them.
fn normal(value: &str) -> String {
    match value.trim().to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "y" | "t" => "1".to_owned(),
        "no" | "false" | "off" | "n" | "f" => "0".to_owned(),
        _ => value.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// `net.ipv4.ip_forward` or `net/ipv4/conf/eth0.5/forwarding`: the first separator decides, as sysctl(8) has it.
fn kernel_path(name: &str) -> PathBuf {
    let slashed = name.find(['.', '/']).is_some_and(|at| name[at..].starts_with('/'));
    let path: String = if slashed {
        name.to_owned()
    } else {
        name.chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect()
    };
    Path::new("/proc/sys").join(path)
}

fn read_kernel(system: &dyn System, name: &str) -> Option<String> {
    system.read_text(&kernel_path(name)).ok().map(|text| normal(&text))
}

fn set_kernel(context: &Context, wish: &Sysctl, name: &str, value: &str) -> Result<(), Failure> {
    match context.system.write_in_place(&kernel_path(name), value.as_bytes()) {
        Err(_) if wish.ignoreerrors => Ok(()),
        other => other.context(format_args!("cannot set {name} = {value} in the running kernel")),
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    // A leading dash means that failures do not matter.
    Some((name.trim().trim_start_matches('-'), value.trim()))
}

fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(assignment)
}

/// The file's text with the parameter set, or without it. The first line of that name stays where it is, others go.
fn with_value(text: &str, name: &str, value: Option<&str>) -> String {
    let mut after = String::with_capacity(text.len());
    let mut open = value;
    for line in text.lines() {
        match assignment(line) {
            Some((known, found)) if kernel_path(known) == kernel_path(name) => {
                if let Some(value) = open.take() {
                    if normal(found) == value {
                        after.push_str(line);
                    } else {
                        after.push_str(&format!("{name}={value}"));
                    }
                    after.push('\n');
                }
            }
            _ => {
                after.push_str(line);
                after.push('\n');
            }
        }
    }
    if let Some(value) = open {
        after.push_str(&format!("{name}={value}\n"));
    }
    // A last line without an end is no difference.
    if after.trim_end_matches('\n') == text.trim_end_matches('\n') { text.to_owned() } else { after }
}
