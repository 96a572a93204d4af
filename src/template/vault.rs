//! ansible-vault's format, read: 1.1 and 1.2.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use pgfleet_protocol::Secret;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Problem;

const ROUNDS: u32 = 10_000;

/// A password with the label of a vault id; `default` where none was given.
#[derive(Clone, Debug)]
pub struct VaultPassword {
    /// The label.
    pub label: String,
    /// The password.
    pub password: Secret,
}

/// The passwords that encrypted values are opened with.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    passwords: Vec<VaultPassword>,
}

impl Vault {
    /// No password: encrypted values stay closed, and using one is an error that says how to give it.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These passwords.
    #[must_use]
    pub fn new(passwords: Vec<VaultPassword>) -> Self {
        Self { passwords }
    }

    /// True for a text that begins as ansible-vault's files do.
    #[must_use]
    pub fn is_vault(text: &str) -> bool {
        text.starts_with("$ANSIBLE_VAULT;")
    }

    /// Opens an encrypted text.
    ///
    /// # Errors
    /// When no password opens it, or it is damaged.
    pub fn open(&self, text: &str) -> Result<Secret, Problem> {
        let sealed = Sealed::read(text)?;
        if self.passwords.is_empty() {
            return Err(Problem::new("this is encrypted with ansible-vault, and no vault password was given")
                .with_hint("give it with --vault-password-file FILE or --ask-vault-pass"));
        }
        // Passwords of the same label first; the others may open it just as well.
        let mut passwords: Vec<&VaultPassword> = self.passwords.iter().collect();
        passwords.sort_by_key(|password| Some(password.label.as_str()) != sealed.label.as_deref());
        match passwords.iter().find_map(|password| sealed.open(&password.password)) {
            Some(plain) => plain,
            None => Err(Problem::new("no vault password that was given opens this, or the encrypted text is damaged")
                .with_hint("check --vault-password-file or what was typed for --ask-vault-pass")),
        }
    }
}

struct Sealed {
    label: Option<String>,
    salt: Vec<u8>,
    signature: Vec<u8>,
    cipher_text: Vec<u8>,
}

impl Sealed {
    fn read(text: &str) -> Result<Self, Problem> {
        let mut lines = text.trim().lines().map(str::trim);
        let mut header = lines.next().unwrap_or_default().split(';');
        let damaged = || Problem::new("this is no text that ansible-vault made, or it is damaged");
        if header.next() != Some("$ANSIBLE_VAULT") {
            return Err(damaged());
        }
        match (header.next(), header.next()) {
            (Some("1.1" | "1.2"), Some("AES256")) => {}
            (version, cipher) => {
                let kind = format!("{};{}", version.unwrap_or_default(), cipher.unwrap_or_default());
                return Err(Problem::new(format!("vault format '{kind}' is not supported; 1.1 and 1.2 with AES256 are")));
            }
        }
        let label = header.next().map(str::to_owned);
        let body = unhex(lines.collect::<String>().as_bytes()).ok_or_else(damaged)?;
        let mut parts = body.split(|byte| *byte == b'\n').map(unhex);
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (Some(salt), Some(signature), Some(cipher_text)) => Ok(Self { label, salt, signature, cipher_text }),
            _ => Err(damaged()),
        }
    }

    /// `None` when the password is another one.
    fn open(&self, password: &Secret) -> Option<Result<Secret, Problem>> {
        let mut keys = Zeroizing::new([0_u8; 80]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.reveal().as_bytes(), &self.salt, ROUNDS, keys.as_mut_slice());
        let mut check = Hmac::<Sha256>::new_from_slice(&keys[32..64]).ok()?;
        check.update(&self.cipher_text);
        // Compares in constant time.
        check.verify_slice(&self.signature).ok()?;
        let mut plain = Zeroizing::new(self.cipher_text.clone());
        Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &keys[64..]).ok()?.apply_keystream(&mut plain);
        let padding = usize::from(plain.last().copied()?);
        let length = plain.len().checked_sub(padding)?;
        match std::str::from_utf8(&plain[..length]) {
            Ok(text) => Some(Ok(Secret::new(text))),
            Err(_) => Some(Err(Problem::new("the encrypted content is not UTF-8 text"))),
        }
    }
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
