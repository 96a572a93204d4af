//! `write_probe`: a client that writes a row every few milliseconds through each way to the leader, and keeps what was acknowledged.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::cluster::WriteProbe;
use serde_json::{Map, Value, json};

use crate::module::{Context, Failure, Plan, Planned};
use crate::system::{Program, Running, System};

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// A write that has no answer for so long is given up, and the session with it.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a session that could not be opened: a client that tried at once again would take the time of what it waits for.
const RETRY: Duration = Duration::from_millis(100);
/// What the client prints behind each row's answer.
const MARK: &str = "pgfleet-row-done";

/// One way to the leader.
struct Way {
    name: String,
    program: Program,
    table: String,
    interval: Duration,
    reads: bool,
    spares_standbys: bool,
    traced: bool,
    client: Mutex<Client>,
}

/// The psql of a way, in view of whoever must end it when it waits for ever.
#[derive(Default)]
struct Client {
    running: Option<Box<dyn Running>>,
    asked: Option<Instant>,
}

/// Both ends of a client.
struct Session {
    stdin: Box<dyn Write + Send>,
    lines: BufReader<Box<dyn Read + Send>>,
}

/// How an attempt ended; the number stands in the trace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Acknowledged = 0,
    Failed = 1,
    /// It may have been done or not.
    Unsure = 2,
}

/// What came of one way.
#[derive(Default)]
struct Tally {
    trace: Option<Vec<(u64, u64, u8)>>,
    sent: u32,
    acknowledged: Vec<u32>,
    unsure: u32,
    errors: u32,
    first_error: String,
    longest: Duration,
    last: Option<Instant>,
}

pub(crate) fn plan(arguments: &WriteProbe, context: &Context) -> Planned {
    let Value::Object(ways) = &arguments.ways else {
        return Err(Failure::new("argument 'ways' of module 'write_probe' must be a mapping"));
    };
    let ways = ways.iter().map(|(name, way)| read(name, way, arguments)).collect::<Result<Vec<Way>, Failure>>()?;
    if context.mode.is_check() {
        return Ok(Plan::Done(Outcome::skipped("in check mode no rows are written")));
    }
    let until = PathBuf::from(arguments.until.as_str());
    let limit = Duration::from_secs(arguments.limit);
    let traced = arguments.traced;
    Ok(Plan::change(Outcome::changed(), move |context, outcome| {
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let told = write_all(&ways, &until, limit, context.system);
        // Nobody needs the sign any more; that it is gone already is as good.
        let _ = context.system.remove_file(&until);
        let outcome = outcome.with("ways", told);
        Ok(if traced { outcome.with("began", millis(began)) } else { outcome })
    }))
}

/// Writes through all ways until the sign is there, the time is over, or the controller is gone.
fn write_all(ways: &[Way], until: &Path, limit: Duration, system: &dyn System) -> Map<String, Value> {
    let (begin, over) = (Instant::now(), AtomicBool::new(false));
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let writers: Vec<_> = ways.iter().map(|way| scope.spawn(|| way.write(system, begin, &over))).collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            if system.exists(until) || begin.elapsed() > limit || system.is_alone() {
                over.store(true, Ordering::SeqCst);
            }
            ways.iter().for_each(Way::end_if_stuck);
            thread::sleep(LOOK);
        }
        writers.into_iter().map(|writer| writer.join().unwrap_or_default()).collect()
    });
    ways.iter().zip(tallies).map(|(way, tally)| (way.name.clone(), tally.told())).collect()
}

