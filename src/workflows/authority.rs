//! The cluster's certificate authority: made once, its key kept in state as the passwords are, given to the deploy as variables.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pgfleet_pki::{Authority, PkiError, describe};
use pgfleet_protocol::Secret;
use pgfleet_state::{Secrets, write};
use pgfleet_template::{Raw, Value, Vars};

use crate::WorkflowError;
use crate::play::{Additions, Wish};
use crate::seal::sealing;

/// Its key and its certificate, below the folder of a cluster's state.
const FOLDER: &str = "pki";
pub(crate) const KEY: &str = "ca.key";
const CERTIFICATE: &str = "ca.crt";
/// Those of the authority that is to replace it.
const NEXT_KEY: &str = "next.key";
const NEXT_CERTIFICATE: &str = "next.crt";
/// What to do without its key.
pub(crate) const NEW_AUTHORITY: &str =
    "bring the key back from a copy of state/postgresql/pki, or have a new authority by 'pgfleet certs rotate --authority'";

/// The folder of the authority's key, which is sealed where the passwords are.
pub(crate) fn keys_in(wish: &Wish, folder: &Path) -> Secrets {
    Secrets::in_folder(folder.join(FOLDER)).with_seal(sealing(wish))
}

/// The authority's certificate, for everybody who shall trust the nodes.
pub(crate) fn certificate_in(folder: &Path) -> PathBuf {
    folder.join(FOLDER).join(CERTIFICATE)
}

/// Whether nothing of it is there.
pub(crate) fn is_missing(folder: &Path) -> bool {
    !certificate_in(folder).exists() && !folder.join(FOLDER).join(KEY).exists()
}

/// Refuses where the authority has ended: voters of etcd trust nobody any more, so that nothing can be changed one node after the other.
pub(crate) fn not_ended(folder: &Path) -> Result<(), WorkflowError> {
    let path = certificate_in(folder);
    let until = std::fs::read_to_string(&path).ok().and_then(|certificate| describe(&certificate).ok()).map(|told| told.until);
    if until.is_none_or(|until| until > SystemTime::now()) {
        return Ok(());
    }
    Err(WorkflowError::Refused {
        reason: format!("the certificate authority has ended ({})", path.display()),
        hint: "docs/reliability.md, 'A certificate authority that has ended', says how to sign it anew; nothing was touched".to_owned(),
    })
}

/// Gives the playbook the authority. A new one is kept only when `keep` says so: a check leaves nothing. Tells what a person should know.
pub(crate) fn add_authority(
    wish: &Wish,
    folder: &Path,
    passwords: &Secrets,
    cluster: &str,
    keep: bool,
    additions: &mut Additions,
) -> Result<Option<String>, WorkflowError> {
    if is_replaced(folder) {
        return Err(WorkflowError::Refused {
            reason: "a new certificate authority is on its way, and some nodes may have its certificates already".to_owned(),
            hint: "'pgfleet certs rotate' finishes it; nothing was touched".to_owned(),
        });
    }
    let store = keys_in(wish, folder);
    let path = certificate_in(folder);
    let failed = |what: String| WorkflowError::Failed(what);
    let kept = match std::fs::read_to_string(&path) {
        Ok(certificate) => Some(certificate),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(format!("cannot read {}: {error}", path.display()))),
    };
    let (key, certificate) = match (store.read_document(KEY)?, kept) {
        (Some(key), Some(certificate)) => {
            Authority::read(&key, &certificate).map_err(|error| damaged(&path, &error))?;
            (key, certificate)
        }
        // Without its key nothing can be signed, but what was signed counts.
        (None, Some(certificate)) => {
            Authority::without_key(&certificate).map_err(|error| damaged(&path, &error))?;
            additions.vars.extend(variables("", &certificate));
            return Ok(Some(format!(
                "the key of the certificate authority, {KEY}, is not beside {}: no certificate can be renewed or made; {NEW_AUTHORITY}",
                path.display()
            )));
        }
        // The key comes first: without a certificate it has signed nothing yet.
        (_, None) => make(&store, KEY, &path, passwords.is_sealed()?, cluster, keep)?,
    };
    additions.vars.extend(variables(key.reveal(), &certificate));
    additions.secrets.push(key);
    Ok(None)
}

