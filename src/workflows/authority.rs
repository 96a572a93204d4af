//! The cluster's certificate authority: made once, its key kept in state as the passwords are, given to the deploy as variables.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pgfleet_pki::Authority;
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

/// The folder of the authority's key, which is sealed where the passwords are.
pub(crate) fn keys_in(wish: &Wish, folder: &Path) -> Secrets {
    Secrets::in_folder(folder.join(FOLDER)).with_seal(sealing(wish))
}

/// The authority's certificate, for everybody who shall trust the nodes.
pub(crate) fn certificate_in(folder: &Path) -> PathBuf {
    folder.join(FOLDER).join(CERTIFICATE)
}

/// Gives the playbook the authority. A new one is kept only when `keep` says so: a check leaves nothing.
pub(crate) fn add_authority(
    wish: &Wish,
    folder: &Path,
    passwords: &Secrets,
    cluster: &str,
    keep: bool,
    additions: &mut Additions,
) -> Result<(), WorkflowError> {
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
            Authority::read(&key, &certificate).map_err(|error| failed(format!("{}: {error}", path.display())))?;
            (key, certificate)
        }
        (None, Some(_)) => {
            return Err(WorkflowError::Refused {
                reason: format!("the certificate authority has a certificate, {}, but its key {KEY} is not beside it", path.display()),
                hint: "bring the key back; or move the certificate away: then a new authority is made, and clients must trust that one"
                    .to_owned(),
            });
        }
        // The key comes first: without a certificate it has signed nothing yet.
        (_, None) => make(&store, &path, passwords.is_sealed()?, cluster, keep)?,
    };
    let mut vars = Vars::new();
    vars.insert("pki_ca_key".to_owned(), Raw::from(Value::from(key.reveal())));
    vars.insert("pki_ca_certificate".to_owned(), Raw::from(Value::from(certificate)));
    additions.vars.extend(vars);
    additions.secrets.push(key);
    Ok(())
}

fn make(store: &Secrets, path: &Path, sealed: bool, cluster: &str, keep: bool) -> Result<(Secret, String), WorkflowError> {
    let failed = |error: pgfleet_pki::PkiError| WorkflowError::Failed(format!("no certificate authority can be made: {error}"));
    let authority = Authority::make(cluster, SystemTime::now()).map_err(failed)?;
    let (key, certificate) = (authority.key().map_err(failed)?, authority.certificate().map_err(failed)?);
    if keep {
        store.store_as(KEY, &key, sealed)?;
        write(path, certificate.as_bytes())?;
    }
    Ok((key, certificate))
}
