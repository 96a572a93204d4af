//! `wait_for`: a port, a path or a text; when it does not come, why.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use fancy_regex::Regex;
use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::network::{WaitFor, WaitState};
use serde_json::json;

use crate::attributes::with_path_info;
use crate::module::{Context, Failure, Plan, Planned, reason};
use crate::python_regex;
use crate::tcp_table;

/// The longest pause between two looks: what is waited for is mostly a matter of fractions of a second.
const PAUSE: Duration = Duration::from_millis(100);
/// As much as is read from a port while looking for a text.
const MOST: usize = 1 << 20;

pub(crate) fn plan(arguments: &WaitFor, context: &Context) -> Planned {
    let check = Check::new(arguments, context)?;
    if context.mode.is_check() {
        // What an earlier task would have started is not there yet.
        return Ok(Plan::Done(Outcome::skipped("remote module (wait_for) does not wait in check mode")));
    }
    let start = context.system.now();
    let elapsed = || context.system.now().duration_since(start).unwrap_or_default();
    if arguments.delay > 0 {
        context.system.sleep(Duration::from_secs(arguments.delay));
    }
    let limit = Duration::from_secs(arguments.timeout);
    if arguments.port.is_none() && arguments.path.is_none() && arguments.state != WaitState::Drained {
        context.system.sleep(limit);
        return Ok(Plan::Done(told(arguments, elapsed(), None)));
    }
    let mut pause = Duration::from_millis(5);
    let mut last = String::new();
    loop {
        match check.look(context) {
            Look::There(found) => {
                let outcome = told(arguments, elapsed(), found);
                let path = arguments.path.as_ref().map(|path| Path::new(path.as_str())).filter(|path| context.system.exists(path));
                return Ok(Plan::Done(path.map_or(outcome.clone(), |path| with_path_info(outcome, context, path))));
            }
            Look::NotYet(why) => last = if why.is_empty() { last } else { why },
        }
        let left = limit.saturating_sub(elapsed());
        if left.is_zero() {
            return Err(timed_out(arguments, context, elapsed(), &last));
        }
        context.system.sleep(pause.min(left));
        pause = (pause * 2).min(PAUSE);
    }
}

/// Ansible's results.
fn told(wish: &WaitFor, elapsed: Duration, found: Option<Found>) -> Outcome {
    let found = found.unwrap_or_default();
    Outcome::unchanged()
        .with("elapsed", elapsed.as_secs())
        .with("state", wish.state.word())
        .with("port", json!(wish.port))
        .with("path", json!(wish.path.as_ref().map(|path| path.as_str())))
        .with("search_regex", json!(wish.search_regex))
        .with("match_groups", json!(found.groups))
        .with("match_groupdict", json!(found.named))
}

/// The groups of a match.
#[derive(Default)]
struct Found {
    groups: Vec<Option<String>>,
    named: pgfleet_protocol::Map,
}

enum Look {
    There(Option<Found>),
    NotYet(String),
}

struct Check<'a> {
    wish: &'a WaitFor,
    pattern: Option<Regex>,
    excluded: Vec<IpAddr>,
    states: Vec<u8>,
}

impl<'a> Check<'a> {
    fn new(wish: &'a WaitFor, context: &Context) -> Result<Self, Failure> {
        if wish.state == WaitState::Drained && wish.port.is_none() {
            return Err(Failure::new("state=drained should only be used for checking a port"));
        }
        if wish.path.is_some() && wish.state == WaitState::Stopped {
            return Err(Failure::new("state=stopped should only be used for checking a port in the wait_for module"));
        }
        if !wish.exclude_hosts.is_empty() && wish.state != WaitState::Drained {
            return Err(Failure::new("exclude_hosts should only be with state=drained"));
        }
        // Ansible looks with Python's MULTILINE.
        let pattern = wish.search_regex.as_ref().map(|text| python_regex::compile(text, true, false));
        let states = wish.active_connection_states.iter().map(|name| {
            tcp_table::state_number(name).ok_or_else(|| Failure::new(format!("unknown active_connection_state ({name}) to check")))
        });
        let excluded = wish.exclude_hosts.iter().flat_map(|host| context.system.resolve(host).unwrap_or_default()).collect();
        Ok(Self { wish, pattern: pattern.transpose()?, excluded, states: states.collect::<Result<_, _>>()? })
    }

    fn look(&self, context: &Context) -> Look {
        match (&self.wish.path, self.wish.port, self.wish.state) {
            (Some(path), _, WaitState::Absent) => match context.system.lstat(path.as_ref()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Look::There(None),
                _ => Look::NotYet(String::new()),
            },
            (Some(path), _, _) => self.look_at_path(context, path.as_ref()),
            (_, Some(port), WaitState::Drained) => self.look_at_connections(context, port),
            (_, Some(port), WaitState::Stopped | WaitState::Absent) => match self.connect(context, port) {
                Ok(_) => Look::NotYet(String::new()),
                Err(_) => Look::There(None),
            },
            (_, Some(port), _) => self.look_at_port(context, port),
            (None, None, _) => Look::There(None),
        }
    }

