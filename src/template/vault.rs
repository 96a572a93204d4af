//! ansible-vault's format, 1.1 and 1.2: read, and written.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use pgfleet_protocol::Secret;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Problem;

const ROUNDS: u32 = 10_000;
/// Bytes of a block of the cipher.
const BLOCK: usize = 16;
/// Columns of a line that ansible-vault writes.
const WIDTH: usize = 80;

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
        let plain = self.open_bytes(text)?;
        std::str::from_utf8(&plain).map(Secret::new).map_err(|_| Problem::new("the encrypted content is not UTF-8 text"))
    }

    /// The label that an encrypted text carries.
    #[must_use]
    pub fn label_of(text: &str) -> Option<String> {
        Sealed::read(text).ok()?.label
    }

    /// Opens an encrypted text, whatever it holds.
    ///
    /// # Errors
    /// When no password opens it, or it is damaged.
    pub fn open_bytes(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let sealed = Sealed::read(text)?;
        if self.passwords.is_empty() {
            return Err(Problem::new("this is encrypted with ansible-vault, and no vault password was given")
                .with_hint("give it with --vault-password-file FILE or --ask-vault-pass"));
        }
        // Passwords of the same label first; the others may open it just as well.
        let mut passwords: Vec<&VaultPassword> = self.passwords.iter().collect();
        passwords.sort_by_key(|password| Some(password.label.as_str()) != sealed.label.as_deref());
        match passwords.iter().find_map(|password| sealed.open(&password.password)) {
            Some(plain) => Ok(plain),
            None => Err(Problem::new("no vault password that was given opens this, or the encrypted text is damaged")
                .with_hint("check --vault-password-file or what was typed for --ask-vault-pass")),
        }
    }
}

impl Vault {
    /// Encrypts a text with the first password, so that `ansible-vault view` reads it. `salt` is random.
    ///
    /// # Errors
    /// When there is no password.
    pub fn seal(&self, plain: &Secret, salt: &[u8]) -> Result<String, Problem> {
        self.seal_bytes(plain.reveal().as_bytes(), salt)
    }

    /// Encrypts whatever it is with the first password.
    ///
    /// # Errors
    /// When there is no password.
    pub fn seal_bytes(&self, plain: &[u8], salt: &[u8]) -> Result<String, Problem> {
        let Some(VaultPassword { label, password }) = self.passwords.first() else {
            return Err(
                Problem::new("no vault password was given").with_hint("give it with --vault-password-file FILE or --ask-vault-pass")
            );
        };
        let keys = keys(password, salt);
        let mut text = Zeroizing::new(plain.to_vec());
        // Filled up to whole blocks, each filling byte saying how many there are.
        let padding = BLOCK - text.len() % BLOCK;
        text.extend(std::iter::repeat_n(u8::try_from(padding).unwrap_or_default(), padding));
        let unusable = |_| Problem::new("this password cannot be used for a vault");
        Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &keys[64..]).map_err(|_| unusable(()))?.apply_keystream(&mut text);
        let mut signature = Hmac::<Sha256>::new_from_slice(&keys[32..64]).map_err(|_| unusable(()))?;
        signature.update(&text);
        let parts = [hex(salt), hex(&signature.finalize().into_bytes()), hex(&text)];
        let body = hex(parts.join("\n").as_bytes());
        let header = if label == "default" { "$ANSIBLE_VAULT;1.1;AES256".to_owned() } else { format!("$ANSIBLE_VAULT;1.2;AES256;{label}") };
        let lines = body.as_bytes().chunks(WIDTH).map(String::from_utf8_lossy);
        Ok(std::iter::once(header.into()).chain(lines).fold(String::new(), |text, line| text + &line + "\n"))
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
    fn open(&self, password: &Secret) -> Option<Zeroizing<Vec<u8>>> {
        let keys = keys(password, &self.salt);
        let mut check = Hmac::<Sha256>::new_from_slice(&keys[32..64]).ok()?;
        check.update(&self.cipher_text);
        // Compares in constant time.
        check.verify_slice(&self.signature).ok()?;
        let mut plain = Zeroizing::new(self.cipher_text.clone());
        Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &keys[64..]).ok()?.apply_keystream(&mut plain);
        let padding = usize::from(plain.last().copied()?);
        let length = plain.len().checked_sub(padding)?;
        plain.truncate(length);
        Some(plain)
    }
}

/// For the cipher, for the signature, and the cipher's first counter.
fn keys(password: &Secret, salt: &[u8]) -> Zeroizing<[u8; 80]> {
    let mut keys = Zeroizing::new([0_u8; 80]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.reveal().as_bytes(), salt, ROUNDS, keys.as_mut_slice());
    keys
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::Secret;

    use super::{Vault, VaultPassword};

    fn vault(label: &str, password: &str) -> Vault {
        Vault::new(vec![VaultPassword { label: label.to_owned(), password: Secret::new(password) }])
    }

    #[test]
    fn what_is_sealed_can_be_opened_with_that_password_alone() {
        for (label, header) in [("default", "$ANSIBLE_VAULT;1.1;AES256\n"), ("prod", "$ANSIBLE_VAULT;1.2;AES256;prod\n")] {
            for plain in ["", "short", "exactly sixteen!", "much longer than one block of the cipher, with \u{fc}ml\u{e4}uts"] {
                let sealed = vault(label, "right").seal(&Secret::new(plain), &[7; 32]).expect("seals");
                assert!(sealed.starts_with(header) && sealed.lines().all(|line| line.len() <= 80), "{sealed}");
                assert_eq!(vault("default", "right").open(&sealed).expect("opens").reveal(), plain);
                assert!(vault(label, "wrong").open(&sealed).is_err());
            }
        }
        assert!(Vault::none().seal(&Secret::new("x"), &[0; 32]).is_err());
    }
}
