//! What the variables of a cluster may be: checked before anything connects, so that a typing error costs a second.

use std::path::PathBuf;
use std::sync::Arc;

use pgfleet_template::{Problem, Raw, Scope, Value, Vars, closest, from_json, mapping, to_json};
use serde_json::Value as Json;

use crate::groups::ClusterHosts;
use crate::play::Prepared;

/// What a variable must be.
enum Kind {
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// Yes or no.
    Flag,
    /// One of these words; yes and no are words too.
    Word(&'static [&'static str]),
    /// A name that becomes part of paths and keys.
    Name,
    /// A list of texts.
    Texts,
    /// Names with plain values.
    Mapping,
}

const PORT: Kind = Kind::Whole(1, 65_535);

/// The bounds of Patroni's and etcd's numbers are their own.
const KINDS: &[(&str, Kind)] = &[
    ("postgresql_hostname", Kind::Name),
    ("postgresql_cluster_name", Kind::Name),
    ("postgresql_version", Kind::Whole(10, 99)),
    ("postgresql_port", PORT),
    ("postgresql_synchronous_mode", Kind::Word(&["quorum", "on", "off", "true", "false"])),
    ("postgresql_profile", Kind::Word(&["default", "fast"])),
    ("postgresql_allowed_networks", Kind::Texts),
    ("postgresql_firewall", Kind::Word(&["nftables", "off", "false"])),
    ("postgresql_firewall_trial", Kind::Whole(5, 3600)),
    ("postgresql_drop_databases", Kind::Texts),
    ("postgresql_hba_rules", Kind::Texts),
    ("postgresql_parameters", Kind::Mapping),
    ("postgresql_superuser_remote", Kind::Flag),
    ("postgresql_leftovers", Kind::Word(&["stop", "adopt", "wipe"])),
    ("postgresql_restart", Kind::Flag),
    ("postgresql_tls", Kind::Word(&["required", "on", "off", "true", "false"])),
    ("postgresql_tls_days", Kind::Whole(1, 36_500)),
    ("postgresql_tls_renew_days", Kind::Whole(0, 36_500)),
    ("cluster_lease_seconds", Kind::Whole(1, 86_400)),
    ("postgresql_replica_timeout", Kind::Whole(1, i64::MAX)),
    ("patroni_ttl", Kind::Whole(20, i64::MAX)),
    ("patroni_loop_wait", Kind::Whole(1, i64::MAX)),
    ("patroni_retry_timeout", Kind::Whole(3, i64::MAX)),
    ("patroni_failsafe_mode", Kind::Flag),
    ("maximum_lag_on_failover", Kind::Whole(0, i64::MAX)),
    ("patroni_rest_port", PORT),
    ("etcd_client_port", PORT),
    ("etcd_peer_port", PORT),
    ("etcd_users", Kind::Flag),
    ("etcd_heartbeat_interval", Kind::Whole(1, 10_000)),
    ("etcd_election_timeout", Kind::Whole(5, 50_000)),
    ("haproxy_leader_port", PORT),
    ("haproxy_replica_port", PORT),
    ("haproxy_any_port", PORT),
    ("haproxy_stats_port", PORT),
];

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
    let extra = Arc::new(prepared.extra.clone());
    let groups = mapping([("postgresql", Value::from(nodes))]);
    let scope = Scope::new(&prepared.language, vec![PathBuf::from(".")]).over(prepared.defaults.clone()).over_all(layers).over(extra);
    let scope = scope.with("groups", groups);
    // A value that needs facts or other hosts is known later, and checked by whom it concerns.
    let value = |name: &str| scope.get(name).ok().flatten().and_then(|value| to_json(&value).ok()).filter(|value| !value.is_null());
    let mut problems: Vec<Problem> = KINDS
        .iter()
        .filter_map(|(name, kind)| wrong(name, kind, &value(name)?))
        .map(|message| Problem::new(message).with_hint(HINT))
        .collect();
    let number = |name: &str| value(name).as_ref().and_then(whole);
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

const HINT: &str = "it is set in the inventory, in group_vars, in host_vars or with -e";

/// Text of the command line as the number or flag that it says.
fn typed(raw: &Raw, kind: &Kind) -> Option<Raw> {
    let Json::String(text) = to_json(&raw.as_written()).ok()? else { return None };
    let value = match kind {
        Kind::Whole(..) => Json::from(text.trim().parse::<i64>().ok()?),
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

fn whole(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// What is wrong with a value.
fn wrong(name: &str, kind: &Kind, value: &Json) -> Option<String> {
    let wanted = match kind {
        Kind::Whole(least, i64::MAX) if whole(value).is_none_or(|number| number < *least) => format!("a whole number from {least} on"),
        Kind::Whole(least, most) if whole(value).is_none_or(|number| number < *least || number > *most) => {
            format!("a whole number from {least} to {most}")
        }
        // The text 'false' would count as yes.
        Kind::Flag if !value.is_boolean() => "true or false, without quotes".to_owned(),
        Kind::Word(words) if !words.contains(&word(value).as_str()) => format!("one of {}", words.join(", ")),
        Kind::Name if !is_name(value) => "a name of letters, digits, '.', '_' and '-'".to_owned(),
        Kind::Texts if !value.as_array().is_some_and(|items| items.iter().all(Json::is_string)) => "a list of texts".to_owned(),
        Kind::Mapping
            if !value.as_object().is_some_and(|entries| entries.values().all(|entry| !entry.is_array() && !entry.is_object())) =>
        {
            "a mapping of names to plain values".to_owned()
        }
        _ => return None,
    };
    Some(format!("{name} is {value}, and must be {wanted}"))
}

fn word(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_name(value: &Json) -> bool {
    let Some(text) = value.as_str() else { return false };
    text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
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

    use super::{KINDS, typed, wrong};
    use pgfleet_template::{Raw, Value, to_json};

    #[test]
    fn values_are_what_they_must_be() {
        for (name, good, bad) in [
            ("postgresql_port", vec![json!(5432), json!("5432")], vec![json!("abc"), json!(0), json!(70_000), json!([1]), json!(true)]),
            ("patroni_ttl", vec![json!(20)], vec![json!(10), json!(-1), json!("30s")]),
            (
                "postgresql_synchronous_mode",
                vec![json!("quorum"), json!(true), json!("off"), json!(false)],
                vec![json!("sometimes"), json!(1)],
            ),
            (
                "postgresql_firewall",
                vec![json!("nftables"), json!("off"), json!(false)],
                vec![json!("ufw"), json!(true), json!(["nftables"])],
            ),
            ("postgresql_restart", vec![json!(true)], vec![json!("false"), json!("yes"), json!(1)]),
            ("postgresql_cluster_name", vec![json!("a_b-c.d")], vec![json!("a b"), json!("../x"), json!(""), json!(7)]),
            ("postgresql_parameters", vec![json!({}), json!({"work_mem": "4MB"})], vec![json!([]), json!({"a": [1]})]),
            ("postgresql_allowed_networks", vec![json!(["samenet"])], vec![json!("samenet"), json!([1])]),
        ] {
            let kind = &KINDS.iter().find(|(known, _)| *known == name).expect("known").1;
            good.iter().for_each(|value| assert_eq!(wrong(name, kind, value), None));
            bad.iter().for_each(|value| assert!(wrong(name, kind, value).is_some(), "{name}: {value}"));
        }
    }

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
