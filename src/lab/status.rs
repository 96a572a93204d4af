//! What runs of a lab, read from this machine without changing anything.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Serialize;

use crate::hosts::Host;
use crate::record::Record;
use crate::settings::Settings;
use crate::{network, supervisor};

/// One host of the lab as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuestStatus {
    /// As in the inventory.
    pub name: String,
    /// On the lab's bridge.
    pub address: Ipv4Addr,
    /// Whether its systemd runs.
    pub running: bool,
    /// Whether port 22 answers from this machine.
    pub ssh: bool,
    /// Whether its network cable is plugged in.
    pub cable: bool,
    /// Hosts that it is cut off from, in either direction.
    pub cut_from: Vec<String>,
    /// The pid of its systemd on this machine.
    pub pid: Option<i32>,
}

pub(crate) fn look(settings: &Settings, record: &Record, hosts: &[Host]) -> Vec<GuestStatus> {
    debug_assert_eq!(settings.name, record.name);
    std::thread::scope(|scope| {
        let looks: Vec<_> = hosts.iter().map(|host| scope.spawn(move || look_at(record, hosts, host))).collect();
        looks.into_iter().filter_map(|look| look.join().ok()).collect()
    })
}

fn look_at(record: &Record, hosts: &[Host], host: &Host) -> GuestStatus {
    let init = record.guests.get(&host.name).and_then(supervisor::init);
    let own = host.address.to_string();
    let cut = |other: &&Host| {
        let other = other.address.to_string();
        record.cuts.iter().any(|(from, to)| (*from == own && *to == other) || (*from == other && *to == own))
    };
    let cable = init.is_some() && network::is_up(&host.cable());
    let address = SocketAddr::from((host.address, 22));
    GuestStatus {
        name: host.name.clone(),
        address: host.address,
        running: init.is_some(),
        ssh: cable && TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok(),
        cable,
        cut_from: hosts.iter().filter(cut).map(|other| other.name.clone()).collect(),
        pid: init.map(|process| process.pid),
    }
}
