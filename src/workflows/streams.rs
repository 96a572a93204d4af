//! Programs of a node connected with files of this machine: what they print arrives here, what they read comes from here.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pgfleet_engine::{Content, Incoming, Outgoing};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::nodes::{Node, Nodes};
use crate::settle::Settling;

/// How a program ended whose output or input went through this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Streamed {
    /// Its exit code; below zero for a signal.
    pub(crate) rc: i64,
    /// What it printed; empty where that was sent.
    pub(crate) stdout: String,
    /// What it complained of.
    pub(crate) stderr: String,
    /// Bytes that passed, as the node counted them.
    pub(crate) bytes: u64,
    /// Their SHA-256, as the node has it.
    pub(crate) sha256: String,
}

impl Streamed {
    /// The end of what it complained of, for a message.
    pub(crate) fn last_words(&self) -> String {
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join("; ")
    }
}

/// Bytes that passed so far, for whoever looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<AtomicU64>);

impl Meter {
    /// The bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts some.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A file of this machine that a program's output goes to.
pub(crate) struct FileSink {
    file: Settling,
    digest: Sha256,
    bytes: u64,
    meter: Meter,
    arrived: Arc<Mutex<Option<Arrived>>>,
}

/// What arrived, and is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Its length.
    pub(crate) bytes: u64,
    /// Its SHA-256 as this machine has it, hexadecimal.
    pub(crate) sha256: String,
}

/// Tells what arrived, once all of it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival(Arc<Mutex<Option<Arrived>>>);

impl Arrival {
    /// What arrived; `None` while it has not all.
    pub(crate) fn get(&self) -> Option<Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl FileSink {
    /// Writes into a new file, and counts in `meter`.
    pub(crate) fn new(file: File, meter: Meter) -> (Box<Self>, Arrival) {
        let arrival = Arrival::default();
        (Box::new(Self { file: Settling::new(file), digest: Sha256::new(), bytes: 0, meter, arrived: arrival.0.clone() }), arrival)
    }
}

impl Incoming for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.meter.add(bytes.len());
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.finish()?;
        let sha256 = hex(&self.digest.finalize());
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arrived { bytes: self.bytes, sha256 });
        Ok(())
    }
}

/// A file of this machine that a program reads, or the beginning of one.
pub(crate) struct FileSource {
    path: PathBuf,
    most: u64,
    meter: Meter,
}

impl FileSource {
    /// All of it, counted in `meter`.
    #[expect(clippy::new_ret_no_self, reason = "it is only of use as content")]
    pub(crate) fn new(path: impl Into<PathBuf>, meter: Meter) -> Content {
        Content::Pieces(Arc::new(Self { path: path.into(), most: u64::MAX, meter }))
    }

    /// Its beginning.
    pub(crate) fn head(path: impl Into<PathBuf>, most: u64) -> Content {
        Content::Pieces(Arc::new(Self { path: path.into(), most, meter: Meter::default() }))
    }
}

impl Outgoing for FileSource {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Metered { source: File::open(&self.path)?.take(self.most), meter: self.meter.clone() }))
    }
}

struct Metered<R> {
    source: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(bytes)?;
        self.meter.add(count);
        Ok(count)
    }
}

/// The SHA-256 and length of a file of this machine.
pub(crate) fn sum_of(path: &std::path::Path) -> io::Result<Arrived> {
    let (mut file, mut digest, mut bytes, mut buffer) = (File::open(path)?, Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Arrived { bytes, sha256: hex(&digest.finalize()) }),
            count => {
                digest.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Nodes {
    /// Runs a program as root whose output goes to `sink`; `stdin` is text for its input. Calls of one lane wait for each other.
    ///
    /// # Errors
    /// When the node was lost, the program not started, or what came could not be stored. That it fails is no error.
    pub(crate) async fn stream_out(
        &self,
        node: &Node,
        lane: u8,
        argv: &[String],
        stdin: &str,
        sink: Box<dyn Incoming>,
    ) -> Result<Streamed, String> {
        let arguments = json!({"argv": argv, "stdin": stdin});
        let outcome = self.call_with(node, lane, "stream_out", arguments, None, Some(sink)).await;
        streamed(node, outcome.map_err(|error| error.message)?)
    }

    /// Runs a program as root whose input is `content`.
    ///
    /// # Errors
    /// As [`Self::stream_out`].
    pub(crate) async fn stream_in(&self, node: &Node, lane: u8, argv: &[String], content: Content) -> Result<Streamed, String> {
        let outcome = self.call_with(node, lane, "stream_in", json!({"argv": argv}), Some(content), None).await;
        streamed(node, outcome.map_err(|error| error.message)?)
    }
}

fn streamed(node: &Node, outcome: pgfleet_protocol::Outcome) -> Result<Streamed, String> {
    let Some(rc) = outcome.data.get("rc").and_then(Value::as_i64) else { return Err(format!("{}: {}", node.name, outcome.message)) };
    let text = |name: &str| outcome.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let bytes = outcome.data.get("bytes").and_then(Value::as_u64).unwrap_or_default();
    Ok(Streamed { rc, stdout: text("stdout"), stderr: text("stderr"), bytes, sha256: text("sha256") })
}
