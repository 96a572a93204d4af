//! Leases: files that a process keeps locked for its controller. The kernel ends the lock with the process, whatever ends that.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::{Holding, Linux, ancestry};
use crate::defect;

/// How long the watch may be late.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A lock that is held.
struct Held {
    _file: File,
    /// When the controller last spoke, or a call of its ended.
    heard: Instant,
    limit: Duration,
}

static HELD: Mutex<BTreeMap<PathBuf, Held>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn hold(path: &Path, record: &[u8], limit: Duration) -> io::Result<Holding> {
    let mut leases = held();
    if let Some(lease) = leases.get_mut(path) {
        (lease.heard, lease.limit) = (Instant::now(), limit);
        return Ok(Holding::Kept);
    }
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => return Ok(Holding::Others),
        Err(error) => return Err(error.into()),
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(record)?;
    let first = leases.is_empty();
    leases.insert(path.to_owned(), Held { _file: file, heard: Instant::now(), limit });
    if first {
        std::thread::Builder::new().name("lease".to_owned()).spawn(watch)?;
    }
    Ok(Holding::Taken)
}

pub(super) fn release(path: &Path) {
    held().remove(path);
}

pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    if held().contains_key(path) {
        return Ok(true);
    }
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Gives all leases up once the controller is gone, also while a call of its is still being done; and cuts off one that has been silent
/// for too long: should it wake up, it can do no more over this connection.
fn watch() {
    loop {
        let stdin = io::stdin();
        // Only its end is waited for: what there is to read is the conversation's.
        let mut watched = [PollFd::new(&stdin, PollFlags::empty())];
        let asked = poll(&mut watched, Some(&LOOK));
        let is_gone = asked.is_ok() && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        let mut leases = held();
        if is_gone {
            leases.clear();
        }
        if leases.is_empty() {
            return;
        }
        let busy = defect::is_busy();
        for lease in leases.values_mut() {
            if busy {
                lease.heard = Instant::now();
            } else if lease.heard.elapsed() > lease.limit {
                cut_off();
            }
        }
    }
}

/// Ends the connection that this process serves, and this process.
#[expect(clippy::disallowed_methods, reason = "the thread that waits for the controller cannot be woken otherwise")]
fn cut_off() -> ! {
    let session = ancestry::server_of(&Linux, std::process::id()).and_then(|process| Pid::from_raw(i32::try_from(process).ok()?));
    if let Some(session) = session {
        // Without it the process alone ends, and with it the lease.
        let _ = kill_process(session, Signal::TERM);
    }
    std::process::exit(1)
}
