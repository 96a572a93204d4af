//! A file that is written piece by piece and put on the disk meanwhile, so that little is left to wait for in the end.

use std::fs::File;
use std::io::{self, Write};
use std::thread::{Builder, JoinHandle};

/// So many bytes are put on the disk at a time.
const PIECE: usize = 16 << 20;

/// The file.
pub(crate) struct Settling {
    file: File,
    waiting: usize,
    settler: Option<JoinHandle<io::Result<()>>>,
}

impl Settling {
    /// A file from where it is written on.
    pub(crate) fn new(file: File) -> Self {
        Self { file, waiting: 0, settler: None }
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.waiting += bytes.len();
        if self.waiting >= PIECE && self.settler.as_ref().is_none_or(JoinHandle::is_finished) {
            self.settled()?;
            let file = self.file.try_clone()?;
            // Without room for a thread it is done in the end.
            self.settler = Builder::new().spawn(move || file.sync_data()).ok();
            self.waiting = 0;
        }
        Ok(())
    }

    /// Waits until all of it is on the disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        // What went wrong meanwhile is told to one who asks, and to nobody after.
        self.settled()?;
        self.file.sync_all()
    }

    fn settled(&mut self) -> io::Result<()> {
        let Some(settler) = self.settler.take() else { return Ok(()) };
        settler.join().unwrap_or_else(|_| Err(io::Error::other("a thread broke off that put a file on the disk")))
    }
}
