//! One session with a server: statements as text go there, rows as text come back.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use pgfleet_protocol::{Map, Secret};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use serde_json::Value;

use super::value;
use crate::system::Connection;

/// What a server complained of, or why it could not be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// The five characters of PostgreSQL's list; empty when the server was not reached.
    pub(crate) code: String,
    /// `FATAL`, `ERROR`.
    pub(crate) severity: String,
    /// The message itself.
    pub(crate) message: String,
    /// Where in the statement, in characters from 1.
    pub(crate) position: Option<usize>,
    /// Detail and hint, a line each.
    pub(crate) more: String,
}

impl ServerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn read(mut fields: ErrorFields<'_>) -> Self {
        let mut error = Self::default();
        while let Ok(Some(field)) = fields.next() {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.code = text,
                b'V' => error.severity = text,
                b'M' => error.message = text,
                b'P' => error.position = text.parse().ok(),
                b'D' => error.more.push_str(&format!("\nDETAIL:  {text}")),
                b'H' => error.more.push_str(&format!("\nHINT:  {text}")),
                _ => {}
            }
        }
        error
    }

    /// The message with the line of the statement that it is about, as psql shows it.
    pub(crate) fn with_place(&self, statement: &str) -> String {
        let Some(at) = self.position.and_then(|position| position.checked_sub(1)) else { return self.to_string() };
        let before: String = statement.chars().take(at).collect();
        let number = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let line = statement.lines().nth(number - 1).unwrap_or_default();
        let head = format!("LINE {number}: ");
        let place = format!("{head}{line}\n{}^", " ".repeat(head.len() + column));
        format!("{}\n{place}{}", self.message, self.rest())
    }

    fn rest(&self) -> String {
        let replica = if self.code == READ_ONLY {
            "\nthis server takes no changes: it is a replica, or set to read only; run the task on the leader"
        } else {
            ""
        };
        format!("{}{replica}", self.more)
    }
}

/// `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.message, self.rest())
    }
}

impl From<io::Error> for ServerError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::new("server closed the connection unexpectedly"),
            _ => Self::new(crate::module::reason(&error)),
        }
    }
}

/// What one statement gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// Names and types of its columns; none for a statement without a result.
    columns: Vec<(String, u32)>,
    rows: Vec<Vec<Option<String>>>,
    /// What the server says of it: `SELECT 1`, `CREATE ROLE`.
    pub(crate) tag: String,
}

