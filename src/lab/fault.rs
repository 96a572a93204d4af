//! Failures made on purpose: pulled cables, cut paths, thin links, crashed hosts.

use crate::command::{attempt, failure, run};
use crate::error::LabError;
use crate::hosts::{Host, find};
use crate::record::Open;
use crate::settings::Settings;
use crate::{network, supervisor};

/// How a host is parted from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// Its network cable is pulled: it reaches nobody and nobody it.
    Cable,
    /// Packets between it and these hosts are dropped; it stays reachable from this machine.
    Peers {
        /// Names, short names or addresses.
        peers: Vec<String>,
        /// Which packets.
        direction: Direction,
    },
}

/// Seen from the host that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Neither side hears the other.
    #[default]
    Both,
    /// The peers do not hear the host.
    Sending,
    /// The host does not hear the peers.
    Receiving,
}

/// A bad link. Both ends get it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slowness {
    /// In tc's words: `1mbit`, `200kbit`.
    pub rate: Option<String>,
    /// In tc's words: `50ms`. Needs a kernel with netem.
    pub delay: Option<String>,
}

pub(crate) fn partition(settings: &Settings, open: &mut Open, hosts: &[Host], host: &Host, cut: &Cut) -> Result<(), LabError> {
    match cut {
        Cut::Cable => {
            running(open, host)?;
            run("ip", &["link", "set", &host.cable(), "down"]).map(drop)
        }
        Cut::Peers { peers, direction } => {
            for peer in peers {
                let peer = find(hosts, peer)?;
                for pair in pairs(host, peer, *direction) {
                    if host != peer && !open.record.cuts.contains(&pair) {
                        open.record.cuts.push(pair);
                    }
                }
            }
            open.save()?;
            restore_cuts(settings, open)
        }
    }
}

fn pairs(host: &Host, peer: &Host, direction: Direction) -> Vec<(String, String)> {
    let (own, other) = (host.address.to_string(), peer.address.to_string());
    let (sending, receiving) = ((own.clone(), other.clone()), (other, own));
    match direction {
        Direction::Both => vec![sending, receiving],
        Direction::Sending => vec![sending],
        Direction::Receiving => vec![receiving],
    }
}

/// Makes the machine's rules those of the record.
pub(crate) fn restore_cuts(settings: &Settings, open: &Open) -> Result<(), LabError> {
    network::cut(&settings.name, &open.record.cuts)
}

pub(crate) fn heal(settings: &Settings, open: &mut Open, hosts: &[&Host]) -> Result<(), LabError> {
    let healed = |address: &String| hosts.iter().any(|host| host.address.to_string() == *address);
    open.record.cuts.retain(|(from, to)| !healed(from) && !healed(to));
    open.save()?;
    restore_cuts(settings, open)?;
    for host in hosts {
        if network::exists(&host.cable()) {
            run("ip", &["link", "set", &host.cable(), "up"])?;
        }
        if open.runs(&host.name) {
            slow(open, host, None)?;
        }
    }
    Ok(())
}

pub(crate) fn kill(open: &mut Open, hosts: &[&Host]) -> Result<(), LabError> {
    for host in hosts {
        if network::exists(&host.cable()) {
            run("ip", &["link", "set", &host.cable(), "down"])?;
        }
    }
    // All first, then the waiting: a power cut hits everybody in the same moment.
    for host in hosts {
        if let Some(init) = open.record.guests.get(&host.name).and_then(supervisor::init) {
            init.signal(rustix::process::Signal::KILL);
        }
    }
    hosts.iter().try_for_each(|host| supervisor::end(open, &host.name))
}

/// The near end of the cable holds back what the guest receives, the far end what it sends.
pub(crate) fn slow(open: &Open, host: &Host, slowness: Option<&Slowness>) -> Result<(), LabError> {
    let pid = running(open, host)?.to_string();
    let near = (Vec::new(), host.cable());
    let far = (vec!["nsenter", "--net", "--target", &pid], "host0".to_owned());
    for (prefix, device) in [near, far] {
        let tc = |arguments: &[&str]| {
            let mut words = prefix.clone();
            words.push("tc");
            words.extend(arguments);
            let (program, rest) = words.split_first().map_or(("tc", &[][..]), |(program, rest)| (*program, rest));
            let output = attempt(program, rest)?;
            if output.status.success() { Ok(()) } else { Err(failure(program, rest, &output)) }
        };
        // `tc` fails where there is none.
        let _ = tc(&["qdisc", "delete", "dev", &device, "root"]);
        let Some(slowness) = slowness else { continue };
        let delayed = slowness.delay.as_deref().map(|delay| check("delay", delay, "50ms")).transpose()?;
        let rate = slowness.rate.as_deref().map(|rate| check("rate", rate, "1mbit")).transpose()?;
        if let Some(delay) = delayed {
            let mut arguments = vec!["qdisc", "add", "dev", &device, "root", "netem", "delay", delay];
            arguments.extend(rate.map(|rate| ["rate", rate]).into_iter().flatten());
            tc(&arguments).map_err(no_netem)?;
        } else if let Some(rate) = rate {
            tc(&["qdisc", "add", "dev", &device, "root", "tbf", "rate", rate, "burst", "32kb", "latency", "400ms"])?;
        }
    }
    Ok(())
}

/// A number and a unit of letters; nothing that `tc` could take for an option.
fn check<'a>(what: &'static str, value: &'a str, example: &'static str) -> Result<&'a str, LabError> {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if !number.is_empty() && number != value && number.parse::<f64>().is_ok_and(|number| number > 0.0) {
        return Ok(value);
    }
    Err(LabError::BadValue { what, value: value.to_owned(), example })
}

fn no_netem(error: LabError) -> LabError {
    match error {
        LabError::Command { stderr, .. } if stderr.contains("kind is unknown") || stderr.contains("No such file") => LabError::NoDelay,
        other => other,
    }
}

/// The pid of a host's systemd.
fn running(open: &Open, host: &Host) -> Result<i32, LabError> {
    let init = open.record.guests.get(&host.name).and_then(supervisor::init);
    init.map(|process| process.pid).ok_or_else(|| LabError::NotRunning { host: host.name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::lan;

    #[test]
    fn directions_are_seen_from_the_host() {
        let hosts = lan(&"dev".parse().unwrap(), "172.28.0.0/24".parse().unwrap());
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(pairs(&hosts[0], &hosts[3], Direction::Sending), [pair("172.28.0.10", "172.28.0.30")]);
        assert_eq!(pairs(&hosts[0], &hosts[3], Direction::Receiving), [pair("172.28.0.30", "172.28.0.10")]);
        assert_eq!(pairs(&hosts[0], &hosts[3], Direction::Both).len(), 2);
    }

    #[test]
    fn rates_are_numbers_with_a_unit() {
        for good in ["1mbit", "200kbit", "1.5mbit"] {
            assert_eq!(check("rate", good, "1mbit").unwrap(), good);
        }
        for bad in ["", "mbit", "1", "-1mbit", "1 mbit", "root"] {
            assert!(check("rate", bad, "1mbit").is_err(), "{bad}");
        }
    }
}
