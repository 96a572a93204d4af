//! Passwords of roles: as the server keeps them, so that no statement and no log of one ever holds the text itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use postgres_protocol::password::{md5, scram_sha_256};
use sha2::Sha256;

/// The parts of a SCRAM verifier that prove a password.
struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    server_key: Vec<u8>,
}

/// Reads `SCRAM-SHA-256$4096:salt$stored:server`.
fn verifier(text: &str) -> Option<Verifier> {
    let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
    let (salt, keys) = rest.split_once('$')?;
    let (stored, server) = keys.split_once(':')?;
    STANDARD.decode(stored).ok()?;
    Some(Verifier { iterations: iterations.parse().ok()?, salt: STANDARD.decode(salt).ok()?, server_key: STANDARD.decode(server).ok()? })
}

fn is_md5(text: &str) -> bool {
    text.len() == 35 && text.starts_with("md5") && text[3..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What is sent for a password: verifiers as they are, a text turned into what the server's `password_encryption` makes of it.
pub(crate) fn encoded(password: &str, user: &str, encryption: &str) -> String {
    if verifier(password).is_some() || is_md5(password) {
        password.to_owned()
    } else if encryption == "scram-sha-256" {
        scram_sha_256(password.as_bytes())
    } else {
        md5(password.as_bytes(), user)
    }
}

/// Whether what the server keeps (`rolpassword`) is this password. A text kept the old way, where the server now wants SCRAM, counts as another.
pub(crate) fn is_kept_by(kept: Option<&str>, password: &str, user: &str, encryption: &str, is_encrypted: bool) -> bool {
    let Some(kept) = kept else { return password.is_empty() };
    if password.is_empty() {
        return false;
    }
    if verifier(password).is_some() {
        return kept == password;
    }
    if let Some(verifier) = verifier(kept) {
        return proves(&verifier, password);
    }
    if is_md5(password) || !is_encrypted {
        return kept == password;
    }
    encryption != "scram-sha-256" && kept == md5(password.as_bytes(), user)
}

fn proves(verifier: &Verifier, password: &str) -> bool {
    // What SASLprep forbids is taken as it is, as the server does.
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    let mut salted = [0; 32];
    if pbkdf2::pbkdf2::<Hmac<Sha256>>(prepared.as_bytes(), &verifier.salt, verifier.iterations, &mut salted).is_err() {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&salted) else { return false };
    mac.update(b"Server Key");
    mac.verify_slice(&verifier.server_key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{encoded, is_kept_by};

    const SCRAM: &str = "scram-sha-256";

    #[test]
    fn a_password_is_recognised_in_what_the_server_keeps() {
        let kept = encoded("s3cret é", "app", SCRAM);
        assert!(kept.starts_with("SCRAM-SHA-256$4096:"));
        assert!(is_kept_by(Some(&kept), "s3cret é", "app", SCRAM, true));
        assert!(!is_kept_by(Some(&kept), "other", "app", SCRAM, true));
        assert!(is_kept_by(Some(&kept), &kept, "app", SCRAM, true));
        assert!(!is_kept_by(None, "s3cret", "app", SCRAM, true));
        assert!(is_kept_by(None, "", "app", SCRAM, true));
        assert!(!is_kept_by(Some(&kept), "", "app", SCRAM, true));
    }

    #[test]
    fn md5_is_kept_where_the_server_wants_it() {
        let kept = encoded("verysecretpassword", "JOE", "md5");
        assert_eq!(kept.len(), 35);
        assert!(is_kept_by(Some(&kept), "verysecretpassword", "JOE", "md5", true));
        assert!(!is_kept_by(Some(&kept), "verysecretpassword", "JOE", SCRAM, true));
        assert!(is_kept_by(Some(&kept), &kept, "JOE", SCRAM, true));
        assert_eq!(encoded(&kept, "JOE", SCRAM), kept);
    }
}
