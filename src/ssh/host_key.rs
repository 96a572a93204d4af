//! The check of a host's key during the key exchange: it ends the connection before any authentication.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{DisconnectReason, Handler};
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, cipher, compression};

use crate::config::UnknownKeys;
use crate::error::SshError;
use crate::known_hosts::{self, CertificateVerdict, KnownFiles, KnownHosts, KnownName, Verdict};
use crate::target::Target;

/// Ciphers of a processor with instructions for AES, which moves data with them at twice the speed; of the two the one that OpenSSH prefers.
const AES_FIRST: &[cipher::Name] =
    &[cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_128_CTR];

/// Why a connection ended, as far as the other side or the library said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Farewell(Arc<Mutex<Option<String>>>);

impl Farewell {
    /// The words, or an empty text.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

/// What can end a key exchange: the library, or our own refusal.
#[derive(Debug)]
pub(crate) enum Stopped {
    Library(russh::Error),
    Refused(Box<SshError>),
}

impl From<russh::Error> for Stopped {
    fn from(error: russh::Error) -> Self {
        Self::Library(error)
    }
}

/// Judges the keys of one host.
#[derive(Debug)]
pub(crate) struct HostKeyCheck {
    host: String,
    name: KnownName,
    known: KnownHosts,
    unknown_keys: UnknownKeys,
    pin_file: PathBuf,
    forgets: bool,
    farewell: Farewell,
}

impl HostKeyCheck {
    /// Reads the known_hosts files of the target, and the file of pinned keys.
    pub(crate) fn new(target: &Target, accept_new: bool, pin_file: PathBuf, read: &KnownFiles) -> Result<Self, SshError> {
        let mut files: Vec<PathBuf> = target.known_hosts.clone();
        if !files.contains(&pin_file) && !target.forgets_host_keys {
            files.push(pin_file.clone());
        }
        let known = read.load(&files);
        let known = known.map_err(|(file, source)| SshError::KnownHostsFile { host: target.name.clone(), file, source })?;
        Ok(Self {
            host: target.name.clone(),
            name: target.known_name(),
            known,
            unknown_keys: if accept_new { UnknownKeys::Accept } else { target.unknown_keys },
            pin_file,
            forgets: target.forgets_host_keys,
            farewell: Farewell::default(),
        })
    }

    pub(crate) fn farewell(&self) -> Farewell {
        self.farewell.clone()
    }

    /// The algorithms to negotiate: those of the host's known keys first, certificates only where an authority is known.
    pub(crate) fn preferred(&self) -> Preferred {
        let standard: Vec<Algorithm> =
            Preferred::DEFAULT.key.iter().filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None })).cloned().collect();
        let known = self.known.algorithms(&self.name);
        let is_known = |algorithm: &Algorithm| match algorithm {
            Algorithm::Rsa { .. } => known.iter().any(|known| matches!(known, Algorithm::Rsa { .. })),
            other => known.contains(other),
        };
        let (mut key, rest): (Vec<_>, Vec<_>) = standard.iter().cloned().partition(is_known);
        key.extend(rest);
        Preferred {
            host_key_certificates: if self.known.has_authority(&self.name) { Cow::Owned(standard) } else { Cow::Borrowed(&[]) },
            key: Cow::Owned(key),
            cipher: if has_aes() { Cow::Borrowed(AES_FIRST) } else { Preferred::DEFAULT.cipher },
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        }
    }

    fn judge(&mut self, presented: &PublicKeyOrCertificate) -> Result<(), SshError> {
        let key = presented.public_key();
        let fingerprint = known_hosts::fingerprint(key.key_data()).into_boxed_str();
        let (host, name) = (self.host.clone(), self.name.text());
        if let Some(certificate) = presented.certificate() {
            match self.known.check_certificate(&self.name, certificate) {
                CertificateVerdict::Trusted => return Ok(()),
                CertificateVerdict::Invalid(reason) => return Err(SshError::HostCertificate { host, name, reason }),
                CertificateVerdict::Revoked(place) => {
                    return Err(SshError::RevokedHostKey { host, name, fingerprint, file: place.file, line: place.line });
                }
                CertificateVerdict::NoAuthority => {}
            }
        }
        let algorithm = key.algorithm().to_string().into_boxed_str();
        match self.known.check(&self.name, key.key_data()) {
            Verdict::Known => Ok(()),
            Verdict::Revoked(place) => Err(SshError::RevokedHostKey { host, name, fingerprint, file: place.file, line: place.line }),
            Verdict::Changed(place) => {
                Err(SshError::ChangedHostKey { host, name, algorithm, fingerprint, file: place.file, line: place.line })
            }
            Verdict::Unknown if self.unknown_keys == UnknownKeys::Accept => self.accept(&key),
            Verdict::Unknown => Err(SshError::UnknownHostKey { host, name, algorithm, fingerprint }),
        }
    }

    fn accept(&mut self, key: &PublicKey) -> Result<(), SshError> {
        if self.forgets {
            // A later key exchange on this connection must find the key again.
            let line = known_hosts::line(&self.name, key).unwrap_or_default();
            self.known.read(&self.pin_file, &line);
            return Ok(());
        }
        known_hosts::pin(&self.pin_file, &self.name, key).map_err(|source| SshError::KnownHostsFile {
            host: self.host.clone(),
            file: self.pin_file.clone(),
            source,
        })?;
        // A later key exchange on this connection must find the key again.
        if let Ok(known) = KnownHosts::load(std::slice::from_ref(&self.pin_file)) {
            self.known.extend(known);
        }
        Ok(())
    }
}

/// Whether this processor has instructions for AES; most that have are among others of their kind.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

impl Handler for HostKeyCheck {
    type Error = Stopped;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, Stopped> {
        self.judge(presented).map(|()| true).map_err(|error| Stopped::Refused(Box::new(error)))
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Stopped>) -> Result<(), Stopped> {
        self.farewell.set(match reason {
            DisconnectReason::ReceivedDisconnect(info) => info.message.trim().to_owned(),
            DisconnectReason::Error(Stopped::Library(russh::Error::KeepaliveTimeout)) => "the host no longer answers".to_owned(),
            DisconnectReason::Error(Stopped::Library(russh::Error::Disconnect | russh::Error::HUP)) => {
                "the host closed the connection".to_owned()
            }
            DisconnectReason::Error(Stopped::Library(error)) => error.to_string(),
            DisconnectReason::Error(Stopped::Refused(error)) => error.to_string(),
        });
        Ok(())
    }
}
