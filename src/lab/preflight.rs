//! What a machine needs before it can hold a lab: root, programs, a kernel with overlays, free addresses.

use std::path::{Path, PathBuf};

use crate::command::attempt;
use crate::error::LabError;
use crate::record::{make_dir, remove_dir};
use crate::settings::Settings;

/// Program and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("systemctl", "systemd"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

/// Everything, in the order in which a person would mend it.
pub(crate) fn check(settings: &Settings) -> Result<(), LabError> {
    check_root()?;
    check_programs(|program| find_program(program).is_some())?;
    for path in [&settings.state_dir, &settings.cache_dir] {
        if path.to_string_lossy().contains([',', ':', '\\']) {
            return Err(LabError::BadPath { path: path.clone() });
        }
    }
    check_overlay(&settings.state_dir)
}

fn check_programs(is_there: impl Fn(&str) -> bool) -> Result<(), LabError> {
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<String> = missing.iter().map(|(_, package)| (*package).to_owned()).collect();
    packages.dedup();
    Err(LabError::MissingPrograms { programs: missing.iter().map(|(program, _)| (*program).to_owned()).collect(), packages })
}

/// The lab's effects are root's.
pub(crate) fn check_root() -> Result<(), LabError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

/// A program in PATH, or where Debian keeps what ordinary users do not have in theirs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Mounts an overlay in a mount namespace that ends with the attempt.
fn check_overlay(state_dir: &Path) -> Result<(), LabError> {
    let probe = state_dir.join("probe");
    remove_dir(&probe)?;
    for folder in ["lower", "upper", "work", "root"] {
        make_dir(&probe.join(folder), 0o755)?;
    }
    let script = "cd \"$1\" && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay root && mkdir root/x";
    let arguments = ["--mount", "--propagation=private", "sh", "-c", script, "sh", &probe.to_string_lossy()];
    let output = attempt("unshare", &arguments)?;
    remove_dir(&probe)?;
    if output.status.success() {
        return Ok(());
    }
    Err(LabError::NoOverlay { path: state_dir.to_owned(), cause: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_told_at_once_with_its_packages() {
        let error = check_programs(|program| !["nft", "ip", "tc"].contains(&program)).unwrap_err().to_string();
        assert_eq!(error, "missing on this machine: nft, ip, tc; install with: apt-get install nftables iproute2");
        check_programs(|_| true).unwrap();
    }

    #[test]
    fn programs_are_found_in_sbin_too() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-of-the-lab").is_none());
    }
}
