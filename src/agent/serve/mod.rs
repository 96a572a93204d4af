//! The daemon: watches the node between runs, keeps a bounded history, and answers on a socket that only root may use.

mod answer;
mod daemon;
mod history;
mod notify;
mod options;
mod sample;

use std::io::{self, BufRead, BufReader, Write};
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

/// Asks the running daemon and prints its answer.
///
/// # Errors
/// When it does not answer.
pub fn status(arguments: &[String]) -> io::Result<()> {
    let options = Options::read(arguments)?;
    let question = match options.history {
        0 => json!({"ask": "status"}),
        limit => json!({"ask": "history", "limit": limit}),
    };
    let complete = |error: io::Error| {
        let why =
            format!("no answer at {} (is pgfleet-agent.service running?): {}", options.socket.display(), crate::module::reason(&error));
        io::Error::new(error.kind(), why)
    };
    let told: Value = ask(&options, &question).map_err(complete)?;
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&told)?)
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
