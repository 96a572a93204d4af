//! The person's own terminal, lent to a program elsewhere.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;

use pgfleet_ssh::Size;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// Bytes of input taken at a time.
const BLOCK: usize = 16 * 1024;

/// Its kind and size, when both ends of this program are a terminal.
pub(crate) fn kind_and_size() -> Option<(String, Size)> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    Some((std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned()), size()))
}

/// Its size now.
pub(crate) fn size() -> Size {
    let usual = Size { columns: 80, rows: 24 };
    match tcgetwinsize(io::stdout().as_fd()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size { columns: size.ws_col.into(), rows: size.ws_row.into() },
        _ => usual,
    }
}

/// The terminal passes every key on as it is. Dropping this makes it what it was.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Begins.
    pub(crate) fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nobody is left to be told when the terminal is gone.
        let _gone = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}

/// What comes in, block by block; the channel closes at its end.
pub(crate) fn input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    // A thread of its own: a read that waits for a key cannot be given up.
    std::thread::spawn(move || {
        let mut block = vec![0; BLOCK];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut block) {
            if sender.blocking_send(block[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
