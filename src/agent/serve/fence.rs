//! The fence: ends a PostgreSQL whose Patroni stands still before the leader's key runs out, so that no second node leads beside it.
//!
//! Patroni takes a file for a watchdog's device, and writes what it would write there: `Ctimeout=25` when it begins to lead, `1` whenever it
//! has renewed the key, and `V` when it needs no watchdog any more: it leads no longer, ends in good order, or the cluster is paused.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::postmaster;
use super::sample::utc;
use crate::http::Url;
use crate::system::{Linux, System};

/// Between two looks at the file.
const LOOK: Duration = Duration::from_secs(1);
/// So long before the end Patroni is asked whether it lives.
const DOUBT: Duration = Duration::from_secs(5);
/// So long before the end the fence acts, where that was in vain.
const AHEAD: Duration = Duration::from_secs(1);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many times in a row Patroni must have been silent.
const SILENCES: u32 = 3;
/// What Patroni asks for at the least: its shortest ttl without its margin.
const LEAST: Duration = Duration::from_secs(15);

/// What is watched, and what has come of it.
#[derive(Debug)]
pub(super) struct Fence {
    file: PathBuf,
    data_dir: PathBuf,
    /// Patroni's REST API.
    patroni: String,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    is_armed: bool,
    /// When it acted last.
    acted: Option<String>,
}

