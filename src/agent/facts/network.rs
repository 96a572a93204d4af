//! Facts about network interfaces, addresses, default routes and name resolution.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::Source;
use crate::system::InterfaceAddress;

/// Adds `interfaces`, one fact an interface, `all_*_addresses`, `default_ipv4` and `default_ipv6`.
pub(super) fn gather(source: &Source<'_>, facts: &mut Map) {
    let mut addresses = source.addresses();
    addresses.sort_by_key(|address| address.index);
    let mut names = source.list("/sys/class/net");
    names.retain(|name| source.exists(&format!("/sys/class/net/{name}/ifindex")));
    let mut interfaces = Vec::new();
    for name in &names {
        let index = number(source, name, "ifindex").unwrap_or(0);
        let own: Vec<_> = addresses.iter().filter(|address| u64::from(address.index) == index).collect();
        interfaces.push((name.clone(), interface(source, name, &own)));
    }
    let v4 = || addresses.iter().filter_map(|address| if let IpAddr::V4(ip) = address.address { Some(ip) } else { None });
    let v6 = || addresses.iter().filter_map(|address| if let IpAddr::V6(ip) = address.address { Some(ip) } else { None });
    facts.insert("interfaces".to_owned(), json!(names));
    facts.insert("all_ipv4_addresses".to_owned(), v4().filter(|ip| !ip.is_loopback()).map(|ip| json!(ip.to_string())).collect());
    facts.insert("all_ipv6_addresses".to_owned(), v6().filter(|ip| !ip.is_loopback()).map(|ip| json!(ip.to_string())).collect());
    facts.insert("default_ipv4".to_owned(), default_v4(source, &interfaces));
    facts.insert("default_ipv6".to_owned(), default_v6(source, &interfaces));
    for (name, value) in interfaces {
        facts.insert(name.replace(['-', ':'], "_"), value);
    }
}

/// Adds `dns`, from `resolv.conf`.
pub(super) fn dns(source: &Source<'_>, facts: &mut Map) {
    let mut dns = Map::new();
    let mut servers = Vec::new();
    for line in source.text("/etc/resolv.conf").unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => servers.extend(words.map(|word| json!(word))),
            Some("domain") => {
                if let Some(domain) = words.next() {
                    dns.insert("domain".to_owned(), json!(domain));
                }
            }
            Some("search") => {
                dns.insert("search".to_owned(), words.map(|word| json!(word)).collect());
            }
            Some("sortlist") => {
                dns.insert("sortlist".to_owned(), words.map(|word| json!(word)).collect());
            }
            Some("options") => {
                let options: Map = words
                    .map(|word| match word.split_once(':') {
                        Some((name, value)) => (name.to_owned(), json!(value)),
                        None => (word.to_owned(), json!(true)),
                    })
                    .collect();
                dns.insert("options".to_owned(), options.into());
            }
            _ => {}
        }
    }
    if !servers.is_empty() {
        dns.insert("nameservers".to_owned(), servers.into());
    }
    facts.insert("dns".to_owned(), dns.into());
}

fn number(source: &Source<'_>, interface: &str, file: &str) -> Option<u64> {
    source.line(&format!("/sys/class/net/{interface}/{file}"))?.parse().ok()
}

fn interface(source: &Source<'_>, name: &str, addresses: &[&InterfaceAddress]) -> Value {
    let line = |file: &str| source.line(&format!("/sys/class/net/{name}/{file}"));
    let mut facts = Map::new();
    facts.insert("device".to_owned(), json!(name));
    if let Some(mac) = line("address").filter(|mac| !mac.is_empty() && mac != "00:00:00:00:00:00") {
        facts.insert("macaddress".to_owned(), json!(mac));
    }
    if let Some(mtu) = number(source, name, "mtu") {
        facts.insert("mtu".to_owned(), json!(mtu));
    }
    let flags = line("flags").and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()).unwrap_or(0);
    let up = line("operstate").map_or(flags & 1 != 0, |state| state != "down");
    facts.insert("active".to_owned(), json!(up));
    facts.insert("promisc".to_owned(), json!(flags & 0x100 != 0));
    let kind = if source.exists(&format!("/sys/class/net/{name}/bridge")) {
        "bridge"
    } else if source.exists(&format!("/sys/class/net/{name}/bonding")) {
        "bonding"
    } else {
        match number(source, name, "type") {
            Some(1) => "ether",
            Some(32) => "infiniband",
            Some(512) => "ppp",
            Some(772) => "loopback",
            Some(65534) => "tunnel",
            _ => "unknown",
        }
    };
    facts.insert("type".to_owned(), json!(kind));
    if kind == "bridge" {
        facts.insert("interfaces".to_owned(), json!(source.list(&format!("/sys/class/net/{name}/brif"))));
    }
    if let Some(speed) = line("speed").and_then(|text| text.parse::<i64>().ok()).filter(|speed| *speed > 0) {
        facts.insert("speed".to_owned(), json!(speed));
    }
    if let Some(driver) =
        source.link(&format!("/sys/class/net/{name}/device/driver")).and_then(|path| path.rsplit('/').next().map(str::to_owned))
    {
        facts.insert("module".to_owned(), json!(driver));
    }
    let (mut first, mut others, mut sixes) = (None, Vec::new(), Vec::new());
    for address in addresses {
        match address.address {
            IpAddr::V4(ip) => {
                let value = v4(ip, address);
                if first.is_none() { first = Some(value) } else { others.push(value) }
            }
            IpAddr::V6(ip) => {
                sixes.push(json!({"address": ip.to_string(), "prefix": address.prefix.to_string(), "scope": scope(address.scope)}))
            }
        }
    }
    if let Some(first) = first {
        facts.insert("ipv4".to_owned(), first);
    }
    if !others.is_empty() {
        facts.insert("ipv4_secondaries".to_owned(), others.into());
    }
    if !sixes.is_empty() {
        facts.insert("ipv6".to_owned(), sixes.into());
    }
    facts.into()
}