fn read(name: &str, way: &Value, arguments: &WriteProbe) -> Result<Way, Failure> {
    let host = way["host"].as_str().ok_or_else(|| Failure::new(format!("the way '{name}' has no 'host'")))?;
    let port = way["port"].as_u64().ok_or_else(|| Failure::new(format!("the way '{name}' has no 'port'")))?;
    // Complaints come in the same stream as answers, so that each is told with its row.
    let program = Program::new(["sh", "-c", "exec psql -X -q -A -t 2>&1"])
        .env("PGHOST", host)
        .env("PGPORT", &port.to_string())
        .env("PGUSER", &arguments.user)
        .env("PGPASSWORD", arguments.password.reveal())
        .env("PGDATABASE", &arguments.database)
        .env("PGCONNECT_TIMEOUT", "5")
        .env("PGAPPNAME", "pgfleet write probe")
        .env("LC_ALL", "C.UTF-8");
    let interval = Duration::from_millis(way["interval"].as_u64().unwrap_or(arguments.interval).max(1));
    Ok(Way {
        name: name.to_owned(),
        program,
        table: arguments.table.clone(),
        interval,
        reads: way["reads"].as_bool().unwrap_or(false),
        spares_standbys: way["spares_standbys"].as_bool().unwrap_or(false),
        traced: arguments.traced,
        client: Mutex::default(),
    })
}

impl Way {
    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until it is over. A session that breaks is replaced at once.
    fn write(&self, system: &dyn System, begin: Instant, over: &AtomicBool) -> Tally {
        let mut tally = Tally { trace: self.traced.then(Vec::new), ..Tally::default() };
        let mut session: Option<Session> = None;
        let mut next = Instant::now();
        loop {
            if session.is_none() {
                session = self.open(system).map_err(|error| tally.fail(&error.to_string())).ok();
            }
            if let Some(open) = &mut session {
                tally.sent += 1;
                let (row, asked, text) = (tally.sent, Instant::now(), self.ask(open, tally.sent));
                let whole = text.is_ok();
                let ending = tally.judge(row, &text.unwrap_or_else(|text| text), whole);
                if let Some(trace) = &mut tally.trace {
                    trace.push((millis(asked.duration_since(begin)), millis(asked.elapsed()), ending as u8));
                }
                if !whole {
                    session = None;
                    if ending == Ending::Failed {
                        next = next.max(Instant::now() + RETRY.saturating_sub(self.interval));
                    }
                }
            }
            next = (next + self.interval).max(Instant::now());
            thread::sleep(next.saturating_duration_since(Instant::now()));
            if over.load(Ordering::SeqCst) {
                self.client().running = None;
                return tally;
            }
        }
    }

    fn open(&self, system: &dyn System) -> io::Result<Session> {
        let mut running = system.start(&self.program)?;
        let missing = || io::Error::other("psql has no streams");
        let session = Session { stdin: running.stdin().ok_or_else(missing)?, lines: BufReader::new(running.stdout().ok_or_else(missing)?) };
        *self.client() = Client { running: Some(running), asked: None };
        Ok(session)
    }

    /// Sends a row; gives what was printed until its mark, or until the client's end, which is an error.
    fn ask(&self, session: &mut Session, row: u32) -> Result<Vec<String>, Vec<String>> {
        self.client().asked = Some(Instant::now());
        let name = self.name.replace('\'', "''");
        let table = &self.table;
        let sql = if self.reads {
            format!("SELECT {row} + 0 * count(*) FROM (SELECT FROM {table} LIMIT 1) AS one;\n\\echo {MARK}\n")
        } else {
            let insert = format!("INSERT INTO {table} VALUES ('{name}', {row}) RETURNING n;\n");
            if self.spares_standbys {
                // Its log would fill with refusals.
                let ask = "SELECT pg_is_in_recovery() AS standby \\gset\n";
                format!("{ask}\\if :standby\n\\echo a standby takes no writes\n\\else\n{insert}\\endif\n\\echo {MARK}\n")
            } else {
                format!("{insert}\\echo {MARK}\n")
            }
        };
        // Why a client has ended stands in what it printed.
        let _ = session.stdin.write_all(sql.as_bytes()).and_then(|()| session.stdin.flush());
        let mut text = Vec::new();
        let mut line = String::new();
        while session.lines.read_line(&mut line).is_ok_and(|count| count > 0) {
            if line.trim_end() == MARK {
                self.client().asked = None;
                return Ok(text);
            }
            text.push(line.trim_end().to_owned());
            line.clear();
        }
        self.client().asked = None;
        Err(text)
    }

