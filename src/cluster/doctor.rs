//! What is wrong, or soon will be: judged from what each host said of itself and from the view of the cluster.

mod fence;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sizes::shown_bytes;
use crate::switchover::ARCHIVED;
use crate::{ClusterView, Severity};

/// How a check ended, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// All is well.
    Pass,
    /// Worth a look when there is time.
    Warn,
    /// To be mended now.
    Fail,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The node, or `cluster`.
    pub node: String,
    /// What was checked.
    pub check: String,
    /// How it ended.
    pub result: Outcome,
    /// What was seen.
    pub seen: String,
    /// What to do; empty where nothing is.
    #[serde(rename = "do")]
    pub todo: String,
}

/// What preflight.sh and doctor.sh said on a host, or why they could not be asked.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The node.
    pub node: String,
    /// What they printed.
    pub said: Result<String, String>,
    /// When they were asked and had answered, by the controller's clock, in seconds.
    pub asked: (f64, f64),
}

/// What only the controller knows.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Days since each password was made.
    pub password_days: BTreeMap<String, u64>,
    /// Days after which a password is old.
    pub old_password: u64,
    /// Passwords whose rotation was interrupted.
    pub interrupted: Vec<String>,
    /// Files of secrets that others on this machine may read.
    pub exposed: Vec<String>,
    /// Seconds that clocks may differ: with a warning, and at all.
    pub clock: (f64, f64),
}

const GIB: f64 = 1_073_741_824.0;
/// etcd's own limit of its database, where none is set.
const ETCD_QUOTA: f64 = 2.0 * GIB;

/// Judges everything; in the order of nodes, the cluster first.
#[must_use]
pub fn doctor(view: &ClusterView, hosts: &[Examined], kept: &Kept) -> Vec<Check> {
    let mut checks = Checks::default();
    checks.cluster(view, kept);
    let facts: Vec<(&Examined, Facts)> = hosts.iter().map(|host| (host, Facts::read(host))).collect();
    checks.versions(&facts);
    for (host, facts) in &facts {
        checks.host(host, facts, kept);
    }
    checks.0
}

/// What a host said, by name. A name may come several times.
#[derive(Default)]
struct Facts {
    lines: BTreeMap<String, Vec<String>>,
    preflight: Value,
}

impl Facts {
    fn read(host: &Examined) -> Self {
        let mut facts = Self::default();
        for line in host.said.as_deref().unwrap_or_default().lines() {
            if let Some((name, value)) = line.split_once('\t') {
                facts.lines.entry(name.to_owned()).or_default().push(value.trim().to_owned());
            } else if let Ok(preflight) = serde_json::from_str(line) {
                facts.preflight = preflight;
            }
        }
        facts
    }

    fn text(&self, name: &str) -> &str {
        self.lines.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }

