//! Secrets that are kept in ansible-vault's format: opened and sealed with the vault's passwords that a person gives.

use std::path::Path;
use std::sync::Arc;

use pgfleet_protocol::Secret;
use pgfleet_state::{Lock, Seal, Secrets, write};
use pgfleet_template::{Problem, Vault};

use crate::WorkflowError;
use crate::authority;
use crate::deploy::state_folder;
use crate::play::{Wish, prepare_own};
use crate::secrets::interrupted;

/// The application's password beside the secrets, for people and their scripts.
pub(crate) const APP_PASSWORD: &str = "app_password.txt";

struct VaultSeal(Vault);

impl Seal for VaultSeal {
    fn open(&self, text: &str) -> Option<Secret> {
        self.0.open(text).ok().map(|secret| Secret::new(secret.reveal().trim_end_matches(['\r', '\n'])))
    }

    fn seal(&self, secret: &Secret) -> Option<String> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).ok()?;
        // A line of its own, as an editor would leave it.
        self.0.seal(&Secret::new(format!("{}\n", secret.reveal())), &salt).ok()
    }
}

/// The secrets in the folder of a cluster's state.
pub(crate) fn secrets_in(wish: &Wish, folder: &Path) -> Secrets {
    Secrets::in_folder(folder.join("secrets")).with_seal(sealing(wish))
}

/// What opens and seals secrets, where a person gave passwords of a vault.
pub(crate) fn sealing(wish: &Wish) -> Option<Arc<dyn Seal>> {
    let passwords = wish.vault_passwords.clone();
    (!passwords.is_empty()).then(|| Arc::new(VaultSeal(Vault::new(passwords))) as Arc<dyn Seal>)
}

/// Keeps the application's password in a file of its own, unless the secrets are sealed.
pub(crate) fn keep_app_password(store: &Secrets, folder: &Path, password: &Secret) -> Result<(), WorkflowError> {
    let path = folder.join(APP_PASSWORD);
    if store.is_sealed()? || std::fs::read_to_string(&path).ok().as_deref().map(str::trim_end) == Some(password.reveal()) {
        return Ok(());
    }
    Ok(write(&path, format!("{}\n", password.reveal()).as_bytes())?)
}

/// Seals all secrets of a cluster, or opens them for good. Gives their names.
///
/// # Errors
/// Wrong input, no vault password, a lock that is held, a rotation that was interrupted.
pub fn seal_secrets(wish: &Wish, sealed: bool) -> Result<Vec<String>, WorkflowError> {
    let prepared = prepare_own(wish, "playbooks/postgresql/status.yml")?;
    let folder = state_folder(wish, &prepared)?;
    let store = secrets_in(wish, &folder);
    if wish.vault_passwords.is_empty() {
        let problem = Problem::new("no vault password was given");
        return Err(problem.with_hint("give it with --vault-password-file FILE or --ask-vault-pass").into());
    }
    let _lock = Lock::take(&wish.project.state(), "secrets")?;
    let unfinished = interrupted(&store)?;
    if !unfinished.is_empty() {
        return Err(WorkflowError::Refused {
            reason: format!("a rotation of passwords was interrupted: {}", unfinished.join(", ")),
            hint: "'pgfleet secrets rotate' finishes it; nothing was touched".to_owned(),
        });
    }
    let names: Vec<String> = store.names()?.into_iter().map(|(name, _)| name).collect();
    let keys = authority::keys_in(wish, &folder);
    // Each can be opened before the first one is written.
    for name in &names {
        store.read(name)?;
    }
    keys.read_document(authority::KEY)?;
    for name in &names {
        store.store_again(name, sealed)?;
    }
    keys.store_again(authority::KEY, sealed)?;
    match store.read("app")? {
        Some(_) if sealed => match std::fs::remove_file(folder.join(APP_PASSWORD)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(WorkflowError::Failed(format!("cannot remove {}: {error}", folder.join(APP_PASSWORD).display())));
            }
            _ => {}
        },
        Some(password) => keep_app_password(&store, &folder, &password)?,
        None => {}
    }
    Ok(names)
}
