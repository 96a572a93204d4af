//! The lab's network on this machine: a bridge, address translation, and a route that keeps the lab's traffic here.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;

use crate::command::{attempt, failure, feed, run, succeeds};
use crate::error::LabError;
use crate::record::{Open, Resource};
use crate::settings::{LabName, Settings, Subnet};

/// Worse than any route that leads somewhere.
const LAST_RESORT: &str = "65535";
/// Which labs want packets forwarded; the last one gives the machine its old setting back.
const FORWARDING: &str = "/run/pgfleet-lab";
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Makes what is not there yet. Each thing is recorded before it is made.
pub(crate) fn ensure(settings: &Settings, open: &mut Open) -> Result<(), LabError> {
    let bridge = settings.name.bridge();
    let subnet = settings.subnet.to_string();
    // Before the bridge: without it, packets for the lab would leave by the default route.
    open.claim(Resource::Route)?;
    run("ip", &["route", "replace", "unreachable", &subnet, "metric", LAST_RESORT])?;
    open.claim(Resource::Bridge)?;
    if !exists(&bridge) {
        run("ip", &["link", "add", "name", &bridge, "type", "bridge"]).map_err(no_bridge)?;
    }
    run("ip", &["address", "replace", &format!("{}/24", settings.subnet.gateway()), "dev", &bridge])?;
    // The lab speaks IPv4; a machine without IPv6 has no such file.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6"), "1");
    run("ip", &["link", "set", &bridge, "up"])?;
    open.claim(Resource::Table)?;
    feed("nft", &["-f", "-"], &table(&settings.name, settings.subnet))?;
    open.claim(Resource::Forwarding)?;
    forward(&settings.state_dir)?;
    if forwards_nothing_by_default()? {
        open.claim(Resource::Iptables)?;
        for direction in ["-i", "-o"] {
            if !iptables("-C", direction, &bridge)? {
                iptables("-I", direction, &bridge)?;
            }
        }
    }
    Ok(())
}

/// Takes away what is recorded.
pub(crate) fn remove(settings: &Settings, open: &mut Open) -> Result<(), LabError> {
    let bridge = settings.name.bridge();
    for resource in [Resource::Iptables, Resource::Forwarding, Resource::Table, Resource::Bridge, Resource::Route] {
        if !open.record.resources.contains(&resource) {
            continue;
        }
        match resource {
            Resource::Iptables => {
                for direction in ["-i", "-o"] {
                    while iptables("-D", direction, &bridge)? {}
                }
            }
            Resource::Forwarding => stop_forwarding(&settings.state_dir)?,
            Resource::Table => {
                for family in ["inet", "bridge"] {
                    drop_table(family, &settings.name.table())?;
                }
            }
            Resource::Bridge => {
                if exists(&bridge) {
                    run("ip", &["link", "delete", &bridge])?;
                }
            }
            Resource::Route => {
                // `ip` fails when it is not there, which is what is wanted.
                attempt("ip", &["route", "delete", "unreachable", &settings.subnet.to_string(), "metric", LAST_RESORT])?;
            }
        }
        open.release(resource)?;
    }
    Ok(())
}

/// Whether a network interface of this name exists.
pub(crate) fn exists(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).exists()
}

/// Whether an interface is switched on: bit 0 of its flags, however its carrier is.
pub(crate) fn is_up(interface: &str) -> bool {
    let flags = fs::read_to_string(format!("/sys/class/net/{interface}/flags")).unwrap_or_default();
    let number = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or_default();
    number & 1 == 1
}

/// Who else uses the lab's addresses: another interface, or a route to elsewhere.
pub(crate) fn check_subnet(settings: &Settings, ours: bool) -> Result<(), LabError> {
    let (bridge, subnet) = (settings.name.bridge(), settings.subnet);
    let taken = |user: String| LabError::SubnetInUse { subnet: subnet.to_string(), user };
    if let Some(interface) = address_user(&run("ip", &["-4", "-json", "address"])?, subnet, &bridge) {
        return Err(taken(format!("interface {interface}")));
    }
    if let Some(route) = route_user(&run("ip", &["-4", "-json", "route"])?, subnet, &bridge, ours) {
        return Err(taken(format!("the route {route}")));
    }
    let in_use = |what: &str| LabError::NameInUse { name: settings.name.to_string(), what: what.to_owned() };
    if !ours && exists(&bridge) {
        return Err(in_use(&format!("bridge {bridge}")));
    }
    if !ours && succeeds("nft", &["list", "table", "inet", &settings.name.table()])? {
        return Err(in_use(&format!("nft table {}", settings.name.table())));
    }
    Ok(())
}

