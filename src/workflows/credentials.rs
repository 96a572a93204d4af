//! The passwords of a cluster: made once, kept in state, given to the playbooks as variables.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use pgfleet_protocol::Secret;
use pgfleet_state::{Secrets, StateError, make_password};
use pgfleet_template::{Raw, Value, Vars};
use sha2::{Digest, Sha256};

/// PostgreSQL's own number of iterations.
const ITERATIONS: u32 = 4096;

/// A secret's file and its variable.
pub(crate) const PASSWORDS: [(&str, &str); 9] = [
    ("superuser", "postgresql_superuser_password"),
    ("replication", "postgresql_replication_password"),
    ("rewind", "postgresql_rewind_password"),
    ("app", "postgresql_app_password"),
    ("readonly", "postgresql_readonly_password"),
    ("patroni_rest", "patroni_rest_password"),
    ("haproxy_stats", "haproxy_stats_password"),
    ("etcd", "etcd_password"),
    ("etcd_admin", "etcd_admin_password"),
];

/// Those that nobody misses: a deploy makes others, and users of etcd for them, by the login that its voters have.
const REPLACEABLE: [&str; 2] = ["etcd", "etcd_admin"];

/// The passwords that PostgreSQL keeps as SCRAM verifiers, with the verifier's file and variable.
pub(crate) const VERIFIERS: [(&str, &str, &str); 2] =
    [("app", "app_scram", "postgresql_app_scram"), ("readonly", "readonly_scram", "postgresql_readonly_scram")];

/// The variables of a cluster's secrets, and the secrets themselves for hiding them.
pub(crate) struct Credentials {
    pub(crate) vars: Vars,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) app: Option<Secret>,
    /// Passwords of which only the verifiers are here: they go on to count.
    pub(crate) unknown: Vec<&'static str>,
}

/// The files of the passwords that are not there. Where PostgreSQL's verifier of one is, it goes on to count.
pub(crate) fn missing(store: &Secrets) -> Result<Vec<&'static str>, StateError> {
    let mut missing = Vec::new();
    for (file, _) in PASSWORDS {
        if !REPLACEABLE.contains(&file) && store.read(file)?.is_none() && kept_verifier(store, file)?.is_none() {
            missing.push(file);
        }
    }
    Ok(missing)
}

fn kept_verifier(store: &Secrets, password: &str) -> Result<Option<Secret>, StateError> {
    match VERIFIERS.iter().find(|(name, ..)| *name == password) {
        Some((_, file, _)) => store.read(file),
        None => Ok(None),
    }
}

/// Reads the secrets, and makes those that are missing. Made ones are only kept when `keep` says so: a check leaves nothing.
pub(crate) fn read_or_make(store: &Secrets, keep: bool) -> Result<Credentials, StateError> {
    let mut vars = Vars::new();
    let mut secrets = Vec::new();
    let mut unknown = Vec::new();
    let mut passwords = BTreeMap::new();
    let mut give = |variable: &str, secret: Secret| {
        vars.insert(variable.to_owned(), Raw::from(Value::from(secret.reveal())));
        // Nothing is everywhere, and cannot be hidden.
        if !secret.reveal().is_empty() {
            secrets.push(secret);
        }
    };
    for (file, variable) in PASSWORDS {
        let password = match store.read(file)? {
            Some(password) => password,
            None if kept_verifier(store, file)?.is_some() => {
                unknown.push(file);
                give(variable, Secret::new(String::new()));
                continue;
            }
            None if keep => store.read_or_make(file)?,
            None => make_password()?,
        };
        passwords.insert(file, password.clone());
        give(variable, password);
    }
    for (name, file, variable) in VERIFIERS {
        // A verifier of another password would lock the application out.
        let counts = |kept: &Secret| passwords.get(name).is_none_or(|password| verifies(kept.reveal(), password));
        let verifier = match (store.read(file)?.filter(counts), passwords.get(name)) {
            (Some(verifier), _) => verifier,
            (None, Some(password)) => {
                let verifier = make_verifier(password)?;
                if keep {
                    store.store(file, &verifier)?;
                }
                verifier
            }
            (None, None) => continue,
        };
        give(variable, verifier);
    }
    Ok(Credentials { vars, secrets, app: passwords.remove("app"), unknown })
}

/// A new verifier of a password.
pub(crate) fn make_verifier(password: &Secret) -> Result<Secret, StateError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| StateError::Random(error.to_string()))?;
    Ok(Secret::new(scram(password, &salt, ITERATIONS)))
}

/// PostgreSQL's verifier of a password (RFC 5803): `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
fn scram(password: &Secret, salt: &[u8], iterations: u32) -> String {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.reveal().as_bytes(), salt, iterations, &mut salted);
    let client_key = keyed(&salted, b"Client Key");
    let server_key = keyed(&salted, b"Server Key");
    let stored_key = Sha256::digest(client_key);
    format!("SCRAM-SHA-256${iterations}:{}${}:{}", STANDARD.encode(salt), STANDARD.encode(stored_key), STANDARD.encode(server_key))
}

fn keyed(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    // A key of any length is a key of HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// Whether a verifier is one of this password.
pub(crate) fn verifies(verifier: &str, password: &Secret) -> bool {
    let parts = verifier.strip_prefix("SCRAM-SHA-256$").and_then(|rest| rest.split_once('$')).and_then(|(head, _)| head.split_once(':'));
    let Some((iterations, salt)) = parts else { return false };
    let (Ok(iterations), Ok(salt)) = (iterations.parse(), STANDARD.decode(salt)) else { return false };
    scram(password, &salt, iterations) == verifier
}

#[cfg(test)]
mod tests {
    use super::{scram, verifies};
    use pgfleet_protocol::Secret;

    #[test]
    fn the_verifier_is_the_one_that_postgresql_makes() {
        // The exchange of RFC 7677 gives salt, iterations and the server's signature key for this password.
        let salt = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, "W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let verifier = scram(&Secret::new("pencil"), &salt, 4096);
        assert_eq!(
            verifier,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        assert!(verifies(&verifier, &Secret::new("pencil")));
        assert!(!verifies(&verifier, &Secret::new("pencils")));
    }
}
