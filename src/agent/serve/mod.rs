//! The daemon: watches the node between runs.

use std::io;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(_arguments: &[String]) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the daemon is not built yet"))
}

/// Asks the running daemon and prints its answer.
///
/// # Errors
/// When it does not answer.
pub fn status(_arguments: &[String]) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the daemon is not built yet"))
}
