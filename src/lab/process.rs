//! Processes by pid and start time, so that a pid that the kernel gave to somebody else is never signalled.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// One process for ever: the pid, when it began, and in which boot of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    start: u64,
    boot: String,
}

impl Process {
    /// The process that has this pid now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = stat(pid)?;
        (!stat.ended).then(|| Self { pid, start: stat.start, boot: boot_id() })
    }

    /// Whether it still runs; a zombie does not.
    pub(crate) fn alive(&self) -> bool {
        self.boot == boot_id() && stat(self.pid).is_some_and(|stat| stat.start == self.start && !stat.ended)
    }

    /// Sends a signal, if the process still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.alive()) {
            // It may end between the look and the signal: that is what was wanted.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended; false when it still runs after `limit`.
    pub(crate) fn wait_end(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while self.alive() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Its children and theirs, parents first.
    pub(crate) fn descendants(&self) -> Vec<Self> {
        if !self.alive() {
            return Vec::new();
        }
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for pid in pids() {
            if let Some(stat) = stat(pid) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        let mut found = children.remove(&self.pid).unwrap_or_default();
        let mut at = 0;
        while let Some(pid) = found.get(at).copied() {
            found.extend(children.remove(&pid).unwrap_or_default());
            at += 1;
        }
        found.into_iter().filter_map(Self::of).collect()
    }

    /// Whether it is the first process of a pid namespace one below ours.
    pub(crate) fn is_init(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let mut ids = line.split_whitespace().rev();
        ids.next() == Some("1") && ids.next().is_some() && line.split_whitespace().count() == own_depth() + 1
    }
}

struct Stat {
    parent: i32,
    start: u64,
    ended: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in parentheses and may hold anything, so fields are counted from the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X");
    Some(Stat { parent: fields.get(1)?.parse().ok()?, start: fields.get(19)?.parse().ok()?, ended })
}

fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn own_depth() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("NSpid:")).map_or(1, |line| line.split_whitespace().count())
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.start, stat.ended), (7, 98765, false));
    }

    #[test]
    fn a_process_is_itself_only_with_its_start_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut process = Process::of(own).unwrap();
        assert!(process.alive());
        process.start += 1;
        assert!(!process.alive());
    }

    #[test]
    fn descendants_are_found_and_an_ended_one_is_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = own.descendants().into_iter().find(|process| process.pid == pid).unwrap();
        assert!(!found.is_init());
        assert!(!found.wait_end(Duration::ZERO));
        found.signal(Signal::KILL);
        assert!(found.wait_end(Duration::from_secs(5)));
        child.wait().unwrap();
    }
}
