//! What the variables of a cluster may be: checked before anything connects, so that a typing error costs a second.

use std::path::PathBuf;
use std::sync::Arc;

use pgfleet_template::{Problem, Raw, Scope, Value, Vars, closest, from_json, mapping, to_json};
use serde_json::Value as Json;

use crate::groups::{CLIENTS, ClusterHosts};
use crate::kinds::{ADDRESS, KINDS, Kind, MEMBER, whole};
use crate::play::Prepared;

/// Variables that mean something to the playbooks, and have no default.
const OPTIONAL: [&str; 4] = ["postgresql_address", "postgresql_nodes", "postgresql_state_folder", "pgfleet_agent_path"];
/// How the names of pgfleet's own variables begin.
const PREFIXES: [&str; 7] = ["postgresql_", "patroni_", "etcd_", "haproxy_", "preflight_", "pgdg_", "maximum_lag_"];

/// Checks the settings of a cluster, and gives those of the command line their types. Answers what deserves a warning.
///
/// # Errors
/// Every setting that cannot be what it is.
pub(crate) fn check_settings(prepared: &mut Prepared) -> Result<Vec<String>, Vec<Problem>> {
    for (name, kind) in KINDS {
        if let Some(typed) = prepared.extra.get(*name).and_then(|raw| typed(raw, kind)) {
            prepared.extra.insert((*name).to_owned(), typed);
        }
    }
    let nodes = ClusterHosts::of(&prepared.inventory).nodes;
    let Some(first) = nodes.first().and_then(|name| prepared.inventory.host(name)).map(|host| host.name.clone()) else {
        return Ok(Vec::new());
    };
    let layers = prepared.inventory.layers(&first, None).map_err(|problem| vec![problem])?;
    let warnings = misspelt(prepared, &layers);
    let scope = settings_of(prepared, layers, groups(prepared));
    let mut problems: Vec<Problem> =
        KINDS.iter().filter_map(|(name, kind)| kind.wrong(name, &value(&scope, name)?)).map(|message| problem(&message)).collect();
    problems.extend(harmful(prepared, &problems)?);
    let number = |name: &str| value(&scope, name).as_ref().and_then(whole);
    if let (Some(ttl), Some(wait), Some(retry)) = (number("patroni_ttl"), number("patroni_loop_wait"), number("patroni_retry_timeout"))
        && retry.checked_mul(2).and_then(|retry| retry.checked_add(wait)).is_none_or(|least| least > ttl)
    {
        let message = format!("patroni_ttl is {ttl}, less than patroni_loop_wait + 2 x patroni_retry_timeout = {wait} + 2 x {retry}");
        problems.push(Problem::new(message).with_hint("a healthy leader would lose its place: raise patroni_ttl, or lower the others"));
    }
    let ports: Vec<(&str, i64)> =
        KINDS.iter().filter(|(name, _)| name.ends_with("_port")).filter_map(|(name, _)| Some((*name, number(name)?))).collect();
    for (at, (name, port)) in ports.iter().enumerate() {
        if let Some((other, _)) = ports[..at].iter().find(|(_, taken)| taken == port) {
            problems.push(Problem::new(format!("{other} and {name} are both {port}")).with_hint("each service needs a port of its own"));
        }
    }
    if problems.is_empty() { Ok(warnings) } else { Err(problems) }
}

