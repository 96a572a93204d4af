//! A small HTTP server on the loopback for tests: each connection gets the next of its answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use pgfleet_protocol::{Mode, Outcome};
use serde_json::Value;

use crate::module::{Channel, Context};
use crate::run::run;
use crate::system::Linux;

/// What the server is asked, and what it does with the connection.
pub(crate) struct Server {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    /// Every request as it came: head and body.
    pub(crate) asked: Receiver<String>,
}

impl Server {
    /// Serves these answers, one a connection, then ends.
    pub(crate) fn new(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let answers: Vec<String> = answers.iter().map(|answer| answer.replace("ADDRESS", &address)).collect();
        let (tell, asked) = channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
                let (mut request, mut length) = (String::new(), 0);
                loop {
                    let from = request.len();
                    reader.read_line(&mut request).expect("a line");
                    let line = request[from..].to_ascii_lowercase();
                    if let Some(text) = line.strip_prefix("content-length:") {
                        length = text.trim().parse().expect("a length");
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                request.push_str(&String::from_utf8_lossy(&body));
                // Nobody need look at what was asked.
                let _ = tell.send(request);
                if answer == "HANG" {
                    // Until the other side has had enough.
                    let _ = stream.read(&mut [0]);
                } else {
                    // A client may go before it has read all.
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        Self { address, asked }
    }

    /// An address on it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request.
    pub(crate) fn next(&self) -> String {
        self.asked.recv_timeout(std::time::Duration::from_secs(10)).expect("a request")
    }
}

/// An address where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Does one call on this very host.
pub(crate) fn call(module: &str, arguments: &Value, mode: Mode) -> Outcome {
    let context = Context { system: &Linux, mode, diff: true, brief: false, environment: &[], channel: &NoContent };
    run(module, arguments.as_object().expect("arguments"), &context)
}

/// Modules that speak HTTP exchange no content with the controller.
struct NoContent;

impl Channel for NoContent {
    fn receive(&self, _sink: &mut dyn Write) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn send(&self, _source: &mut dyn Read) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
