//! Facts about the host under Ansible's names, read from the kernel's and the distribution's own files.

mod clock;
mod distribution;
mod hardware;
mod local;
mod mounts;
mod network;
mod platform;
mod python;

use std::path::Path;
use std::time::{Duration, SystemTime};

use pgfleet_protocol::Map;
use pgfleet_protocol::modules::facts::Setup;
use serde_json::{Value, json};

pub(crate) use mounts::unescape;

use crate::module::Failure;
use crate::system::{InterfaceAddress, System, glob};

/// The host as facts are read from it: what is not there or cannot be read is no fact.
pub(crate) struct Source<'a> {
    pub(crate) system: &'a dyn System,
}

impl Source<'_> {
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.system.read_file(Path::new(path)).ok()
    }

    fn text(&self, path: &str) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a file, trimmed.
    fn line(&self, path: &str) -> Option<String> {
        self.text(path).map(|text| text.lines().next().unwrap_or_default().trim().to_owned())
    }

    fn list(&self, path: &str) -> Vec<String> {
        let names = self.system.list_dir(Path::new(path)).unwrap_or_default();
        names.into_iter().filter_map(|name| name.file_name().map(|name| name.to_string_lossy().into_owned())).collect()
    }

    fn link(&self, path: &str) -> Option<String> {
        self.system.read_link(Path::new(path)).ok().map(|target| target.to_string_lossy().into_owned())
    }

    fn exists(&self, path: &str) -> bool {
        self.system.exists(Path::new(path))
    }

    fn addresses(&self) -> Vec<InterfaceAddress> {
        self.system.interface_addresses().unwrap_or_default()
    }
}

