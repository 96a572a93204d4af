//! `pgfleet completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Args;
use crate::exit::Exit;
use crate::screen;

pub(crate) fn run(shell: Shell) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "pgfleet", &mut script);
    screen::text(&String::from_utf8_lossy(&script));
    Exit::Done
}
