//! The recipe of the base image: packages and files. Its hash names the image, so that a changed recipe makes a new one.

use sha2::{Digest, Sha256};

use crate::mirror::Mirror;
use crate::settings::Suite;

/// What a bare server has, and no more: pgfleet installs what it needs by itself.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "iproute2",
    "iputils-ping",
    "nftables",
    "sudo",
    "ca-certificates",
    "cron",
    "procps",
    "gzip",
    "curl",
];

/// Units that a guest does not want: apt's own timers would hold its lock in the middle of a deploy, and nobody sits at the console.
const MASKED: &[&str] =
    &["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "console-getty.service"];

const ENABLED: &[&str] = &["systemd-networkd.service"];

/// A file of the base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFile {
    /// Without the leading slash.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) mode: u32,
}

/// Everything that decides what the base image is.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) suite: Suite,
    pub(crate) mirror: Mirror,
    pub(crate) packages: Vec<&'static str>,
    pub(crate) masked: &'static [&'static str],
    pub(crate) enabled: &'static [&'static str],
    pub(crate) files: Vec<ImageFile>,
}

impl Recipe {
    /// The recipe for a release, with what this machine's apt knows of mirrors, proxies and certificate authorities.
    pub(crate) fn new(suite: Suite, mirror: Mirror) -> Self {
        let file = |path: &str, text: String| ImageFile { path: path.to_owned(), text, mode: 0o644 };
        let mut files = vec![
            file("etc/apt/sources.list.d/debian.sources", sources(suite, &mirror)),
            file("etc/apt/apt.conf.d/80lab", apt_configuration().to_owned()),
            file("etc/apt/apt.conf.d/90controller", mirror.apt_options.clone()),
            // A lab's disk may lose a package to a power cut; it is not worth a sync a file.
            file("etc/dpkg/dpkg.cfg.d/lab", "force-unsafe-io\n".to_owned()),
            file("etc/ssh/sshd_config.d/10-lab.conf", "PermitRootLogin prohibit-password\nUseDNS no\n".to_owned()),
        ];
        for (name, text) in &mirror.authorities {
            files.push(file(&format!("usr/local/share/ca-certificates/{name}"), text.clone()));
        }
        Self { suite, mirror, packages: PACKAGES.to_vec(), masked: MASKED, enabled: ENABLED, files }
    }

    /// Twelve hexadecimal digits that change with anything in the recipe.
    pub(crate) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        };
        // The layout that `base` gives the image beyond what stands here.
        add("1");
        add(self.suite.as_str());
        self.packages.iter().chain(self.masked).chain(self.enabled).for_each(|word| add(word));
        for file in &self.files {
            add(&file.path);
            add(&file.text);
            add(&file.mode.to_string());
        }
        hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn sources(suite: Suite, mirror: &Mirror) -> String {
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let stanza = |uri: &str, suites: &str| format!("Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n");
    let (main, security) = (format!("{suite} {suite}-updates"), format!("{suite}-security"));
    format!("{}\n{}", stanza(&mirror.archive, &main), stanza(&mirror.security, &security))
}

/// Fetched packages are kept: their folder is shared with this machine, so that the next deploy fetches nothing.
fn apt_configuration() -> &'static str {
    "Acquire::Languages \"none\";\n\
     APT::Periodic::Enable \"0\";\n\
     APT::Keep-Downloaded-Packages \"true\";\n\
     Binary::apt::APT::Keep-Downloaded-Packages \"true\";\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_changes_with_anything() {
        let base = Recipe::new(Suite::Trixie, Mirror::default());
        assert_eq!(base.hash(), Recipe::new(Suite::Trixie, Mirror::default()).hash());
        let other_suite = Recipe::new(Suite::Bookworm, Mirror::default());
        let other_mirror = Recipe::new(Suite::Trixie, Mirror { archive: "http://mirror.example/debian".into(), ..Mirror::default() });
        let mut other_packages = base.clone();
        other_packages.packages.pop();
        let mut other_mode = base.clone();
        other_mode.files[0].mode = 0o600;
        let hashes = [base.hash(), other_suite.hash(), other_mirror.hash(), other_packages.hash(), other_mode.hash()];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len(), "{hashes:?}");
    }

    #[test]
    fn guests_get_updates_and_security() {
        let text = sources(Suite::Bookworm, &Mirror::default());
        assert!(text.contains("Suites: bookworm bookworm-updates\n"), "{text}");
        assert!(text.contains("URIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\n"), "{text}");
    }
}
