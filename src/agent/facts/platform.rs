//! Facts about the system's name, kernel, user, security modules and local surroundings.

use pgfleet_protocol::Map;
use serde_json::json;

use super::Source;

/// Adds `system`, `kernel`, `hostname`, `architecture` and their like.
pub(super) fn platform(source: &Source<'_>, facts: &mut Map) {
    let kernel = |file: &str| source.line(&format!("/proc/sys/kernel/{file}"));
    let nodename = kernel("hostname").or_else(|| source.line("/etc/hostname")).unwrap_or_else(|| "localhost".to_owned());
    let fqdn = full_name(source, &nodename);
    // The agent's own architecture: a 64-bit agent does not run on a 32-bit kernel.
    let machine = std::env::consts::ARCH;
    facts.insert("system".to_owned(), json!(kernel("ostype").unwrap_or_else(|| "Linux".to_owned())));
    facts.insert("kernel".to_owned(), json!(kernel("osrelease").unwrap_or_default()));
    facts.insert("kernel_version".to_owned(), json!(kernel("version").unwrap_or_default()));
    facts.insert("machine".to_owned(), json!(machine));
    facts.insert("architecture".to_owned(), json!(machine));
    facts.insert("userspace_architecture".to_owned(), json!(machine));
    facts.insert("userspace_bits".to_owned(), json!(usize::BITS.to_string()));
    facts.insert("hostname".to_owned(), json!(nodename.split('.').next().unwrap_or_default()));
    facts.insert("nodename".to_owned(), json!(nodename));
    facts.insert("domain".to_owned(), json!(fqdn.split_once('.').map(|(_, domain)| domain).unwrap_or_default()));
    facts.insert("fqdn".to_owned(), json!(fqdn));
    if let Some(id) = source.line("/etc/machine-id").or_else(|| source.line("/var/lib/dbus/machine-id")).filter(|id| !id.is_empty()) {
        facts.insert("machine_id".to_owned(), json!(id));
    }
}

/// The host's full name as the hosts file gives it.
fn full_name(source: &Source<'_>, nodename: &str) -> String {
    let hosts = source.text("/etc/hosts").unwrap_or_default();
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().split_ascii_whitespace().skip(1).collect::<Vec<_>>())
        .find(|names| names.contains(&nodename))
        .and_then(|names| names.into_iter().find(|name| name.contains('.')))
        .unwrap_or(nodename)
        .to_owned()
}

/// Adds `user_*` and `real_*`/`effective_*`.
pub(super) fn user(source: &Source<'_>, facts: &mut Map) {
    let status = source.text("/proc/self/status").unwrap_or_default();
    let ids = |field: &str| -> [u32; 2] {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0));
        [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
    };
    let ([uid, effective_uid], [gid, effective_gid]) = (ids("Uid:"), ids("Gid:"));
    let passwd = source.text("/etc/passwd").unwrap_or_default();
    let entry =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.len() > 6 && fields[2].parse() == Ok(uid));
    let field = |at: usize| entry.as_ref().map_or("", |fields| fields[at]);
    facts.insert("user_id".to_owned(), json!(if entry.is_some() { field(0).to_owned() } else { uid.to_string() }));
    facts.insert("user_uid".to_owned(), json!(uid));
    facts.insert("user_gid".to_owned(), json!(field(3).parse::<u32>().unwrap_or(gid)));
    facts.insert("user_gecos".to_owned(), json!(field(4)));
    facts.insert("user_dir".to_owned(), json!(field(5)));
    facts.insert("user_shell".to_owned(), json!(field(6)));
    facts.insert("real_user_id".to_owned(), json!(uid));
    facts.insert("effective_user_id".to_owned(), json!(effective_uid));
    facts.insert("real_group_id".to_owned(), json!(gid));
    facts.insert("effective_group_id".to_owned(), json!(effective_gid));
}

/// Adds `selinux`, `selinux_python_present`, `apparmor` and `fips`.
pub(super) fn security(source: &Source<'_>, facts: &mut Map) {
    let selinux = match source.line("/sys/fs/selinux/enforce").as_deref() {
        Some(enforce) => json!({"status": "enabled", "mode": if enforce == "1" { "enforcing" } else { "permissive" }}),
        None => json!({"status": "disabled"}),
    };
    facts.insert("selinux".to_owned(), selinux);
    let apparmor = if source.exists("/sys/kernel/security/apparmor") { "enabled" } else { "disabled" };
    facts.insert("apparmor".to_owned(), json!({"status": apparmor}));
    facts.insert("fips".to_owned(), json!(source.line("/proc/sys/crypto/fips_enabled").as_deref() == Some("1")));
}