impl Fence {
    pub(super) fn new(file: &Path, data_dir: &Path, patroni: String) -> Self {
        Self { file: file.to_owned(), data_dir: data_dir.to_owned(), patroni, told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the history and for `status`.
    pub(super) fn state(&self) -> Value {
        let told = self.told();
        json!({"armed": told.is_armed, "acted": told.acted})
    }

    /// Looks again and again, until the other end of `stopped` is gone.
    pub(super) fn keep(&self, stopped: &Receiver<()>) {
        let mut watchdog = Watchdog::default();
        loop {
            self.look(&mut watchdog);
            self.told().is_armed = watchdog.armed.is_some();
            if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn look(&self, watchdog: &mut Watchdog) {
        // A file that is gone or not readable tells nothing of Patroni: nothing follows from it.
        let Ok(modified) = fs::metadata(&self.file).and_then(|found| found.modified()) else { return *watchdog = Watchdog::default() };
        if watchdog.modified != Some(modified) {
            let Ok(text) = fs::read(&self.file) else { return *watchdog = Watchdog::default() };
            watchdog.modified = Some(modified);
            watchdog.take_in(&text, Instant::now());
            if watchdog.armed.is_none() && !text.is_empty() {
                // Who opens it next begins at its beginning.
                let _ = File::options().write(true).open(&self.file).and_then(|file| file.set_len(0));
            }
        }
        if !watchdog.is_in_doubt(Instant::now()) {
            return watchdog.silences = 0;
        }
        watchdog.hear(self.answers(), Instant::now());
        if watchdog.has_lapsed(Instant::now()) {
            self.act();
            // Until Patroni renews the key again, there is nothing to do.
            watchdog.armed = None;
        }
    }

    /// Whether somebody is there who says or ends anything: a process that stands still takes connections, and no more. What it says does
    /// not matter, nor whether it wants TLS: others that find this Patroni alive and its PostgreSQL leading do not take its place.
    fn answers(&self) -> bool {
        let Ok(url) = Url::parse(&self.patroni) else { return true };
        let Ok(mut connection) = Linux.connect(&url.host, url.port, PATIENCE) else { return false };
        let asked = connection.write_all(b"OPTIONS /liveness HTTP/1.0\r\n\r\n").and_then(|()| connection.flush());
        match asked.and_then(|()| connection.read(&mut [0])) {
            Ok(_) => true,
            Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        }
    }

    fn act(&self) {
        let text = match postmaster::end(&self.data_dir) {
            Ok(0) => return,
            Ok(count) => format!(
                "Patroni neither renews the leader's key nor answers at {}: PostgreSQL in {} was ended ({count} processes) before another node may lead",
                self.patroni,
                self.data_dir.display()
            ),
            Err(error) => format!("Patroni stands still, and PostgreSQL in {} cannot be ended: {error}", self.data_dir.display()),
        };
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        self.told().acted = Some(utc(seconds));
        // The journal keeps it; where there is none, `status` tells it all the same.
        let _ = writeln!(io::stderr(), "pgfleet-agent: {text}");
    }
}

/// What is known from the file.
#[derive(Debug, Default)]
struct Watchdog {
    modified: Option<SystemTime>,
    armed: Option<Armed>,
    /// What Patroni has asked for last; an end may have taken it away.
    timeout: Option<Duration>,
    /// So many times in a row Patroni did not answer.
    silences: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Armed {
    timeout: Duration,
    renewed: Instant,
}

impl Watchdog {
    /// Takes in what has been written since the last look. A Patroni that was killed and came back writes over what it wrote before: the
    /// shortest time that stands there counts, and an end of its predecessor's has been taken away.
    fn take_in(&mut self, text: &[u8], now: Instant) {
        self.timeout = shortest(text).or(self.timeout);
        let is_open = !text.is_empty() && !text.contains(&b'V');
        self.armed = is_open.then(|| Armed { timeout: self.timeout.unwrap_or(LEAST), renewed: now });
        self.silences = 0;
    }

    /// Takes in whether Patroni answers. One that lives and yet renews nothing has not asked for it: it was killed and came back, and leads no
    /// longer or is paused. Once it leads, it asks anew.
    fn hear(&mut self, answers: bool, now: Instant) {
        self.silences = if answers { 0 } else { self.silences + 1 };
        if answers && self.is_past(now, Duration::ZERO) {
            self.armed = None;
        }
    }

    fn is_past(&self, now: Instant, ahead: Duration) -> bool {
        self.armed.is_some_and(|armed| now.saturating_duration_since(armed.renewed) >= armed.timeout.saturating_sub(ahead))
    }

    fn is_in_doubt(&self, now: Instant) -> bool {
        self.is_past(now, DOUBT)
    }

    fn has_lapsed(&self, now: Instant) -> bool {
        self.silences >= SILENCES && self.is_past(now, AHEAD)
    }
}

/// The shortest of all times that Patroni has asked for.
fn shortest(text: &[u8]) -> Option<Duration> {
    let text = String::from_utf8_lossy(text);
    let times = text.split("Ctimeout=").skip(1).filter_map(|rest| rest.split_once('\n')?.0.parse().ok());
    times.min().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Watchdog, shortest};

    #[test]
    fn it_acts_when_the_time_is_up_and_nobody_answers() {
        let mut watchdog = Watchdog::default();
        let begin = Instant::now();
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        assert!(!watchdog.is_in_doubt(after(1000)), "nobody has asked for it");
        watchdog.take_in(b"Ctimeout=25\n1", begin);
        assert!(!watchdog.is_in_doubt(after(19)) && watchdog.is_in_doubt(after(20)));
        watchdog.hear(false, after(20));
        watchdog.hear(true, after(22));
        assert!(!watchdog.has_lapsed(after(24)), "Patroni answers");
        (0..3).for_each(|_| watchdog.hear(false, after(23)));
        assert!(!watchdog.has_lapsed(after(23)) && watchdog.has_lapsed(after(24)));
        watchdog.take_in(b"Ctimeout=25\n11", after(24));
        assert!(!watchdog.is_in_doubt(after(43)) && watchdog.silences == 0);
        for end in ["Ctimeout=25\n11V", "\0\0\0\0V", ""] {
            watchdog.take_in(end.as_bytes(), after(30));
            assert!(!watchdog.is_in_doubt(after(1000)), "{end}");
        }
        // Patroni was killed, came back, and asks for nothing.
        watchdog.take_in(b"Ctimeout=25\n1", after(0));
        watchdog.hear(true, after(24));
        assert!(watchdog.is_in_doubt(after(24)));
        watchdog.hear(true, after(25));
        assert!(!watchdog.is_in_doubt(after(1000)));
        // What Patroni asked for went away with an end that was another's.
        watchdog.take_in(b"\x00\x001", after(40));
        assert!(!watchdog.is_in_doubt(after(59)) && watchdog.is_in_doubt(after(60)));
    }

    #[test]
    fn the_shortest_time_counts() {
        for (text, seconds) in
            [("Ctimeout=25\n111", Some(25)), ("Ctimeout=25\n11Ctimeout=15\n1", Some(15)), ("1111imeout=15\n", None), ("Ctimeout=2", None)]
        {
            assert_eq!(shortest(text.as_bytes()), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
