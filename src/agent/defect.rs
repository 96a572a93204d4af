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

/// The call that is being done: its number and its module.
static CALL: Mutex<Option<(u64, String)>> = Mutex::new(None);

/// The word after `exec` that says: the greeting is over, go on with the next call.
pub const AGAIN: &str = "--again";

/// Notes which call is being done.
pub(crate) fn note(call: Option<(u64, String)>) {
    if let Ok(mut current) = CALL.lock() {
        *current = call;
    }
}

/// From now on a panic fails the call that it befalls, and nothing more. Without a call it ends the program.
pub fn survive() {
    std::panic::set_hook(Box::new(|panic| {
        let words = words(panic);
        let call = CALL.lock().ok().and_then(|mut call| call.take());
        // Nobody is left to tell when standard error is gone too.
        let _ = writeln!(io::stderr(), "pgfleet-agent: a defect: {words}");
        if let Some((id, module)) = call {
            let outcome = Outcome::failed(format!("module '{module}' has a defect: {words}"));
            let told = encode(&FromAgent::Done { id, outcome }).map_err(io::Error::other);
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
