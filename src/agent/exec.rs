//! The conversation with the controller: frames in, one call at a time, frames out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use pgfleet_protocol::{Chunk, Decoder, Frame, FrameError, FromAgent, MAX_FRAME, Outcome, Request, ToAgent, VERSION, encode, only_reads};

use crate::defect::{self, Doing};
use crate::module::{Channel, Context};
use crate::run::{look, run};
use crate::system::System;

/// Serves one controller until it closes the stream: says hello, then does each call in order.
///
/// # Errors
/// When the stream breaks, is not ours, or the controller speaks another version. No call's failure ends it.
pub fn exec(reader: impl Read, writer: impl Write, system: &dyn System) -> io::Result<()> {
    let stream = RefCell::new(Stream { reader, writer, decoder: Decoder::default(), waiting: VecDeque::new(), ahead: Vec::new() });
    stream.borrow_mut().say(&FromAgent::Hello { version: VERSION })?;
    match stream.borrow_mut().next_frame()? {
        None => return Ok(()),
        Some(Frame::Message(ToAgent::Hello { version: VERSION })) => {}
        Some(Frame::Message(ToAgent::Hello { version })) => {
            return Err(invalid(format!("the controller speaks protocol version {version}, this agent {VERSION}")));
        }
        Some(_) => return Err(invalid("the controller did not say hello first")),
    }
    converse(&stream, system)
}

/// Goes on with a controller whose greeting is over.
///
/// # Errors
/// As [`exec`].
pub fn exec_again(reader: impl Read, writer: impl Write, system: &dyn System) -> io::Result<()> {
    converse(&RefCell::new(Stream { reader, writer, decoder: Decoder::default(), waiting: VecDeque::new(), ahead: Vec::new() }), system)
}

fn converse<R: Read, W: Write>(stream: &RefCell<Stream<R, W>>, system: &dyn System) -> io::Result<()> {
    loop {
        let Some(request) = stream.borrow_mut().next_request()? else { return Ok(()) };
        let channel = CallChannel { id: request.id, stream };
        let context = Context {
            system,
            mode: request.mode,
            diff: request.diff,
            brief: request.brief,
            environment: &request.environment,
            channel: &channel,
        };
        let ahead = std::mem::take(&mut stream.borrow_mut().ahead);
        defect::note(Doing::Call(request.id, request.module.clone()));
        let outcome = match &request.detached {
            None => run(&request.module, &request.arguments, &context),
            Some(detached) => crate::detached::start(&request, detached, system),
        };
        defect::note(Doing::Nothing);
        let has_effect = !outcome.is_without_effect() && !only_reads(&request.module, &request.arguments);
        let goes_on = !has_effect && request.detached.is_none();
        stream.borrow_mut().done(request.id, outcome)?;
        if !ahead.is_empty() {
            let outcomes = if goes_on { look_ahead(&ahead, system) } else { Vec::new() };
            stream.borrow_mut().ahead(outcomes)?;
        }
    }
}

/// The outcomes of calls that would change nothing, up to the first that would.
fn look_ahead(calls: &[Request], system: &dyn System) -> Vec<Outcome> {
    let look_at = |call: &Request| {
        let context =
            Context { system, mode: call.mode, diff: false, brief: call.brief, environment: &call.environment, channel: &NoContent };
        look(&call.module, &call.arguments, &context)
    };
    defect::note(Doing::Ahead);
    let outcomes = calls.iter().map_while(look_at).collect();
    defect::note(Doing::Nothing);
    outcomes
}

/// A look needs no content.
struct NoContent;

impl Channel for NoContent {
    fn receive(&self, _: &mut dyn Write) -> io::Result<u64> {
        Err(ErrorKind::Unsupported.into())
    }

    fn send(&self, _: &mut dyn Read) -> io::Result<u64> {
        Err(ErrorKind::Unsupported.into())
    }
}

struct Stream<R, W> {
    reader: R,
    writer: W,
    decoder: Decoder,
    /// Calls that arrived while content for an earlier one was awaited.
    waiting: VecDeque<Request>,
    /// Calls that are expected to follow the next one.
    ahead: Vec<Request>,
}

impl<R: Read, W: Write> Stream<R, W> {
    fn say(&mut self, message: &FromAgent) -> io::Result<()> {
        self.writer.write_all(&encode(message).map_err(invalid)?)?;
        self.writer.flush()
    }

    /// Sends an outcome; one that is too long for a frame is replaced by a failure that says so.
    fn done(&mut self, id: u64, outcome: Outcome) -> io::Result<()> {
        match encode(&FromAgent::Done { id, outcome }) {
            Ok(bytes) => {
                self.writer.write_all(&bytes)?;
                self.writer.flush()
            }
            Err(FrameError::TooLong(length)) => {
                let message = format!("the result of {length} bytes is over the {MAX_FRAME} that one may have");
                self.say(&FromAgent::Done { id, outcome: Outcome::failed(message) })
            }
            Err(error) => Err(invalid(error)),
        }
    }

