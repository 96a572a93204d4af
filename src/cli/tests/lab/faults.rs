//! What befalls a run at one of its steps: its controller, its agent, its connections, or a host. Each ends in bounded time, and a run that
//! goes on meanwhile says what happened and where.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgfleet_playbook::{Kind, lookup_module};
use serde_json::Value;

use crate::rig::{Ran, Rig};
use crate::running::signal;

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The controller gets a signal.
    Signal(&'static str),
    /// Where a host has its configuration and temporary files nothing can be written any more. Its data and their log are left alone: a guest
    /// of the lab has them on the disk of the machine that the lab runs on.
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

/// What came of a run that something happened to.
pub(crate) struct Befallen {
    /// How it ended, in words.
    pub(crate) told: String,
    pub(crate) ran: Ran,
    /// Why nothing happened to it, where nothing did.
    pub(crate) missed: Option<&'static str>,
}

/// How far a fault came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The run never came to its step.
    Not,
    /// There was nothing to do it to.
    Nowhere,
    /// It was made when the run had just ended.
    Late,
    /// It was made while the run went on.
    InTime,
}

impl Fault {
    /// Runs the command, and does this to it at its step; once it has ended, all but lost connections is as before. The run must end as one may
    /// that this has happened to.
    pub(crate) fn befalls(self, rig: &Rig, place: &Place) -> Befallen {
        let (made, begin) = (Cell::new(Made::Not), Cell::new(Instant::now()));
        let ran = rig.at_step(place.arguments, place.step, place.is_step, |process| {
            begin.set(Instant::now());
            made.set(match self.happens(rig, place.host, process) {
                false => Made::Nowhere,
                true if PathBuf::from(format!("/proc/{process}")).exists() => Made::InTime,
                true => Made::Late,
            });
            LIMIT
        });
        let (made, seconds) = (made.get(), begin.get().elapsed().as_secs_f64());
        match self {
            Self::FullDisk if made != Made::Not => drop(rig.on(place.host, FREE, "").expect(0)),
            Self::PowerOff if made != Made::Not => drop(rig.lab(&["start", place.host]).expect(0)),
            _ => {}
        }
        let said = || format!("{place:?}\n--- standard output\n{}\n--- standard error\n{}", ran.out, ran.err);
        assert!(ran.overdue.is_none(), "it does not end by itself within {:?}: {}", ran.overdue, said());
        let missed = self.missed(made, &ran);
        let cause = self.cause(&ran, place.host);
        let is_right = self.may_end_so(missed.is_none(), ran.code, cause.is_some());
        assert!(is_right, "not an end of a run that this happened to ({:?}, {missed:?}): {}", ran.code, said());
        let code = ran.code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
        let told = match missed {
            None => format!("{code} {seconds:.1} s after it: {}", cause.as_deref().unwrap_or("-")),
            Some(why) => format!("{code}; MISSED: {why}"),
        };
        Befallen { told, ran, missed }
    }

    /// Whether a run may end with a code: one that this happened to, or did not. `is_told` where it named host and cause.
    fn may_end_so(self, happened: bool, code: Option<i32>, is_told: bool) -> bool {
        match self {
            // Beside 'interrupted' the verdict of the module that was at work: refused, or done and not confirmed.
            Self::Signal("-INT") if happened => matches!(code, Some(99 | 6 | 8)),
            Self::Signal(_) if happened => code.is_none(),
            Self::Signal(_) => code == Some(0),
            _ => code == Some(0) || (code.is_some() && is_told),
        }
    }