    /// Ends a client that has waited too long for an answer.
    fn end_if_stuck(&self) {
        let mut client = self.client();
        if client.asked.is_some_and(|asked| asked.elapsed() > PATIENCE)
            && let Some(running) = &mut client.running
        {
            running.end();
        }
    }
}

impl Tally {
    /// Judges a row by what the client printed, and whether it printed all of it.
    fn judge(&mut self, row: u32, text: &[String], whole: bool) -> Ending {
        let number = row.to_string();
        // The server has refused it, or there was no session to send it in.
        let refused = |line: &String| line.starts_with("ERROR:") || line.starts_with("psql: error: connection to server");
        if text.iter().any(|line| line.contains("canceling wait for synchronous replication")) {
            // The leader has it, but may be alone with it.
            self.unsure += 1;
            Ending::Unsure
        } else if text.contains(&number) {
            self.acknowledge(row);
            Ending::Acknowledged
        } else {
            self.fail(text.iter().find(|line| !line.is_empty()).map_or("the session ended", String::as_str));
            if whole || text.iter().any(refused) {
                return Ending::Failed;
            }
            self.unsure += 1;
            Ending::Unsure
        }
    }

    fn acknowledge(&mut self, row: u32) {
        let now = Instant::now();
        self.acknowledged.push(row);
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now - last);
        }
    }

    fn fail(&mut self, why: &str) {
        self.errors += 1;
        if self.first_error.is_empty() {
            why.clone_into(&mut self.first_error);
        }
    }

    fn told(&self) -> Value {
        let mut told = json!({
            "sent": self.sent,
            "acknowledged": ranges(&self.acknowledged),
            "unsure": self.unsure,
            "errors": self.errors,
            "first_error": self.first_error,
            "longest_gap_ms": millis(self.longest),
        });
        if let Some(trace) = &self.trace {
            told["trace"] = json!(trace);
        }
        told
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Rising numbers as ranges of neighbours, first and last of each.
fn ranges(numbers: &[u32]) -> Vec<[u32; 2]> {
    let mut ranges: Vec<[u32; 2]> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some([_, last]) if *last + 1 == *number => *last = *number,
            _ => ranges.push([*number, *number]),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::{Ending, Tally, ranges};

    #[test]
    fn a_session_that_breaks_leaves_its_row_unsure() {
        let judged = |text: &str, whole| Tally::default().judge(7, &[text.to_owned()], whole) as u8;
        assert_eq!(judged("server closed the connection unexpectedly", false), Ending::Unsure as u8);
        assert_eq!(judged("psql: error: connection to server at \"127.0.0.1\", port 5000 failed: refused", false), Ending::Failed as u8);
        assert_eq!(judged("ERROR:  cannot execute INSERT in a read-only transaction", true), Ending::Failed as u8);
        assert_eq!(judged("7", true), Ending::Acknowledged as u8);
    }

    #[test]
    fn a_cancelled_wait_leaves_its_row_unsure_though_its_number_came_back() {
        let text = [
            "WARNING:  canceling wait for synchronous replication due to user request",
            "DETAIL:  The transaction has already committed locally, but might not have been replicated to the standby.",
            "7",
        ];
        let text = text.map(str::to_owned);
        for whole in [true, false] {
            let mut tally = Tally::default();
            assert_eq!(tally.judge(7, &text, whole) as u8, Ending::Unsure as u8);
            assert_eq!((tally.unsure, tally.errors, tally.acknowledged), (1, 0, Vec::new()));
        }
        let mut tally = Tally::default();
        assert_eq!(tally.judge(7, &text[2..], true) as u8, Ending::Acknowledged as u8);
        assert_eq!((tally.unsure, tally.acknowledged), (0, vec![7]));
    }

    #[test]
    fn neighbours_make_a_range() {
        assert_eq!(ranges(&[]), Vec::<[u32; 2]>::new());
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), [[1, 3], [7, 7], [9, 10]]);
    }
}
