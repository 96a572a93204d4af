//! What comes after an answer's head: as long as said, in chunks, or until the end.

use std::io::{self, BufRead, Read};

/// The longest line of a head or of a chunk.
const LINE: u64 = 64 * 1024;

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many bytes are left.
    Bytes(u64),
    /// In chunks; so many bytes are left of this one, `None` before the first.
    Chunks(Option<u64>),
    /// All there is.
    UntilEnd,
}

/// A body as a reader that ends where the body ends.
pub(crate) struct Body<R> {
    stream: R,
    length: Length,
    read: u64,
}

impl<R: BufRead> Body<R> {
    pub(crate) fn new(stream: R, length: Length) -> Self {
        Self { stream, length, read: 0 }
    }

    /// The size of the next chunk; after the last one its trailers are read too.
    fn next_chunk(&mut self, is_first: bool) -> io::Result<u64> {
        if !is_first && !read_line(&mut self.stream)?.is_empty() {
            return Err(invalid("a chunk of the answer is longer than it says"));
        }
        let line = read_line(&mut self.stream)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| invalid("a chunk of the answer does not say its size"))?;
        if size == 0 {
            while !read_line(&mut self.stream)?.is_empty() {}
        }
        Ok(size)
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = match self.length {
            Length::UntilEnd => u64::MAX,
            Length::Bytes(left) => left,
            Length::Chunks(left) => match left {
                Some(left) if left > 0 => left,
                left => {
                    let size = self.next_chunk(left.is_none())?;
                    self.length = if size == 0 { Length::Bytes(0) } else { Length::Chunks(Some(size)) };
                    size
                }
            },
        };
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.stream.read(&mut buffer[..wanted])?;
        self.read += count as u64;
        match &mut self.length {
            Length::UntilEnd => {}
            _ if count == 0 => {
                let said = format!("IncompleteRead({} bytes read, {left} more expected)", self.read);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, said));
            }
            Length::Bytes(left) | Length::Chunks(Some(left)) => *left -= count as u64,
            Length::Chunks(None) => {}
        }
        Ok(count)
    }
}

/// One line without its end.
pub(crate) fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.by_ref().take(LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(if line.is_empty() { io::ErrorKind::UnexpectedEof.into() } else { invalid("a line of the answer does not end") });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8(line).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect()))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Body, Length};

    fn read(text: &str, length: Length) -> Result<String, String> {
        let mut body = String::new();
        Body::new(text.as_bytes(), length).read_to_string(&mut body).map_err(|error| error.to_string())?;
        Ok(body)
    }

    #[test]
    fn bodies_end_where_they_say() {
        assert_eq!(read("hello and more", Length::Bytes(5)).as_deref(), Ok("hello"));
        assert_eq!(read("4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nTrailer: x\r\n\r\nrest", Length::Chunks(None)).as_deref(), Ok("Wikipedia"));
        assert_eq!(read("all of it", Length::UntilEnd).as_deref(), Ok("all of it"));
    }

    #[test]
    fn a_body_that_breaks_off_is_an_error() {
        assert_eq!(read("hel", Length::Bytes(5)).expect_err("short"), "IncompleteRead(3 bytes read, 2 more expected)");
        assert!(read("4\r\nWi", Length::Chunks(None)).is_err());
        assert!(read("4\r\nWiki\r\n", Length::Chunks(None)).is_err());
        assert!(read("4\r\nWikipedia\r\n0\r\n\r\n", Length::Chunks(None)).is_err());
        assert!(read("x\r\n", Length::Chunks(None)).is_err());
    }
}