/// Who gathers what: the subset's names (the collector's first, then those that select it among others).
type Gatherer = fn(&Source<'_>, &mut Map);
const GATHERERS: &[(&[&str], Gatherer)] = &[
    (&["platform", "min"], platform::platform),
    (&["distribution", "min"], distribution::gather),
    (&["lsb", "min"], distribution::lsb),
    (&["pkg_mgr", "min"], distribution::package_manager),
    (&["service_mgr", "min"], distribution::service_manager),
    (&["user", "min"], platform::user),
    (&["selinux", "apparmor", "fips", "min"], platform::security),
    (&["cmdline", "min"], platform::command_line),
    (&["is_chroot", "loadavg", "min"], platform::surroundings),
    (&["ssh_pub_keys", "min"], platform::host_keys),
    (&["python", "min"], python::gather),
    (&["dns", "min"], network::dns),
    (&["hardware", "processor", "memory", "devices", "uptime"], hardware::gather),
    (&["mounts", "hardware"], mounts::gather),
    (&["network", "interfaces", "default_ipv4", "default_ipv6", "all_ipv4_addresses", "all_ipv6_addresses"], network::gather),
    (&["virtual", "virtualization_type", "virtualization_role"], platform::virtualization),
];
/// Subsets that are gathered in [`gather`] itself, and those of Ansible that say nothing here.
const OTHERS: &[&str] = &[
    "all",
    "min",
    "env",
    "date_time",
    "local",
    "caps",
    "system_capabilities",
    "facter",
    "ohai",
    "iscsi",
    "hostnqn",
    "fibre_channel_wwn",
    "nvme",
    "systemd",
];

/// Gathers the wished facts, with Ansible's prefix.
pub(crate) fn gather(wished: &Setup, environment: &[(String, String)], system: &dyn System) -> Result<Map, Failure> {
    let source = Source { system };
    let selection = Selection::read(&wished.gather_subset)?;
    let mut facts = Map::new();
    for (names, gatherer) in GATHERERS {
        if selection.takes(names) {
            gatherer(&source, &mut facts);
        }
    }
    if selection.takes(&["env", "min"]) {
        facts.insert("env".to_owned(), variables(&source, environment));
    }
    if selection.takes(&["date_time", "min"]) {
        let now = system.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        clock::gather(&source, now, &mut facts);
    }
    if selection.takes(&["local", "min"]) {
        local::gather(&source, &wished.fact_path, Duration::from_secs(wished.gather_timeout), &mut facts);
    }
    let mut prefixed: Map = facts.into_iter().map(|(name, value)| (format!("ansible_{name}"), value)).collect();
    let filters: Vec<&str> = wished.filter.iter().map(String::as_str).filter(|filter| !filter.is_empty()).collect();
    if !filters.is_empty() && !filters.contains(&"*") {
        prefixed.retain(|name, _| {
            filters
                .iter()
                .any(|filter| glob::matches(filter, name) || name.strip_prefix("ansible_").is_some_and(|bare| glob::matches(filter, bare)))
        });
    }
    prefixed.insert("gather_subset".to_owned(), json!(wished.gather_subset));
    prefixed.insert("module_setup".to_owned(), json!(true));
    Ok(prefixed)
}

/// The environment that tasks have: this process' own, and the task's above it.
fn variables(source: &Source<'_>, environment: &[(String, String)]) -> Value {
    let own = source.bytes("/proc/self/environ").unwrap_or_default();
    let mut variables: Map = own
        .split(|byte| *byte == 0)
        .filter_map(|variable| {
            let variable = String::from_utf8_lossy(variable);
            let (name, value) = variable.split_once('=')?;
            Some((name.to_owned(), json!(value)))
        })
        .collect();
    variables.extend(environment.iter().map(|(name, value)| (name.clone(), json!(value))));
    variables.into()
}

/// Which subsets are wished for.
struct Selection {
    with: Vec<String>,
    without: Vec<String>,
}

impl Selection {
    fn read(subsets: &[String]) -> Result<Self, Failure> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for subset in subsets {
            let (name, list) = match subset.strip_prefix('!') {
                Some(name) => (name, &mut without),
                None => (subset.as_str(), &mut with),
            };
            let is_known = OTHERS.contains(&name) || GATHERERS.iter().any(|(names, _)| names.contains(&name));
            if !is_known {
                return Err(Failure::new(format!(
                    "Bad subset '{name}' given to setup: it is not one of the known subsets (all, min, hardware, network, virtual, mounts ...)"
                )));
            }
            list.push(name.to_owned());
        }
        // Only exclusions mean all but those; `!all` alone still means the minimum.
        if with.is_empty() {
            with.push("all".to_owned());
        }
        Ok(Self { with, without })
    }

    fn takes(&self, names: &[&str]) -> bool {
        let own: Vec<&str> = names.iter().copied().filter(|name| *name != "min").collect();
        let has = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
        let is_asked_for = own.iter().any(|name| has(&self.with, name));
        if own.iter().any(|name| has(&self.without, name)) {
            return false;
        }
        // The minimum comes with everything unless it is excluded; what is asked for by its own name comes all the same.
        let is_minimum = own.len() < names.len() && !has(&self.without, "min");
        let is_everything = has(&self.with, "all") && !has(&self.without, "all") && own.len() == names.len();
        is_asked_for || is_minimum || is_everything
    }
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::modules::facts::Setup;
    use pgfleet_protocol::{Arguments, Map};
    use serde_json::json;

    use super::{Selection, gather};
    use crate::system::Linux;

    fn setup(arguments: serde_json::Value) -> Setup {
        Setup::read(arguments.as_object().expect("a mapping")).expect("arguments")
    }

    #[test]
    fn subsets_select_what_ansible_selects() {
        for (subsets, hardware, minimum) in [
            (&["all"][..], true, true),
            (&["min"], false, true),
            (&["!all"], false, true),
            (&["!all", "!min"], false, false),
            (&["!hardware"], false, true),
            (&["hardware", "!min"], true, false),
            (&["!all", "hardware"], true, true),
            (&["!all", "!min", "dns"], false, true),
        ] {
            let subsets: Vec<String> = subsets.iter().map(|&subset| subset.to_owned()).collect();
            let selection = Selection::read(&subsets).expect("known subsets");
            assert_eq!((selection.takes(&["hardware"]), selection.takes(&["dns", "min"])), (hardware, minimum), "{subsets:?}");
        }
        assert!(Selection::read(&["hardwear".to_owned()]).is_err());
    }

    #[test]
    fn this_host_has_the_facts_that_playbooks_use() {
        let facts: Map = gather(&setup(json!({})), &[("TASK".to_owned(), "1".to_owned())], &Linux).expect("facts");
        for name in [
            "hostname",
            "fqdn",
            "nodename",
            "domain",
            "distribution",
            "distribution_version",
            "distribution_major_version",
            "os_family",
            "system",
            "kernel",
            "architecture",
            "processor",
            "processor_vcpus",
            "memtotal_mb",
            "memory_mb",
            "mounts",
            "devices",
            "interfaces",
            "lo",
            "all_ipv4_addresses",
            "default_ipv4",
            "dns",
            "pkg_mgr",
            "service_mgr",
            "user_id",
            "env",
            "date_time",
            "uptime_seconds",
            "virtualization_type",
            "selinux",
            "local",
        ] {
            assert!(facts.contains_key(&format!("ansible_{name}")), "{name}");
        }
        assert_eq!(facts["ansible_lo"]["ipv4"]["address"], "127.0.0.1");
        assert_eq!(facts["ansible_env"]["TASK"], "1");
        let total = facts["ansible_memtotal_mb"].as_u64().expect("a number");
        assert!(total > 100, "{total}");
    }

    #[test]
    fn filters_take_names_with_and_without_prefix() {
        let facts = gather(&setup(json!({"filter": "ansible_distribution,*_mb"})), &[], &Linux).expect("facts");
        assert!(facts.contains_key("ansible_distribution") && facts.contains_key("ansible_memtotal_mb"));
        assert!(!facts.contains_key("ansible_kernel"));
    }
}