    fn search(&self, bytes: &[u8]) -> Option<Found> {
        let pattern = self.pattern.as_ref()?;
        let text = String::from_utf8_lossy(bytes);
        let captures = pattern.captures(text.as_ref()).ok()??;
        let group = |at: usize| captures.get(at).map(|group| group.as_str().to_owned());
        let named = pattern.capture_names().flatten().map(|name| (name.to_owned(), json!(captures.name(name).map(|group| group.as_str()))));
        Some(Found { groups: (1..captures.len()).map(group).collect(), named: named.collect() })
    }

    fn look_at_path(&self, context: &Context, path: &Path) -> Look {
        if self.pattern.is_none() {
            return match context.system.stat(path) {
                Ok(_) => Look::There(None),
                Err(error) => Look::NotYet(reason(&error)),
            };
        }
        match context.system.read_file(path) {
            Ok(bytes) => self.search(&bytes).map_or(Look::NotYet(String::new()), |found| Look::There(Some(found))),
            Err(error) => Look::NotYet(reason(&error)),
        }
    }

    fn connect(&self, context: &Context, port: u16) -> io::Result<Box<dyn crate::system::Connection>> {
        context.system.connect(&self.wish.host, port, Duration::from_secs(self.wish.connect_timeout.max(1)))
    }

    fn look_at_port(&self, context: &Context, port: u16) -> Look {
        let mut connection = match self.connect(context, port) {
            Ok(connection) => connection,
            Err(error) => return Look::NotYet(reason(&error)),
        };
        if self.pattern.is_none() {
            return Look::There(None);
        }
        let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
        loop {
            match connection.read(&mut buffer) {
                Ok(count) if count > 0 && seen.len() < MOST => {
                    seen.extend_from_slice(&buffer[..count]);
                    if let Some(found) = self.search(&seen) {
                        return Look::There(Some(found));
                    }
                }
                _ => return Look::NotYet("the port answers, but not with the text that was looked for".to_owned()),
            }
        }
    }

    fn look_at_connections(&self, context: &Context, port: u16) -> Look {
        let own = context.system.resolve(&self.wish.host).unwrap_or_default();
        let is_any = own.iter().any(IpAddr::is_unspecified);
        let open = tcp_table::sockets(context.system).into_iter().filter(|socket| {
            socket.local.1 == port
                && self.states.contains(&socket.state)
                && !self.excluded.contains(&socket.remote.0)
                && (is_any || own.contains(&socket.local.0))
        });
        match open.count() {
            0 => Look::There(None),
            count => Look::NotYet(format!("{count} connections are open")),
        }
    }
}

/// Ansible's sentence; beside it, since playbooks compare the sentence, the cause as far as this host knows it.
fn timed_out(wish: &WaitFor, context: &Context, elapsed: Duration, last: &str) -> Failure {
    let what = match (&wish.path, wish.port, wish.state, &wish.search_regex) {
        (Some(path), _, WaitState::Absent, _) => format!("{path} to be absent."),
        (Some(path), _, _, Some(text)) => format!("search string {text} in {path}"),
        (Some(path), _, _, None) => format!("file {path}"),
        (_, Some(port), WaitState::Drained, _) => format!("{}:{port} to drain", wish.host),
        (_, Some(port), WaitState::Stopped | WaitState::Absent, _) => format!("{}:{port} to stop.", wish.host),
        (_, Some(port), _, Some(text)) => format!("search string {text} in {}:{port}", wish.host),
        (_, Some(port), _, None) => format!("{}:{port}", wish.host),
        (None, None, ..) => String::new(),
    };
    let message = wish.msg.clone().unwrap_or_else(|| format!("Timeout when waiting for {what}"));
    let failure = Failure::new(message).with("elapsed", elapsed.as_secs());
    let lines = diagnose(wish, context, last);
    if lines.is_empty() { failure } else { failure.with("diagnosis", lines) }
}

fn diagnose(wish: &WaitFor, context: &Context, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if !last.is_empty() {
        lines.push(format!("the last look: {last}"));
    }
    let is_local = is_own(context, &wish.host);
    if let Some(port) = wish.port.filter(|_| is_local) {
        let holders = tcp_table::listeners(context.system, port);
        if holders.is_empty() {
            lines.push(format!("nobody listens on port {port} of this host"));
        } else {
            let holders: Vec<_> = holders.iter().map(|holder| format!("{holder} on {}", holder.address)).collect();
            lines.push(format!("port {port} of this host is held by {}", holders.join(", ")));
        }
    }
    if is_local {
        lines.extend(full_disks(context));
    }
    lines
}

/// True when the address is one of this host's own.
fn is_own(context: &Context, host: &str) -> bool {
    let own = context.system.interface_addresses().unwrap_or_default();
    let addresses = context.system.resolve(host).unwrap_or_default();
    addresses.iter().any(|address| address.is_loopback() || address.is_unspecified() || own.iter().any(|known| known.address == *address))
}

/// File systems that services write to and that have no room.
fn full_disks(context: &Context) -> Vec<String> {
    ["/", "/var", "/var/lib", "/tmp"]
        .iter()
        .filter_map(|path| context.system.disk_space(Path::new(path)).ok().map(|space| (path, space)))
        .filter(|(_, space)| space.blocks > 0 && (space.blocks_available == 0 || (space.inodes > 0 && space.inodes_available == 0)))
        .map(|(path, _)| format!("the file system of {path} is full"))
        .collect()
}
