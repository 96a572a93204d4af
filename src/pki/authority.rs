//! An authority: made once, its key kept by whoever operates the cluster; it signs keys that stay on their nodes.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use pgfleet_protocol::Secret;
use x509_cert::Certificate;
use x509_cert::SubjectPublicKeyInfo;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::der::{DecodePem, EncodePem, pem::LineEnding};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::PkiError;
use crate::profile::{Leaf, Root, general_name};

/// What the authority's certificate is called in errors.
const OWN: &str = "the certificate of the authority";
const DAY: Duration = Duration::from_secs(86_400);
/// How long an authority lasts: ten years.
const LIFE: Duration = Duration::from_secs(3_653 * 86_400);

/// Signs certificates, where its key is known.
pub struct Authority {
    key: Option<SigningKey>,
    pub(crate) certificate: Certificate,
}

/// What a certificate is good for: the names and addresses by which its node is reached, the first one its own.
pub struct Names(pub(crate) String, pub(crate) Vec<GeneralName>);

impl Names {
    /// Names from texts, each once.
    ///
    /// # Errors
    /// For a text that is neither a host name nor an address, and for no name at all.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, PkiError> {
        let mut own = None;
        let mut all = Vec::new();
        for text in names {
            let name = general_name(text).ok_or_else(|| PkiError::Name(text.to_owned()))?;
            own.get_or_insert_with(|| text.to_owned());
            if !all.contains(&name) {
                all.push(name);
            }
        }
        own.map(|own| Self(own, all)).ok_or_else(|| PkiError::Name(String::new()))
    }

    /// Whose certificate it is. Not as the common name: an etcd with users would take that for a login, and refuses such a client what it
    /// asks by HTTP.
    pub(crate) fn subject(&self) -> Result<Name, PkiError> {
        name_of("OU", &self.0)
    }
}

impl Authority {
    /// A new authority for a cluster.
    ///
    /// # Errors
    /// Without random numbers, and for a cluster's name that no certificate can have.
    pub fn make(cluster: &str, now: SystemTime) -> Result<Self, PkiError> {
        let key = make_key()?;
        let profile = Root { name: name_of("CN", &format!("{cluster} certificate authority"))? };
        let own = SubjectPublicKeyInfo::from_key(key.verifying_key()).map_err(making)?;
        let certificate = signed(&key, profile, own, now, LIFE)?;
        Ok(Self { key: Some(key), certificate })
    }

    /// The authority of a certificate whose key nobody has: it tells what it signed, and signs nothing.
    ///
    /// # Errors
    /// For what cannot be read.
    pub fn without_key(certificate: &str) -> Result<Self, PkiError> {
        Ok(Self { key: None, certificate: read_certificate(OWN, certificate)? })
    }

    /// The authority of a key and its certificate, both in PEM.
    ///
    /// # Errors
    /// For what cannot be read, and a key that is not the certificate's.
    pub fn read(key: &Secret, certificate: &str) -> Result<Self, PkiError> {
        let unreadable = |what, reason: String| PkiError::Unreadable { what, reason };
        let key = SigningKey::from_pkcs8_pem(key.reveal())
            .map_err(|error| unreadable("the key of the certificate authority", error.to_string()))?;
        let certificate = read_certificate(OWN, certificate)?;
        let own = SubjectPublicKeyInfo::from_key(key.verifying_key()).map_err(making)?;
        match *certificate.tbs_certificate().subject_public_key_info() == own {
            true => Ok(Self { key: Some(key), certificate }),
            false => Err(PkiError::Mismatch),
        }
    }

    /// Its key in PEM.
    ///
    /// # Errors
    /// When it cannot be written, and where it is not known.
    pub fn key(&self) -> Result<Secret, PkiError> {
        let key = self.key.as_ref().ok_or(PkiError::NoKey)?;
        key.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).map(|pem| Secret::new(pem.as_str())).map_err(making)
    }

    /// Its certificate in PEM: what everybody needs who shall trust the nodes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn certificate(&self) -> Result<String, PkiError> {
        self.certificate.to_pem(LineEnding::LF).map_err(making)
    }

    /// A certificate in PEM for a node's public key (PEM), good from a day ago, since clocks differ, for `days` from now.
    ///
    /// # Errors
    /// For a key that cannot be read, and where the authority's own is not known.
    pub fn issue(&self, public_key: &str, names: &Names, days: u64, now: SystemTime) -> Result<String, PkiError> {
        let own = self.key.as_ref().ok_or(PkiError::NoKey)?;
        let key = read_public_key(public_key)?;
        let issuer = self.certificate.tbs_certificate().subject().clone();
        let profile = Leaf { issuer, name: names.subject()?, names: names.1.clone() };
        let life = DAY * u32::try_from(days).unwrap_or(u32::MAX);
        signed(own, profile, key, now, life)?.to_pem(LineEnding::LF).map_err(making)
    }
}

/// Reads a certificate (PEM); `what` is its name in errors.
pub(crate) fn read_certificate(what: &'static str, pem: &str) -> Result<Certificate, PkiError> {
    Certificate::from_pem(pem.trim()).map_err(|error| PkiError::Unreadable { what, reason: error.to_string() })
}

pub(crate) fn read_public_key(pem: &str) -> Result<SubjectPublicKeyInfo, PkiError> {
    SubjectPublicKeyInfo::from_pem(pem.trim())
        .map_err(|error| PkiError::Unreadable { what: "the node's public key", reason: error.to_string() })
}

fn signed<P: BuilderProfile>(
    key: &SigningKey,
    profile: P,
    of: SubjectPublicKeyInfo,
    now: SystemTime,
    life: Duration,
) -> Result<Certificate, PkiError> {
    let at = |moment: SystemTime| Time::try_from(moment).map_err(making);
    let validity = Validity::new(at(now - DAY)?, at(now + life)?);
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| PkiError::Random(error.to_string()))?;
    // A positive number of sixteen bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    let serial = SerialNumber::new(&serial).map_err(making)?;
    let builder = CertificateBuilder::new(profile, serial, validity, of).map_err(making)?;
    builder.build::<_, DerSignature>(key).map_err(making)
}

fn make_key() -> Result<SigningKey, PkiError> {
    loop {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| PkiError::Random(error.to_string()))?;
        // All but a few of the numbers of 32 bytes are keys.
        if let Ok(key) = SigningKey::from_bytes(&bytes.into()) {
            return Ok(key);
        }
    }
}

fn name_of(attribute: &str, text: &str) -> Result<Name, PkiError> {
    let text = text.chars().take(64).collect::<String>();
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, ' ' | '.' | '-' | '_' | ':');
    match text.chars().all(plain) {
        true => Name::from_str(&format!("{attribute}={text}")).map_err(making),
        false => Err(PkiError::Name(text)),
    }
}

fn making(error: impl std::fmt::Display) -> PkiError {
    PkiError::Making(error.to_string())
}