fn variables(key: &str, certificate: &str) -> Vars {
    let text = |name: &str, text: &str| (name.to_owned(), Raw::from(Value::from(text)));
    Vars::from_iter([text("pki_ca_key", key), text("pki_ca_certificate", certificate)])
}

fn damaged(path: &Path, error: &PkiError) -> WorkflowError {
    WorkflowError::Refused {
        reason: format!("{}: {error}", path.display()),
        hint: "bring the folder back; each node has the certificate, and 'pgfleet state recover --from HOST --force' fetches it; \
               nothing was touched"
            .to_owned(),
    }
}

/// The file of a key that is not the certificate's beside it: from another time, or another cluster.
pub(crate) fn strange_key(wish: &Wish, folder: &Path) -> Result<Option<PathBuf>, WorkflowError> {
    let Some((Some(key), certificate)) = kept(wish, folder)? else { return Ok(None) };
    let is_strange = matches!(Authority::read(&key, &certificate), Err(PkiError::Mismatch));
    Ok(is_strange.then(|| folder.join(FOLDER).join(KEY)))
}

/// An authority that is to replace the present one has been made, and not everybody has a certificate of it.
pub(crate) fn is_replaced(folder: &Path) -> bool {
    folder.join(FOLDER).join(NEXT_CERTIFICATE).exists()
}

/// The authority that there is: its key, where that was not lost, and its certificate.
pub(crate) fn kept(wish: &Wish, folder: &Path) -> Result<Option<(Option<Secret>, String)>, WorkflowError> {
    let key = keys_in(wish, folder).read_document(KEY)?;
    Ok(std::fs::read_to_string(certificate_in(folder)).ok().map(|certificate| (key, certificate)))
}

/// The authority that is to replace it: what an interrupted run has begun to use, or a new one. It is kept only when `keep` says so.
pub(crate) fn next(wish: &Wish, folder: &Path, sealed: bool, cluster: &str, keep: bool) -> Result<(Secret, String), WorkflowError> {
    let store = keys_in(wish, folder);
    let path = folder.join(FOLDER).join(NEXT_CERTIFICATE);
    match (store.read_document(NEXT_KEY)?, std::fs::read_to_string(&path).ok()) {
        (Some(key), Some(certificate)) => Ok((key, certificate)),
        _ => make(&store, NEXT_KEY, &path, sealed, cluster, keep),
    }
}

/// The next authority waits no more: it is the one, or nobody has learnt of it.
pub(crate) fn discard(folder: &Path) -> Result<(), WorkflowError> {
    for path in [NEXT_CERTIFICATE, NEXT_KEY].map(|name| folder.join(FOLDER).join(name)) {
        std::fs::remove_file(&path).map_err(|error| WorkflowError::Failed(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// The next authority becomes the one. Its certificate goes last from where it waited: until then all of this can be done again.
pub(crate) fn replace(wish: &Wish, folder: &Path, sealed: bool) -> Result<(), WorkflowError> {
    let store = keys_in(wish, folder);
    let waiting = folder.join(FOLDER).join(NEXT_CERTIFICATE);
    let failed = |error: std::io::Error| WorkflowError::Failed(format!("{}: {error}", waiting.display()));
    let certificate = std::fs::read_to_string(&waiting).map_err(failed)?;
    if let Some(key) = store.read_document(NEXT_KEY)? {
        store.store_as(KEY, &key, sealed)?;
    }
    write(&certificate_in(folder), certificate.as_bytes())?;
    discard(folder)
}

fn make(store: &Secrets, name: &str, path: &Path, sealed: bool, cluster: &str, keep: bool) -> Result<(Secret, String), WorkflowError> {
    let failed = |error: PkiError| WorkflowError::Failed(format!("no certificate authority can be made: {error}"));
    let authority = Authority::make(cluster, SystemTime::now()).map_err(failed)?;
    let (key, certificate) = (authority.key().map_err(failed)?, authority.certificate().map_err(failed)?);
    if keep {
        store.store_as(name, &key, sealed)?;
        write(path, certificate.as_bytes())?;
    }
    Ok((key, certificate))
}
