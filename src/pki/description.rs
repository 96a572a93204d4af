//! What a certificate says of itself, for a person.

use std::net::IpAddr;
use std::time::SystemTime;

use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::PkiError;
use crate::authority::read_certificate;
use crate::verdict::is_signed_by;

/// A certificate in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Whose it is: `CN=pg1.lan`.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// The names and addresses that it is good for.
    pub names: Vec<String>,
    /// Its number, hexadecimal.
    pub serial: String,
    /// When it begins to count.
    pub from: SystemTime,
    /// When it ends.
    pub until: SystemTime,
}

/// Reads a certificate (PEM).
///
/// # Errors
/// For what is none.
pub fn describe(certificate: &str) -> Result<Description, PkiError> {
    let certificate = read(certificate)?;
    let content = certificate.tbs_certificate();
    let named = content.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
    Ok(Description {
        subject: content.subject().to_string(),
        issuer: content.issuer().to_string(),
        names: named.iter().filter_map(name).collect(),
        serial: content.serial_number().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
        from: content.validity().not_before.to_system_time(),
        until: content.validity().not_after.to_system_time(),
    })
}

/// Whether the holder of one certificate (PEM) has signed another.
///
/// # Errors
/// For what is no certificate.
pub fn has_signed(authority: &str, certificate: &str) -> Result<bool, PkiError> {
    Ok(is_signed_by(&read(authority)?, &read(certificate)?))
}

fn read(pem: &str) -> Result<Certificate, PkiError> {
    read_certificate("the certificate", pem)
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            bytes if bytes.len() == 4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
            bytes => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    }
}
