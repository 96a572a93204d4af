//! Ctrl-C: once, the running tasks end and what was done is told; twice, everything stops now.

use std::future::Future;

use pgfleet_engine::Stop;

use crate::screen;

/// Runs a workflow to its end, or to the second Ctrl-C; `None` then.
pub(crate) async fn until_done<T>(work: impl Future<Output = T>, stop: &Stop) -> Option<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            signal = signalled() => {
                if signal.is_err() {
                    return Some(work.await);
                }
                if stop.is_asked() {
                    screen::note("\nstopped now; tasks that were running may be half done. Run the same command again to finish.");
                    return None;
                }
                stop.ask();
                screen::note("\ninterrupted: the running tasks end first; once more stops now");
            }
        }
    }
}

/// Waits for Ctrl-C, or for being asked to terminate.
pub(crate) async fn signalled() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
