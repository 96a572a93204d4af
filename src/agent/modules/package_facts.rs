//! `package_facts`: which packages are installed, as dpkg's own file or rpm tells.

use std::path::Path;

use pgfleet_protocol::modules::search::PackageFacts;
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use crate::dpkg;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;

const OF_RPM: &str = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\n";

pub(crate) fn plan(arguments: &PackageFacts, context: &Context) -> Planned {
    if let Some(unknown) =
        arguments.manager.iter().find(|name| !["auto", "apt", "rpm", "dnf", "dnf5", "yum", "zypper"].contains(&name.as_str()))
    {
        return Err(Failure::new(format!("package manager '{unknown}' is not supported; auto, apt and rpm are")));
    }
    let wanted = |names: &[&str]| arguments.manager.iter().any(|name| name == "auto" || names.contains(&name.as_str()));
    let mut packages = Map::new();
    let mut found = false;
    if wanted(&["apt"]) && context.system.exists(Path::new(dpkg::STATUS_FILE)) {
        of_dpkg(context, &mut packages)?;
        found = true;
    }
    if wanted(&["rpm", "dnf", "dnf5", "yum", "zypper"])
        && (!found || arguments.strategy == "all")
        && context.system.find_program("rpm").is_some()
    {
        found |= of_rpm(context, &mut packages)?;
    }
    if !found {
        return Err(Failure::new(format!(
            "Could not detect a supported package manager from the following list: [{}], or the required software is not on this host",
            arguments.manager.join(", ")
        )));
    }
    Ok(Plan::Done(Outcome::unchanged().with("ansible_facts", json!({ "packages": packages }))))
}

fn add(packages: &mut Map, name: &str, entry: Value) {
    if let Value::Array(entries) = packages.entry(name).or_insert_with(|| json!([])) {
        entries.push(entry);
    }
}

fn of_dpkg(context: &Context, packages: &mut Map) -> Result<(), Failure> {
    let bytes = context.system.read_file(Path::new(dpkg::STATUS_FILE)).context(format_args!("cannot read {}", dpkg::STATUS_FILE))?;
    let text = String::from_utf8_lossy(&bytes);
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let value = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim()
        };
        if !field("Status").ends_with(" installed") {
            continue;
        }
        let (name, version, arch, category) = (field("Package"), field("Version"), field("Architecture"), field("Section"));
        add(packages, name, json!({"name": name, "version": version, "arch": arch, "category": category, "origin": "", "source": "apt"}));
    }
    Ok(())
}

fn of_rpm(context: &Context, packages: &mut Map) -> Result<bool, Failure> {
    let finished = context.run(Program::new(["rpm", "-qa", "--queryformat", OF_RPM])).context("cannot run rpm")?;
    let text = finished.stdout_text();
    let mut found = false;
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, release, epoch, arch] = fields[..] else { continue };
        let epoch = epoch.parse::<u64>().map_or(Value::Null, Value::from);
        let arch = if arch == "(none)" { Value::Null } else { arch.into() };
        add(packages, name, json!({"name": name, "version": version, "release": release, "epoch": epoch, "arch": arch, "source": "rpm"}));
        found = true;
    }
    Ok(found)
}
