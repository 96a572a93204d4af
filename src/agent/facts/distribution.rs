//! Facts about the distribution, its package manager and its service manager.

use pgfleet_protocol::Map;
use serde_json::json;

use super::Source;

/// `os-release` as pairs, quotes removed.
fn os_release(source: &Source<'_>) -> Vec<(String, String)> {
    let text = source.text("/etc/os-release").or_else(|| source.text("/usr/lib/os-release")).unwrap_or_default();
    assignments(&text)
}

/// `NAME="value"` lines as pairs, quotes removed.
fn assignments(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
        .collect()
}

fn value_of<'a>(pairs: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// Adds `distribution*` and `os_family`.
pub(super) fn gather(source: &Source<'_>, facts: &mut Map) {
    let release = os_release(source);
    let id = value_of(&release, "ID").unwrap_or("linux");
    let (name, family) = names(id, value_of(&release, "ID_LIKE").unwrap_or_default(), value_of(&release, "NAME").unwrap_or_default());
    let mut version = value_of(&release, "VERSION_ID").unwrap_or("NA").to_owned();
    let debian_version = source.line("/etc/debian_version");
    let mut minor = None;
    if id == "debian" {
        // os-release names the major release only; the point release is in debian_version.
        if let Some(point) = debian_version.as_deref().filter(|text| text.starts_with(|first: char| first.is_ascii_digit())) {
            point.clone_into(&mut version);
            minor = point.split_once('.').map(|(_, minor)| minor.to_owned());
        }
    } else {
        minor = version.split_once('.').map(|(_, minor)| minor.to_owned());
    }
    let major = version.split('.').next().unwrap_or("NA").to_owned();
    // Ansible reports the whole `13.2` for Debian as `distribution_version`, and its major part beside it.
    facts.insert("distribution".to_owned(), json!(name));
    facts.insert("distribution_version".to_owned(), json!(version));
    facts.insert("distribution_major_version".to_owned(), json!(major));
    if let Some(minor) = minor {
        facts.insert("distribution_minor_version".to_owned(), json!(minor));
    }
    let codename = value_of(&release, "VERSION_CODENAME").or_else(|| value_of(&release, "UBUNTU_CODENAME")).unwrap_or("NA");
    facts.insert("distribution_release".to_owned(), json!(codename));
    facts.insert("distribution_file_parsed".to_owned(), json!(true));
    facts.insert("distribution_file_path".to_owned(), json!("/etc/os-release"));
    facts.insert("distribution_file_variety".to_owned(), json!(family));
    facts.insert("os_family".to_owned(), json!(family));
}

/// Adds `lsb`.
pub(super) fn lsb(source: &Source<'_>, facts: &mut Map) {
    let pairs = match source.text("/etc/lsb-release") {
        Some(text) => assignments(&text),
        None => Vec::new(),
    };
    let mut lsb = Map::new();
    for (fact, key) in
        [("id", "DISTRIB_ID"), ("release", "DISTRIB_RELEASE"), ("description", "DISTRIB_DESCRIPTION"), ("codename", "DISTRIB_CODENAME")]
    {
        if let Some(value) = value_of(&pairs, key) {
            lsb.insert(fact.to_owned(), json!(value));
        }
    }
    if let Some(major) = value_of(&pairs, "DISTRIB_RELEASE").and_then(|release| release.split('.').next()) {
        lsb.insert("major_release".to_owned(), json!(major));
    }
    facts.insert("lsb".to_owned(), lsb.into());
}

/// Adds `pkg_mgr`.
pub(super) fn package_manager(source: &Source<'_>, facts: &mut Map) {
    let found = [
        ("/usr/bin/apt-get", "apt"),
        ("/usr/bin/dnf5", "dnf5"),
        ("/usr/bin/dnf", "dnf"),
        ("/usr/bin/yum", "yum"),
        ("/usr/bin/zypper", "zypper"),
        ("/usr/bin/pacman", "pacman"),
        ("/sbin/apk", "apk"),
    ]
    .into_iter()
    .find(|(path, _)| source.exists(path))
    .map_or("unknown", |(_, name)| name);
    facts.insert("pkg_mgr".to_owned(), json!(found));
}

/// Adds `service_mgr`.
pub(super) fn service_manager(source: &Source<'_>, facts: &mut Map) {
    let first = source.line("/proc/1/comm").unwrap_or_default();
    let found = match first.as_str() {
        "systemd" => "systemd",
        "runit-init" | "runit" => "runit",
        "openrc-init" => "openrc",
        _ if source.exists("/run/systemd/system") => "systemd",
        _ if source.exists("/run/openrc") || source.exists("/sbin/openrc") => "openrc",
        _ if source.exists("/etc/init") && source.exists("/sbin/initctl") => "upstart",
        _ => "sysvinit",
    };
    facts.insert("service_mgr".to_owned(), json!(found));
}

/// The name and the family under which Ansible knows a distribution.
fn names(id: &str, like: &str, full: &str) -> (String, String) {
    let (name, family) = match id {
        "debian" => ("Debian", "Debian"),
        "ubuntu" => ("Ubuntu", "Debian"),
        "raspbian" => ("Raspbian", "Debian"),
        "linuxmint" => ("Linux Mint", "Debian"),
        "kali" => ("Kali", "Debian"),
        "rhel" => ("RedHat", "RedHat"),
        "centos" => ("CentOS", "RedHat"),
        "fedora" => ("Fedora", "RedHat"),
        "rocky" => ("Rocky", "RedHat"),
        "almalinux" => ("AlmaLinux", "RedHat"),
        "ol" => ("OracleLinux", "RedHat"),
        "amzn" => ("Amazon", "RedHat"),
        "opensuse-leap" => ("openSUSE Leap", "Suse"),
        "opensuse-tumbleweed" => ("openSUSE Tumbleweed", "Suse"),
        "sles" => ("SLES", "Suse"),
        "arch" => ("Archlinux", "Archlinux"),
        "alpine" => ("Alpine", "Alpine"),
        "gentoo" => ("Gentoo", "Gentoo"),
        _ => {
            let name = if full.is_empty() { id } else { full };
            let has = |wanted: &str| like.split_ascii_whitespace().any(|word| word == wanted);
            let family = match () {
                () if has("debian") || has("ubuntu") => "Debian",
                () if has("rhel") || has("fedora") => "RedHat",
                () if has("suse") => "Suse",
                () => name,
            };
            return (name.to_owned(), family.to_owned());
        }
    };
    (name.to_owned(), family.to_owned())
}
