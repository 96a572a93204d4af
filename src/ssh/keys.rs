//! Private key files: permissions, formats and passphrases. A key is opened once for all hosts.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_protocol::Secret;
use russh::keys::{self, PrivateKey, PublicKey};
use tokio::sync::Mutex;

use crate::connect::Passphrase;
use crate::error::SshError;

/// The opened keys, and those that could not be opened for want of a passphrase.
pub(crate) struct KeyRing {
    passphrase: Passphrase,
    opened: Mutex<HashMap<PathBuf, Result<Arc<PrivateKey>, Locked>>>,
}

#[derive(Debug, Clone, Copy)]
enum Locked {
    NoPassphrase,
    WrongPassphrase,
}

enum Opened {
    Key(Box<PrivateKey>),
    Locked(Locked),
}

impl KeyRing {
    pub(crate) fn new(passphrase: Passphrase) -> Self {
        Self { passphrase, opened: Mutex::new(HashMap::new()) }
    }

    /// Opens a key. The lock is held meanwhile, so that nobody is asked twice for one passphrase.
    pub(crate) async fn open(&self, host: &str, path: &Path) -> Result<Arc<PrivateKey>, SshError> {
        let mut opened = self.opened.lock().await;
        let result = if let Some(result) = opened.get(path) {
            result.clone()
        } else {
            let (owned_host, owned_path, passphrase) = (host.to_owned(), path.to_owned(), Arc::clone(&self.passphrase));
            // Deriving a key from a passphrase takes a good part of a second, and asking for one takes longer.
            let read = tokio::task::spawn_blocking(move || read_key(&owned_host, &owned_path, &passphrase)).await;
            let read =
                read.map_err(|error| SshError::KeyFormat { host: host.to_owned(), path: path.to_owned(), reason: error.to_string() })?;
            let result = match read? {
                Opened::Key(key) => Ok(Arc::new(*key)),
                Opened::Locked(locked) => Err(locked),
            };
            opened.insert(path.to_owned(), result.clone());
            result
        };
        let (host, path) = (host.to_owned(), path.to_owned());
        result.map_err(|locked| match locked {
            Locked::NoPassphrase => SshError::PassphraseNeeded { host, path },
            Locked::WrongPassphrase => SshError::WrongPassphrase { host, path },
        })
    }

    /// The public half, without opening the private one: from the ring, or from the `.pub` file beside the key.
    pub(crate) async fn public(&self, path: &Path) -> Option<PublicKey> {
        if let Some(Ok(key)) = self.opened.lock().await.get(path) {
            return Some(key.public_key().clone());
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".pub");
        keys::load_public_key(PathBuf::from(name)).or_else(|_| keys::load_public_key(path)).ok()
    }
}

fn read_key(host: &str, path: &Path, passphrase: &Passphrase) -> Result<Opened, SshError> {
    let unreadable = |source: io::Error| SshError::KeyUnreadable { host: host.to_owned(), path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 && metadata.uid() == rustix::process::getuid().as_raw() {
        return Err(SshError::KeyPermissions { host: host.to_owned(), path: path.to_owned(), mode });
    }
    // The text is as secret as the key.
    let text = Secret::new(fs::read_to_string(path).map_err(unreadable)?);
    let unusable = |error: keys::Error| {
        let reason = match error {
            keys::Error::CouldNotReadKey => "it holds no private key".to_owned(),
            other => other.to_string(),
        };
        SshError::KeyFormat { host: host.to_owned(), path: path.to_owned(), reason }
    };
    match keys::decode_secret_key(text.reveal(), None) {
        Ok(key) => return Ok(Opened::Key(Box::new(key))),
        Err(keys::Error::KeyIsEncrypted) => {}
        Err(error) => return Err(unusable(error)),
    }
    let Some(given) = passphrase(path) else {
        return Ok(Opened::Locked(Locked::NoPassphrase));
    };
    match keys::decode_secret_key(text.reveal(), Some(given.reveal())) {
        Ok(key) => Ok(Opened::Key(Box::new(key))),
        Err(_) => Ok(Opened::Locked(Locked::WrongPassphrase)),
    }
}
