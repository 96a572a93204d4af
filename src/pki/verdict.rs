//! Whether a node's certificate may stay: signed by this authority, for the node's key and all its names, and good for some time yet.

use std::time::{Duration, SystemTime};

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use x509_cert::Certificate;
use x509_cert::SubjectPublicKeyInfo;
use x509_cert::der::{Decode, DecodePem, Encode};
use x509_cert::ext::pkix::SubjectAltName;

use crate::authority::read_public_key;
use crate::{Authority, Names};

/// What is to be done with a node's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, and is good until then.
    Good(SystemTime),
    /// A new one is needed, for the reason given.
    Replace(&'static str),
}

/// Judges the certificate (PEM) that a node has for its public key (PEM).
#[must_use]
pub fn judge(authority: &Authority, certificate: &str, public_key: &str, names: &Names, renew: Duration, now: SystemTime) -> Verdict {
    let Ok(certificate) = Certificate::from_pem(certificate.trim()) else { return Verdict::Replace("there is none that can be read") };
    let Ok(key) = read_public_key(public_key) else { return Verdict::Replace("the node's key cannot be read") };
    let content = certificate.tbs_certificate();
    if *content.subject_public_key_info() != key {
        return Verdict::Replace("it is not of the node's key");
    }
    if !is_signed_by(&authority.certificate, &certificate) {
        return Verdict::Replace("another authority has signed it");
    }
    let named = content.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
    if names.1.len() != named.len() || names.1.iter().any(|name| !named.contains(name)) {
        return Verdict::Replace("the node has other names by now");
    }
    if names.subject().ok().as_ref() != Some(content.subject()) {
        return Verdict::Replace("its subject is of another form");
    }
    let until = content.validity().not_after.to_system_time();
    match until > now + renew {
        true => Verdict::Good(until),
        false => Verdict::Replace("it ends soon"),
    }
}

pub(crate) fn is_signed_by(authority: &Certificate, certificate: &Certificate) -> bool {
    let own = authority.tbs_certificate();
    let checked = || -> Option<()> {
        let key = verifying_key(own.subject_public_key_info())?;
        let signature = DerSignature::from_der(certificate.signature().as_bytes()?).ok()?;
        key.verify(&certificate.tbs_certificate().to_der().ok()?, &signature).ok()
    };
    certificate.tbs_certificate().issuer() == own.subject() && checked().is_some()
}

fn verifying_key(key: &SubjectPublicKeyInfo) -> Option<VerifyingKey> {
    VerifyingKey::from_sec1_bytes(key.subject_public_key.as_bytes()?).ok()
}
