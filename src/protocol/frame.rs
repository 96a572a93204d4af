//! The stream between controller and agent: length-prefixed frames, decoded without any input or output.
//!
//! A frame is four bytes of length (big endian, of what follows), one byte of kind, and the payload:
//! kind 0 is a JSON message, kind 1 a chunk of file content.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Map, Mode, Outcome};

/// The version of this protocol. Both sides say it first; a difference ends the conversation.
pub const VERSION: u32 = 1;

/// No frame is longer, in bytes; a longer one is an error before anything is stored.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

const HEADER: usize = 5;
const MESSAGE: u8 = 0;
const CHUNK: u8 = 1;

/// What the stream can get wrong.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A frame says that it is longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// A frame of a kind that this version does not know.
    #[error("unknown kind of frame {0}; the other side is no pgfleet agent, or of another version")]
    UnknownKind(u8),
    /// A message that cannot be read.
    #[error("unreadable message")]
    Message(#[source] serde_json::Error),
    /// A chunk that is shorter than its own header.
    #[error("a chunk without its header")]
    Truncated,
}

/// One call on its way to a host, arguments rendered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Number of the call on this channel; the answer carries it.
    pub id: u64,
    /// Short module name.
    pub module: String,
    /// Rendered arguments, canonical names.
    pub arguments: Map,
    /// Apply, or only check.
    pub mode: Mode,
    /// Whether diffs are wanted.
    #[serde(default)]
    pub diff: bool,
    /// Nobody reads what the result tells beside its ending, so sums that are made for it alone may be left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub brief: bool,
    /// Environment variables for what the module starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
    /// Do it beside the conversation, and answer at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached: Option<Detached>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How a call is done that nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// The name of the job; its state is in a file of that name.
    pub job: String,
    /// Seconds that it may take.
    pub limit: u64,
}

/// What the controller says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToAgent {
    /// First word: the controller's protocol version.
    Hello {
        /// [`VERSION`] of the sender.
        version: u32,
    },
    /// These are expected to follow the next call: if that changes nothing, look at them as well.
    Ahead {
        /// In their order.
        calls: Vec<Request>,
    },
    /// Do this.
    Run(Request),
}

/// What the agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromAgent {
    /// First word: the agent's protocol version.
    Hello {
        /// [`VERSION`] of the sender.
        version: u32,
    },
    /// The call needs its file content; chunks with its id shall follow.
    Want {
        /// The call's number.
        id: u64,
    },
    /// The call is done.
    Done {
        /// The call's number.
        id: u64,
        /// What it did.
        outcome: Outcome,
    },
    /// The answers to the first of the calls that were sent ahead: those that would change nothing, up to the first that would.
    Ahead {
        /// In the order of the calls.
        outcomes: Vec<Outcome>,
    },
}

/// A piece of file content, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The call it belongs to.
    pub id: u64,
    /// True for the last piece, which may be empty.
    pub last: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// One decoded frame; `M` is [`ToAgent`] on the agent's side, [`FromAgent`] on the controller's.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame<M> {
    /// A message.
    Message(M),
    /// A piece of content.
    Chunk(Chunk),
}

/// Encodes a message as one frame.
///
/// # Errors
/// When the message is longer than [`MAX_FRAME`] or cannot be serialised.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, message).map_err(FrameError::Message)?;
    bytes[4] = MESSAGE;
    seal(bytes)
}

impl Chunk {
    /// The most content that one chunk should carry, in bytes.
    pub const SIZE: usize = 256 * 1024;

    /// Bytes before the content in a frame of one chunk.
    pub const HEAD: usize = HEADER + 9;

    /// Encodes the chunk as one frame.
    ///
    /// # Errors
    /// When it is longer than [`MAX_FRAME`].
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let mut bytes = Vec::with_capacity(Self::HEAD + self.bytes.len());
        bytes.extend_from_slice(&Self::head(self.id, self.last, self.bytes.len())?);
        bytes.extend_from_slice(&self.bytes);
        Ok(bytes)
    }

    /// What goes before so many bytes of content, to make one frame of them.
    ///
    /// # Errors
    /// When the frame is longer than [`MAX_FRAME`].
    pub fn head(id: u64, last: bool, length: usize) -> Result<[u8; Self::HEAD], FrameError> {
        let mut head = [0; Self::HEAD];
        head[..4].copy_from_slice(&sealed(length + Self::HEAD - 4)?);
        head[4] = CHUNK;
        head[5..13].copy_from_slice(&id.to_be_bytes());
        head[13] = u8::from(last);
        Ok(head)
    }
}

fn seal(mut bytes: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    let length = sealed(bytes.len() - 4)?;
    bytes[..4].copy_from_slice(&length);
    Ok(bytes)
}

/// The length of a frame as it is sent.
fn sealed(length: usize) -> Result<[u8; 4], FrameError> {
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| FrameError::TooLong(length))
}

/// Collects bytes and gives whole frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Adds bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Where bytes can be read to: they are added at the end.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.push(&[]);
        &mut self.buffer
    }

    /// True when bytes of an unfinished frame are waiting.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// The next whole frame, or `None` until more bytes have come.
    ///
    /// # Errors
    /// When the stream is not one of ours, or damaged; it cannot be used any further.
    pub fn next_frame<M: DeserializeOwned>(&mut self) -> Result<Option<Frame<M>>, FrameError> {
        let bytes = &self.buffer[self.start..];
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length == 0 || length > MAX_FRAME {
            return Err(FrameError::TooLong(length));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let (kind, payload) = (body[0], &body[1..]);
        let frame = match kind {
            MESSAGE => Frame::Message(serde_json::from_slice(payload).map_err(FrameError::Message)?),
            CHUNK => {
                let (id, payload) = payload.split_first_chunk::<8>().ok_or(FrameError::Truncated)?;
                let (last, bytes) = payload.split_first().ok_or(FrameError::Truncated)?;
                Frame::Chunk(Chunk { id: u64::from_be_bytes(*id), last: *last != 0, bytes: bytes.to_vec() })
            }
            other => return Err(FrameError::UnknownKind(other)),
        };
        self.start += 4 + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunk, Decoder, Frame, FrameError, FromAgent, encode};
    use crate::Outcome;

    #[test]
    fn frames_survive_any_cut() {
        let message = FromAgent::Done { id: 7, outcome: Outcome::changed().with("rc", 0) };
        let chunk = Chunk { id: 8, last: true, bytes: vec![1, 2, 3] };
        let mut stream = encode(&message).expect("encodes");
        stream.extend(chunk.encode().expect("encodes"));
        for size in 1..stream.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for piece in stream.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame::<FromAgent>().expect("decodes") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [Frame::Message(message.clone()), Frame::Chunk(chunk.clone())]);
            assert!(!decoder.is_midway());
        }
    }

    #[test]
    fn a_banner_instead_of_a_frame_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.push(b"Welcome to this host\n");
        assert!(matches!(decoder.next_frame::<FromAgent>(), Err(FrameError::TooLong(_))));
    }
}
