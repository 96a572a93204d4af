//! The node's history on disk: one JSON line an entry, in two files that take turns, so that it never grows past its bounds.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Take, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde_json::Value;

/// How much is kept; each of the two files takes half of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { lines: 10_000, bytes: 4 << 20 }
    }
}

/// The history's files.
#[derive(Debug)]
pub(super) struct History {
    folder: PathBuf,
    bounds: Bounds,
    /// The file that is written to, once it is open.
    file: Option<File>,
    lines: u64,
    bytes: u64,
}

impl History {
    pub(super) fn new(folder: &Path, bounds: Bounds) -> Self {
        Self { folder: folder.to_path_buf(), bounds, file: None, lines: 0, bytes: 0 }
    }

    fn current(&self) -> PathBuf {
        self.folder.join("history.jsonl")
    }

    fn older(&self) -> PathBuf {
        self.folder.join("history.1.jsonl")
    }

    /// Adds an entry: all of it or nothing.
    pub(super) fn add(&mut self, entry: &Value) -> io::Result<()> {
        let line = format!("{entry}\n");
        let length = line.len() as u64;
        if self.file.is_none() {
            self.open()?;
        }
        let is_full = self.lines + 1 > self.bounds.lines / 2 || self.bytes + length > self.bounds.bytes / 2;
        if is_full && self.lines > 0 {
            self.file = None;
            fs::rename(self.current(), self.older())?;
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(line.as_bytes()) {
            // Half a line would spoil the next one; on a full disk cutting works.
            let _ = file.set_len(self.bytes);
            // Perhaps it works again after opening anew, say when the folder was moved.
            self.file = None;
            return Err(error);
        }
        self.lines += 1;
        self.bytes += length;
        Ok(())
    }

    /// Opens the file and counts; half a line, left by a crash, is ended.
    fn open(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(self.current())?;
        let (mut buffer, mut last) = ([0; 4096], b'\n');
        (self.lines, self.bytes) = (0, 0);
        loop {
            let count = file.read(&mut buffer)?;
            let Some(end) = buffer[..count].last() else { break };
            last = *end;
            self.lines += buffer[..count].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            self.bytes += count as u64;
        }
        if last != b'\n' {
            file.write_all(b"\n")?;
            self.lines += 1;
            self.bytes += 1;
        }
        self.file = Some(file);
        Ok(())
    }

    /// The last entries that `wanted` wants, oldest first; lines that cannot be read are passed over.
    pub(super) fn last(&self, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut entries = VecDeque::new();
        for path in [self.current(), self.older()] {
            if entries.len() >= count {
                break;
            }
            // A file that is not there has nothing to tell.
            let _ = File::open(path).and_then(|mut file| {
                backwards(&mut file, |_, line| {
                    if let Some(entry) = serde_json::from_slice::<Value>(line).ok().filter(|entry| wanted(entry)) {
                        entries.push_front(entry);
                    }
                    entries.len() < count
                })
            });
        }
        entries.into()
    }

    /// Where the last entries are: the files as they are now, oldest first, each open at the first of its entries.
    pub(super) fn tail(&self, count: usize) -> Vec<Take<File>> {
        let (mut pieces, mut found) = (Vec::new(), 0);
        for path in [self.current(), self.older()] {
            // A file that is not there has nothing to tell.
            let piece = File::open(path).and_then(|mut file| {
                let length = file.metadata()?.len();
                let mut start = length;
                if found < count {
                    backwards(&mut file, |at, line| {
                        if is_entry(line) {
                            (start, found) = (at, found + 1);
                        }
                        found < count
                    })?;
                }
                file.seek(SeekFrom::Start(start))?;
                Ok(file.take(length - start))
            });
            pieces.extend(piece);
        }
        pieces.reverse();
        pieces
    }
}

/// True for a whole line.
pub(super) fn is_entry(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Gives a file's lines from the last to the first and where each begins, until `take` has enough; only a piece of the file is in memory.
fn backwards(file: &mut File, mut take: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    let mut at = file.seek(SeekFrom::End(0))?;
    let mut rest: Vec<u8> = Vec::new();
    while at > 0 {
        let size = at.min(16 * 1024);
        at -= size;
        let mut piece = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + rest.len());
        file.seek(SeekFrom::Start(at))?;
        Read::by_ref(file).take(size).read_to_end(&mut piece)?;
        piece.append(&mut rest);
        let first = if at == 0 { 0 } else { piece.iter().position(|byte| *byte == b'\n').map_or(piece.len(), |end| end + 1) };
        let mut end = piece.len();
        for line in piece[first..].split(|byte| *byte == b'\n').rev() {
            let start = end - line.len();
            if !line.is_empty() && !take(at + start as u64, line) {
                return Ok(());
            }
            // Before the first line there is nothing that could be its end.
            end = start.saturating_sub(1);
        }
        piece.truncate(first);
        rest = piece;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};

    use serde_json::{Value, json};

    use super::{Bounds, History};

    fn entries(history: &History, count: usize) -> Vec<u64> {
        history.last(count, |_| true).iter().map(|entry| entry["n"].as_u64().expect("a number")).collect()
    }

    fn told(history: &History, count: usize) -> Vec<u64> {
        let mut text = String::new();
        for mut piece in history.tail(count) {
            piece.read_to_string(&mut text).expect("readable");
        }
        let entry = |line: &str| serde_json::from_str::<Value>(line).ok().and_then(|entry| entry["n"].as_u64());
        text.lines().filter_map(entry).collect()
    }

    fn size(folder: &std::path::Path) -> u64 {
        fs::read_dir(folder).expect("readable").map(|entry| entry.expect("an entry").metadata().expect("a size").len()).sum()
    }

    #[test]
    fn it_never_grows_past_its_bounds() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut history = History::new(folder.path(), Bounds { lines: 20, bytes: 1 << 20 });
        for n in 0..95 {
            history.add(&json!({"n": n})).expect("kept");
        }
        assert_eq!(entries(&history, 3), [92, 93, 94]);
        assert_eq!(entries(&history, 100), (80..95).collect::<Vec<_>>());
        assert_eq!(told(&history, 3), [92, 93, 94]);
        assert_eq!(told(&history, 7), (88..95).collect::<Vec<_>>(), "over both files");
        assert_eq!(told(&history, 100), (80..95).collect::<Vec<_>>());
        let mut by_size = History::new(&folder.path().join("new"), Bounds { lines: 1000, bytes: 1000 });
        for n in 0..200 {
            by_size.add(&json!({"n": n})).expect("kept");
        }
        assert!(size(&folder.path().join("new")) <= 1000);
        assert!(entries(&by_size, 1000).len() > 40);
    }