    fn all(&self, name: &str) -> &[String] {
        self.lines.get(name).map_or(&[], Vec::as_slice)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.text(name).parse().ok()
    }
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, node: &str, check: &str, result: Outcome, seen: impl Into<String>, todo: &str) {
        let todo = if result == Outcome::Pass { String::new() } else { todo.to_owned() };
        self.0.push(Check { node: node.to_owned(), check: check.to_owned(), result, seen: seen.into(), todo });
    }

    fn cluster(&mut self, view: &ClusterView, kept: &Kept) {
        for finding in &view.findings {
            let result = if finding.severity == Severity::Notice { Outcome::Warn } else { Outcome::Fail };
            self.add("cluster", "state", result, finding.text.as_str(), finding.hint.as_deref().unwrap_or("see 'pgfleet status'"));
        }
        if view.is_healthy() {
            self.add("cluster", "state", Outcome::Pass, format!("{} members, all well", view.members.len()), "");
        }
        if !kept.exposed.is_empty() {
            let seen = format!("others on this machine may read secrets: {}", kept.exposed.join(", "));
            self.add("cluster", "secrets' files", Outcome::Fail, seen, "close them with 'chmod 600', then 'pgfleet secrets rotate'");
        }
        if !kept.interrupted.is_empty() {
            let seen = format!("a rotation was interrupted: {}", kept.interrupted.join(", "));
            self.add("cluster", "passwords", Outcome::Fail, seen, "'pgfleet secrets rotate' finishes it");
        }
        let oldest = kept.password_days.values().max().copied().unwrap_or_default();
        let old = kept.password_days.iter().filter(|(_, days)| **days > kept.old_password);
        let old: Vec<&str> = old.map(|(name, _)| name.as_str()).collect();
        if old.is_empty() {
            self.add("cluster", "password age", Outcome::Pass, format!("the oldest was made {oldest} days ago"), "");
        } else {
            let seen = format!("older than {} days: {}", kept.old_password, old.join(", "));
            self.add("cluster", "password age", Outcome::Warn, seen, &format!("'pgfleet secrets rotate {}'", old.join(" ")));
        }
    }

    /// Nodes with other versions than the rest.
    fn versions(&mut self, facts: &[(&Examined, Facts)]) {
        let sql = |facts: &Facts| serde_json::from_str::<Value>(facts.text("sql")).ok()?["version"].as_str().map(str::to_owned);
        let package = |name: &'static str| move |facts: &Facts| Some(facts.text(name).to_owned()).filter(|text| !text.is_empty());
        type Version = Box<dyn Fn(&Facts) -> Option<String>>;
        let programs: [(&str, Version); 4] = [
            ("PostgreSQL", Box::new(sql)),
            ("Patroni", Box::new(package("package_patroni"))),
            ("etcd", Box::new(package("package_etcd"))),
            ("HAProxy", Box::new(package("package_haproxy"))),
        ];
        for (program, version) in programs {
            let mut nodes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (host, facts) in facts {
                if let Some(version) = version(facts) {
                    nodes.entry(version).or_default().push(&host.node);
                }
            }
            let check = format!("{program} version");
            if nodes.len() > 1 {
                let seen: Vec<String> = nodes.iter().map(|(version, nodes)| format!("{version} on {}", nodes.join(", "))).collect();
                self.add("cluster", &check, Outcome::Warn, seen.join("; "), "bring the nodes to one version, replicas first");
            } else if let Some(version) = nodes.keys().next() {
                self.add("cluster", &check, Outcome::Pass, format!("{version} everywhere"), "");
            }
        }
    }

    fn host(&mut self, host: &Examined, facts: &Facts, kept: &Kept) {
        let node = host.node.as_str();
        if let Err(reason) = &host.said {
            return self.add(node, "reachable", Outcome::Fail, reason.as_str(), "is it up, and does a network lead there from here?");
        }
        for row in facts.preflight["checks"].as_array().into_iter().flatten() {
            let text = |index: usize| row[index].as_str().unwrap_or_default();
            let result = match text(1) {
                "Pass" => Outcome::Pass,
                "Warn" => Outcome::Warn,
                _ => Outcome::Fail,
            };
            self.add(node, text(0), result, text(2), "see the pre-flight checks of 'pgfleet deploy --check'");
        }
        self.clock(host, facts, kept);
        self.certificate(host, facts);
        self.room(node, facts);
        self.upgrades(node, facts);
        self.etcd(node, facts);
        if !facts.text("sql").is_empty() {
            match serde_json::from_str(facts.text("sql")) {
                Ok(sql) => self.postgresql(node, &sql),
                Err(_) => self.add(
                    node,
                    "PostgreSQL",
                    Outcome::Fail,
                    facts.text("sql"),
                    "'pgfleet logs' shows why; 'pgfleet deploy' starts what does not run",
                ),
            }
        }
        self.fence(node, facts);
        if facts.text("old_program") == "yes" {
            self.add(
                node,
                "program",
                Outcome::Warn,
                "PostgreSQL still runs the program of before an upgrade",
                "'pgfleet restart --rolling'",
            );
        }
        if facts.text("reboot") == "yes" {
            self.add(node, "reboot", Outcome::Warn, "the system wants a reboot", "one node at a time, the leader after a switchover");
        }
    }

    fn clock(&mut self, host: &Examined, facts: &Facts, kept: &Kept) {
        let Some(clock) = facts.number("clock") else { return };
        // It read its clock at some moment between question and answer; only what lies outside is certain.
        let off = (host.asked.0 - clock).max(clock - host.asked.1).max(0.0);
        let (warn, fail) = kept.clock;
        let result = match off {
            off if off > fail => Outcome::Fail,
            off if off > warn => Outcome::Warn,
            _ => Outcome::Pass,
        };
        let synchronised = match facts.text("ntp") {
            "yes" => ", synchronised",
            "no" => ", not synchronised",
            _ => "",
        };
        self.add(
            &host.node,
            "clock",
            result,
            format!("{off:.1} s off the controller's{synchronised}"),
            "let systemd-timesyncd or chrony set it",
        );
    }

    fn certificate(&mut self, host: &Examined, facts: &Facts) {
        if !facts.lines.contains_key("certificate") {
            return;
        }
        let todo = "'pgfleet deploy' signs a new one; PostgreSQL takes it up without a restart";
        let Some(until) = facts.number("certificate") else {
            return self.add(&host.node, "certificate", Outcome::Fail, "the node's certificate cannot be read", todo);
        };
        let days = ((until - host.asked.1) / 86_400.0).floor();
        let seen = if days < 0.0 { "it has ended".to_owned() } else { format!("good for {days:.0} more days") };
        // A day is left to act; a deploy of any month renews it long before.
        self.add(&host.node, "certificate", level(-days, -20.0, -1.0), seen, todo);
    }

    fn room(&mut self, node: &str, facts: &Facts) {
        for (check, size, left, unit) in [("disk use", "disk_size", "disk_left", true), ("inodes", "inodes", "inodes_left", false)] {
            let (Some(size), Some(left)) = (facts.number(size), facts.number(left)) else { continue };
            if size <= 0.0 {
                continue;
            }
            let used = 100.0 * (1.0 - left / size);
            // Of a large disk a tenth is much room.
            let result = match unit {
                true if left < GIB || used > 90.0 && left < 5.0 * GIB => Outcome::Fail,
                true if used > 80.0 && left < 50.0 * GIB => Outcome::Warn,
                true => Outcome::Pass,
                false => level(used, 80.0, 90.0),
            };
            let seen = if unit { format!("{used:.0} % used, {} left", bytes(left)) } else { format!("{used:.0} % used") };
            self.add(node, check, result, seen, "make room or a larger disk; a full one stops PostgreSQL and etcd");
        }
    }

    fn upgrades(&mut self, node: &str, facts: &Facts) {
        if facts.text("unattended") != "yes" {
            return self.add(node, "unattended upgrades", Outcome::Pass, "off", "");
        }
        let spared = |package: &str| {
            let held = facts.all("held").iter().any(|held| held.starts_with(package));
            // The entries are regular expressions that match from the beginning.
            held || facts.all("left_out").iter().any(|pattern| package.starts_with(pattern.trim_end_matches(['$', '*', '.', '-'])))
        };
        let packages = [
            ("postgresql", "package_postgresql"),
            ("patroni", "package_patroni"),
            ("etcd-server", "package_etcd"),
            ("haproxy", "package_haproxy"),
        ];
        let open: Vec<&str> = packages
            .into_iter()
            .filter(|(package, fact)| !facts.text(fact).is_empty() && !spared(package))
            .map(|(package, _)| package)
            .collect();
        if open.is_empty() {
            return self.add(node, "unattended upgrades", Outcome::Pass, "on, and they leave the database alone", "");
        }
        let seen = format!("would restart at any time: {}", open.join(", "));
        self.add(
            node,
            "unattended upgrades",
            Outcome::Warn,
            seen,
            "add them to Unattended-Upgrade::Package-Blacklist, or 'apt-mark hold' them",
        );
    }

    fn etcd(&mut self, node: &str, facts: &Facts) {
        let Ok(status) = serde_json::from_str::<Value>(facts.text("etcd_status")) else {
            if facts.lines.contains_key("etcd_status") {
                self.add(node, "etcd", Outcome::Fail, "it does not tell its status", "'systemctl status etcd' on the node says more");
            }
            return;
        };
        let Some(size) = status.pointer("/0/Status/dbSize").and_then(Value::as_f64) else { return };
        let quota = facts.number("etcd_quota").filter(|quota| *quota > 0.0).unwrap_or(ETCD_QUOTA);
        let used = 100.0 * size / quota;
        let seen = format!("{}, {used:.0} % of its limit", bytes(size));
        self.add(node, "etcd database", level(used, 50.0, 80.0), seen, "'etcdctl compact' and 'etcdctl defrag', one member at a time");
    }

    fn postgresql(&mut self, node: &str, sql: &Value) {
        let number = |name: &str| sql[name].as_f64().unwrap_or_default();
        let (wal, most) = (number("wal"), number("max_wal").max(1.0));
        let seen = format!("{}, max_wal_size is {}", bytes(wal), bytes(most));
        self.add(
            node,
            "WAL",
            level(wal / most, 1.5, 4.0),
            seen,
            "what keeps it? Inactive slots, a failing archiver, or a replica that is far behind",
        );
        self.slots(node, sql);
        if sql["archiving"] == true {
            let failed = sql["archive_failed"] == true;
            let waits = number("archive_waits");
            let (result, seen) = if failed {
                (Outcome::Fail, format!("cannot archive {}", sql["archive_failure"].as_str().unwrap_or("WAL")))
            } else if waits > ARCHIVED {
                (Outcome::Warn, format!("a file has waited for {waits:.0} s"))
            } else {
                (Outcome::Pass, "works".to_owned())
            };
            self.add(node, "archiver", result, seen, "look at archive_command's words in PostgreSQL's log; does it hang?");
        }
        let pending: Vec<&str> = sql["pending"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !pending.is_empty() {
            self.add(node, "pending restart", Outcome::Warn, pending.join(", "), "'pgfleet restart --rolling --pending' when it suits");
        }
        let used = 100.0 * number("connections") / number("max_connections").max(1.0);
        let seen = format!("{} of {}", number("connections"), number("max_connections"));
        self.add(node, "connections", level(used, 80.0, 95.0), seen, "a pool in the application, or more max_connections");
        for (check, name) in [("oldest transaction", "oldest_transaction"), ("prepared transactions", "prepared")] {
            let hours = number(name) / 3600.0;
            if number(name) > 0.0 || check == "oldest transaction" {
                let seen = format!("open for {:.0} s", number(name));
                self.add(node, check, level(hours, 1.0, 24.0), seen, "end it: it keeps dead rows from being cleaned up");
            }
        }
        let frozen = number("frozen");
        let seen = format!("{:.0} % of the way to the limit", frozen / 21_474_836.48);
        self.add(node, "transaction ids", level(frozen, 5e8, 1.5e9), seen, "'VACUUM (FREEZE)' the oldest databases");
        if number("checksum_failures") > 0.0 {
            let seen = format!("{} damaged pages were read", number("checksum_failures"));
            self.add(
                node,
                "checksums",
                Outcome::Fail,
                seen,
                "on a replica 'pgfleet reinit'; on the leader switch over first, and check the disk",
            );
        }
    }

    fn slots(&mut self, node: &str, sql: &Value) {
        let slots: Vec<&Value> = sql["slots"].as_array().into_iter().flatten().collect();
        // On a replica Patroni keeps slots of the other members, which nobody uses there.
        if sql["replica"] == true {
            return;
        }
        let mut all_well = true;
        for slot in &slots {
            let (name, kept) = (slot["name"].as_str().unwrap_or_default(), slot["kept"].as_f64().unwrap_or_default());
            let state = slot["state"].as_str().unwrap_or_default();
            let result = match (state, slot["active"] == true) {
                ("lost" | "unreserved", _) => Outcome::Fail,
                (_, false) => level(kept, 0.0, GIB).max(Outcome::Warn),
                (_, true) => level(kept, GIB, 8.0 * GIB),
            };
            if result != Outcome::Pass {
                all_well = false;
                let used = if slot["active"] == true { "in use" } else { "inactive" };
                let seen = format!("{name} is {used}, {state}, and keeps {}", bytes(kept));
                self.add(
                    node,
                    "slot",
                    result,
                    seen,
                    "bring its replica back, or remove it with 'pgfleet scale-in' or pg_drop_replication_slot()",
                );
            }
        }
        if all_well {
            self.add(node, "slots", Outcome::Pass, format!("{} in use", slots.len()), "");
        }
    }
}

/// Above the first bound a warning, above the second a failure.
fn level(value: f64, warn: f64, fail: f64) -> Outcome {
    match value {
        value if value > fail => Outcome::Fail,
        value if value > warn => Outcome::Warn,
        _ => Outcome::Pass,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size for a person; as a float it came out of JSON")]
fn bytes(count: f64) -> String {
    shown_bytes(count as u64)
}

/// The worst of all.
#[must_use]
pub fn worst(checks: &[Check]) -> Outcome {
    let results: BTreeSet<Outcome> = checks.iter().map(|check| check.result).collect();
    results.last().copied().unwrap_or(Outcome::Pass)
}
