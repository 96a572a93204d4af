//! `command`: runs a program without a shell.

use pgfleet_protocol::modules::command::Command;

use crate::module::{Context, Failure, Planned};

pub(crate) fn plan(_arguments: &Command, _context: &Context) -> Planned {
    Err(Failure::new("not built yet"))
}

/// Splits a command line as a POSIX shell would, expanding nothing.
pub(crate) fn split(line: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err(Failure::new(format!("no closing quotation in: {line}"))),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') if matches!(letters.peek(), Some('"' | '\\')) => word.extend(letters.next()),
                        Some(letter) => word.push(letter),
                        None => return Err(Failure::new(format!("no closing quotation in: {line}"))),
                    }
                }
            }
            '\\' => match letters.next() {
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err(Failure::new(format!("nothing follows the last backslash in: {line}"))),
            },
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}
