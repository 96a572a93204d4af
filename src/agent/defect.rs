//! What becomes of a panic. The agent is built without unwinding, which makes it a fifth smaller: so the call that a defect befell
//! fails with its words, and the program begins anew in its own place, so that the host is not lost for the rest of the run.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::panic::PanicHookInfo;
use std::process::{Command, abort};
use std::sync::Mutex;

use pgfleet_protocol::{FromAgent, Outcome, encode};

/// What a panic would befall.
pub(crate) enum Doing {
    /// No call.
    Nothing,
    /// A call: its number and its module.
    Call(u64, String),
    /// Looks at calls that were sent ahead. That those fail is told when they are done.
    Ahead,
}

static DOING: Mutex<Doing> = Mutex::new(Doing::Nothing);

/// The word after `exec` that says: the greeting is over, go on with the next call.
pub const AGAIN: &str = "--again";

/// Notes what is being done.
pub(crate) fn note(doing: Doing) {
    if let Ok(mut current) = DOING.lock() {
        *current = doing;
    }
}

/// True while a call is being done.
pub(crate) fn is_busy() -> bool {
    DOING.lock().is_ok_and(|doing| !matches!(*doing, Doing::Nothing))
}

/// From now on a panic fails the call that it befalls, and nothing more. Without a call it ends the program.
pub fn survive() {
    std::panic::set_hook(Box::new(|panic| {
        let words = words(panic);
        let doing = DOING.lock().map_or(Doing::Nothing, |mut doing| std::mem::replace(&mut *doing, Doing::Nothing));
        // Nobody is left to tell when standard error is gone too.
        let _ = writeln!(io::stderr(), "pgfleet-agent: a defect: {words}");
        let answer = match doing {
            Doing::Nothing => None,
            Doing::Call(id, module) => {
                Some(FromAgent::Done { id, outcome: Outcome::failed(format!("module '{module}' has a defect: {words}")) })
            }
            Doing::Ahead => Some(FromAgent::Ahead { outcomes: Vec::new() }),
        };
        if let Some(answer) = answer {
            let told = encode(&answer).map_err(io::Error::other);
            if told.and_then(|frame| file(io::stdout().as_fd())?.write_all(&frame)).is_ok() {
                // It comes back only when it cannot be done.
                let _ = Command::new("/proc/self/exe").args(["exec", AGAIN]).exec();
            }
        }
        abort()
    }));
}

/// A way to a standard stream that no lock and no buffer is on: what was not read stays where the program that begins anew finds it.
///
/// # Errors
/// When no more files can be open.
pub fn file(stream: BorrowedFd) -> io::Result<File> {
    Ok(stream.try_clone_to_owned()?.into())
}

fn words(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let words = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let words = words.unwrap_or("no reason given");
    panic.location().map_or_else(|| words.to_owned(), |place| format!("{words} ({}:{})", place.file(), place.line()))
}
