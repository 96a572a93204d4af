//! The daemon: watches the node between runs, keeps a bounded history, and answers on a socket that only root may use.

mod answer;
mod daemon;
mod fence;
mod history;
mod notify;
mod options;
mod postmaster;
mod sample;
mod text;
mod waker;

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use options::Options;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(arguments: &[String]) -> io::Result<()> {
    daemon::run(&Options::read(arguments)?)
}

/// Asks the running daemon and prints its answer, for a person or with `--json` for a program.
///
/// # Errors
/// When it does not answer.
pub fn status(arguments: &[String]) -> io::Result<()> {
    let options = Options::read(arguments)?;
    let question = match options.history {
        0 => json!({"ask": "status"}),
        limit => json!({"ask": "history", "limit": limit}),
    };
    let told = ask(&options, &question).map_err(|error| silence(&options, &error))?;
    let text = if options.is_json { format!("{}\n", serde_json::to_string_pretty(&told)?) } else { text::read_aloud(&told) };
    io::stdout().write_all(text.as_bytes())
}

/// Why there is no answer, and what to do about it.
fn silence(options: &Options, error: &io::Error) -> io::Error {
    let next = match error.kind() {
        ErrorKind::PermissionDenied => "only root may ask: run it with sudo",
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            "the daemon does not run: start it with 'systemctl start pgfleet-agent'; why it ended says 'journalctl -u pgfleet-agent -n 20'"
        }
        _ => "look at the daemon with 'systemctl status pgfleet-agent'",
    };
    io::Error::new(error.kind(), format!("no answer at {}: {}; {next}", options.socket.display(), crate::module::reason(error)))
}

fn ask(options: &Options, question: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(&options.socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
