//! The agent's command line: `exec` for the controller, `serve` for systemd, `status` for a person.

use std::io::{self, Write};
use std::process::ExitCode;

use pgfleet_agent::Linux;

const USAGE: &str = "usage: pgfleet-agent exec | serve | status | --version";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let word = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match word.as_str() {
        "exec" => pgfleet_agent::exec(io::stdin().lock(), io::stdout().lock(), &Linux),
        "serve" => pgfleet_agent::serve(&rest),
        "status" => pgfleet_agent::status(&rest),
        "--version" | "-V" => say(&format!("pgfleet-agent {}", env!("CARGO_PKG_VERSION"))),
        "--help" | "-h" => say(USAGE),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone too.
            let _ = writeln!(io::stderr(), "pgfleet-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