    /// Why nothing has happened to a run that has ended so.
    fn missed(self, made: Made, ran: &Ran) -> Option<&'static str> {
        let late = Some("the run had just ended");
        match (made, self) {
            (Made::Not, _) => Some("the run ended before that step"),
            (Made::Nowhere, _) => Some("there was nothing on that host that it could happen to"),
            // Who was killed has no exit code, and who was interrupted says so.
            (_, Self::Signal("-KILL")) => late.filter(|_| ran.code.is_some()),
            (_, Self::Signal(_)) => late.filter(|_| ran.code != Some(99) && !ran.out.lines().any(is_interruption)),
            (Made::Late, _) => late.filter(|_| ran.code == Some(0)),
            (Made::InTime, _) => None,
        }
    }

    /// Does it; false where there was nothing to do it to.
    fn happens(self, rig: &Rig, host: &str, process: u32) -> bool {
        match self {
            Self::Signal(word) => signal(word, process),
            Self::FullDisk => drop(rig.on(host, FILL, "").expect(0)),
            Self::AgentKilled => return rig.said(host, KILL_AGENT) == "killed",
            Self::Silence => return rig.said(host, SILENCE) == "silent",
            Self::PowerOff => drop(rig.lab(&["kill", host]).expect(0)),
        }
        true
    }

    /// The words with which a run that failed names host and cause in the end.
    fn cause(self, ran: &Ran, host: &str) -> Option<String> {
        let words: &[&str] = match self {
            Self::Signal(_) => return None,
            Self::FullDisk => &["No space left on device"],
            Self::AgentKilled => &["signal KILL"],
            Self::Silence => &["no longer answers", "does not answer"],
            Self::PowerOff => &["no longer answers", "does not answer", "no connection to", "no answer", "cannot be reached"],
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
pub(crate) fn last_errors(ran: &Ran) -> Vec<String> {
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

/// With this event a run says that somebody has interrupted it.
fn is_interruption(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|event| event["event"] == "interrupted")
}

/// Covers each folder with a small disk that has the same files and no room; the data and its log are PostgreSQL's own business.
const FILL: &str = "for folder in /etc/default /etc/haproxy /etc/patroni /etc/pgfleet /etc/systemd/system /tmp /usr/local/lib/pgfleet; do \
        [ -d $folder ] || continue; \
        mkdir -p /run/full$folder && mount -t tmpfs -o size=$(( $(du -sk $folder | cut -f1) + 64 ))k,mode=$(stat -c %a $folder) full /run/full$folder && \
        cp -a $folder/. /run/full$folder && { cat /dev/zero > /run/full$folder/.filler 2> /dev/null || true; } && mount --bind /run/full$folder $folder || exit 1; \
    done; touch /run/full.begun";
/// Takes the small disks away; what could be changed on them all the same, or was removed, stays so, but for temporary files.
const FREE: &str = "for folder in /etc/default /etc/haproxy /etc/patroni /etc/pgfleet /etc/systemd/system /tmp /usr/local/lib/pgfleet; do \
        mountpoint -q /run/full$folder || continue; \
        rm -f /run/full$folder/.filler; umount -l $folder || exit 1; \
        [ $folder = /tmp ] || { cd /run/full$folder && \
            find $folder -mindepth 1 -depth -printf '%P\\n' | while IFS= read -r path; do [ -e \"$path\" ] || [ -L \"$path\" ] || rm -rf \"$folder/$path\"; done && \
            find . -mindepth 1 ! -type d -cnewer /run/full.begun -exec cp -a --parents --remove-destination {} $folder/ \\; && cd /; } || exit 1; \
        umount -l /run/full$folder; \
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

#[cfg(test)]
mod tests {
    use super::{Fault, Made};
    use crate::rig::Ran;

    const KILL: Fault = Fault::Signal("-KILL");
    const INTERRUPT: Fault = Fault::Signal("-INT");

    #[test]
    fn what_did_not_happen_is_missed() {
        let ended = |code, out: &str| Ran { code, out: out.to_owned(), err: String::new(), overdue: None };
        let (told, quiet) = ("{\"event\":\"interrupted\"}\n", "{\"event\":\"finished\",\"name\":\"interrupted\"}\n");
        for (fault, made, ran, is_missed) in [
            (KILL, Made::Not, ended(Some(0), ""), true),
            (Fault::AgentKilled, Made::Nowhere, ended(Some(0), ""), true),
            (KILL, Made::Late, ended(Some(0), ""), true),
            (KILL, Made::Late, ended(None, ""), false),
            (INTERRUPT, Made::InTime, ended(Some(0), quiet), true),
            (INTERRUPT, Made::Late, ended(Some(99), told), false),
            (INTERRUPT, Made::InTime, ended(Some(8), told), false),
            (Fault::PowerOff, Made::Late, ended(Some(0), ""), true),
            (Fault::PowerOff, Made::Late, ended(Some(4), ""), false),
            (Fault::FullDisk, Made::InTime, ended(Some(0), ""), false),
        ] {
            assert_eq!(fault.missed(made, &ran).is_some(), is_missed, "{fault:?} {:?}", ran.code);
        }
    }

    #[test]
    fn an_interrupted_run_ends_by_itself_and_says_so() {
        for (fault, happened, code, is_told, may) in [
            (INTERRUPT, true, Some(99), false, true),
            (INTERRUPT, true, Some(8), false, true),
            (INTERRUPT, true, Some(0), false, false),
            (INTERRUPT, true, Some(2), true, false),
            (INTERRUPT, true, None, false, false),
            (INTERRUPT, false, Some(0), false, true),
            (INTERRUPT, false, Some(2), false, false),
            (KILL, true, None, false, true),
            (KILL, false, Some(4), true, false),
            (Fault::Silence, true, Some(4), true, true),
            (Fault::Silence, true, Some(4), false, false),
            (Fault::Silence, true, None, true, false),
            (Fault::AgentKilled, false, Some(2), false, false),
        ] {
            assert_eq!(fault.may_end_so(happened, code, is_told), may, "{fault:?} {happened} {code:?} {is_told}");
        }
    }
}
