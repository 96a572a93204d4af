//! The cluster's own certificate authority: it signs the public keys of nodes, and tells whether a certificate may stay.

mod authority;
mod description;
mod profile;
mod verdict;

pub use authority::{Authority, Names};
pub use description::{Description, describe, has_signed};
pub use verdict::{Verdict, judge};

/// What can be wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The operating system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
    /// What should be a key or certificate is none.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// Which one.
        what: &'static str,
        /// What the library says of it.
        reason: String,
    },
    /// A key and a certificate that do not belong together.
    #[error("the key of the certificate authority is not that of its certificate")]
    Mismatch,
    /// Something is to be signed, and nothing is here to sign it with.
    #[error("the key of the certificate authority is not here")]
    NoKey,
    /// A name that no certificate can have.
    #[error("'{0}' is neither a host name nor an address")]
    Name(String),
    /// A certificate could not be made.
    #[error("the certificate cannot be made: {0}")]
    Making(String),
}
