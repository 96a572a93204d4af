//! `lease`: a cluster is one run's at a time, from whichever controller.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pgfleet_protocol::modules::cluster::{Lease, LeaseState};
use pgfleet_protocol::{Map, Outcome};
use serde_json::Value;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::{Holding, Program, System, ancestry};

/// How long the end of somebody's lease is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn plan(arguments: &Lease, context: &Context) -> Planned {
    let path = path_of(&arguments.name)?;
    let holder = arguments.holder.clone().unwrap_or_default();
    match arguments.state {
        LeaseState::Told => told(&path, context.system).map(Plan::Done),
        // Nothing on the host is other than before: it is a word between runs.
        LeaseState::Held => {
            let (limit, again) = (Duration::from_secs(arguments.limit), arguments.again);
            Ok(Plan::change(Outcome::unchanged(), move |context, outcome| {
                hold(&path, holder, limit, again, context.system).map(|()| outcome)
            }))
        }
        LeaseState::Released => Ok(Plan::change(Outcome::unchanged(), move |context, outcome| {
            context.system.release_lease(&path);
            Ok(outcome)
        })),
        LeaseState::Ended if !is_leased(&path, context.system)? => Ok(Plan::Done(Outcome::unchanged())),
        LeaseState::Ended => {
            let record = record(&path, context.system);
            Ok(Plan::change(tell(Outcome::changed(), record.clone(), context.system), move |context, outcome| {
                end(&path, &record, &holder, context.system).map(|()| outcome)
            }))
        }
    }
}

/// In a folder that a reboot empties.
fn path_of(name: &str) -> Result<PathBuf, Failure> {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "_-.".contains(sign);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(Failure::new(format!("'{name}' is no name of a cluster: letters, digits, '_', '-' and '.' are")));
    }
    Ok(PathBuf::from(format!("/run/pgfleet-{name}.lease")))
}

fn is_leased(path: &Path, system: &dyn System) -> Result<bool, Failure> {
    system.is_leased(path).context(format!("cannot look at {}", path.display()))
}

/// What the last that took it wrote of himself.
fn record(path: &Path, system: &dyn System) -> Map {
    system.read_file(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn told(path: &Path, system: &dyn System) -> Result<Outcome, Failure> {
    if is_leased(path, system)? { Ok(tell(Outcome::unchanged(), record(path, system), system)) } else { Ok(Outcome::unchanged()) }
}

fn seconds(system: &dyn System) -> u64 {
    system.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An outcome with the holder, and for how many seconds he has had it.
fn tell(outcome: Outcome, record: Map, system: &dyn System) -> Outcome {
    let since = record.get("since").and_then(Value::as_u64);
    let outcome = outcome.with("holder", record);
    since.map_or(outcome.clone(), |since| outcome.with("age", seconds(system).saturating_sub(since)))
}

fn hold(path: &Path, holder: Map, limit: Duration, again: bool, system: &dyn System) -> Result<(), Failure> {
    let before = record(path, system);
    let token = holder.get("token").cloned();
    let mut own = holder;
    own.insert("since".to_owned(), seconds(system).into());
    own.insert("agent".to_owned(), std::process::id().into());
    let bytes = serde_json::to_vec(&own).map_err(|error| Failure::new(error.to_string()))?;
    // Had by somebody else since, it is lost, though nobody may have it now.
    let is_lost = again && before.get("token").is_some() && before.get("token") != token.as_ref();
    let holding = if is_lost {
        Holding::Others
    } else {
        system.hold_lease(path, &bytes, limit).context(format!("cannot lock {}", path.display()))?
    };
    let has = record(path, system);
    // Another conversation of the same run has it for both.
    if holding != Holding::Others || (again && has.get("token") == token.as_ref()) {
        return Ok(());
    }
    let who = has.get("who").and_then(Value::as_str).unwrap_or("another run");
    let failure = Failure::new(if again { format!("this run has lost the cluster to {who}") } else { format!("{who} has the cluster") });
    let told = tell(Outcome::unchanged(), has.clone(), system);
    Err(told.data.into_iter().fold(failure, |failure, (name, value)| failure.with(&name, value)))
}

/// Ends the connection over which the lease came, with all that goes on over it.
fn end(path: &Path, record: &Map, by: &Map, system: &dyn System) -> Result<(), Failure> {
    let agent = record.get("agent").and_then(Value::as_u64).and_then(|agent| u32::try_from(agent).ok());
    let agent = agent.filter(|agent| is_agent(*agent, system)).ok_or_else(|| {
        Failure::new(format!("{} is locked by a process that is no agent of pgfleet; 'fuser {0}' names it", path.display()))
    })?;
    let server = ancestry::server_of(system, agent);
    for process in server.into_iter().chain([agent]) {
        // One that has just ended by itself is as good.
        system.run(&Program::new(["kill", "-KILL", &process.to_string()])).context("cannot run kill")?;
    }
    let word = |map: &Map, name: &str| map.get(name).and_then(Value::as_str).unwrap_or("somebody").to_owned();
    let said = format!("the lease of {} was ended by {}", word(record, "who"), word(by, "who"));
    // A host without it keeps no such journal; the controller's has it too.
    let _ = system.run(&Program::new(["logger", "-t", "pgfleet", "--", &said]));
    let begin = system.now();
    while is_leased(path, system)? {
        if system.now().duration_since(begin).is_ok_and(|passed| passed > PATIENCE) {
            return Err(Failure::new(format!("{} is still locked {} s after its holder was ended", path.display(), PATIENCE.as_secs())));
        }
        system.sleep(LOOK);
    }
    // Should whoever had it wake up, he finds that it went through other hands.
    let bytes = serde_json::to_vec(by).map_err(|error| Failure::new(error.to_string()))?;
    system.hold_lease(path, &bytes, PATIENCE).context(format!("cannot lock {}", path.display()))?;
    system.release_lease(path);
    Ok(())
}

fn is_agent(process: u32, system: &dyn System) -> bool {
    let program = system.read_link(Path::new(&format!("/proc/{process}/exe")));
    program.is_ok_and(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgfleet-agent")))
}
