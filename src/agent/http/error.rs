//! Why a request got no answer, in our words and in Ansible's.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::module::reason;

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// The address, a header or the like cannot be used.
    Request(String),
    /// Nobody took the connection.
    Connect(io::Error),
    /// The connection was there and then failed.
    Exchange(io::Error),
    /// What came is no HTTP.
    Answer(String),
    /// The answer could not be put where it belongs.
    Sink(io::Error),
    /// The time that all of it may take is over.
    Late(Duration),
}

impl HttpError {
    /// The sentence that Ansible has for it.
    pub(crate) fn ansible(&self) -> String {
        match self {
            Self::Request(why) => why.clone(),
            Self::Connect(error) if is_timeout(error) => "Request failed: <urlopen error timed out>".to_owned(),
            Self::Connect(error) => match error.raw_os_error() {
                Some(number) => format!("Request failed: <urlopen error [Errno {number}] {}>", reason(error)),
                None => format!("Request failed: <urlopen error {error}>"),
            },
            Self::Exchange(error) if is_timeout(error) => "Connection failure: The read operation timed out".to_owned(),
            Self::Exchange(error) => match error.raw_os_error() {
                Some(number) => format!("Connection failure: [Errno {number}] {}", reason(error)),
                None => format!("Connection failure: {error}"),
            },
            Self::Answer(why) => format!("Connection failure: connection was closed before a valid response was received: {why}"),
            Self::Sink(_) | Self::Late(_) => self.to_string(),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(why) | Self::Answer(why) => formatter.write_str(why),
            Self::Connect(error) if is_timeout(error) => formatter.write_str("the connection was not taken in time"),
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => formatter.write_str("connection refused"),
            Self::Connect(error) => formatter.write_str(&reason(error)),
            Self::Exchange(error) if is_timeout(error) => formatter.write_str("no answer in time"),
            Self::Exchange(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                formatter.write_str("the connection was closed before the answer")
            }
            Self::Exchange(error) => formatter.write_str(&reason(error)),
            Self::Sink(error) => write!(formatter, "cannot keep the answer: {}", reason(error)),
            Self::Late(limit) => write!(formatter, "no answer within {} s", limit.as_secs()),
        }
    }
}

/// Sockets tell a timeout as `WouldBlock`.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}
