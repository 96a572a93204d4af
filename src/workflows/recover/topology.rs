//! Who is in a cluster and how it is set, as an inventory: what a person needs who lost his own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::found::Found;

/// Settings that all nodes share, and the variables that say them.
const SHARED: [(&str, &str); 5] = [
    ("ttl", "patroni_ttl"),
    ("loop_wait", "patroni_loop_wait"),
    ("retry_timeout", "patroni_retry_timeout"),
    ("maximum_lag_on_failover", "maximum_lag_on_failover"),
    ("failsafe_mode", "patroni_failsafe_mode"),
];

/// The inventory, as YAML.
pub(super) fn written(found: &Found, host: &str) -> String {
    let mut lines = vec![
        format!("# The cluster as {host} knew it: 'pgfleet state recover' wrote this. It can be used as an inventory (-i)."),
        "# Users and databases that were declared, and how hosts are logged in to, are for a person to add.".to_owned(),
        "all:".to_owned(),
        "  vars:".to_owned(),
    ];
    lines.extend(variables(found).iter().map(|(name, value)| format!("    {name}: {value}")));
    lines.push("  children:".to_owned());
    let members = found.members();
    let voters = voters(found, &members);
    for (group, hosts) in [("postgresql", &members), ("etcd", &voters)] {
        if hosts.is_empty() {
            continue;
        }
        lines.push(format!("    {group}:"));
        lines.push("      hosts:".to_owned());
        let host = |(name, address): &(String, String)| format!("        {}: {{ansible_host: {}}}", text(name), text(address));
        lines.extend(hosts.iter().map(host));
    }
    lines.join("\n") + "\n"
}

/// A string of JSON is one of YAML.
fn text(value: &str) -> String {
    Value::from(value).to_string()
}

fn variables(found: &Found) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &Value| {
        if !value.is_null() {
            variables.insert(name.to_owned(), value.to_string());
        }
    };
    set("postgresql_cluster_name", found.patroni("/scope"));
    let port = |path: &str| found.patroni(path).as_str().and_then(|address| address.rsplit(':').next()?.parse::<u16>().ok());
    set("postgresql_port", &port("/postgresql/connect_address").map_or(Value::Null, Value::from));
    set("patroni_rest_port", &port("/restapi/connect_address").map_or(Value::Null, Value::from));
    // <folder>/<version>/<cluster>
    let mut data = found.patroni("/postgresql/data_dir").as_str().unwrap_or_default().rsplitn(3, '/');
    let (_, version, folder) = (data.next(), data.next(), data.next());
    set("postgresql_version", &version.and_then(|version| version.parse::<u64>().ok()).map_or(Value::Null, Value::from));
    set("postgresql_data_folder", &folder.map_or(Value::Null, Value::from));
    let shared = found.shared();
    for (setting, variable) in SHARED {
        set(variable, &shared[setting]);
    }
    if let Some(shared) = shared.as_object() {
        set(
            "postgresql_synchronous_mode",
            &Value::from(if shared.get("synchronous_mode") == Some(&"quorum".into()) { "quorum" } else { "off" }),
        );
        let parameters = shared.get("postgresql").and_then(|postgresql| postgresql["parameters"].as_object());
        let parameters = parameters.cloned().unwrap_or_default();
        let is_required = shared["postgresql"]["pg_hba"].to_string().contains("hostssl ");
        let tls = if parameters.get("ssl") != Some(&"on".into()) {
            "off"
        } else if is_required {
            "required"
        } else {
            "on"
        };
        set("postgresql_tls", &Value::from(tls));
        let base = found.base();
        let own: Map<String, Value> =
            parameters.into_iter().filter(|(name, value)| *name != "ssl" && !name.starts_with("ssl_") && base[name] != *value).collect();
        set("postgresql_parameters", &Value::Object(own));
    }
    variables
}

/// etcd's voters; those that are no members have no name but their address.
fn voters(found: &Found, members: &[(String, String)]) -> Vec<(String, String)> {
    let hosts = found.patroni("/etcd3/hosts").as_array().map(Vec::as_slice).unwrap_or_default();
    let addresses = hosts.iter().filter_map(|host| Some(host.as_str()?.rsplit_once(':')?.0.to_owned()));
    let named = |address: String| members.iter().find(|(_, host)| *host == address).cloned().unwrap_or_else(|| (address.clone(), address));
    addresses.map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::super::found::Found;
    use super::super::found::tests::said;

    #[test]
    fn an_inventory_tells_the_members_and_what_differs_from_the_defaults() {
        let text = super::written(&Found::read("a", said()).expect("as expected"), "a");
        for line in [
            "    postgresql_cluster_name: \"c1\"",
            "    postgresql_port: 5433",
            "    postgresql_version: 17",
            "    postgresql_data_folder: \"/srv/pg\"",
            "    patroni_ttl: 20",
            "    postgresql_synchronous_mode: \"quorum\"",
            "    postgresql_tls: \"on\"",
            "    postgresql_parameters: {\"work_mem\":\"9MB\"}",
            "        \"b\": {ansible_host: \"192.0.2.2\"}",
            "        \"192.0.2.9\": {ansible_host: \"192.0.2.9\"}",
        ] {
            assert!(text.lines().any(|found| found == line), "no line '{line}' in\n{text}");
        }
    }
}
