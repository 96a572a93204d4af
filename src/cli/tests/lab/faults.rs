//! What befalls a run at one of its steps: its controller, its agent, its connections, or a host. Each ends in bounded time, and a run that
//! goes on meanwhile says what happened and where.

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use pgfleet_playbook::{Kind, lookup_module};
use serde_json::Value;

use crate::members::LOAD;
use crate::rig::{Ran, Rig};

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The controller gets a signal.
    Signal(&'static str),
    /// Where a host has its configuration and temporary files nothing can be written any more.
    FullDisk,
    /// The agent of the run on a host is killed (-9), whatever it does.
    AgentKilled,
    /// What goes over the connections of the run to a host is lost from now on, in both directions, and neither end is told. New ones work.
    Silence,
    /// A host loses its power; it gets it back when the run has ended.
    PowerOff,
}

pub(crate) const FAULTS: [(&str, Fault); 6] = [
    ("kill", Fault::Signal("-KILL")),
    ("interrupt", Fault::Signal("-INT")),
    ("full-disk", Fault::FullDisk),
    ("agent-killed", Fault::AgentKilled),
    ("silence", Fault::Silence),
    ("power-off", Fault::PowerOff),
];

/// Within this time a run ends by itself, whatever befell a host of it.
const LIMIT: Duration = Duration::from_secs(240);

/// A run, and where something happens to it.
pub(crate) struct Place<'a> {
    pub(crate) arguments: &'a [&'a str],
    /// Its step, counted from 1.
    pub(crate) step: usize,
    /// Whether a step begins with a line.
    pub(crate) is_step: fn(&str) -> bool,
    /// Which host it happens to, where it happens to one: a voter, which may lead.
    pub(crate) host: &'a str,
}

impl Fault {
    /// Runs the command, and does this to it at its step; once it has ended, all but lost connections is as before. Tells how it ended, and what it printed.
    pub(crate) fn befalls(self, rig: &Rig, place: &Place) -> (String, Ran) {
        let (hit, begin) = (Cell::new(true), Cell::new(Instant::now()));
        let (ended, end) = channel::<()>();
        let ran = rig.at_step(place.arguments, place.step, place.is_step, |process| {
            begin.set(Instant::now());
            // Who reads this wants a run that hangs to fail, not the test to hang with it.
            std::thread::spawn(move || {
                if end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                    signal("-KILL", process);
                }
            });
            hit.set(self.happens(rig, place.host, process));
        });
        drop(ended);
        let seconds = begin.get().elapsed().as_secs_f64();
        match self {
            Self::FullDisk => drop(rig.on(LOAD, FREE, "").expect(0)),
            Self::PowerOff => drop(rig.lab(&["start", place.host]).expect(0)),
            Self::Signal(_) | Self::AgentKilled | Self::Silence => {}
        }
        let cause = self.cause(&ran, place.host);
        let code = ran.code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
        let missed = if hit.get() { "" } else { ", which it missed" };
        let told = format!("{code} {seconds:.1} s after it{missed}: {}", cause.as_deref().unwrap_or("-"));
        if !matches!(self, Self::Signal(_)) {
            assert!(ran.code.is_some(), "{place:?}: it does not end by itself within {LIMIT:?}:\n{}{}", ran.out, ran.err);
            assert!(ran.code == Some(0) || cause.is_some(), "{place:?}: neither done nor the cause told:\n{}{}", ran.out, ran.err);
        }
        (told, ran)
    }

    /// Does it; false where there was nothing to do it to.
    fn happens(self, rig: &Rig, host: &str, process: u32) -> bool {
        match self {
            Self::Signal(word) => signal(word, process),
            Self::FullDisk => drop(rig.on(LOAD, FILL, "").expect(0)),
            Self::AgentKilled => return rig.said(host, KILL_AGENT) == "killed",
            Self::Silence => return rig.said(host, SILENCE) == "silent",
            Self::PowerOff => drop(rig.lab(&["kill", host]).expect(0)),
        }
        true
    }

    /// The words with which a run that failed names host and cause in the end.
    fn cause(self, ran: &Ran, host: &str) -> Option<String> {
        let (host, words): (&str, &[&str]) = match self {
            Self::Signal(_) => return None,
            Self::FullDisk => (LOAD, &["No space left on device"]),
            Self::AgentKilled => (host, &["signal KILL"]),
            Self::Silence => (host, &["no longer answers", "does not answer"]),
            Self::PowerOff => (host, &["no longer answers", "does not answer", "no connection to", "no answer", "cannot be reached"]),
        };
        let errors = last_errors(ran);
        let mut sayings = errors.iter().filter(|error| error.contains(host)).filter_map(|error| {
            let at = words.iter().find_map(|words| error.find(words))?;
            let from = error[..at].rfind(host).unwrap_or(0);
            Some(error[from..].chars().take(160).collect())
        });
        sayings.next()
    }
}