/// Makes the cuts between guests be exactly these, sender first.
pub(crate) fn cut(name: &LabName, cuts: &[(String, String)]) -> Result<(), LabError> {
    let table = name.table();
    let mut rules = format!("add table bridge {table}\ndelete table bridge {table}\n");
    if !cuts.is_empty() {
        rules += &format!("table bridge {table} {{\n  chain forward {{\n    type filter hook forward priority 0; policy accept;\n");
        for (from, to) in cuts {
            rules += &format!("    ip saddr {from} ip daddr {to} drop\n");
        }
        rules += "  }\n}\n";
    }
    feed("nft", &["-f", "-"], &rules)
}

/// Every time anew and in one transaction, so that a half-made table mends itself.
fn table(name: &LabName, subnet: Subnet) -> String {
    let (table, bridge) = (name.table(), name.bridge());
    format!(
        "add table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n  \
         chain postrouting {{\n    type nat hook postrouting priority srcnat; policy accept;\n    \
         ip saddr {subnet} oifname != \"{bridge}\" masquerade\n  }}\n  \
         chain forward {{\n    type filter hook forward priority filter; policy accept;\n    \
         iifname \"{bridge}\" accept\n    oifname \"{bridge}\" accept\n  }}\n}}\n"
    )
}

fn drop_table(family: &str, table: &str) -> Result<(), LabError> {
    feed("nft", &["-f", "-"], &format!("add table {family} {table}\ndelete table {family} {table}\n"))
}

fn no_bridge(error: LabError) -> LabError {
    match error {
        LabError::Command { stderr, .. } => LabError::NoBridge { cause: stderr },
        other => other,
    }
}

/// Docker and some firewalls drop what is forwarded, and an accept in a table of ours does not outweigh that.
fn forwards_nothing_by_default() -> Result<bool, LabError> {
    if crate::preflight::find_program("iptables").is_none() {
        return Ok(false);
    }
    let output = attempt("iptables", &["--wait", "-S", "FORWARD"])?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .any(|line| line == "-P FORWARD DROP" || line.contains("DOCKER") || line.ends_with("-j REJECT") || line.ends_with("-j DROP")))
}

fn iptables(verb: &str, direction: &str, bridge: &str) -> Result<bool, LabError> {
    let comment = format!("pgfleet lab {bridge}");
    let arguments = ["--wait", verb, "FORWARD", direction, bridge, "-j", "ACCEPT", "-m", "comment", "--comment", &comment];
    let output = attempt("iptables", &arguments)?;
    if verb == "-I" && !output.status.success() {
        return Err(failure("iptables", &arguments, &output));
    }
    Ok(output.status.success())
}

/// A claim is a file that holds the state folder of a lab; the machine's first setting is kept beside the claims.
fn claim_path(folder: &Path, state_dir: &Path) -> PathBuf {
    let name: String = state_dir.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    folder.join(format!("lab{name}"))
}

fn forwarding_lock(folder: &Path) -> Result<fs::File, LabError> {
    crate::record::make_dir(folder, 0o755)?;
    let path = folder.join("lock");
    let file = fs::File::create(&path).map_err(LabError::file("create", &path))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|errno| LabError::File { action: "lock", path, source: errno.into() })?;
    Ok(file)
}

fn forward(state_dir: &Path) -> Result<(), LabError> {
    let folder = Path::new(FORWARDING);
    let _lock = forwarding_lock(folder)?;
    let before = folder.join("ip_forward");
    let now = fs::read_to_string(IP_FORWARD).map_err(LabError::file("read", IP_FORWARD))?;
    if !before.exists() {
        crate::record::write(&before, now.as_bytes(), 0o644)?;
    }
    crate::record::write(&claim_path(folder, state_dir), state_dir.to_string_lossy().as_bytes(), 0o644)?;
    if now.trim() == "0" {
        fs::write(IP_FORWARD, "1").map_err(LabError::file("write", IP_FORWARD))?;
    }
    Ok(())
}

