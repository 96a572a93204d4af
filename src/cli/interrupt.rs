//! Ctrl-C: once, the running tasks end and what was done is told; twice, everything stops now. SIGTERM is the same, the end of the terminal
//! asks once.

use std::future::Future;
use std::io;

use pgfleet_engine::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::screen;

/// What asks this program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C, or SIGTERM.
    ToEnd,
    /// The terminal is gone. One that is closed may say so more than once, so a second time means nothing.
    HungUp,
}

/// Listens for being asked to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Begins. From now on these signals do nothing else.
    pub(crate) fn listen() -> io::Result<Self> {
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::ToEnd,
            asked = outside(&mut self.terminate, self.hangup.as_mut()) => asked,
        }
    }

    /// Waits for the next, where Ctrl-C is somebody else's.
    pub(crate) async fn next_but_interrupt(&mut self) -> Asked {
        outside(&mut self.terminate, self.hangup.as_mut()).await
    }
}

async fn outside(terminate: &mut Signal, hangup: Option<&mut Signal>) -> Asked {
    let hung_up = async {
        match hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => Asked::ToEnd,
        _ = hung_up => Asked::HungUp,
    }
}

/// True where whoever began this program (`nohup`) wants it to outlive the terminal.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit a signal, from the first.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Runs a workflow to its end, or to the second Ctrl-C; `None` then.
pub(crate) async fn until_done<T>(work: impl Future<Output = T>, stop: &Stop) -> Option<T> {
    let Ok(mut signals) = Signals::listen() else { return Some(work.await) };
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            asked = signals.next() => {
                if !stop.is_asked() {
                    stop.ask();
                    screen::note("\ninterrupted: the running tasks end first; once more stops now");
                } else if asked == Asked::ToEnd {
                    screen::note("\nstopped now; tasks that were running may be half done. Run the same command again to finish.");
                    return None;
                }
            }
        }
    }
}
