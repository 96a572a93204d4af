//! What the daemon knows, and its answers: one request a connection, one line of JSON each way.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::history::{History, is_entry};
use super::sample::{essence, problem};

/// A client has so long to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest question.
const LONGEST: usize = 4096;
/// So many changes `status` tells.
const CHANGES: usize = 20;
/// Even when nothing changes, so many seconds apart an entry is made.
const REGULARLY: u64 = 300;
/// The most entries of one answer.
const MOST: usize = 10_000;

/// What the looks have found, shared by the thread that looks and those that answer.
#[derive(Debug)]
pub(super) struct Known {
    inner: Mutex<Inner>,
    start: Instant,
}

#[derive(Debug)]
struct Inner {
    sample: Value,
    history: History,
    /// The last entry made: its essence and its time.
    last: Option<(Value, u64)>,
    /// Why the history cannot be written, as long as it cannot.
    problem: Option<String>,
    /// The daemon ends.
    is_closed: bool,
}

impl Known {
    pub(super) fn new(history: History) -> Self {
        let inner = Inner { sample: Value::Null, history, last: None, problem: None, is_closed: false };
        Self { inner: Mutex::new(inner), start: Instant::now() }
    }

    /// A panic ends the daemon: nobody finds the lock as a panic left it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a look; it becomes an entry when something changed or none was made for long.
    pub(super) fn learn(&self, sample: Value) {
        let mut inner = self.lock();
        if inner.is_closed {
            return;
        }
        let (essence, seconds) = (essence(&sample), sample["seconds"].as_u64().unwrap_or(0));
        let is_changed = inner.last.as_ref().is_none_or(|(last, _)| *last != essence);
        // A clock that was set back makes no gap.
        let is_due = inner.last.as_ref().is_none_or(|(_, then)| seconds.abs_diff(*then) >= REGULARLY);
        if is_changed || is_due {
            let why = match (&inner.last, is_changed) {
                (None, _) => "started",
                (Some(_), true) => "changed",
                (Some(_), false) => "regular",
            };
            let mut entry = sample.clone();
            entry["why"] = why.into();
            match inner.history.add(&entry) {
                Ok(()) => {
                    inner.problem = None;
                    inner.last = Some((essence, seconds));
                }
                // The next look tries again, so that the change is not lost when there is room again.
                Err(error) => inner.problem = Some(problem("the history cannot be written", &error)),
            }
        }
        inner.sample = sample;
    }

    /// Answers one question, in one line.
    fn answer(&self, question: &str, sink: &mut dyn Write) -> io::Result<()> {
        let told = match serde_json::from_str::<Value>(question) {
            Err(error) => json!({"error": format!("the question is not JSON: {error}")}),
            Ok(question) if question["ask"] == "history" => return self.tell_history(&question, sink),
            Ok(question) if question["ask"] == "status" => self.status(),
            Ok(_) => json!({"error": "known questions are {\"ask\": \"status\"} and {\"ask\": \"history\", \"limit\": 100}"}),
        };
        writeln!(sink, "{told}")
    }

    fn status(&self) -> Value {
        let inner = self.lock();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": self.start.elapsed().as_secs(),
            "sample": inner.sample,
            "changes": inner.history.last(CHANGES, |entry| entry["why"] != "regular"),
            "problems": inner.problem.iter().collect::<Vec<_>>(),
        })
    }

    /// The history goes from its files to the client line by line: it is never in memory as a whole, nor are the looks held up.
    fn tell_history(&self, question: &Value, sink: &mut dyn Write) -> io::Result<()> {
        let limit = question["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100).clamp(1, MOST);
        let pieces = self.lock().history.tail(limit);
        let mut before: &[u8] = b"{\"history\":[";
        for line in pieces.into_iter().flat_map(|piece| BufReader::new(piece).split(b'\n')) {
            let line = line?;
            if is_entry(&line) {
                sink.write_all(before)?;
                sink.write_all(&line)?;
                before = b",";
            }
        }
        sink.write_all(if before == b"," { b"]}\n" } else { b"{\"history\":[]}\n" })
    }

    /// Serves one client, for no longer than its patience allows.
    pub(super) fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        stream.set_write_timeout(Some(PATIENCE))?;
        let question = read_question(&mut stream)?;
        let mut sink = BufWriter::new(stream);
        self.answer(&question, &mut sink)?;
        sink.flush()
    }

    /// Waits until nothing is being written any more; nothing will be from now on.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
    }
}

/// One line; one that comes drop by drop runs out of time too.
fn read_question(stream: &mut UnixStream) -> io::Result<String> {
    let end = Instant::now() + PATIENCE;
    let (mut question, mut buffer) = (Vec::new(), [0; 1024]);
    while !question.contains(&b'\n') && question.len() < LONGEST {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => question.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&question).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::super::history::{Bounds, History};
    use super::Known;

    fn ask(known: &Known, question: &str) -> Value {
        let mut told = Vec::new();
        known.answer(question, &mut told).expect("written");
        serde_json::from_slice(&told).expect("JSON")
    }

    fn sample(seconds: u64, role: &str) -> Value {
        json!({"time": "", "seconds": seconds, "patroni": {"role": role, "lag": seconds}, "etcd": null, "units": {}})
    }

    #[test]
    fn entries_are_made_of_changes_and_regularly() {
        let folder = tempfile::tempdir().expect("a folder");
        let known = Known::new(History::new(folder.path(), Bounds::default()));
        for seconds in (0..700).step_by(10) {
            known.learn(sample(seconds, if seconds < 50 { "replica" } else { "primary" }));
        }
        let told = ask(&known, r#"{"ask": "history", "limit": 10}"#);
        let entries: Vec<_> =
            told["history"].as_array().expect("entries").iter().map(|entry| (entry["seconds"].as_u64(), entry["why"].as_str())).collect();
        assert_eq!(
            entries,
            [(Some(0), Some("started")), (Some(50), Some("changed")), (Some(350), Some("regular")), (Some(650), Some("regular"))]
        );
        let told = ask(&known, r#"{"ask": "status"}"#);
        assert_eq!((&told["sample"]["seconds"], told["changes"].as_array().map(Vec::len)), (&json!(690), Some(2)));
        assert!(ask(&known, "what?")["error"].is_string() && ask(&known, "{}")["error"].is_string());
    }

    #[test]
    fn a_history_that_cannot_be_written_is_told_until_it_can() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("state");
        fs::write(&place, "in the way").expect("written");
        let known = Known::new(History::new(&place, Bounds::default()));
        known.learn(sample(0, "primary"));
        let told = ask(&known, r#"{"ask": "status"}"#);
        assert!(told["problems"][0].as_str().is_some_and(|problem| problem.starts_with("the history cannot be written: ")), "{told}");
        assert_eq!(told["sample"]["patroni"]["role"], "primary");
        fs::remove_file(&place).expect("removed");
        known.learn(sample(10, "primary"));
        let told = ask(&known, r#"{"ask": "status"}"#);
        assert_eq!((&told["problems"], told["changes"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    }
}