fn stop_forwarding(state_dir: &Path) -> Result<(), LabError> {
    let folder = Path::new(FORWARDING);
    let _lock = forwarding_lock(folder)?;
    // After a crash it may be gone already.
    let _ = fs::remove_file(claim_path(folder, state_dir));
    let entries = fs::read_dir(folder).map_err(LabError::file("read", folder))?;
    let claimed = entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("lab"));
    let before = folder.join("ip_forward");
    if let (false, Ok(value)) = (claimed, fs::read_to_string(&before)) {
        let now = fs::read_to_string(IP_FORWARD).map_err(LabError::file("read", IP_FORWARD))?;
        if now != value {
            fs::write(IP_FORWARD, value.trim()).map_err(LabError::file("write", IP_FORWARD))?;
        }
        fs::remove_file(&before).map_err(LabError::file("remove", &before))?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Interface {
    ifname: String,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    local: Option<std::net::Ipv4Addr>,
    prefixlen: Option<u8>,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default)]
    dst: String,
    #[serde(default)]
    dev: String,
    #[serde(rename = "type", default)]
    kind: String,
}

fn address_user(json: &str, subnet: Subnet, bridge: &str) -> Option<String> {
    let interfaces: Vec<Interface> = serde_json::from_str(json).ok()?;
    let uses = |address: &Address| address.local.zip(address.prefixlen).is_some_and(|(local, prefix)| subnet.overlaps(local, prefix));
    interfaces.into_iter().find(|one| one.ifname != bridge && one.addr_info.iter().any(uses)).map(|one| one.ifname)
}

fn route_user(json: &str, subnet: Subnet, bridge: &str, ours: bool) -> Option<String> {
    let routes: Vec<Route> = serde_json::from_str(json).ok()?;
    let uses = |route: &Route| {
        let (address, prefix) = route.dst.split_once('/').unwrap_or((&route.dst, "32"));
        let Some((address, prefix)) = address.parse().ok().zip(prefix.parse().ok()) else { return false };
        let own = route.dev == bridge || (ours && route.kind == "unreachable" && route.dst == subnet.to_string());
        !own && subnet.overlaps(address, prefix)
    };
    routes.into_iter().find(uses).map(|route| format!("{} {}{}", route.dst, route.dev, route.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet() -> Subnet {
        "172.28.7.0/24".parse().unwrap()
    }

    #[test]
    fn an_interface_in_the_subnet_is_named() {
        let json = r#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},{},
                       {"ifname":"docker0","addr_info":[{"local":"172.28.0.1","prefixlen":16}]}]"#;
        assert_eq!(address_user(&json.replace("{},", ""), subnet(), "pgf-x"), Some("docker0".to_owned()));
        assert_eq!(address_user(&json.replace("{},", ""), subnet(), "docker0"), None);
    }

    #[test]
    fn a_route_in_the_subnet_is_named_unless_it_is_ours() {
        let json = r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"},{"dst":"172.28.7.0/24","dev":"pgf-x"},
                       {"type":"unreachable","dst":"172.28.7.0/24","metric":65535}]"#;
        assert_eq!(route_user(json, subnet(), "pgf-x", true), None);
        assert_eq!(route_user(json, subnet(), "pgf-x", false), Some("172.28.7.0/24 unreachable".to_owned()));
        assert_eq!(route_user(json, subnet(), "pgf-y", true), Some("172.28.7.0/24 pgf-x".to_owned()));
    }

    #[test]
    fn the_table_belongs_to_one_lab() {
        let text = table(&"lab-2".parse().unwrap(), subnet());
        assert!(text.contains("table inet pgfleet_lab_2 {"), "{text}");
        assert!(text.contains("ip saddr 172.28.7.0/24 oifname != \"pgf-lab-2\" masquerade"), "{text}");
    }

    #[test]
    fn claims_of_two_checkouts_differ() {
        let claim = |path: &str| claim_path(Path::new("/run/x"), Path::new(path));
        assert_ne!(claim("/a/state/lab/dev"), claim("/b/state/lab/dev"));
    }
}
