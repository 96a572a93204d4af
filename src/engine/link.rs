//! One conversation with one agent over any stream.

use std::io::{Cursor, Read};
use std::time::Duration;

use pgfleet_protocol::{Chunk, Decoder, Frame, FromAgent, Outcome, Request, ToAgent, VERSION, encode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Content, Incoming, Unreachable};

/// How long an agent may take for its first word.
const GREETING: Duration = Duration::from_secs(30);

/// Room for most answers: every host of a fleet keeps as much.
const ANSWER: usize = 1024;
/// Room for what goes on: one packet of SSH.
const BLOCK: usize = 32 * 1024;

/// The controller's end of an agent's stream. One call at a time; a call that was given up spoils the link.
pub struct Link {
    host: String,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    decoder: Decoder,
    next: u64,
    spoiled: bool,
}

impl Link {
    /// Greets the agent at the other end.
    ///
    /// # Errors
    /// When it does not answer, or speaks another version.
    pub async fn open(
        host: impl Into<String>,
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, Unreachable> {
        let (reader, writer) = (Box::new(reader), Box::new(writer));
        let mut link = Self { host: host.into(), reader, writer, decoder: Decoder::default(), next: 1, spoiled: false };
        link.send(&ToAgent::Hello { version: VERSION }).await?;
        let greeting = tokio::time::timeout(GREETING, link.receive()).await;
        match greeting.map_err(|_| link.lost("the agent did not answer within 30 s"))?? {
            Frame::Message(FromAgent::Hello { version: VERSION }) => Ok(link),
            Frame::Message(FromAgent::Hello { version }) => {
                Err(link.lost(&format!("the agent speaks protocol {version}, this program {VERSION}")))
            }
            _ => Err(link.lost("the agent began with something else than a greeting")),
        }
    }

    /// True when a call was given up in the middle: the stream cannot be used any more.
    #[must_use]
    pub fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// Does one call.
    ///
    /// # Errors
    /// When the agent is lost on the way, or breaks the protocol.
    pub async fn call(
        &mut self,
        request: Request,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<Outcome, Unreachable> {
        self.call_ahead(request, Vec::new(), content, sink).await.map(|(outcome, _)| outcome)
    }

    /// Does one call and, where it changed nothing, looks at those that are expected to follow: the outcomes of those that would change
    /// nothing, up to the first that would.
    ///
    /// # Errors
    /// When the agent is lost on the way, or breaks the protocol.
    pub async fn call_ahead(
        &mut self,
        request: Request,
        ahead: Vec<Request>,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<(Outcome, Vec<Outcome>), Unreachable> {
        self.spoiled = true;
        let looks = !ahead.is_empty();
        if looks {
            let frame = encode(&ToAgent::Ahead { calls: ahead }).map_err(|error| self.lost(&error.to_string()))?;
            self.write(&frame).await?;
        }
        let outcome = self.run(request, content, sink).await?;
        let seen = match looks {
            false => Vec::new(),
            true => match self.receive().await? {
                Frame::Message(FromAgent::Ahead { outcomes }) => outcomes,
                _ => return Err(self.lost("the agent says nothing of the calls that were sent ahead")),
            },
        };
        self.spoiled = false;
        Ok((outcome, seen))
    }

    async fn run(
        &mut self,
        mut request: Request,
        content: Option<Content>,
        mut sink: Option<Box<dyn Incoming>>,
    ) -> Result<Outcome, Unreachable> {
        let id = self.next;
        self.next += 1;
        request.id = id;
        self.send(&ToAgent::Run(request)).await?;
        let mut received = false;
        loop {
            match self.receive().await? {
                Frame::Message(FromAgent::Want { id: wanted }) if wanted == id => match &content {
                    Some(content) => self.send_content(id, content).await?,
                    None => return Err(self.lost("the agent asks for content that the call does not have")),
                },
                Frame::Chunk(chunk) if chunk.id == id => {
                    let Some(sink) = sink.as_mut() else { return Err(self.lost("the agent sends content that nobody asked for")) };
                    sink.write(&chunk.bytes).map_err(|error| self.lost(&format!("what it sends cannot be stored: {error}")))?;
                    received |= chunk.last;
                }
                Frame::Message(FromAgent::Done { id: done, outcome }) if done == id => {
                    if let (true, Some(sink)) = (received, sink) {
                        sink.finish().map_err(|error| self.lost(&format!("what it sent cannot be stored: {error}")))?;
                    }
                    return Ok(outcome);
                }
                _ => return Err(self.lost("the agent answered another call")),
            }
        }
    }

    /// Sends all of it. What cannot be read to its end must not look whole: the link is given up.
    async fn send_content(&mut self, id: u64, content: &Content) -> Result<(), Unreachable> {
        let unreadable = |error: std::io::Error| format!("what shall be sent cannot be read: {error}");
        let mut source: Box<dyn Read + Send> = match content {
            Content::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
            Content::Pieces(pieces) => pieces.open().map_err(|error| self.lost(&unreadable(error)))?,
        };
        loop {
            let mut bytes = Vec::with_capacity(Chunk::SIZE);
            source.by_ref().take(Chunk::SIZE as u64).read_to_end(&mut bytes).map_err(|error| self.lost(&unreadable(error)))?;
            let last = bytes.len() < Chunk::SIZE;
            let frame = Chunk { id, last, bytes }.encode().map_err(|error| self.lost(&error.to_string()))?;
            self.write(&frame).await?;
            if last {
                return self.flush().await;
            }
        }
    }

    async fn send(&mut self, message: &ToAgent) -> Result<(), Unreachable> {
        let frame = encode(message).map_err(|error| self.lost(&error.to_string()))?;
        self.write(&frame).await?;
        self.flush().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Unreachable> {
        let written = self.writer.write_all(bytes).await;
        written.map_err(|error| self.lost(&format!("the connection broke while sending: {error}")))
    }

    async fn flush(&mut self) -> Result<(), Unreachable> {
        let flushed = self.writer.flush().await;
        flushed.map_err(|error| self.lost(&format!("the connection broke while sending: {error}")))
    }

    async fn receive(&mut self) -> Result<Frame<FromAgent>, Unreachable> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(|error| self.lost(&error.to_string()))? {
                return Ok(frame);
            }
            let room = if self.decoder.is_midway() { BLOCK } else { ANSWER };
            let buffer = self.decoder.buffer();
            buffer.reserve(room);
            match self.reader.read_buf(buffer).await {
                Ok(0) => return Err(self.lost("the connection ended before the answer came")),
                Ok(_) => {}
                Err(error) => return Err(self.lost(&format!("the connection broke: {error}"))),
            }
        }
    }

    fn lost(&self, reason: &str) -> Unreachable {
        Unreachable::new(format!("{}: {reason}", self.host))
    }
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::{Decoder, Frame, FromAgent, ToAgent, VERSION, encode};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::Link;

    /// What comes of an agent that begins so. It is a fake: none of another version can be had here.
    async fn greeted(begins: Vec<u8>) -> Result<(), String> {
        let (ours, mut theirs) = duplex(1024);
        let (reader, writer) = tokio::io::split(ours);
        let fake_agent = async {
            theirs.write_all(&begins).await.expect("says");
            let mut decoder = Decoder::default();
            theirs.read_buf(decoder.buffer()).await.expect("hears");
            let hello = decoder.next_frame::<ToAgent>().expect("a frame");
            assert!(matches!(hello, Some(Frame::Message(ToAgent::Hello { version: VERSION }))), "{hello:?}");
            // Here it hangs up.
            drop(theirs);
        };
        let (link, ()) = futures::join!(Link::open("n1", reader, writer), fake_agent);
        link.map(|_| ()).map_err(|unreachable| unreachable.to_string())
    }

    #[tokio::test]
    async fn an_agent_of_another_version_is_refused() {
        let hello = |version| encode(&FromAgent::Hello { version }).expect("a frame");
        for version in [0, VERSION + 1] {
            let refused = greeted(hello(version)).await;
            assert_eq!(refused, Err(format!("n1: the agent speaks protocol {version}, this program {VERSION}")));
        }
        assert_eq!(greeted(hello(VERSION)).await, Ok(()));
    }

    #[tokio::test]
    async fn what_does_not_greet_is_no_agent() {
        let other = encode(&FromAgent::Want { id: 1 }).expect("a frame");
        assert_eq!(greeted(other).await, Err("n1: the agent began with something else than a greeting".to_owned()));
        assert_eq!(greeted(Vec::new()).await, Err("n1: the connection ended before the answer came".to_owned()));
        assert!(greeted(b"Welcome to n1\n".to_vec()).await.is_err());
    }
}
