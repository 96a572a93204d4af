//! What an earlier try left on the hosts, told apart: data, what etcd remembers, and etcd itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::Objection;

/// What a host holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Its name.
    pub node: String,
    /// The system identifier of the data directory.
    pub system: Option<String>,
    /// Patroni's configuration there is one of this cluster.
    pub owned: bool,
    /// Patroni runs.
    pub patroni: bool,
    /// The id of the etcd cluster that its etcd is a member of, where it runs.
    pub etcd: Option<String>,
    /// The system identifier that this etcd remembers for the cluster.
    pub initialize: Option<String>,
}

/// What shall be done with leftovers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: say what there is, and stop.
    #[default]
    Stop,
    /// Go on with the data that is there.
    Adopt,
    /// Throw away what is in the way.
    Wipe,
}

/// What to do before a deploy goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// Nothing is in the way.
    None,
    /// One of these nodes, the one that has most, begins with the data that it has.
    Adopt(Vec<String>),
    /// This goes.
    Wipe {
        /// Nodes whose data goes.
        data: Vec<String>,
        /// What etcd remembers of the cluster goes.
        keys: bool,
        /// Voters whose etcd goes, to enter the others' as new members.
        voters: Vec<String>,
    },
}

/// Tells what is in the way of a deploy. To wipe, the cluster's name must have been `typed`.
///
/// # Errors
/// What there is and what can be done, when that needs a person.
pub fn leftovers(cluster: &str, remains: &[Remains], policy: Policy, typed: &str) -> Result<Leftovers, Objection> {
    let mut etcds: BTreeMap<&str, Vec<&Remains>> = BTreeMap::new();
    for host in remains {
        if let Some(id) = &host.etcd {
            etcds.entry(id).or_default().push(host);
        }
    }
    // The etcd of most voters is the one that counts.
    let main = etcds.values().max_by_key(|voters| voters.len());
    let initialize = main.and_then(|voters| voters.iter().find_map(|voter| voter.initialize.clone())).filter(|system| !system.is_empty());
    let strangers = etcds.iter().filter(|(_, voters)| Some(*voters) != main).flat_map(|(_, voters)| voters);
    let voters: Vec<String> = strangers.map(|voter| voter.node.clone()).collect();
    let runs = remains.iter().any(|host| host.patroni);
    let holders: Vec<&Remains> = remains.iter().filter(|host| host.system.is_some()).collect();
    let names = |hosts: &[&Remains]| hosts.iter().map(|host| host.node.clone()).collect::<Vec<_>>();
    let (mut found, mut data, mut keys, mut adoptable) = (Vec::new(), Vec::new(), false, Vec::new());
    if !voters.is_empty() {
        found.push(format!("etcd on {} is a member of another etcd cluster than the others'", voters.join(", ")));
    }
    match &initialize {
        Some(system) => {
            let foreign: Vec<&Remains> = holders.iter().copied().filter(|host| host.system.as_ref() != Some(system)).collect();
            if !foreign.is_empty() {
                let what: Vec<String> = foreign.iter().map(|host| named(host)).collect();
                found.push(format!("etcd knows the cluster with the system identifier {system}, and other data is on {}", what.join(", ")));
                data = names(&foreign);
            }
            if foreign.len() == holders.len() && !runs {
                found.push(format!("etcd remembers a cluster (system identifier {system}) whose data is on no node"));
                keys = true;
            }
        }
        None if !runs && !holders.is_empty() => {
            let systems: BTreeSet<&String> = holders.iter().filter_map(|host| host.system.as_ref()).collect();
            let what: Vec<String> = holders.iter().map(|host| named(host)).collect();
            found.push(format!("etcd knows of no cluster, but data of {} is on {}", count(systems.len()), what.join(", ")));
            data = names(&holders);
            if systems.len() == 1 && holders.iter().all(|host| host.owned) {
                adoptable = names(&holders);
            }
        }
        None => {}
    }
    if found.is_empty() {
        return Ok(Leftovers::None);
    }
    let reason = format!("an earlier cluster has left something: {}", found.join("; "));
    match policy {
        Policy::Wipe if typed == cluster => Ok(Leftovers::Wipe { data, keys, voters }),
        Policy::Wipe => Err(Objection::new(
            format!("{reason}. Wiping throws it away for good"),
            format!("give -e postgresql_wipe={cluster} as well, if that is meant; there is no way back"),
        )),
        Policy::Adopt if !adoptable.is_empty() && voters.is_empty() => Ok(Leftovers::Adopt(adoptable)),
        Policy::Adopt => Err(Objection::new(
            format!("{reason}. It cannot be adopted: it is not one cluster's data, or not this one's"),
            ways(cluster, false, keys),
        )),
        Policy::Stop => Err(Objection::new(reason, ways(cluster, !adoptable.is_empty(), keys))),
    }
}

