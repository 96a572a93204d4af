//! The four systems of every lab: their names and addresses.

use std::net::Ipv4Addr;

use crate::error::LabError;
use crate::settings::{LabName, Subnet};

/// One system of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// As in the inventory, `app-server-1.lan`.
    pub name: String,
    /// Its address on the lab's bridge.
    pub address: Ipv4Addr,
    /// Unique on this machine, `dev-app1`.
    pub(crate) machine: String,
}

impl Host {
    /// Its host name, without the domain.
    pub fn short(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// The outer end of its network cable; systemd-nspawn names it so.
    pub(crate) fn cable(&self) -> String {
        format!("vb-{}", self.machine)
    }
}

const LAN: [(&str, &str, u8); 4] =
    [("controller.lan", "ctl", 10), ("app-server-1.lan", "app1", 20), ("app-server-2.lan", "app2", 21), ("builder.lan", "bld", 30)];

/// The hosts of a lab, in the inventory's order.
pub(crate) fn lan(name: &LabName, subnet: Subnet) -> Vec<Host> {
    let host = |(full, short, last): (&str, &str, u8)| Host {
        name: full.to_owned(),
        address: subnet.address(last),
        machine: format!("{name}-{short}"),
    };
    LAN.into_iter().map(host).collect()
}

/// The host that a person means: by full name, short name or address.
pub(crate) fn find<'a>(hosts: &'a [Host], wanted: &str) -> Result<&'a Host, LabError> {
    let means = |host: &&Host| host.name == wanted || host.short() == wanted || host.address.to_string() == wanted;
    let known = || hosts.iter().map(|host| host.name.clone()).collect();
    hosts.iter().find(means).ok_or_else(|| LabError::UnknownHost { host: wanted.to_owned(), known: known() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cables_fit_into_interface_names() {
        let hosts = lan(&"abcdefg".parse().unwrap(), "172.28.7.0/24".parse().unwrap());
        assert!(hosts.iter().all(|host| host.cable().len() <= 15));
        assert_eq!(hosts[1].cable(), "vb-abcdefg-app1");
    }

    #[test]
    fn hosts_answer_to_name_short_name_and_address() {
        let hosts = lan(&"dev".parse().unwrap(), "172.28.0.0/24".parse().unwrap());
        for wanted in ["app-server-2.lan", "app-server-2", "172.28.0.21"] {
            assert_eq!(find(&hosts, wanted).unwrap().machine, "dev-app2");
        }
        let error = find(&hosts, "app-server-3").unwrap_err().to_string();
        assert!(error.contains("controller.lan, app-server-1.lan"), "{error}");
    }
}
