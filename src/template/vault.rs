//! ansible-vault's format, read: 1.1 and 1.2.

use pgfleet_protocol::Secret;

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
    pub fn open(&self, _text: &str) -> Result<Secret, crate::Problem> {
        todo!()
    }
}
