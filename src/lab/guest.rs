//! The disk of one guest: what makes a copy of the base image this host and no other.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::run;
use crate::error::LabError;
use crate::hosts::Host;
use crate::record::{make_dir, write};
use crate::settings::{Settings, Suite};

const HOST_KEY: &str = "etc/ssh/ssh_host_ed25519_key";
const HOST_KEY_PUBLIC: &str = "etc/ssh/ssh_host_ed25519_key.pub";

/// The folders of one guest below the lab's state.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub(crate) fn new(settings: &Settings, host: &Host) -> Self {
        Self { folder: settings.state_dir.join("hosts").join(host.short()) }
    }

    /// The writable layer.
    pub(crate) fn upper(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// overlayfs needs a folder for its own use beside the writable layer.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where the layers are mounted, visible to the guest's own processes only.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// A layer that a snapshot froze.
    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.folder.join("layers").join(name)
    }

    /// What the guest's console shows.
    pub(crate) fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// The private host key, made before the guest first boots.
    pub(crate) fn host_key(&self) -> PathBuf {
        self.folder.join("ssh_host_ed25519_key")
    }

    /// Empty folders for the overlay; `upper` stays when it is there.
    pub(crate) fn prepare(&self) -> Result<(), LabError> {
        for folder in [self.folder.clone(), self.upper(), self.work(), self.root()] {
            make_dir(&folder, 0o755)?;
        }
        make_dir(&self.folder.join("layers"), 0o755)
    }

    /// Whether the host's own files are in place; its key is the last of them.
    pub(crate) fn is_personal(&self) -> bool {
        self.upper().join(HOST_KEY).is_file() && self.upper().join(HOST_KEY_PUBLIC).is_file()
    }

    /// The end of the console, for an error.
    pub(crate) fn console_tail(&self, lines: usize) -> String {
        let text = fs::read(self.console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// Makes a key pair unless it is there, and returns its public half.
pub(crate) fn ensure_key(path: &Path, comment: &str) -> Result<String, LabError> {
    let public = path.with_file_name(format!("{}.pub", path.file_name().unwrap_or_default().to_string_lossy()));
    if !(path.is_file() && public.is_file()) {
        for stale in [path, &public] {
            if stale.exists() {
                fs::remove_file(stale).map_err(LabError::file("remove", stale))?;
            }
        }
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &path.to_string_lossy()])?;
    }
    fs::read_to_string(&public).map_err(LabError::file("read", public))
}

/// Writes what only this guest has into its disk: name, address, keys.
pub(crate) fn personalise(settings: &Settings, host: &Host, disk: &Disk, user_key: &str) -> Result<(), LabError> {
    let root = disk.upper();
    let put = |path: &str, text: &str, mode: u32| {
        let path = root.join(path);
        let folder = path.parent().unwrap_or(&root);
        fs::create_dir_all(folder).map_err(LabError::file("create", folder))?;
        write(&path, text.as_bytes(), mode)
    };
    for (folder, mode) in [("root", 0o700), ("root/.ssh", 0o700), ("etc", 0o755), ("home", 0o755), ("home/operator", 0o755)] {
        make_dir(&root.join(folder), mode)?;
    }
    make_dir(&root.join("home/operator/.ssh"), 0o700)?;
    put("etc/hostname", &format!("{}\n", host.short()), 0o644)?;
    put("etc/hosts", &hosts_file(host), 0o644)?;
    put("etc/machine-id", &format!("{}\n", machine_id()?), 0o444)?;
    put("etc/resolv.conf", &resolv_conf(), 0o644)?;
    put("etc/systemd/network/10-host0.network", &network_file(settings, host), 0o644)?;
    put("root/.ssh/authorized_keys", user_key, 0o600)?;
    put("home/operator/.ssh/authorized_keys", user_key, 0o600)?;
    let home = root.join("home/operator");
    // The user of the image, in the group that Debian has had of that name for ever.
    run("chown", &["-R", "1000:37", &home.to_string_lossy()])?;
    let read = |path: &Path| fs::read_to_string(path).map_err(LabError::file("read", path));
    let key = disk.host_key();
    put(HOST_KEY, &read(&key)?, 0o600)?;
    put(HOST_KEY_PUBLIC, &read(&key.with_extension("pub"))?, 0o644)
}