/// The errors that a person reads last: those of the last task that failed, and what the program says beside its events. Where the work was
/// the controller's, it is the words that must name a host.
fn last_errors(ran: &Ran) -> Vec<String> {
    let events: Vec<Value> = ran.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let module = |task: &Value| {
        let begun = events.iter().find(|event| event["event"] == "task_started" && event["task"] == *task);
        begun.and_then(|event| event["module"].as_str()).unwrap_or_default()
    };
    let is_controllers = |task: &Value| matches!(lookup_module(module(task)), Ok((Kind::Controller, _)));
    let is_error = |event: &&Value| {
        let ended = matches!(event["event"].as_str(), Some("host_done" | "item_done")) && event["ignored"] == false;
        ended && matches!(event["result"]["ending"].as_str(), Some("failed" | "unreachable"))
    };
    let failed: Vec<&Value> = events.iter().filter(is_error).collect();
    let last = failed.last().map(|event| &event["task"]);
    let told = failed.iter().filter(|event| Some(&event["task"]) == last).map(|event| {
        let host = event["delegate"].as_str().or_else(|| event["host"].as_str()).filter(|_| !is_controllers(&event["task"]));
        let data = &event["result"]["data"];
        let words = [&data["msg"], &data["diagnosis"], &data["stderr"]].map(|words| match words {
            Value::String(words) => words.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        });
        format!("{}: {}", host.unwrap_or_default(), words.join(" "))
    });
    told.chain(ran.err.lines().map(str::to_owned)).collect()
}

impl std::fmt::Debug for Place<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at step {} ({})", self.arguments.join(" "), self.step, self.host)
    }
}

/// Ends what a fault has left of itself on a host: connections that were silent hear each other again.
pub(crate) fn end(rig: &Rig, host: &str) {
    rig.said(host, SPEAK);
}

fn signal(word: &str, process: u32) {
    // One that has just ended needs none.
    let _ = Command::new("kill").args([word, &process.to_string()]).stderr(Stdio::null()).status();
}

/// Covers each folder with a small disk that has the same files and no room; the data and its log are PostgreSQL's own business.
const FILL: &str = "for folder in /etc/default /etc/haproxy /etc/patroni /etc/pgfleet /etc/systemd/system /tmp /usr/local/lib/pgfleet; do \
        [ -d $folder ] || continue; \
        mkdir -p /run/full$folder && mount -t tmpfs -o size=$(( $(du -sk $folder | cut -f1) + 64 ))k,mode=$(stat -c %a $folder) full /run/full$folder && \
        cp -a $folder/. /run/full$folder && { cat /dev/zero > /run/full$folder/.filler 2> /dev/null || true; } && mount --bind /run/full$folder $folder || exit 1; \
    done";
const FREE: &str = "for folder in /etc/default /etc/haproxy /etc/patroni /etc/pgfleet /etc/systemd/system /tmp /usr/local/lib/pgfleet; do \
        ! mountpoint -q /run/full$folder || { umount -l $folder; umount -l /run/full$folder; }; \
    done; systemctl daemon-reload";

/// The agents of a run, not the daemon, which is `pgfleet-agent serve`. At the first steps they may not have been started yet.
const KILL_AGENT: &str = "for i in $(seq 50); do pkill -KILL -f '[p]gfleet-agent exec' && echo killed && exit; sleep 0.1; done; echo none";

/// Drops what goes over the connections to sshd that there are, but for the one that says so.
const SILENCE: &str = "ports=$(ss -H -t -n state established sport = :22 | awk '{ sub(\".*:\", \"\", $4); print $4 }' | grep -vx \"$(echo $SSH_CONNECTION | cut -d' ' -f2)\" | paste -sd,); \
    [ -n \"$ports\" ] || { echo none; exit; }; \
    nft -f - <<END && echo silent\n\
    table inet pgfleet_sweep {\n\
      chain in { type filter hook input priority -300; tcp dport 22 tcp sport { $ports } drop; }\n\
      chain out { type filter hook output priority -300; tcp sport 22 tcp dport { $ports } drop; }\n\
    }\nEND";
const SPEAK: &str = "! nft list table inet pgfleet_sweep > /dev/null 2>&1 || nft delete table inet pgfleet_sweep";