/// Adds `cmdline` and `proc_cmdline`.
pub(super) fn command_line(source: &Source<'_>, facts: &mut Map) {
    let text = source.line("/proc/cmdline").unwrap_or_default();
    let (mut single, mut all) = (Map::new(), Map::new());
    for word in text.split_ascii_whitespace() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, json!(value)),
            None => (word, json!(true)),
        };
        single.insert(name.to_owned(), value.clone());
        match all.get_mut(name) {
            None => {
                all.insert(name.to_owned(), value);
            }
            Some(serde_json::Value::Array(values)) => values.push(value),
            Some(other) => *other = json!([other.take(), value]),
        }
    }
    facts.insert("cmdline".to_owned(), single.into());
    facts.insert("proc_cmdline".to_owned(), all.into());
}

/// Adds `is_chroot`, `cgroup` and `loadavg`.
pub(super) fn surroundings(source: &Source<'_>, facts: &mut Map) {
    let is_chroot = match (source.link("/proc/1/root"), source.link("/proc/self/root")) {
        (Some(first), Some(own)) => first != own,
        _ => false,
    };
    facts.insert("is_chroot".to_owned(), json!(is_chroot));
    let version = if source.exists("/sys/fs/cgroup/cgroup.controllers") {
        "unified"
    } else if source.exists("/sys/fs/cgroup/unified/cgroup.controllers") {
        "hybrid"
    } else {
        "legacy"
    };
    facts.insert("cgroup".to_owned(), json!({"hierarchy": version}));
    let loads: Vec<f64> =
        source.line("/proc/loadavg").unwrap_or_default().split_ascii_whitespace().take(3).filter_map(|word| word.parse().ok()).collect();
    if let [one, five, fifteen] = loads.as_slice() {
        facts.insert("loadavg".to_owned(), json!({"1m": one, "5m": five, "15m": fifteen}));
    }
}

/// Adds `ssh_host_key_*_public`.
pub(super) fn host_keys(source: &Source<'_>, facts: &mut Map) {
    for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
        let Some(line) = source.line(&format!("/etc/ssh/ssh_host_{kind}_key.pub")) else { continue };
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(key)) = (words.next(), words.next()) {
            facts.insert(format!("ssh_host_key_{kind}_public"), json!(key));
            facts.insert(format!("ssh_host_key_{kind}_public_keytype"), json!(name));
        }
    }
}

/// Adds `virtualization_*`.
pub(super) fn virtualization(source: &Source<'_>, facts: &mut Map) {
    let (kind, role) = virtual_kind(source);
    facts.insert("virtualization_type".to_owned(), json!(kind));
    facts.insert("virtualization_role".to_owned(), json!(role));
    let list = |wished: &str| if role == wished { json!([kind]) } else { json!([]) };
    facts.insert("virtualization_tech_guest".to_owned(), list("guest"));
    facts.insert("virtualization_tech_host".to_owned(), list("host"));
}

fn virtual_kind(source: &Source<'_>) -> (&'static str, &'static str) {
    if source.exists("/.dockerenv") || source.exists("/.dockerinit") {
        return ("docker", "guest");
    }
    let container = source.line("/run/systemd/container").or_else(|| {
        let environment = source.bytes("/proc/1/environ")?;
        let variable = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"container="))?;
        String::from_utf8(variable.to_vec()).ok()
    });
    match container.as_deref() {
        None | Some("") => {}
        Some("docker") => return ("docker", "guest"),
        Some("lxc") => return ("lxc", "guest"),
        Some("podman" | "oci") => return ("podman", "guest"),
        Some(_) => return ("container", "guest"),
    }
    let dmi = |file: &str| source.line(&format!("/sys/devices/virtual/dmi/id/{file}")).unwrap_or_default();
    let (product, vendor, bios) = (dmi("product_name"), dmi("sys_vendor"), dmi("bios_vendor"));
    let guest = match () {
        () if matches!(product.as_str(), "KVM" | "KVM Server" | "Bochs" | "AHV") || product.starts_with("Standard PC") => "kvm",
        () if matches!(
            vendor.as_str(),
            "QEMU" | "Amazon EC2" | "DigitalOcean" | "Hetzner" | "Google" | "oVirt" | "Scaleway" | "Nutanix" | "Linode"
        ) =>
        {
            "kvm"
        }
        () if product == "VirtualBox" || bios == "innotek GmbH" => "virtualbox",
        () if product.starts_with("VMware") => "VMware",
        () if vendor == "Microsoft Corporation" && product == "Virtual Machine" => "VirtualPC",
        () if vendor == "Parallels Software International Inc." => "parallels",
        () if vendor == "OpenStack Foundation" => "openstack",
        () if vendor == "Xen" || bios == "Xen" || source.exists("/proc/xen") => "xen",
        () => "",
    };
    if !guest.is_empty() {
        return (guest, "guest");
    }
    let modules = source.text("/proc/modules").unwrap_or_default();
    let loaded = |wanted: &str| modules.lines().any(|line| line.split(' ').next() == Some(wanted));
    if loaded("kvm") {
        return ("kvm", "host");
    }
    let hypervisor =
        source.text("/proc/cpuinfo").unwrap_or_default().lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    if hypervisor { ("kvm", "guest") } else { ("NA", "NA") }
}
