//! One parser in a process of its own, and the process that watches it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::inputs::Inputs;
use crate::targets::Target;

pub(crate) const TARGET_OF_WORKER: &str = "PGFLEET_HOSTILE_WORKER";
const FROM: &str = "PGFLEET_HOSTILE_FROM";
const PROGRESS: &str = "PGFLEET_HOSTILE_PROGRESS";
const ROUNDS: &str = "PGFLEET_HOSTILE_ROUNDS";
const MILLISECONDS: &str = "PGFLEET_HOSTILE_MILLISECONDS";
/// Address space of the worker beyond what it begins with, in bytes.
const MEMORY: u64 = 768 * 1024 * 1024;
/// The stack of a worker of the runtime that does such work in earnest.
const STACK: usize = 2 * 1024 * 1024;
/// No single input may take longer, on a busy machine and without optimisation.
const SLOWEST: Duration = Duration::from_secs(60);
const HANGS: i32 = 86;

/// How much is tried: no more than either, but the corpus in any case.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) time: Duration,
    pub(crate) rounds: u64,
}

/// What went wrong with which input.
pub(crate) struct Failure {
    pub(crate) round: u64,
    pub(crate) reason: String,
    pub(crate) said: String,
}

/// Runs a worker and says how it ended.
pub(crate) fn watch(name: &str, seed: u64, from: u64, budget: Budget) -> Result<(), Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let (progress, words) = (folder.path().join("progress"), folder.path().join("words"));
    fs::write(&progress, 0_u64.to_le_bytes()).expect("writes");
    let said = File::create(&words).expect("a file");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "worker", "--ignored", "--nocapture"])
        .env(TARGET_OF_WORKER, name)
        .env(FROM, from.to_string())
        .env(ROUNDS, budget.rounds.to_string())
        .env_remove("RUST_BACKTRACE")
        .env(PROGRESS, &progress)
        .env(MILLISECONDS, budget.time.as_millis().to_string())
        .env("PGFLEET_HOSTILE_SEED", seed.to_string())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::from(said.try_clone().expect("a second handle")))
        .stderr(Stdio::from(said))
        .spawn()
        .expect("starts");
    let reason = ending(&mut child);
    let Some(reason) = reason else { return Ok(()) };
    let text = fs::read_to_string(&words).unwrap_or_default();
    let said = text.lines().filter(|line| !line.trim().is_empty()).rev().take(12).collect::<Vec<_>>().join(" / ");
    Err(Failure { round: last_round(&progress), reason, said })
}

fn ending(child: &mut Child) -> Option<String> {
    let status = child.wait().expect("ends");
    match status.code() {
        Some(0) => None,
        Some(HANGS) => Some(format!("took longer than {} s", SLOWEST.as_secs())),
        _ => Some(format!("panicked, ran out of its memory or out of its stack ({status})")),
    }
}

fn last_round(progress: &Path) -> u64 {
    let mut bytes = [0; 8];
    let read = File::open(progress).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_or(0, |()| u64::from_le_bytes(bytes))
}

/// Tries inputs until the time is over; ends the process when one of them is bad.
pub(crate) fn work(inputs: &Inputs, target: Target) {
    let variable = |name: &str| std::env::var(name).expect("set by the watching process");
    let progress = fs::OpenOptions::new().write(true).open(variable(PROGRESS)).expect("there");
    let time = Duration::from_millis(variable(MILLISECONDS).parse().expect("a number"));
    let only: Option<u64> = std::env::var("PGFLEET_HOSTILE_ROUND").ok().map(|text| text.parse().expect("a number"));
    let from: u64 = variable(FROM).parse().expect("a number");
    let rounds_at_most: u64 = variable(ROUNDS).parse().expect("a number");
    limit_memory();
    let clock = Arc::new(AtomicU64::new(0));
    watch_the_clock(&clock);
    let begin = Instant::now();
    let attempt = || {
        std::thread::scope(|scope| {
            let trying = || {
                let mut round = only.unwrap_or(from);
                // What the corpus holds is tried in any case.
                while round < inputs.given() || (round < rounds_at_most && begin.elapsed() < time) {
                    progress.write_all_at(&round.to_le_bytes(), 0).expect("writes");
                    clock.fetch_add(1, Ordering::Relaxed);
                    target(&inputs.input(round));
                    round += 1;
                    if only.is_some() {
                        break;
                    }
                }
                round
            };
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, trying).expect("a thread");
            thread.join().map_err(|_| "panicked")
        })
    };
    let rounds = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or(Err("panicked")).unwrap_or_else(|reason| panic!("{reason}"));
    assert!(rounds > 0, "nothing was tried");
}

fn limit_memory() {
    let used: u64 = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()))
        .map_or(0, |pages| pages * 4096);
    let old = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(used + MEMORY), maximum: old.maximum }).expect("a limit");
    // A core of such an end is of no use.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit");
}

/// Ends the process when one input takes too long.
#[expect(clippy::disallowed_methods, reason = "a thread that hangs can be ended in no other way")]
fn watch_the_clock(clock: &Arc<AtomicU64>) {
    let clock = Arc::clone(clock);
    std::thread::spawn(move || {
        let (mut last, mut since) = (clock.load(Ordering::Relaxed), Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = clock.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > SLOWEST {
                std::process::exit(HANGS);
            }
        }
    });
}
