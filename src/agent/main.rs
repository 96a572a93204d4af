//! The agent's command line: `exec` for the controller, `serve` for systemd, `status` for a person, `claim-timeline` for Patroni.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use pgfleet_agent::{Linux, defect};

const USAGE: &str = "usage: pgfleet-agent exec | serve | status | claim-timeline | --version";

fn main() -> ExitCode {
    defect::survive();
    let mut arguments = std::env::args().skip(1);
    let word = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match word.as_str() {
        "exec" => converse(&rest),
        "serve" => pgfleet_agent::serve(&rest),
        pgfleet_agent::detached::WORD => pgfleet_agent::detached::job(io::stdin()),
        "status" => pgfleet_agent::status(&rest),
        "claim-timeline" => pgfleet_agent::claim_timeline(&Linux).and_then(|told| say(&told)),
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

fn converse(arguments: &[String]) -> io::Result<()> {
    let (reader, writer) = (defect::file(io::stdin().as_fd())?, defect::file(io::stdout().as_fd())?);
    match arguments {
        [word] if word == defect::AGAIN => pgfleet_agent::exec_again(reader, writer, &Linux),
        _ => pgfleet_agent::exec(reader, writer, &Linux),
    }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
