//! `yum_repository`: a package source of dnf, one section of a file.

use std::path::PathBuf;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::repositories::YumRepository;
use serde_json::Value;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::replacement::{Replacement, content_diff};

const OWN: [&str; 6] = ["state", "file", "reposdir", "owner", "group", "mode"];

pub(crate) fn plan(arguments: &YumRepository, context: &Context) -> Planned {
    let options = &arguments.options;
    let name = options.text("name").unwrap_or_default();
    let is_wished = options.text("state").unwrap_or("present") == "present";
    if is_wished && options.text("description").is_none() {
        return Err(Failure::new("Parameter 'description' is required."));
    }
    let has_address = !options.list("baseurl").is_empty() || options.text("metalink").is_some() || options.text("mirrorlist").is_some();
    if is_wished && !has_address {
        return Err(Failure::new("state is present but any of the following are missing: baseurl, metalink, mirrorlist"));
    }
    let folder = paths::expand(context.system, options.text("reposdir").unwrap_or("/etc/yum.repos.d"))?;
    if !context.system.exists(&folder) {
        return Err(Failure::new(format!("Repo directory '{}' does not exist.", folder.display())));
    }
    let path = folder.join(format!("{}.repo", options.text("file").unwrap_or(name)));
    let before = context.system.read_if_there(&path).context(format_args!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
    let mut sections = sections(&text);
    let known = sections.iter().position(|(section, _)| section == name);
    let wished = is_wished.then(|| entries(arguments));
    // The same settings in another order are the same section.
    let is_right = match (known, &wished) {
        (Some(at), Some(wished)) => same(&sections[at].1, wished),
        (known, wished) => known.is_none() && wished.is_none(),
    };
    let state = if is_wished { "present" } else { "absent" };
    let repo = name.to_owned();
    let told = move |plan: Plan| match plan {
        Plan::Done(outcome) => Plan::Done(outcome.with("repo", repo.as_str()).with("state", state)),
        Plan::Change(outcome, apply) => Plan::change(outcome.with("repo", repo).with("state", state), move |context, outcome| {
            // The file's own state is not the source's.
            Ok(apply(context, outcome)?.with("state", state))
        }),
    };
    if !is_right {
        if let Some(at) = known {
            sections.remove(at);
        }
        sections.extend(wished.map(|entries| (name.to_owned(), entries)));
    }
    if sections.is_empty() {
        return Ok(told(if is_right { Plan::Done(Outcome::unchanged()) } else { removal(path, before.as_deref()) }));
    }
    if is_right && before.is_none() {
        return Ok(told(Plan::Done(Outcome::unchanged())));
    }
    let after = if is_right { text } else { written(&sections) };
    let replacement = Replacement { path, before, after: after.into_bytes(), attributes: arguments.attributes(), ..Replacement::default() };
    replacement.plan(context).map(told)
}

/// A file without sections goes.
fn removal(path: PathBuf, before: Option<&[u8]>) -> Plan {
    let outcome = Outcome::changed().showing(content_diff(&path, before, b""));
    Plan::change(outcome, move |context, outcome| {
        context.system.remove_file(&path).context(format_args!("cannot remove {}", path.display()))?;
        Ok(outcome)
    })
}

type Entries = Vec<(String, String)>;

fn same(left: &Entries, right: &Entries) -> bool {
    let sorted = |entries: &Entries| {
        let mut entries = entries.clone();
        entries.sort();
        entries
    };
    sorted(left) == sorted(right)
}

/// The settings under dnf's names, sorted.
fn entries(arguments: &YumRepository) -> Entries {
    let mut entries: Entries = Vec::new();
    for (name, value) in arguments.options.iter() {
        let name = match name {
            "name" => continue,
            "description" => "name",
            name if OWN.contains(&name) => continue,
            name => name,
        };
        let separator = if matches!(name, "exclude" | "includepkgs") { " " } else { "\n" };
        let value = match value {
            Value::Bool(flag) => u8::from(*flag).to_string(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(separator),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        entries.push((name.to_owned(), value));
    }
    entries.sort();
    entries
}

/// The sections of a file with their settings; what is before the first one, and comments, are not kept.
fn sections(text: &str) -> Vec<(String, Entries)> {
    let mut sections: Vec<(String, Entries)> = Vec::new();
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push((name.to_owned(), Vec::new()));
        } else if let Some((_, entries)) = sections.last_mut() {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = entries.last_mut() {
                    value.push('\n');
                    value.push_str(bare);
                }
            } else if let Some((name, value)) = bare.split_once(['=', ':']) {
                entries.push((name.trim().to_lowercase(), value.trim().to_owned()));
            }
        }
    }
    sections
}

fn written(sections: &[(String, Entries)]) -> String {
    let mut text = String::new();
    for (name, entries) in sections {
        text.push_str(&format!("[{name}]\n"));
        for (name, value) in entries {
            text.push_str(&format!("{name} = {}\n", value.replace('\n', "\n\t")));
        }
        text.push('\n');
    }
    text
}