/// Refuses what could become more than a value on some host: a line of a configuration, a unit or a script. It is asked for every workflow on
/// a cluster, since each of them brings such values to hosts.
///
/// # Errors
/// Every such setting, of every host, and every such name.
pub(crate) fn refuse_harmful(prepared: &Prepared) -> Result<(), Vec<Problem>> {
    let problems = harmful(prepared, &[])?;
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Problems of values that could become more than that; those of `known` are told already.
fn harmful(prepared: &Prepared, known: &[Problem]) -> Result<Vec<Problem>, Vec<Problem>> {
    let hosts = ClusterHosts::of(&prepared.inventory);
    if hosts.nodes.is_empty() {
        return Ok(Vec::new());
    }
    let (members, groups) = (hosts.all(), groups(prepared));
    let clients: Vec<String> = prepared.inventory.members(CLIENTS).into_iter().map(ToString::to_string).collect();
    let mut told: Vec<String> = known.iter().map(|problem| problem.message.clone()).collect();
    let mut problems = Vec::new();
    for (at, name) in members.iter().chain(clients.iter().filter(|client| !members.contains(client))).enumerate() {
        let Some(host) = prepared.inventory.host(name) else { continue };
        // The address is a client's own name, which may be of any language.
        let shape = if members.contains(name) { &MEMBER } else { &ADDRESS };
        if let Some(message) = shape.wrong("a host's name", name) {
            problems.push(Problem::new(message).with_hint("give it another name in the inventory, and its address as ansible_host"));
        }
        let layers = prepared.inventory.layers(&host.name, None).map_err(|problem| vec![problem])?;
        let scope = settings_of(prepared, layers, groups.clone()).with("inventory_hostname", Value::from(name.as_str()));
        let address = Kind::Text(&ADDRESS);
        for (name, kind) in KINDS.iter().map(|(name, kind)| (*name, kind)).chain([("ansible_host", &address)]) {
            let Some(value) = value(&scope, name) else { continue };
            let Some(message) = kind.harm(name, &value) else { continue };
            let said = format!("{name} is {value}, and must be ");
            if !told.iter().any(|told| told.starts_with(&said)) {
                let whose = if at == 0 { String::new() } else { format!("{}: ", host.name) };
                problems.push(problem(&format!("{whose}{message}")));
                told.push(said);
            }
        }
    }
    Ok(problems)
}

/// The variables of a host with these layers, as far as they are known before anything connects.
fn settings_of(prepared: &Prepared, layers: Vec<Arc<Vars>>, groups: Value) -> Scope {
    let extra = Arc::new(prepared.extra.clone());
    let scope = Scope::new(&prepared.language, vec![PathBuf::from(".")]).over(prepared.defaults.clone()).over_all(layers).over(extra);
    scope.with("groups", groups)
}

/// The hosts of all groups.
fn groups(prepared: &Prepared) -> Value {
    let names = |group: &str| prepared.inventory.members(group).into_iter().map(ToString::to_string).collect::<Vec<_>>();
    mapping(prepared.inventory.groups().map(|group| (group.name.as_str(), Value::from(names(group.name.as_str())))))
}

/// A value that needs facts or other hosts is known later, and checked by whom it concerns.
fn value(scope: &Scope, name: &str) -> Option<Json> {
    scope.get(name).ok().flatten().and_then(|value| to_json(&value).ok()).filter(|value| !value.is_null())
}

fn problem(message: &str) -> Problem {
    Problem::new(message).with_hint(HINT)
}

const HINT: &str = "it is set in the inventory, in group_vars, in host_vars or with -e";

/// Text of the command line as the number or flag that it says.
fn typed(raw: &Raw, kind: &Kind) -> Option<Raw> {
    let Json::String(text) = to_json(&raw.as_written()).ok()? else { return None };
    let value = match kind {
        Kind::Whole(..) => Json::from(text.trim().parse::<i64>().ok()?),
        Kind::Number(_) => serde_json::Number::from_f64(text.trim().parse().ok()?).map(Json::Number)?,
        Kind::Flag => Json::from(flag(&text)?),
        _ => return None,
    };
    Some(Raw::from(from_json(&value)))
}

fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Variables that are like one of pgfleet's own, but are none.
fn misspelt(prepared: &Prepared, layers: &[Arc<Vars>]) -> Vec<String> {
    let known: Vec<&str> = prepared.defaults.keys().map(String::as_str).chain(OPTIONAL).collect();
    let mut given: Vec<&String> = layers.iter().flat_map(|layer| layer.keys()).chain(prepared.extra.keys()).collect();
    given.sort();
    given.dedup();
    let ours =
        |name: &&String| PREFIXES.iter().any(|prefix| name.starts_with(&prefix[..prefix.len() - 3])) && !known.contains(&name.as_str());
    given
        .into_iter()
        .filter(ours)
        .filter_map(|name| {
            // Three letters more or less may well be another name.
            let near = known.iter().copied().filter(|known| known.len().abs_diff(name.len()) <= 2);
            let meant = closest(name, near)?;
            Some(format!("nothing reads the variable '{name}'; did you mean '{meant}'?"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KINDS, typed};
    use pgfleet_template::{Raw, Value, to_json};

    #[test]
    fn text_of_the_command_line_gets_its_type() {
        let typed = |name: &str, text: &str| {
            let kind = &KINDS.iter().find(|(known, _)| *known == name).expect("known").1;
            typed(&Raw::from(Value::from(text)), kind).map(|raw| to_json(&raw.as_written()).expect("plain"))
        };
        assert_eq!(typed("postgresql_restart", "false"), Some(json!(false)));
        assert_eq!(typed("patroni_ttl", "45"), Some(json!(45)));
        assert_eq!(typed("patroni_ttl", "{{ x }}"), None);
        assert_eq!(typed("postgresql_cluster_name", "45"), None);
    }
}
