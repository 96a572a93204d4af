//! The inventory of a lab as text, and what ssh needs beside it: the known host keys.

use std::path::{Component, Path, PathBuf};

use crate::hosts::Host;
use crate::settings::{LabName, Subnet, Suite};

/// The groups of a lab's inventory and their members, by place in [`crate::hosts::lan`].
const GROUPS: [(&str, &[usize]); 3] = [("development", &[0, 1, 2, 3]), ("postgresql", &[0, 1, 2, 3]), ("etcd", &[0, 1, 2])];

/// `hosts.yml` of a lab. `state` is the way from the inventory's folder to the lab's state.
pub(crate) fn text(name: &LabName, subnet: Subnet, suite: Suite, hosts: &[Host], state: &str) -> String {
    let mut out = format!(
        "# The lab '{name}': four Debian systems on {subnet}, made by `pgfleet lab up`.\n\
         # Log in: pgfleet lab ssh controller.lan. To try sudo with a password (-K): user operator, password operator.\n\
         all:\n  hosts:\n"
    );
    for host in hosts {
        out += &format!("    {}:\n      ansible_host: {}\n", host.name, host.address);
    }
    out += &format!(
        "  vars:\n    ansible_user: root\n    \
         ansible_ssh_private_key_file: \"{{{{ inventory_dir }}}}/{state}/id_ed25519\"\n    \
         ansible_ssh_common_args: \"-o UserKnownHostsFile={{{{ inventory_dir }}}}/{state}/known_hosts\"\n    \
         # What Debian '{suite}' ships.\n    postgresql_version: {}\n  children:\n",
        suite.postgresql_version()
    );
    for (group, members) in GROUPS {
        if group == "etcd" {
            out += "    # An odd number of voters.\n";
        }
        out += &format!("    {group}:\n      hosts:\n");
        for host in members.iter().filter_map(|place| hosts.get(*place)) {
            out += &format!("        {}:\n", host.name);
        }
    }
    out + "    # Hosts without a database that reach it by its service name.\n    postgresql_clients:\n      hosts: {}\n"
}

/// The way from folder `from` to folder `to`, both absolute.
pub(crate) fn relative(from: &Path, to: &Path) -> PathBuf {
    let parts =
        |path: &Path| path.components().filter(|part| *part != Component::CurDir).map(|c| c.as_os_str().to_owned()).collect::<Vec<_>>();
    let (from, to) = (parts(from), parts(to));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(shared).map(|_| PathBuf::from(".."));
    up.chain(to.iter().skip(shared).map(PathBuf::from)).collect()
}

/// One line of `known_hosts` for a host's public key.
pub(crate) fn known_host(host: &Host, public_key: &str) -> String {
    let key: Vec<&str> = public_key.split_whitespace().take(2).collect();
    format!("{},{} {}\n", host.address, host.name, key.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::lan;
    use crate::settings::{DEFAULT_NAME, DEFAULT_SUBNET};

    #[test]
    fn the_shipped_inventory_is_the_default_labs() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let shipped = std::fs::read_to_string(project.join("inventory/dev/hosts.yml")).unwrap();
        let (name, subnet) = (DEFAULT_NAME.parse().unwrap(), DEFAULT_SUBNET.parse().unwrap());
        let state = relative(Path::new("/p/inventory/dev"), Path::new("/p/state/lab/dev"));
        let made = text(&name, subnet, Suite::Trixie, &lan(&name, subnet), state.to_str().unwrap());
        assert_eq!(shipped, made);
    }

    #[test]
    fn ways_between_folders() {
        let check = |from: &str, to: &str, way: &str| assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(way));
        check("/p/inventory/dev", "/p/state/lab/dev", "../../state/lab/dev");
        check("/p/state/lab/x/inventory", "/p/state/lab/x", "..");
        check("/a", "/b/c", "../b/c");
    }

    #[test]
    fn host_keys_are_known_by_address_and_name() {
        let name = "dev".parse().unwrap();
        let hosts = lan(&name, "172.28.0.0/24".parse().unwrap());
        assert_eq!(known_host(&hosts[0], "ssh-ed25519 AAAA root@x\n"), "172.28.0.10,controller.lan ssh-ed25519 AAAA\n");
    }
}
