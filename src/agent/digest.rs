//! Checksums of content, as lower-case hex.

use std::io::{self, Read, Write};

use sha2::Digest;
use sha2::digest::Update;

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

/// A reader or writer that passes bytes on and keeps a sum of them.
pub(crate) struct Summed<S, D> {
    stream: S,
    pub(crate) sum: D,
}

impl<S, D: Default> Summed<S, D> {
    pub(crate) fn new(stream: S) -> Self {
        Self::with(stream, D::default())
    }
}

impl<S, D> Summed<S, D> {
    /// A sum that is made as `sum` says.
    pub(crate) fn with(stream: S, sum: D) -> Self {
        Self { stream, sum }
    }
}

impl<S> Summed<S, sha2::Sha256> {
    pub(crate) fn sha256(self) -> String {
        hex(&self.sum.finalize())
    }
}

impl<S: Read, D: Update> Read for Summed<S, D> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }
}

impl<S: Write, D: Update> Write for Summed<S, D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).map(char::from).collect()
}
