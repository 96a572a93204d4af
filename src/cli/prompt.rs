//! Questions to the person at the terminal.

use std::io;

use console::Term;
use pgfleet_protocol::Secret;

use crate::screen::harmless;

/// True when there is a person to ask.
pub(crate) fn is_possible() -> bool {
    Term::stderr().is_term() && io::IsTerminal::is_terminal(&io::stdin())
}

/// Asks for a secret; what is typed does not show.
pub(crate) fn secret(question: &str) -> io::Result<Secret> {
    if !is_possible() {
        return Err(io::Error::new(io::ErrorKind::NotConnected, "no terminal"));
    }
    let terminal = Term::stderr();
    terminal.write_str(&harmless(question))?;
    terminal.read_secure_line().map(Secret::new)
}

/// Asks for a line.
pub(crate) fn line(question: &str) -> io::Result<String> {
    if !is_possible() {
        return Err(io::Error::new(io::ErrorKind::NotConnected, "no terminal"));
    }
    let terminal = Term::stderr();
    terminal.write_str(&harmless(question))?;
    terminal.read_line()
}

/// Asks what plays and pauses want to know.
pub(crate) struct Terminal;

impl pgfleet_engine::Asker for Terminal {
    fn ask<'a>(&'a self, question: &'a str, hidden: bool) -> pgfleet_engine::Answer<'a> {
        let question = question.to_owned();
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || match hidden {
                true => secret(&question).map(|typed| typed.reveal().to_owned()),
                false => line(&question),
            });
            asked.await.ok()?.ok()
        })
    }
}