fn named(host: &Remains) -> String {
    format!("{} ({})", host.node, host.system.as_deref().unwrap_or_default())
}

fn count(systems: usize) -> String {
    if systems == 1 { "one".to_owned() } else { format!("{systems} different ones") }
}

fn ways(cluster: &str, adoptable: bool, keys: bool) -> String {
    let mut ways = Vec::new();
    if adoptable {
        ways.push("-e postgresql_leftovers=adopt goes on with that data".to_owned());
    }
    ways.push(format!("-e postgresql_leftovers=wipe -e postgresql_wipe={cluster} throws it away"));
    if keys {
        ways.push(format!("by hand it is 'etcdctl del --prefix /service/{cluster}/'"));
    } else {
        ways.push("by hand, move the data directory away".to_owned());
    }
    ways.push("nothing was touched".to_owned());
    ways.join("; ")
}

#[cfg(test)]
mod tests {
    use super::{Leftovers, Policy, Remains, leftovers};

    /// node, system identifier of its data, etcd cluster, what etcd remembers, whether Patroni runs
    type Host<'a> = (&'a str, &'a str, &'a str, &'a str, bool);

    fn judged(hosts: &[Host<'_>], policy: Policy, typed: &str) -> Result<Leftovers, String> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let remains: Vec<Remains> = hosts
            .iter()
            .map(|(node, system, etcd, initialize, patroni)| Remains {
                node: (*node).to_owned(),
                system: some(system),
                owned: true,
                patroni: *patroni,
                etcd: some(etcd),
                initialize: some(initialize),
            })
            .collect();
        leftovers("shop", &remains, policy, typed).map_err(|objection| objection.reason)
    }

    #[test]
    fn leftovers_are_told_apart() {
        use Policy::{Adopt, Stop, Wipe};
        let says = |hosts: &[Host<'_>], policy: Policy, expect: &str| match judged(hosts, policy, "shop") {
            Err(reason) => assert!(!expect.is_empty() && reason.contains(expect), "{reason}, not '{expect}'"),
            Ok(plan) => assert!(expect.is_empty() && plan == Leftovers::None, "{plan:?}, not '{expect}'"),
        };
        says(&[("a", "", "", "", false), ("b", "", "", "", false)], Stop, "");
        says(&[("a", "1", "e", "1", true), ("b", "1", "e", "1", true)], Stop, "");
        says(&[("a", "1", "e", "1", false), ("b", "", "e", "1", false)], Stop, "");
        // A cluster that lost its etcd and still runs is none of a deploy's business.
        says(&[("a", "1", "e", "", true), ("b", "1", "e", "", true)], Stop, "");
        says(&[("a", "", "e", "1", false), ("b", "", "e", "1", false)], Stop, "whose data is on no node");
        says(&[("a", "1", "e", "1", true), ("b", "2", "e", "1", false)], Stop, "other data is on b (2)");
        says(&[("a", "1", "", "", false), ("b", "1", "", "", false)], Stop, "data of one is on a (1), b (1)");
        says(&[("a", "1", "", "", false), ("b", "2", "", "", false)], Adopt, "cannot be adopted");
        says(&[("a", "1", "e", "1", true), ("b", "1", "e", "1", true), ("c", "", "f", "", false)], Stop, "etcd on c");
        let adopted = judged(&[("a", "1", "e", "", false), ("b", "1", "e", "", false), ("c", "", "e", "", false)], Adopt, "");
        assert_eq!(adopted, Ok(Leftovers::Adopt(vec!["a".to_owned(), "b".to_owned()])));
        let wiped = judged(&[("a", "1", "e", "1", true), ("b", "2", "e", "1", false)], Wipe, "shop");
        assert_eq!(wiped, Ok(Leftovers::Wipe { data: vec!["b".to_owned()], keys: false, voters: Vec::new() }));
        let wiped = judged(&[("a", "", "e", "1", false), ("b", "2", "e", "1", false)], Wipe, "shop");
        assert_eq!(wiped, Ok(Leftovers::Wipe { data: vec!["b".to_owned()], keys: true, voters: Vec::new() }));
        assert!(judged(&[("a", "1", "", "", false)], Wipe, "shp").is_err_and(|reason| reason.contains("for good")));
    }
}
