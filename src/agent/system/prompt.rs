//! A TCP connection that acknowledges at once what it has read.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::net::sockopt::set_tcp_quickack;

/// A server that writes an answer in pieces sends the next one when the one before is acknowledged (Nagle), which Linux puts off by 40 ms
/// in a conversation. Python's servers write so, and over TLS they do it twice an answer: a question took 90 ms of waiting.
pub(super) struct Prompt(pub(super) TcpStream);

impl Read for Prompt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Linux forgets it again, so it is said before each read; where it cannot be said, the read is slower, no more.
        let _ = set_tcp_quickack(&self.0, true);
        self.0.read(buffer)
    }
}

impl Write for Prompt {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
