//! The checksums that results tell of a file, of one reading. Those of a long file are made by threads beside that reading.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use md5::Md5;
use sha1::Sha1;
use sha2::digest::Update;
use sha2::{Digest, Sha256};

use crate::digest::{Summed, hex};

/// So many bytes are summed where they are read: threads would cost more.
const SHORT: usize = 1 << 20;
/// Blocks that wait for a thread; their reader waits with any further.
const WAITING: usize = 4;
/// Stack of a thread.
const STACK: usize = 128 * 1024;

/// The checksums of a file, as lower-case hex.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) md5: String,
    pub(crate) sha1: String,
    pub(crate) sha256: String,
}

impl Sums {
    /// Of all that a reader yields.
    pub(crate) fn of_reader(reader: &mut dyn Read) -> io::Result<Self> {
        let mut summed = Summed::<_, Summing>::new(io::sink());
        io::copy(reader, &mut summed)?;
        Ok(summed.sum.finish())
    }
}

/// The checksums of what has passed so far.
#[derive(Default)]
pub(crate) struct Summing {
    length: usize,
    // MD5 takes longer than the other two together.
    md5: Lane<Md5>,
    others: Lane<Others>,
}

#[derive(Clone, Default)]
struct Others {
    sha1: Sha1,
    sha256: Sha256,
}

impl Update for Others {
    fn update(&mut self, bytes: &[u8]) {
        Digest::update(&mut self.sha1, bytes);
        Digest::update(&mut self.sha256, bytes);
    }
}

impl Update for Summing {
    fn update(&mut self, bytes: &[u8]) {
        let was_short = self.length < SHORT;
        self.length = self.length.saturating_add(bytes.len());
        if was_short && self.length >= SHORT {
            self.md5.move_out();
            self.others.move_out();
        }
        let block = if self.length < SHORT { Block::Lent(bytes) } else { Block::Shared(bytes.into()) };
        self.md5.update(&block);
        self.others.update(&block);
    }
}

impl Summing {
    /// The checksums of all that has passed.
    pub(crate) fn finish(self) -> Sums {
        let (md5, others) = (self.md5.finish(), self.others.finish());
        Sums { md5: hex(&md5.finalize()), sha1: hex(&others.sha1.finalize()), sha256: hex(&others.sha256.finalize()) }
    }
}

/// Bytes on their way to the sums.
enum Block<'b> {
    Lent(&'b [u8]),
    Shared(Arc<[u8]>),
}

/// Where a sum is made.
enum Lane<D> {
    Here(D),
    Beside { feed: SyncSender<Arc<[u8]>>, thread: JoinHandle<D> },
}

impl<D: Default> Default for Lane<D> {
    fn default() -> Self {
        Self::Here(D::default())
    }
}

impl<D: Update + Clone + Send + 'static> Lane<D> {
    /// Goes on in a thread, where there is room for one.
    fn move_out(&mut self) {
        let Self::Here(sum) = self else { return };
        let (feed, fed) = sync_channel(WAITING);
        let sum = sum.clone();
        if let Ok(thread) = Builder::new().stack_size(STACK).spawn(move || sum_up(sum, &fed)) {
            *self = Self::Beside { feed, thread };
        }
    }

    fn update(&mut self, block: &Block) {
        match (self, block) {
            (Self::Here(sum), Block::Lent(bytes)) => sum.update(bytes),
            (Self::Here(sum), Block::Shared(bytes)) => sum.update(bytes),
            (Self::Beside { feed, .. }, Block::Shared(bytes)) => {
                // A thread that has ended says why when it is joined.
                let _ended = feed.send(bytes.clone());
            }
            (Self::Beside { feed, .. }, Block::Lent(bytes)) => {
                let _ended = feed.send(Arc::from(*bytes));
            }
        }
    }

    fn finish(self) -> D {
        match self {
            Self::Here(sum) => sum,
            Self::Beside { feed, thread } => {
                drop(feed);
                thread.join().unwrap_or_else(|defect| std::panic::resume_unwind(defect))
            }
        }
    }
}

fn sum_up<D: Update>(mut sum: D, fed: &Receiver<Arc<[u8]>>) -> D {
    for bytes in fed {
        sum.update(&bytes);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{SHORT, Sums};
    use crate::digest::Algorithm;

    #[test]
    fn long_and_short_files_have_the_sums_of_each_algorithm_alone() {
        for length in [0, 3, SHORT - 1, SHORT, 5 * SHORT + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sums = Sums::of_reader(&mut bytes.as_slice()).expect("sums");
            let alone = |algorithm: Algorithm| algorithm.of_reader(&mut bytes.as_slice()).expect("a sum");
            let expected = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256].map(alone);
            assert_eq!([sums.md5, sums.sha1, sums.sha256], expected, "{length} bytes");
        }
    }
}