/// The packages that a guest fetches. Each guest has a folder of its own, since apt locks it; what any other guest of the
/// release has fetched is linked into it.
pub(crate) fn package_cache(settings: &Settings, suite: Suite, host: &Host) -> Result<PathBuf, LabError> {
    let all = settings.cache_dir.join("apt").join(suite.as_str());
    let folder = all.join(settings.name.as_str()).join(host.short());
    make_dir(&folder, 0o755)?;
    for package in entries(&all).iter().flat_map(|lab| entries(lab)).flat_map(|host| entries(&host)) {
        let link = package.file_name().map(|name| folder.join(name));
        if let Some(link) = link.filter(|link| package.extension().is_some_and(|ending| ending == "deb") && !link.exists()) {
            // Another guest may clean its folder at this moment; then there is one package less.
            let _ = fs::hard_link(&package, link);
        }
    }
    Ok(folder)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// Only its own name: the others' are for the deploy to write.
fn hosts_file(host: &Host) -> String {
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{}\t{} {}\n", host.address, host.name, host.short())
}

fn network_file(settings: &Settings, host: &Host) -> String {
    format!(
        "[Match]\nName=host0\n\n[Network]\nAddress={}/24\nGateway={}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nDHCP=no\nLLDP=no\nEmitLLDP=no\n",
        host.address,
        settings.subnet.gateway()
    )
}

fn machine_id() -> Result<String, LabError> {
    let path = "/proc/sys/kernel/random/uuid";
    let id = fs::read_to_string(path).map_err(LabError::file("read", path))?;
    Ok(id.trim().replace('-', ""))
}

/// This machine's name servers. A stub on its loopback address is not the guests', so its upstream is taken.
fn resolv_conf() -> String {
    let texts = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"].map(|path| fs::read_to_string(path).unwrap_or_default());
    texts.iter().map(|text| reachable_servers(text)).find(|text| text.contains("nameserver")).unwrap_or_default()
}

fn reachable_servers(text: &str) -> String {
    let kept = |line: &&str| {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => words.next().is_some_and(|address| !address.starts_with("127.") && address != "::1"),
            Some("search" | "domain" | "options") => true,
            _ => false,
        }
    };
    text.lines().filter(kept).map(|line| format!("{}\n", line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::lan;

    #[test]
    fn a_guest_knows_its_own_name_only() {
        let hosts = lan(&"dev".parse().unwrap(), "172.28.0.0/24".parse().unwrap());
        let text = hosts_file(&hosts[1]);
        assert!(text.ends_with("172.28.0.20\tapp-server-1.lan app-server-1\n"), "{text}");
        assert!(!text.contains("controller"));
    }

    #[test]
    fn a_name_server_on_loopback_is_left_out() {
        assert_eq!(reachable_servers("# x\nnameserver 127.0.0.53\nnameserver 10.0.0.1\nsearch lan\n"), "nameserver 10.0.0.1\nsearch lan\n");
        assert!(!reachable_servers("nameserver ::1\noptions edns0\n").contains("nameserver"));
    }

    #[test]
    fn keys_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id_ed25519");
        let first = ensure_key(&path, "lab").unwrap();
        assert!(first.starts_with("ssh-ed25519 "));
        assert_eq!(ensure_key(&path, "lab").unwrap(), first);
        fs::remove_file(dir.path().join("id_ed25519.pub")).unwrap();
        assert_ne!(ensure_key(&path, "lab").unwrap(), first);
    }
}