fn v4(ip: Ipv4Addr, address: &InterfaceAddress) -> Value {
    let mask = mask(address.prefix);
    let network = Ipv4Addr::from(u32::from(ip) & mask);
    json!({
        "address": ip.to_string(),
        "broadcast": address.broadcast.map(|broadcast| broadcast.to_string()).unwrap_or_default(),
        "netmask": Ipv4Addr::from(mask).to_string(),
        "network": network.to_string(),
        "prefix": address.prefix.to_string(),
    })
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn scope(scope: u8) -> &'static str {
    match scope {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        _ => "unknown",
    }
}

/// The first default route of `/proc/net/route`, lowest metric first.
fn default_v4(source: &Source<'_>, interfaces: &[(String, Value)]) -> Value {
    let table = source.text("/proc/net/route").unwrap_or_default();
    let route = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [interface, "00000000", gateway, flags, _, _, metric, "00000000", ..] = fields.as_slice() else { return None };
            let flags = u32::from_str_radix(flags, 16).ok()?;
            let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.swap_bytes());
            // 0x200: a route that rejects.
            (flags & 0x200 == 0).then_some((metric.parse::<u64>().ok()?, (*interface).to_owned(), gateway))
        })
        .min_by_key(|(metric, ..)| *metric);
    let Some((_, name, gateway)) = route else { return json!({}) };
    let facts = interfaces.iter().find(|(known, _)| *known == name).map(|(_, facts)| facts);
    let mut default = facts.and_then(|facts| facts.get("ipv4")).and_then(Value::as_object).cloned().unwrap_or_default();
    default.insert("gateway".to_owned(), json!(gateway.to_string()));
    default.insert("interface".to_owned(), json!(name));
    default.insert("alias".to_owned(), json!(name));
    copy(facts, &mut default);
    default.into()
}

fn default_v6(source: &Source<'_>, interfaces: &[(String, Value)]) -> Value {
    let table = source.text("/proc/net/ipv6_route").unwrap_or_default();
    let route = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [destination, "00", _, _, gateway, metric, _, _, flags, interface] = fields.as_slice() else { return None };
            let flags = u32::from_str_radix(flags, 16).ok()?;
            let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
            let is_default = destination.bytes().all(|byte| byte == b'0') && flags & 0x200 == 0 && !gateway.is_unspecified();
            is_default.then_some((u32::from_str_radix(metric, 16).ok()?, (*interface).to_owned(), gateway))
        })
        .min_by_key(|(metric, ..)| *metric);
    let Some((_, name, gateway)) = route else { return json!({}) };
    let facts = interfaces.iter().find(|(known, _)| *known == name).map(|(_, facts)| facts);
    let mut default = Map::new();
    default.insert("gateway".to_owned(), json!(gateway.to_string()));
    default.insert("interface".to_owned(), json!(name));
    let addresses = facts.and_then(|facts| facts.get("ipv6")).and_then(Value::as_array).cloned().unwrap_or_default();
    let best = addresses.iter().find(|address| address["scope"] == "global").or(addresses.first());
    if let Some(address) = best.and_then(Value::as_object) {
        default.extend(address.clone());
    }
    copy(facts, &mut default);
    default.into()
}

fn copy(facts: Option<&Value>, default: &mut Map) {
    for name in ["macaddress", "mtu", "type"] {
        if let Some(value) = facts.and_then(|facts| facts.get(name)) {
            default.insert(name.to_owned(), value.clone());
        }
    }
}
