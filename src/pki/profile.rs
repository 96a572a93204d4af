//! What stands in the two kinds of certificates beside names and dates.

use std::net::IpAddr;

use x509_cert::builder::Result;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{Ia5String, ObjectIdentifier};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// RFC 5280, 4.2.1.12: what a server and what a client shows.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// The authority's own certificate.
pub(crate) struct Root {
    pub(crate) name: Name,
}

impl BuilderProfile for Root {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.name.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> Result<Vec<Extension>> {
        let name = tbs.subject();
        Ok(vec![
            // It signs nodes, never another authority.
            BasicConstraints { ca: true, path_len_constraint: Some(0) }.to_extension(name, &[])?,
            KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign).to_extension(name, &[])?,
            SubjectKeyIdentifier::try_from(key)?.to_extension(name, &[])?,
        ])
    }
}

/// A node's certificate: it shows it as a server, and as a client of the other nodes.
pub(crate) struct Leaf {
    pub(crate) issuer: Name,
    pub(crate) name: Name,
    pub(crate) names: Vec<GeneralName>,
}

impl BuilderProfile for Leaf {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.name.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> Result<Vec<Extension>> {
        let name = tbs.subject();
        Ok(vec![
            BasicConstraints { ca: false, path_len_constraint: None }.to_extension(name, &[])?,
            KeyUsage(KeyUsages::DigitalSignature.into()).to_extension(name, &[])?,
            ExtendedKeyUsage(vec![SERVER_AUTH, CLIENT_AUTH]).to_extension(name, &[])?,
            SubjectAltName(self.names.clone()).to_extension(name, &[])?,
            SubjectKeyIdentifier::try_from(key)?.to_extension(name, &[])?,
            AuthorityKeyIdentifier::try_from(issuer)?.to_extension(name, &[])?,
        ])
    }
}

/// A name or address as certificates write it; `None` for what is neither.
pub(crate) fn general_name(text: &str) -> Option<GeneralName> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(GeneralName::from(address));
    }
    is_host_name(text).then(|| Ia5String::new(text).ok().map(GeneralName::DnsName)).flatten()
}

/// Letters, digits, hyphens and dots, as RFC 1123 has host names.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}
