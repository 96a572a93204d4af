//! Checksums of content, as lower-case hex.

use std::io::{self, Read, Write};

use sha2::Digest;

/// A checksum algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The algorithm of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "md5" => Self::Md5,
            "sha1" => Self::Sha1,
            "sha224" => Self::Sha224,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// The checksum of all that a reader yields.
    pub(crate) fn of_reader(self, reader: &mut dyn Read) -> io::Result<String> {
        match self {
            Self::Md5 => drain::<md5::Md5>(reader),
            Self::Sha1 => drain::<sha1::Sha1>(reader),
            Self::Sha224 => drain::<sha2::Sha224>(reader),
            Self::Sha256 => drain::<sha2::Sha256>(reader),
            Self::Sha384 => drain::<sha2::Sha384>(reader),
            Self::Sha512 => drain::<sha2::Sha512>(reader),
        }
    }
}

fn drain<D: Digest>(reader: &mut dyn Read) -> io::Result<String> {
    let mut digest = D::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(count) => digest.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A writer that passes bytes on and keeps their SHA-256.
pub(crate) struct Sha256Writer<'a> {
    sink: &'a mut dyn Write,
    digest: sha2::Sha256,
}

impl<'a> Sha256Writer<'a> {
    pub(crate) fn new(sink: &'a mut dyn Write) -> Self {
        Self { sink, digest: sha2::Sha256::new() }
    }

    pub(crate) fn finish(self) -> String {
        hex(&self.digest.finalize())
    }
}

impl Write for Sha256Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A reader that passes bytes on and keeps their SHA-256.
pub(crate) struct Sha256Reader<R> {
    source: R,
    digest: sha2::Sha256,
}

impl<R: Read> Sha256Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, digest: sha2::Sha256::new() }
    }

    pub(crate) fn finish(self) -> String {
        hex(&self.digest.finalize())
    }
}

impl<R: Read> Read for Sha256Reader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).map(char::from).collect()
}