    /// Sends what was looked at; nothing of it, where that is too long for a frame.
    fn ahead(&mut self, outcomes: Vec<Outcome>) -> io::Result<()> {
        match encode(&FromAgent::Ahead { outcomes }) {
            Err(FrameError::TooLong(_)) => self.say(&FromAgent::Ahead { outcomes: Vec::new() }),
            Err(error) => Err(invalid(error)),
            Ok(bytes) => {
                self.writer.write_all(&bytes)?;
                self.writer.flush()
            }
        }
    }

    /// The next frame; `None` when the controller has closed the stream between two frames. Nothing is read beyond it: should the
    /// call have a defect, the program that goes on in this one's place finds all the rest.
    fn next_frame(&mut self) -> io::Result<Option<Frame<ToAgent>>> {
        let mut head = [0; 4];
        let (first, rest) = head.split_at_mut(1);
        match self.reader.read_exact(first) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        self.reader.read_exact(rest)?;
        self.decoder.push(&head);
        // What is no length of ours is said here, before anything of that length is made.
        if let Some(frame) = self.decoder.next_frame().map_err(invalid)? {
            return Ok(Some(frame));
        }
        let mut body = vec![0; u32::from_be_bytes(head) as usize];
        self.reader.read_exact(&mut body)?;
        self.decoder.push(&body);
        self.decoder.next_frame().map_err(invalid)
    }

    fn next_request(&mut self) -> io::Result<Option<Request>> {
        if let Some(request) = self.waiting.pop_front() {
            return Ok(Some(request));
        }
        loop {
            match self.next_frame()? {
                None => return Ok(None),
                Some(Frame::Message(ToAgent::Run(request))) => return Ok(Some(request)),
                Some(Frame::Message(ToAgent::Ahead { calls })) => self.ahead = calls,
                Some(Frame::Message(ToAgent::Hello { .. })) => return Err(invalid("the controller said hello twice")),
                // The rest of content for a call that has ended without it.
                Some(Frame::Chunk(_)) => {}
            }
        }
    }
}

/// The content of one call.
struct CallChannel<'a, R, W> {
    id: u64,
    stream: &'a RefCell<Stream<R, W>>,
}

impl<R: Read, W: Write> Channel for CallChannel<'_, R, W> {
    fn receive(&self, sink: &mut dyn Write) -> io::Result<u64> {
        let mut stream = self.stream.borrow_mut();
        stream.say(&FromAgent::Want { id: self.id })?;
        let mut length = 0;
        let mut written = Ok(());
        loop {
            match stream.next_frame()? {
                None => return Err(ErrorKind::UnexpectedEof.into()),
                Some(Frame::Chunk(chunk)) if chunk.id == self.id => {
                    length += chunk.bytes.len() as u64;
                    // After a full disk the rest is read and dropped, so that the stream stays in step.
                    if written.is_ok() {
                        written = sink.write_all(&chunk.bytes);
                    }
                    if chunk.last {
                        return written.map(|()| length);
                    }
                }
                Some(Frame::Chunk(_)) => {}
                Some(Frame::Message(ToAgent::Run(request))) => stream.waiting.push_back(request),
                Some(Frame::Message(ToAgent::Ahead { .. })) => return Err(invalid("calls were sent ahead in the middle of content")),
                Some(Frame::Message(ToAgent::Hello { .. })) => return Err(invalid("the controller said hello twice")),
            }
        }
    }

    fn send(&self, source: &mut dyn Read) -> io::Result<u64> {
        let mut stream = self.stream.borrow_mut();
        let mut length = 0;
        let mut frame = vec![0; Chunk::HEAD + Chunk::SIZE];
        loop {
            let (head, content) = frame.split_at_mut(Chunk::HEAD);
            let (read, count) = fill(source, content);
            let last = read.is_err() || count == 0;
            length += count as u64;
            head.copy_from_slice(&Chunk::head(self.id, last, count).map_err(invalid)?);
            stream.writer.write_all(&frame[..Chunk::HEAD + count])?;
            if last {
                stream.writer.flush()?;
                return read.map(|()| length);
            }
        }
    }
}

/// Reads until there is no more room, or nothing more; how much that was, also of what breaks off.
fn fill(source: &mut dyn Read, room: &mut [u8]) -> (io::Result<()>, usize) {
    let mut count = 0;
    while count < room.len() {
        match source.read(&mut room[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), count),
        }
    }
    (Ok(()), count)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
