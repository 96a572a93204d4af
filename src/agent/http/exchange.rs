//! One request and the head of its answer, over TCP or a Unix socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::body::{Body, Length, read_line};
use super::{HttpError, Request, Response, Scheme, Url, patience, proxy, tls};
use crate::system::{Connection, System};

/// The most headers that an answer may have.
const MOST_HEADERS: usize = 256;

/// A connection whose reads end with the time that all of it may take.
struct Timed {
    connection: Box<dyn Connection>,
    deadline: Option<Instant>,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.connection.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.connection.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.flush()
    }
}

/// Sends the request, over TLS where it is said whom to trust; answers the head and a reader of the body.
pub(super) fn exchange(system: &dyn System, request: &Request, trust: Option<&tls::Trust>) -> Result<(Response, Box<dyn Read>), HttpError> {
    let via = if request.unix_socket.is_none() && request.url.scheme == Scheme::Http { proxy::find(system, request)? } else { None };
    let written = write_head(request, via.as_ref())?;
    let wait = patience(request)?;
    let connection = match (&request.unix_socket, &via) {
        (Some(path), _) => connect_unix(path, wait),
        (None, Some(via)) => system.connect(&via.host, via.port, wait),
        (None, None) => system.connect(&request.url.host, request.url.port, wait),
    }
    .map_err(HttpError::Connect)?;
    let mut connection: Box<dyn Connection> = Box::new(Timed { connection, deadline: request.deadline });
    if let Some(trust) = trust {
        connection = tls::encrypted(system, connection, &request.url.host, trust).map_err(HttpError::Connect)?;
    }
    let body = request.body.as_deref().unwrap_or_default();
    // A server may answer and close before it has read all: then the answer counts, not the broken pipe.
    let sent = connection.write_all(&written).and_then(|()| connection.write_all(body)).and_then(|()| connection.flush());
    let mut stream = BufReader::new(connection);
    match read_answer(&mut stream, request) {
        Ok(head) => {
            let length = length(&head, &request.method)?;
            Ok((head, Box::new(Body::new(stream, length))))
        }
        Err(error) => Err(sent.err().map_or(error, HttpError::Exchange)),
    }
}

fn connect_unix(path: &Path, wait: Duration) -> io::Result<Box<dyn Connection>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    Ok(Box::new(stream))
}

/// Request line and headers.
fn write_head(request: &Request, via: Option<&Url>) -> Result<Vec<u8>, HttpError> {
    let method = &request.method;
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HttpError::Request(format!("'{}' is no method of HTTP", method.escape_default())));
    }
    let target = if via.is_some() { request.url.to_string() } else { request.url.target.clone() };
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    let mut add = |name: &str, value: &str| {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') || value.contains(['\r', '\n', '\0']) {
            return Err(HttpError::Request(format!("the header '{}' cannot be sent", name.escape_default())));
        }
        head.push_str(&format!("{name}: {value}\r\n"));
        Ok(())
    };
    for (name, value) in [("Host", request.url.authority().as_str()), ("Accept-Encoding", "identity"), ("Accept", "*/*")] {
        if !request.has_header(name) {
            add(name, value)?;
        }
    }
    for (name, value) in
        request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("connection"))
    {
        add(name, value)?;
    }
    if let Some(login) = via.and_then(proxy::login) {
        add("Proxy-Authorization", &login)?;
    }
    if request.body.is_some() || matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
        add("Content-Length", &request.body.as_ref().map_or(0, Vec::len).to_string())?;
    }
    add("Connection", "close")?;
    head.push_str("\r\n");
    Ok(head.into_bytes())
}

/// The head of the answer that counts; those that only say "go on" are passed over.
pub(super) fn read_answer(stream: &mut impl BufRead, request: &Request) -> Result<Response, HttpError> {
    loop {
        let head = read_head(stream, request)?;
        if !(100..200).contains(&head.status) || head.status == 101 {
            return Ok(head);
        }
    }
}

fn read_head(stream: &mut impl BufRead, request: &Request) -> Result<Response, HttpError> {
    let line = read_line(stream).map_err(HttpError::Exchange)?;
    let wrong = || HttpError::Answer(format!("the answer is no HTTP: {}", line.chars().take(80).collect::<String>().escape_default()));
    let mut words = line.splitn(3, ' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.parse::<u16>().ok()).filter(|status| (100..1000).contains(status));
    let status = status.filter(|_| version.starts_with("HTTP/")).ok_or_else(wrong)?;
    let reason = words.next().unwrap_or_default().trim().to_owned();
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let line = read_line(stream).map_err(HttpError::Exchange)?;
        if line.is_empty() {
            return Ok(Response { status, reason, headers, url: request.url.clone() });
        }
        if headers.len() == MOST_HEADERS {
            return Err(HttpError::Answer(format!("the answer has more than {MOST_HEADERS} headers")));
        }
        match (line.split_once(':'), headers.last_mut()) {
            // A line that goes on, as old servers write it.
            (_, Some((_, value))) if line.starts_with([' ', '\t']) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (Some((name, value)), _) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
            (None, _) => return Err(HttpError::Answer(format!("the answer has a header without a colon: {}", line.escape_default()))),
        }
    }
}

fn length(head: &Response, method: &str) -> Result<Length, HttpError> {
    if method == "HEAD" || head.status == 204 || head.status == 304 {
        return Ok(Length::Bytes(0));
    }
    if head.header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
        return Ok(Length::Chunks(None));
    }
    match head.header("content-length") {
        None => Ok(Length::UntilEnd),
        Some(text) => {
            text.parse().map(Length::Bytes).map_err(|_| HttpError::Answer(format!("the answer's length is '{}'", text.escape_default())))
        }
    }
}
