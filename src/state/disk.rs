//! The calls of the system by which a file is replaced, one by one, so that a test can let each of them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The disk. What is written here is what happens; tests put something in between.
pub(crate) trait Disk {
    /// A new file for the owner alone.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    /// All of the bytes.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// What was written is on the disk itself.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// A file takes the place of another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Which names a folder has is on the disk itself.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    /// A file goes.
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// The disk as it is.
pub(crate) struct Real;

impl Disk for Real {}

#[cfg(test)]
pub(crate) mod faulty {
    //! A disk on which one call fails.

    use std::cell::{Cell, RefCell};
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};

    use rustix::io::Errno;

    use super::{Disk, Real};

    /// What happens at the call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// The disk is full; of a write, half is done.
        NoRoom,
        /// The system refuses.
        NoRight,
        /// Nothing happens any more, and what was not made durable is half lost.
        PowerCut,
    }

    /// A disk on which the call of that number fails, counted from 1.
    pub(crate) struct Faulty {
        fault: Fault,
        call: usize,
        calls: Cell<usize>,
        /// The file that is written, as long as it is not durable.
        loose: RefCell<Option<PathBuf>>,
    }

    impl Faulty {
        pub(crate) fn new(fault: Fault, call: usize) -> Self {
            Self { fault, call, calls: Cell::new(0), loose: RefCell::default() }
        }

        pub(crate) fn has_failed(&self) -> bool {
            self.calls.get() >= self.call
        }

        /// Counts a call; an error where it is the one, or where the power is gone.
        fn counted(&self) -> io::Result<()> {
            self.calls.set(self.calls.get() + 1);
            let is_dark = self.fault == Fault::PowerCut && self.calls.get() > self.call;
            if self.calls.get() != self.call && !is_dark {
                return Ok(());
            }
            if self.fault == Fault::PowerCut
                && let Some(path) = self.loose.borrow_mut().take()
            {
                halve(&path);
            }
            Err(match self.fault {
                Fault::NoRoom => Errno::NOSPC.into(),
                Fault::NoRight => Errno::ACCESS.into(),
                Fault::PowerCut => Errno::IO.into(),
            })
        }
    }

    fn halve(path: &Path) {
        let file = OpenOptions::new().write(true).open(path).expect("what is written can be opened");
        let length = file.metadata().expect("its length").len();
        file.set_len(length / 2).expect("it can be cut");
    }

    impl Disk for Faulty {
        fn create(&self, path: &Path) -> io::Result<File> {
            self.counted()?;
            *self.loose.borrow_mut() = Some(path.to_owned());
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
        }

        fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            let failed = self.counted();
            let bytes = if failed.is_err() { &bytes[..bytes.len() / 2] } else { bytes };
            Real.write(file, bytes).and(failed)
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            self.counted()?;
            self.loose.borrow_mut().take();
            Real.sync(file)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.counted()?;
            // A file that takes another's place before it is durable may be half of itself there.
            if let Some(path) = self.loose.borrow_mut().as_mut() {
                *path = to.to_owned();
            }
            Real.rename(from, to)
        }

        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            self.counted()?;
            Real.sync_folder(folder)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            // It needs no room, but somebody who does it.
            if self.fault == Fault::PowerCut && self.has_failed() { Err(Errno::IO.into()) } else { Real.remove(path) }
        }
    }
}
