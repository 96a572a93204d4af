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
use crate::module::Context;

/// So many bytes are summed where they are read: threads would cost more.
const SHORT: usize = 1 << 20;
/// Blocks that wait for a thread; their reader waits with any further.
const WAITING: usize = 4;
/// Stack of a thread.
const STACK: usize = 128 * 1024;

/// The checksums of a file, as lower-case hex.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) sha256: String,
    /// Those that are made for Ansible's results alone.
    pub(crate) told: Option<Told>,
}

#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) md5: String,
    pub(crate) sha1: String,
}

impl Sums {
    /// Of all that a reader yields.
    pub(crate) fn of_reader(reader: &mut dyn Read, wanted: Wanted) -> io::Result<Self> {
        let mut summed = Summed::with(io::sink(), Summing::new(wanted));
        io::copy(reader, &mut summed)?;
        Ok(summed.sum.finish())
    }
}

/// Which sums are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The one that pgfleet compares by.
    Sha256,
    /// Those of results too; they cost four times as much.
    All,
}

impl Wanted {
    /// What a call's result has to tell.
    pub(crate) fn by(context: &Context) -> Self {
        if context.brief { Self::Sha256 } else { Self::All }
    }
}

/// The checksums of what has passed so far.
pub(crate) struct Summing {
    length: usize,
    // MD5 takes longer than the other two together.
    md5: Option<Lane<Md5>>,
    others: Lane<Others>,
}

#[derive(Clone, Default)]
struct Others {
    sha1: Option<Sha1>,
    sha256: Sha256,
}

impl Update for Others {
    fn update(&mut self, bytes: &[u8]) {
        if let Some(sha1) = &mut self.sha1 {
            Digest::update(sha1, bytes);
        }
        Digest::update(&mut self.sha256, bytes);
    }
}

impl Update for Summing {
    fn update(&mut self, bytes: &[u8]) {
        let was_short = self.length < SHORT;
        self.length = self.length.saturating_add(bytes.len());
        if was_short && self.length >= SHORT {
            self.md5.as_mut().map(Lane::move_out);
            self.others.move_out();
        }
        let block = if self.length < SHORT { Block::Lent(bytes) } else { Block::Shared(bytes.into()) };
        if let Some(md5) = &mut self.md5 {
            md5.update(&block);
        }
        self.others.update(&block);
    }
}

impl Summing {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let (md5, sha1) = match wanted {
            Wanted::Sha256 => (None, None),
            Wanted::All => (Some(Lane::Here(Md5::default())), Some(Sha1::default())),
        };
        Self { length: 0, md5, others: Lane::Here(Others { sha1, sha256: Sha256::default() }) }
    }

    /// The checksums of all that has passed.
    pub(crate) fn finish(self) -> Sums {
        let (md5, Others { sha1, sha256 }) = (self.md5.map(Lane::finish), self.others.finish());
        let told = md5.zip(sha1).map(|(md5, sha1)| Told { md5: hex(&md5.finalize()), sha1: hex(&sha1.finalize()) });
        Sums { sha256: hex(&sha256.finalize()), told }
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
    use super::{SHORT, Sums, Wanted};
    use crate::digest::Algorithm;

    #[test]
    fn long_and_short_files_have_the_sums_of_each_algorithm_alone() {
        for length in [0, 3, SHORT - 1, SHORT, 5 * SHORT + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sums = |wanted| Sums::of_reader(&mut bytes.as_slice(), wanted).expect("sums");
            let alone = |algorithm: Algorithm| algorithm.of_reader(&mut bytes.as_slice()).expect("a sum");
            let (all, one) = (sums(Wanted::All), sums(Wanted::Sha256));
            let told = all.told.expect("all sums");
            let expected = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256].map(alone);
            assert_eq!([told.md5, told.sha1, all.sha256], expected, "{length} bytes");
            assert!(one.told.is_none() && one.sha256 == expected[2], "{length} bytes");
        }
    }
}
