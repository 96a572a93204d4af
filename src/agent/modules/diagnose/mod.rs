//! `diagnose`: why something on this node does not work, most likely cause first. It changes nothing.

mod cluster;
mod symptoms;

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgfleet_protocol::modules::cluster::Diagnose;
use pgfleet_protocol::{Map, Outcome};
use serde_json::json;

use crate::module::{Context, Plan, Planned};
use crate::modules::systemd::{self, Systemctl, Unit};
use crate::system::Program;
use crate::tcp_table;
use cluster::Etcd;
use symptoms::{Cause, ETCD, MISMATCH, UNIT, essence, last_error, shorten};

/// So many lines of a journal are looked through.
const LINES: usize = 200;
/// What a unit said so many seconds before its last words may be over long since.
const RECENT: u64 = 300;
/// A unit that has run so many seconds is past what ended it before.
const SETTLED: u64 = 5;
/// A file system with less is full: PostgreSQL cannot even make one more WAL file.
const ENOUGH: u64 = 16 << 20;

pub(crate) fn plan(arguments: &Diagnose, context: &Context) -> Planned {
    let mut look = Look { arguments, context, causes: Vec::new(), report: String::new() };
    let (units, journals) = look.at_units();
    let ports = look.at_ports();
    let data = arguments.data_dir.as_deref().filter(|folder| !folder.is_empty()).map(Path::new);
    let disk = look.at_disks(data);
    let log = data.map(|data| look.at_data(data)).unwrap_or_default();
    let etcd = look.at_cluster(data);
    let Look { mut causes, report, .. } = look;
    causes.sort_by_key(|cause| cause.rank);
    let mut sentences: Vec<String> = Vec::new();
    for Cause { sentence, .. } in causes {
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    let message = sentences.first().map_or("nothing unusual was found", String::as_str).to_owned();
    let outcome = Outcome::unchanged().saying(message).with("causes", sentences).with("report", report).with("units", units);
    let outcome = outcome.with("journals", journals).with("ports", ports).with("disk", disk).with("etcd", etcd);
    Ok(Plan::Done(outcome.with("postgresql_log", log)))
}

struct Look<'a> {
    arguments: &'a Diagnose,
    context: &'a Context<'a>,
    causes: Vec<Cause>,
    /// All that a person may want to see, line by line.
    report: String,
}