impl Answer {
    /// True when it has columns, be there rows or not.
    pub(crate) fn has_result(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Rows made, read or changed.
    pub(crate) fn count(&self) -> u64 {
        self.tag.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// All rows as mappings of values of JSON.
    pub(crate) fn mappings(&self) -> Vec<Map> {
        let row = |row: &Vec<Option<String>>| {
            let cells = self.columns.iter().zip(row);
            cells.map(|((name, kind), text)| (name.clone(), text.as_ref().map_or(Value::Null, |text| value::read(*kind, text)))).collect()
        };
        self.rows.iter().map(row).collect()
    }

    /// The rows as text.
    pub(crate) fn rows(&self) -> &[Vec<Option<String>>] {
        &self.rows
    }

    /// A column of the first row, as text; `None` where there is no row, or nothing in it.
    pub(crate) fn cell(&self, column: usize) -> Option<&str> {
        self.rows.first()?.get(column)?.as_deref()
    }

    /// The first column of all rows.
    pub(crate) fn column(&self) -> Vec<String> {
        self.rows.iter().filter_map(|row| row.first().cloned().flatten()).collect()
    }
}

/// A session. Dropped, it ends; what it had not committed is undone by the server.
pub(crate) struct Client {
    stream: Box<dyn Connection>,
    input: BytesMut,
    version: u32,
}

impl Client {
    /// Greets the server and proves who we are.
    pub(crate) fn start(stream: Box<dyn Connection>, parameters: &[(&str, &str)], password: Option<&Secret>) -> Result<Self, ServerError> {
        let mut client = Self { stream, input: BytesMut::new(), version: 0 };
        client.send(|out| frontend::startup_message(parameters.iter().copied(), out))?;
        let user = parameters.iter().find(|(name, _)| *name == "user").map_or("", |(_, user)| user);
        client.authenticate(user, password)?;
        loop {
            match client.next()? {
                Message::ReadyForQuery(_) => return Ok(client),
                Message::ParameterStatus(status) if status.name().ok() == Some("server_version") => {
                    client.version = number_of(status.value().unwrap_or_default());
                }
                Message::ErrorResponse(body) => return Err(ServerError::read(body.fields())),
                _ => {}
            }
        }
    }

    /// The server's version as PostgreSQL numbers it: 170011.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    fn authenticate(&mut self, user: &str, password: Option<&Secret>) -> Result<(), ServerError> {
        let needed =
            || password.map(|password| password.reveal().as_bytes()).ok_or_else(|| ServerError::new("fe_sendauth: no password supplied"));
        loop {
            match self.next()? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    let password = needed()?;
                    self.send(|out| frontend::password_message(password, out))?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(user.as_bytes(), needed()?, body.salt());
                    self.send(|out| frontend::password_message(hash.as_bytes(), out))?;
                }
                Message::AuthenticationSasl(body) => {
                    let mut names = body.mechanisms();
                    let mut is_known = false;
                    while let Ok(Some(name)) = names.next() {
                        is_known |= name == SCRAM_SHA_256;
                    }
                    if !is_known {
                        return Err(ServerError::new("the server wants a way of logging in that the agent does not know"));
                    }
                    self.scram(needed()?)?;
                }
                Message::ErrorResponse(body) => return Err(ServerError::read(body.fields())),
                Message::NoticeResponse(_) => {}
                _ => return Err(ServerError::new("the server wants a way of logging in that the agent does not know (GSSAPI, SSPI)")),
            }
        }
    }

    fn scram(&mut self, password: &[u8]) -> Result<(), ServerError> {
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        let first = scram.message().to_vec();
        self.send(|out| frontend::sasl_initial_response(SCRAM_SHA_256, &first, out))?;
        loop {
            match self.next()? {
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    let proof = scram.message().to_vec();
                    self.send(|out| frontend::sasl_response(&proof, out))?;
                }
                // The server knows the password too: nobody stands between.
                Message::AuthenticationSaslFinal(body) => return Ok(scram.finish(body.data())?),
                Message::ErrorResponse(body) => return Err(ServerError::read(body.fields())),
                _ => {}
            }
        }
    }

    /// Sends statements; answers what the last one gave. After an error the session can be used on.
    pub(crate) fn run(&mut self, statements: &str) -> Result<Answer, ServerError> {
        self.send(|out| frontend::query(statements, out))?;
        let (mut answer, mut last, mut problem) = (Answer::default(), Answer::default(), None);
        loop {
            match self.next()? {
                Message::RowDescription(body) => {
                    let mut fields = body.fields();
                    while let Some(field) = fields.next()? {
                        answer.columns.push((field.name().to_owned(), field.type_oid()));
                    }
                }
                Message::DataRow(body) => {
                    let cell = |range: Option<std::ops::Range<usize>>| {
                        Ok(range.map(|range| String::from_utf8_lossy(body.buffer().get(range).unwrap_or_default()).into_owned()))
                    };
                    answer.rows.push(body.ranges().map(cell).collect()?);
                }
                Message::CommandComplete(body) => {
                    body.tag()?.clone_into(&mut answer.tag);
                    last = std::mem::take(&mut answer);
                }
                Message::EmptyQueryResponse => last = std::mem::take(&mut answer),
                Message::CopyInResponse(_) => self.send(|out| frontend::copy_fail("use psql for COPY FROM STDIN", out))?,
                Message::CopyOutResponse(_) => {
                    problem.get_or_insert_with(|| ServerError::new("COPY TO STDOUT gives no rows: use SELECT, or psql"));
                }
                Message::ErrorResponse(body) => {
                    problem.get_or_insert_with(|| ServerError::read(body.fields()));
                }
                Message::ReadyForQuery(_) => return problem.map_or(Ok(last), Err),
                _ => {}
            }
        }
    }

    fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), ServerError> {
        let mut out = BytesMut::new();
        write(&mut out)?;
        self.stream.write_all(&out)?;
        Ok(self.stream.flush()?)
    }

    fn next(&mut self) -> Result<Message, ServerError> {
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A word of farewell keeps the server's log free of complaints; a broken session needs none.
        let _ = self.send(|out| {
            frontend::terminate(out);
            Ok(())
        });
    }
}

/// `17.11 (Debian 17.11-1)` is 170011, `9.6.24` is 90624.
fn number_of(version: &str) -> u32 {
    let mut numbers = version.split([' ', '.']).map_while(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    match (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) {
        (first @ 0..=9, second, third) => first * 10_000 + second * 100 + third,
        (first, second, _) => first * 10_000 + second,
    }
}

#[cfg(test)]
mod tests {
    use super::{ServerError, number_of};

    #[test]
    fn versions_are_numbered_as_postgresql_does() {
        for (text, expect) in [("17.11 (Debian 17.11-0+deb13u1)", 170_011), ("9.6.24", 90_624), ("18beta1", 180_000), ("", 0)] {
            assert_eq!(number_of(text), expect, "{text}");
        }
    }

    #[test]
    fn an_error_shows_its_place() {
        let error = ServerError { position: Some(16), ..ServerError::new("relation \"x\" does not exist") };
        let expect = format!("relation \"x\" does not exist\nLINE 2:  FROM x\n{}^", " ".repeat(14));
        assert_eq!(error.with_place("SELECT 1\n FROM x"), expect);
    }
}
