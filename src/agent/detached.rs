//! Calls that nobody waits for. Each is done by a process of its own, which outlives the conversation and leaves what came of it
//! in a file; `async_status` reads that.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgfleet_protocol::{Detached, Outcome, Request};
use rustix::process::{Pid, Signal, getpid, kill_process, setsid};
use serde::{Deserialize, Serialize};

use crate::module::{Channel, Context, Failure, WithContext};
use crate::paths;
use crate::run::run;
use crate::system::{Linux, Permissions, System};

/// The word of the command line under which the program does such a call.
pub const WORD: &str = "job";

/// The folder of the files, unless the environment names another one.
const FOLDER: &str = "~/.ansible_async";

/// What the file of a job holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What came of it, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
}

/// Where the files of jobs are, for the user that the agent acts as.
pub(crate) fn folder(system: &dyn System, environment: &[(String, String)]) -> Result<PathBuf, Failure> {
    const NAME: &str = "ANSIBLE_ASYNC_DIR";
    let given = environment.iter().find(|(name, _)| name == NAME).map(|(_, value)| value.clone());
    let given = given.or_else(|| system.variable(NAME)).filter(|folder| !folder.is_empty());
    paths::expand(system, given.as_deref().unwrap_or(FOLDER))
}

/// Starts a call and answers at once.
pub(crate) fn start(request: &Request, detached: &Detached, system: &dyn System) -> Outcome {
    begun(request, detached, system).unwrap_or_else(Outcome::from)
}

fn begun(request: &Request, detached: &Detached, system: &dyn System) -> Result<Outcome, Failure> {
    let folder = folder(system, &request.environment)?;
    let making = format!("cannot make {}", folder.display());
    system.make_dirs(&folder).context(&making)?;
    system.chmod(&folder, 0o700).context(&making)?;
    let path = folder.join(&detached.job);
    write(system, &path, &Job::default())?;
    let bytes = serde_json::to_vec(request).map_err(|error| Failure::new(error.to_string()))?;
    if let Err(error) = system.start_detached(&[WORD], &bytes) {
        system.remove_file(&path).context("the job cannot be started, and its file not be removed")?;
        return Err(Failure::new(format!("the job cannot be started: {error}")));
    }
    let outcome = Outcome::changed().with("ansible_job_id", detached.job.as_str()).with("results_file", path.to_string_lossy());
    Ok(outcome.with("started", true).with("finished", false))
}

fn write(system: &dyn System, path: &Path, job: &Job) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(job).map_err(|error| Failure::new(error.to_string()))?;
    let permissions = Permissions { mode: Some(0o600), ..Permissions::default() };
    system.write_file_atomically(path, &bytes, &permissions).context(format!("cannot write {}", path.display()))
}

/// Does the call that stands on the input, within its limit.
///
/// # Errors
/// When the call cannot be read, or what came of it not be written.
pub fn job(mut input: impl Read) -> io::Result<()> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let request: Request = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    let Some(detached) = request.detached.clone() else { return Err(io::Error::other("this call is not for a job")) };
    // The end of the connection, and of its terminal, is none of its business.
    setsid()?;
    let path = folder(&Linux, &request.environment).map_err(io::Error::other)?.join(&detached.job);
    let written = Arc::new(Mutex::new(false));
    watch(detached.limit, path.clone(), written.clone())?;
    let context = Context {
        system: &Linux,
        mode: request.mode,
        diff: request.diff,
        brief: request.brief,
        environment: &request.environment,
        channel: &NoChannel,
    };
    let outcome = run(&request.module, &request.arguments, &context);
    let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
    if !*written {
        write(&Linux, &path, &Job { outcome: Some(outcome) }).map_err(io::Error::other)?;
        *written = true;
    }
    Ok(())
}

/// Ends the job, and everything that it has started, when its time is over.
fn watch(limit: u64, path: PathBuf, written: Arc<Mutex<bool>>) -> io::Result<()> {
    let over = move || {
        std::thread::sleep(Duration::from_secs(limit));
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written {
            return;
        }
        *written = true;
        let outcome = Outcome::failed("Timeout exceeded").with("child_pid", getpid().as_raw_nonzero().get());
        // Without its file the job looks as if it went on; there is nobody to tell.
        let _ = write(&Linux, &path, &Job { outcome: Some(outcome) });
        end_session();
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(over).map(drop)
}

/// Kills the processes of this session, this one last.
fn end_session() {
    let own = session_of("self");
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        if pid != getpid() && own.is_some() && session_of(&name.to_string_lossy()) == own {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    // Nothing comes after this.
    let _ = kill_process(getpid(), Signal::KILL);
}

/// The session of a process, the fourth word after its name; 0 where its session is outside of this container, as no call of
/// rustix may say.
fn session_of(process: &str) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok().filter(|session| *session != 0)
}

/// A job has no controller to send content to or to ask for it.
struct NoChannel;

impl Channel for NoChannel {
    fn receive(&self, _: &mut dyn io::Write) -> io::Result<u64> {
        Err(io::Error::other("a task that runs detached has no content from the controller"))
    }

    fn send(&self, _: &mut dyn Read) -> io::Result<u64> {
        Err(io::Error::other("a task that runs detached sends no content to the controller"))
    }
}