impl Look<'_> {
    fn cause(&mut self, rank: u8, sentence: String) {
        self.causes.push(Cause { rank, sentence });
    }

    fn report(&mut self, line: &str) {
        self.report.push_str(line);
        self.report.push('\n');
    }

    fn at_units(&mut self) -> (Map, Map) {
        let (mut units, mut journals) = (Map::new(), Map::new());
        for name in &self.arguments.units {
            let unit = match Systemctl::default().show(self.context, name) {
                Ok(unit) => unit,
                Err(failure) => {
                    self.report(&failure.message);
                    self.cause(UNIT + 9, failure.message);
                    continue;
                }
            };
            let property = |name| unit.property(name);
            let number = |name| property(name).parse::<u64>().ok();
            let state = if unit.is_known() { property("ActiveState") } else { "not installed" };
            units.insert(
                name.clone(),
                json!({"state": state, "sub": property("SubState"), "result": property("Result"),
                    "exit_code": number("ExecMainStatus"), "restarts": number("NRestarts")}),
            );
            if !unit.is_known() {
                self.report(&format!("{name}: not installed"));
                self.cause(UNIT - 2, format!("there is no unit {name} on this host: what it belongs to is not installed"));
                continue;
            }
            let entries = recent(&systemd::last_moments(self.context, name, LINES));
            let lines: Vec<&str> = entries.iter().filter(|entry| !entry.is_systemd).map(|entry| entry.text.as_str()).collect();
            self.causes.extend(symptoms::find(name, &lines));
            self.judge(name, &unit, &lines);
            self.report(&systemd::unit_line(name, &unit));
            let told = self.last_words(entries.iter().map(|entry| entry.text.as_str()));
            journals.insert(name.clone(), told.into());
        }
        (units, journals)
    }

    /// A unit that does not run is a cause, if only the last.
    fn judge(&mut self, name: &str, unit: &Unit, lines: &[&str]) {
        // Patroni needs etcd: its trouble comes first.
        let rank = if name.trim_end_matches(".service") == "etcd" { ETCD - 8 } else { UNIT };
        let last = || last_error(lines).map(|line| format!(": {}", essence(line))).unwrap_or_default();
        let is_looping = unit.property("SubState") == "auto-restart";
        match unit.property("ActiveState") {
            "failed" => self.cause(rank, format!("{}{}", systemd::unit_line(name, unit), last())),
            "activating" if is_looping => self.cause(rank, format!("{}{}", systemd::unit_line(name, unit), last())),
            "activating" => self.cause(rank + 4, format!("{name} is still starting{}", last())),
            _ if unit.is_masked() => self.cause(rank + 1, format!("{name} is masked, so that it cannot start: systemctl unmask {name}")),
            "inactive" => self.cause(rank + 2, format!("{name} is stopped: systemctl start {name}")),
            _ => {}
        }
    }

    /// Reports the last lines. etcd tells of every little thing: only what is worse counts.
    fn last_words<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut told: Vec<String> = lines.filter(|line| !line.contains(r#""level":"info""#)).map(str::to_owned).collect();
        let most = usize::try_from(self.arguments.lines).unwrap_or(usize::MAX);
        told.drain(..told.len().saturating_sub(most));
        for line in &mut told {
            shorten(line);
            self.report(&format!("    {line}"));
        }
        told
    }

    fn at_ports(&mut self) -> Map {
        let mut ports = Map::new();
        for port in self.arguments.ports.iter().filter_map(|port| u16::try_from(*port).ok()) {
            let mut holders: Vec<String> = Vec::new();
            for listener in tcp_table::listeners(self.context.system, port) {
                let holder = listener.to_string();
                if holders.contains(&holder) {
                    continue;
                }
                if listener.process.is_some_and(|(_, pid)| self.is_foreign(&pid)) {
                    let units = self.arguments.units.join(", ");
                    self.cause(10, format!("port {port} is held by {holder}, which does not belong to {units}"));
                }
                holders.push(holder);
            }
            if holders.is_empty() {
                self.cause(UNIT + 8, format!("nobody listens on port {port}"));
            }
            let who = if holders.is_empty() { "nobody listens".to_owned() } else { holders.join(", ") };
            self.report(&format!("port {port}: {who}"));
            ports.insert(port.to_string(), who.into());
        }
        ports
    }

    /// True for a process that systemd counts to none of the units. The services of a cluster share ports on purpose, each on its address.
    fn is_foreign(&self, pid: &str) -> bool {
        let units = &self.arguments.units;
        let groups = self.context.system.read_text(&Path::new("/proc").join(pid).join("cgroup")).unwrap_or_default();
        let is_of = |unit: &String| groups.contains(&format!("/{}.service", unit.trim_end_matches(".service")));
        let cluster = ["etcd", "haproxy", "patroni"].map(str::to_owned);
        !units.is_empty() && !groups.is_empty() && !units.iter().chain(&cluster).any(is_of)
    }

    fn at_disks(&mut self, data: Option<&Path>) -> Map {
        let (mut disk, mut seen) = (Map::new(), Vec::new());
        for path in data.into_iter().chain([Path::new("/"), Path::new("/var")]) {
            // A folder that is not there yet will be where its parent is.
            let system = self.context.system;
            let look = |path: &Path| Some((system.disk_space(path).ok()?, system.stat(path).ok()?.dev));
            let Some((space, device)) = path.ancestors().find_map(look) else { continue };
            if seen.contains(&device) {
                continue;
            }
            seen.push(device);
            let (free, total) = (space.blocks_available * space.block_size, space.blocks * space.block_size);
            let percent = (free * 100).checked_div(total).unwrap_or(100);
            let is_out_of_inodes = space.inodes > 0 && space.inodes_available == 0;
            let path = path.display().to_string();
            self.report(&format!("disk {path}: {} of {} MB free ({percent} %)", free >> 20, total >> 20));
            if total > 0 && (free < ENOUGH || is_out_of_inodes) {
                let what = if is_out_of_inodes { "no inodes" } else { "no space" };
                self.cause(0, format!("the disk is full: {what} left on the file system of {path}"));
            }
            disk.insert(path, json!({"free": free, "total": total, "free_percent": percent}));
        }
        disk
    }

    /// Owner and permissions of the data, and the end of PostgreSQL's own log.
    fn at_data(&mut self, data: &Path) -> Vec<String> {
        let system = self.context.system;
        if let (Ok(found), Ok(Some(user))) = (system.stat(data), system.user_by_name("postgres")) {
            if found.uid != user.uid {
                let owner = system.user_by_id(found.uid).ok().flatten().map_or_else(|| format!("user {}", found.uid), |user| user.name);
                let folder = data.display();
                self.cause(14, format!("{folder} belongs to {owner}, not to postgres: chown -R postgres:postgres {folder}"));
            } else if found.mode & 0o027 != 0 && system.exists(&data.join("PG_VERSION")) {
                let (folder, mode) = (data.display(), found.mode & 0o7777);
                self.cause(14, format!("{folder} has mode {mode:04o}, with which PostgreSQL does not start: chmod 0700 {folder}"));
            }
        }
        self.at_end(data);
        let Some(log) = self.newest_log(&data.join("log")) else { return Vec::new() };
        let tail = Program::new(["tail", "-n", "100", "--", &log.to_string_lossy()]).timeout(Duration::from_secs(5));
        let text = self.context.run(tail).map(|finished| finished.stdout_text()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        self.causes.extend(symptoms::find("PostgreSQL", &lines));
        self.report(&format!("{}:", log.display()));
        self.last_words(lines.into_iter())
    }

    /// A PostgreSQL that ends waits until the last of its log is archived.
    fn at_end(&mut self, data: &Path) {
        let system = self.context.system;
        let Ok(lock) = system.read_text(&data.join("postmaster.pid")) else { return };
        if lock.lines().nth(7).is_none_or(|state| state.trim() != "stopping") {
            return;
        }
        let postmaster = lock.lines().next().unwrap_or_default().trim();
        let children = system.read_text(Path::new(&format!("/proc/{postmaster}/task/{postmaster}/children"))).unwrap_or_default();
        let title = |pid: &str| system.read_text(Path::new(&format!("/proc/{pid}/cmdline"))).ok();
        let file = children.split_whitespace().filter_map(title).find_map(|title| {
            let (_, file) = title.split_once("archiver archiving ")?;
            Some(file.trim_end_matches(['\0', ' ']).to_owned())
        });
        match file {
            Some(file) => self.cause(8, format!("PostgreSQL is stopping, and waits for its archive_command, which has {file} in hand")),
            None => self.cause(UNIT + 3, "PostgreSQL is stopping".to_owned()),
        }
    }

    fn newest_log(&self, folder: &Path) -> Option<PathBuf> {
        let system = self.context.system;
        let files = system.list_dir(folder).ok()?.into_iter().map(|name| folder.join(name));
        files.filter_map(|path| Some((system.stat(&path).ok().filter(|found| found.is_file())?.mtime, path))).max().map(|(_, path)| path)
    }

    /// Whether etcd answers, and whether the data here is the cluster's.
    fn at_cluster(&mut self, data: Option<&Path>) -> Map {
        let mut told = Map::new();
        if !self.arguments.units.iter().any(|unit| unit.trim_end_matches(".service") == "patroni") {
            return told;
        }
        let etcd = Etcd::look(self.context);
        let mut silent = Vec::new();
        for (address, answer) in &etcd.voters {
            let word = answer.as_ref().err().map_or("answers", String::as_str);
            self.report(&format!("etcd {address}: {word}"));
            told.insert(address.clone(), word.into());
            if let Err(why) = answer {
                silent.push(format!("{why} at {address}"));
            }
        }
        if silent.len() * 2 >= etcd.voters.len() && !silent.is_empty() {
            self.cause(ETCD, format!("etcd is not reachable: {}", silent.join(", ")));
        }
        let here = data.and_then(|data| cluster::identifier_on_disk(self.context, data).map(|identifier| (data, identifier)));
        for (place, identifier) in [("on disk", here.as_ref().map(|(_, identifier)| identifier)), ("in etcd", etcd.identifier.as_ref())] {
            self.report(&format!("system identifier {place}: {}", identifier.map_or("none", String::as_str)));
        }
        if let (Some((data, here)), Some(there)) = (here, etcd.identifier)
            && here != there
            && !there.is_empty()
        {
            let folder = data.display();
            let sentence = format!(
                "the data on this host belongs to another cluster: system identifier {here} on disk, {there} in etcd. Move {folder} away and deploy again"
            );
            // What Patroni says of it is the same with fewer words.
            self.causes.retain(|cause| cause.rank != MISMATCH);
            self.cause(MISMATCH, sentence);
        }
        told
    }
}

/// One line of a journal.
struct Entry {
    seconds: u64,
    /// Said by systemd of the unit, not by the unit.
    is_systemd: bool,
    text: String,
}

/// What a unit said in the minutes before its last words.
fn recent(lines: &[String]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in lines {
        let parsed = line.split_once(' ').and_then(|(time, rest)| {
            let seconds = time.split('.').next()?.parse().ok()?;
            let (_host, rest) = rest.split_once(' ')?;
            let (program, text) = rest.split_once(": ")?;
            Some(Entry { seconds, is_systemd: program.starts_with("systemd["), text: text.to_owned() })
        });
        // A line that continues the one before has no time of its own.
        let (seconds, is_systemd) = entries.last().map_or((0, false), |entry| (entry.seconds, entry.is_systemd));
        entries.push(parsed.unwrap_or_else(|| Entry { seconds, is_systemd, text: line.clone() }));
    }
    let last = entries.last().map_or(0, |entry| entry.seconds);
    entries.retain(|entry| entry.seconds + RECENT >= last);
    // What is said while it starts again and again tells of the start before; else an earlier life is of no interest.
    let starts = |word: &str| -> Vec<usize> {
        let is_start = |entry: &Entry| entry.is_systemd && entry.text.starts_with(word);
        entries.iter().enumerate().filter(|(_, entry)| is_start(entry)).map(|(at, _)| at).collect()
    };
    let starts = [starts("Starting "), starts("Started ")].into_iter().find(|starts| !starts.is_empty()).unwrap_or_default();
    let begin = match starts[..] {
        [.., at] if entries[at].seconds + SETTLED <= last => at,
        [.., before, _] => before,
        _ => 0,
    };
    entries.split_off(begin)
}

#[cfg(test)]
mod tests {
    use super::recent;

    fn check(lines: &[&str], expect: &[&str]) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let found: Vec<_> = recent(&lines).into_iter().map(|entry| entry.text).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn only_the_last_life_of_a_unit_counts_unless_it_has_just_begun() {
        let earlier =
            ["1000.5 h systemd[1]: Starting etcd.service", "1001.0 h etcd[7]: no address", "1002.0 h systemd[1]: Starting etcd.service"];
        check(
            &[&earlier[..], &["1003.0 h etcd[8]: hello"]].concat(),
            &["Starting etcd.service", "no address", "Starting etcd.service", "hello"],
        );
        check(&[&earlier[..], &["1007.0 h etcd[8]: hello", "   and more"]].concat(), &["Starting etcd.service", "hello", "   and more"]);
        check(&["1000.0 h patroni[1]: old", "1301.0 h patroni[1]: new"], &["new"]);
        check(&[], &[]);
    }
}