    #[test]
    fn it_goes_on_after_a_restart_and_half_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let bounds = Bounds { lines: 20, bytes: 1 << 20 };
        let mut history = History::new(folder.path(), bounds);
        (0..5).for_each(|n| history.add(&json!({"n": n})).expect("kept"));
        let mut file = fs::OpenOptions::new().append(true).open(folder.path().join("history.jsonl")).expect("opens");
        file.write_all(b"{\"n\": 5, \"ro").expect("written");
        let mut again = History::new(folder.path(), bounds);
        (6..12).for_each(|n| again.add(&json!({"n": n})).expect("kept"));
        assert_eq!(entries(&again, 100), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
        assert_eq!(told(&again, 9), [2, 3, 4, 6, 7, 8, 9, 10, 11]);
        assert_eq!(again.lines, 2, "the restarted one has counted what was there");
    }

    #[test]
    fn long_histories_are_read_from_their_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut history = History::new(folder.path(), Bounds { lines: 10_000, bytes: 1 << 30 });
        for n in 0..300 {
            history.add(&json!({"n": n, "text": "x".repeat(n % 7 * 3000)})).expect("kept");
        }
        assert_eq!(entries(&history, 10_000), (0..300).collect::<Vec<_>>());
        assert_eq!(told(&history, 299), (1..300).collect::<Vec<_>>());
        assert_eq!(history.last(2, |entry: &Value| entry["n"].as_u64().is_some_and(|n| n % 100 == 0)).len(), 2);
    }
}
