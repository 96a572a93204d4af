//! Keys, requests and certificates, under the names of `community.crypto`.

use super::content::Presence;
use super::file_attributes;
use crate::arguments::{arguments, choice};
use crate::{FileMode, HostPath, Items, Map, Rule, Secret};

choice! {
    /// Kinds of keys.
    pub enum KeyType {
        /// RSA.
        Rsa = "RSA",
        /// DSA.
        Dsa = "DSA",
        /// Elliptic curves.
        Ecc = "ECC",
        /// Ed25519.
        Ed25519 = "Ed25519",
        /// Ed448.
        Ed448 = "Ed448",
        /// X25519.
        X25519 = "X25519",
        /// X448.
        X448 = "X448",
    }
}

choice! {
    /// How a key is written down.
    pub enum KeyFormat {
        /// The old way of its kind.
        Pkcs1 = "pkcs1",
        /// The way for all kinds.
        Pkcs8 = "pkcs8",
        /// Bytes alone; not supported.
        Raw = "raw",
        /// The old way where its kind has one.
        Auto = "auto",
        /// The same, and no other way is a reason for a new key.
        AutoIgnore = "auto_ignore",
    }
}

choice! {
    /// What is done about a key that is written down in another way.
    pub enum Mismatch {
        /// A new one is made.
        Regenerate = "regenerate",
        /// The same key is written down anew.
        Convert = "convert",
    }
}

choice! {
    /// When a key that is there is made anew.
    pub enum Regenerate {
        /// Never.
        Never = "never",
        /// Never: one that is not as wished is an error.
        Fail = "fail",
        /// When it is not as wished; one that cannot be read is an error.
        PartialIdempotence = "partial_idempotence",
        /// When it is not as wished or cannot be read.
        FullIdempotence = "full_idempotence",
        /// Each time.
        Always = "always",
    }
}

arguments! {
    /// Makes a private key.
    pub struct OpensslPrivatekey = "openssl_privatekey" {
        /// Where it is.
        path: HostPath;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Bits, of RSA and DSA.
        size: u64 = 4096;
        /// Its kind.
        r#type: KeyType = KeyType::Rsa;
        /// The curve, of ECC.
        curve: Option<String>;
        /// What opens it.
        passphrase: Option<Secret>;
        /// How it is closed.
        cipher: String = "auto".to_owned();
        /// How it is written down.
        format: KeyFormat = KeyFormat::AutoIgnore;
        /// What to do about another format.
        format_mismatch: Mismatch = Mismatch::Regenerate;
        /// When it is made anew.
        regenerate: Regenerate = Regenerate::FullIdempotence;
        /// Make it anew.
        force: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Tell its content.
        return_content: bool = false;
        /// For Ansible; openssl is used.
        select_crypto_backend: Option<String>;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
}

arguments! {
    /// Tells of a private key.
    pub struct OpensslPrivatekeyInfo = "openssl_privatekey_info" {
        /// Where it is.
        path: Option<HostPath>;
        /// The key itself.
        content: Option<Secret>;
        /// What opens it.
        passphrase: Option<Secret>;
        /// Do its parts fit each other?
        check_consistency: bool = false;
        /// For Ansible; openssl is used.
        select_crypto_backend: Option<String>;
    }
    rules [Rule::AtMostOne(&["path", "content"]), Rule::AtLeastOne(&["path", "content"])]
}

arguments! {
    /// Makes Diffie-Hellman parameters.
    pub struct OpensslDhparam = "openssl_dhparam" {
        /// Where they are.
        path: HostPath;
        /// Shall they be there?
        state: Presence = Presence::Present;
        /// Bits.
        size: u64 = 4096;
        /// Make them anew.
        force: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Tell their content.
        return_content: bool = false;
        /// For Ansible; openssl is used.
        select_crypto_backend: Option<String>;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
}

/// What a request asks for, as both its modules take it.
#[derive(Clone, Debug)]
pub struct RequestArguments {
    /// Digest of the signature.
    pub digest: String,
    /// The key's file.
    pub privatekey_path: Option<HostPath>,
    /// Or the key itself.
    pub privatekey_content: Option<Secret>,
    /// What opens it.
    pub privatekey_passphrase: Option<Secret>,
    /// Name and value of the subject's parts, in order.
    pub subject: Vec<(String, String)>,
    /// Other names.
    pub subject_alt_name: Items,
    /// Extensions: name, values, critical.
    pub extensions: Vec<(&'static str, Items, bool)>,
    /// Whether other names count as critical.
    pub subject_alt_name_critical: bool,
    /// Must the server staple?
    pub ocsp_must_staple: bool,
    /// Is that critical?
    pub ocsp_must_staple_critical: bool,
    /// An identifier of the key, made from it.
    pub create_subject_key_identifier: bool,
}

macro_rules! request {
    ($(#[doc = $module_doc:literal])+ pub struct $type:ident = $module:literal { $($own:tt)* }) => {
        arguments! {
            $(#[doc = $module_doc])+
            pub struct $type = $module {
                $($own)*
                /// Digest of the signature.
                digest: String = "sha256".to_owned();
                /// The key's file.
                privatekey_path: Option<HostPath>;
                /// Or the key itself.
                privatekey_content: Option<Secret>;
                /// What opens it.
                privatekey_passphrase: Option<Secret>;
                /// 1.
                version: i64 = 1;
                /// Parts of the subject that have no argument of their own.
                subject: Map = Map::new();
                /// All parts of the subject, in order.
                subject_ordered: Option<serde_json::Value>;
                /// Country.
                country_name: Option<String> as ["C", "countryName"];
                /// State.
                state_or_province_name: Option<String> as ["ST", "stateOrProvinceName"];
                /// Town.
                locality_name: Option<String> as ["L", "localityName"];
                /// Organization.
                organization_name: Option<String> as ["O", "organizationName"];
                /// Unit of it.
                organizational_unit_name: Option<String> as ["OU", "organizationalUnitName"];
                /// Name.
                common_name: Option<String> as ["CN", "commonName"];
                /// E-mail.
                email_address: Option<String> as ["E", "emailAddress"];
                /// Other names: `DNS:a`, `IP:1.2.3.4` ...
                subject_alt_name: Items as ["subjectAltName"] = Vec::new();
                /// Are they critical?
                subject_alt_name_critical: bool as ["subjectAltName_critical"] = false;
                /// Take the name as other name where there is none.
                use_common_name_for_san: bool as ["useCommonNameForSAN"] = true;
                /// What the key is for.
                key_usage: Items as ["keyUsage"] = Vec::new();
                /// Is that critical?
                key_usage_critical: bool as ["keyUsage_critical"] = false;
                /// What else it is for.
                extended_key_usage: Items as ["extKeyUsage", "extendedKeyUsage"] = Vec::new();
                /// Is that critical?
                extended_key_usage_critical: bool as ["extKeyUsage_critical", "extendedKeyUsage_critical"] = false;
                /// `CA:TRUE`, `pathlen:0`.
                basic_constraints: Items as ["basicConstraints"] = Vec::new();
                /// Are they critical?
                basic_constraints_critical: bool as ["basicConstraints_critical"] = false;
                /// Must the server staple?
                ocsp_must_staple: bool as ["ocspMustStaple"] = false;
                /// Is that critical?
                ocsp_must_staple_critical: bool as ["ocspMustStaple_critical"] = false;
                /// An identifier of the key, made from it.
                create_subject_key_identifier: bool = false;
                /// For Ansible; openssl is used.
                select_crypto_backend: Option<String>;
            }
            rules [Rule::AtMostOne(&["privatekey_path", "privatekey_content"]), Rule::AtMostOne(&["subject", "subject_ordered"])]
        }

        impl $type {
            /// What is asked for.
            #[must_use]
            pub fn request(&self) -> RequestArguments {
                let parts = [
                    ("C", &self.country_name), ("ST", &self.state_or_province_name), ("L", &self.locality_name), ("O", &self.organization_name),
                    ("OU", &self.organizational_unit_name), ("CN", &self.common_name), ("emailAddress", &self.email_address),
                ];
                let mut subject: Vec<(String, String)> =
                    parts.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name.to_owned(), value))).collect();
                let mut add = |map: &Map| for (name, value) in map {
                    let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                    subject.extend(values.iter().map(|value| (name.clone(), crate::convert::word(value))));
                };
                add(&self.subject);
                for map in self.subject_ordered.as_ref().and_then(serde_json::Value::as_array).into_iter().flatten().filter_map(serde_json::Value::as_object) {
                    add(map);
                }
                let mut subject_alt_name = self.subject_alt_name.clone();
                if subject_alt_name.is_empty() && self.use_common_name_for_san {
                    let name = subject.iter().find(|(name, _)| name == "CN" || name == "commonName");
                    subject_alt_name.extend(name.map(|(_, name)| format!("DNS:{name}")));
                }
                RequestArguments {
                    digest: self.digest.clone(),
                    privatekey_path: self.privatekey_path.clone(),
                    privatekey_content: self.privatekey_content.clone(),
                    privatekey_passphrase: self.privatekey_passphrase.clone(),
                    subject,
                    subject_alt_name,
                    extensions: vec![
                        ("keyUsage", self.key_usage.clone(), self.key_usage_critical),
                        ("extendedKeyUsage", self.extended_key_usage.clone(), self.extended_key_usage_critical),
                        ("basicConstraints", self.basic_constraints.clone(), self.basic_constraints_critical),
                    ],
                    subject_alt_name_critical: self.subject_alt_name_critical,
                    ocsp_must_staple: self.ocsp_must_staple,
                    ocsp_must_staple_critical: self.ocsp_must_staple_critical,
                    create_subject_key_identifier: self.create_subject_key_identifier,
                }
            }
        }
    };
}

request! {
    /// Makes a request for a certificate.
    pub struct OpensslCsr = "openssl_csr" {
        /// Where it is.
        path: HostPath;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Make it anew.
        force: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Tell its content.
        return_content: bool = false;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
}

request! {
    /// Makes a request for a certificate, and tells it.
    pub struct OpensslCsrPipe = "openssl_csr_pipe" {
        /// The request as it was.
        content: Option<String>;
    }
}

choice! {
    /// Whether a certificate carries an identifier of its key.
    pub enum KeyIdentifier {
        /// The request's, or one made from the key.
        CreateIfNotProvided = "create_if_not_provided",
        /// One made from the key.
        AlwaysCreate = "always_create",
        /// The request's alone.
        NeverCreate = "never_create",
    }
}

choice! {
    /// Who signs.
    pub enum Provider {
        /// The key itself.
        Selfsigned = "selfsigned",
        /// An authority of ours.
        Ownca = "ownca",
    }
}

/// What certificates are made from, as both their modules take it.
#[derive(Clone, Debug)]
pub struct CertificateArguments {
    /// Who signs.
    pub provider: Provider,
    /// The request's file.
    pub csr_path: Option<HostPath>,
    /// Or the request itself.
    pub csr_content: Option<String>,
    /// The certificate's own key, a file.
    pub own_key_path: Option<HostPath>,
    /// The authority's certificate, a file.
    pub authority_path: Option<HostPath>,
    /// Or itself.
    pub authority_content: Option<String>,
    /// The key that signs, a file.
    pub key_path: Option<HostPath>,
    /// Or itself.
    pub key_content: Option<Secret>,
    /// What opens it.
    pub key_passphrase: Option<Secret>,
    /// Digest of the signature.
    pub digest: String,
    /// From when.
    pub not_before: String,
    /// Until when.
    pub not_after: String,
    /// Do times of one that is there not count?
    pub ignore_timestamps: bool,
    /// Identifier of the key.
    pub key_identifier: KeyIdentifier,
    /// Does it carry an identifier of the authority's key?
    pub authority_key_identifier: bool,
    /// Make it anew.
    pub force: bool,
}

macro_rules! certificate {
    ($(#[doc = $module_doc:literal])+ pub struct $type:ident = $module:literal { $($own:tt)* }) => {
        arguments! {
            $(#[doc = $module_doc])+
            pub struct $type = $module {
                $($own)*
                /// Who signs.
                provider: Option<Provider>;
                /// Make it anew.
                force: bool = false;
                /// The request's file.
                csr_path: Option<HostPath>;
                /// Or the request itself.
                csr_content: Option<String>;
                /// Do times of one that is there not count?
                ignore_timestamps: bool = true;
                /// The certificate's own key, a file.
                privatekey_path: Option<HostPath>;
                /// Or itself.
                privatekey_content: Option<Secret>;
                /// What opens it.
                privatekey_passphrase: Option<Secret>;
                /// Digest of a signature by the key itself.
                selfsigned_digest: String as ["selfsigned_signature"] = "sha256".to_owned();
                /// 3.
                selfsigned_version: i64 = 3;
                /// From when: `+0s`, `20300101000000Z`.
                selfsigned_not_before: String as ["selfsigned_notBefore"] = "+0s".to_owned();
                /// Until when: `+3650d`.
                selfsigned_not_after: String as ["selfsigned_notAfter"] = "+3650d".to_owned();
                /// An identifier of the key.
                selfsigned_create_subject_key_identifier: KeyIdentifier = KeyIdentifier::CreateIfNotProvided;
                /// The authority's certificate, a file.
                ownca_path: Option<HostPath>;
                /// Or itself.
                ownca_content: Option<String>;
                /// Its key, a file.
                ownca_privatekey_path: Option<HostPath>;
                /// Or itself.
                ownca_privatekey_content: Option<Secret>;
                /// What opens it.
                ownca_privatekey_passphrase: Option<Secret>;
                /// Digest of its signature.
                ownca_digest: String = "sha256".to_owned();
                /// 3.
                ownca_version: i64 = 3;
                /// From when: `+0s`, `20300101000000Z`.
                ownca_not_before: String = "+0s".to_owned();
                /// Until when: `+3650d`.
                ownca_not_after: String = "+3650d".to_owned();
                /// An identifier of the key.
                ownca_create_subject_key_identifier: KeyIdentifier = KeyIdentifier::CreateIfNotProvided;
                /// An identifier of the authority's key.
                ownca_create_authority_key_identifier: bool = true;
                /// For Ansible; openssl is used.
                select_crypto_backend: Option<String>;
            }
            rules [Rule::AtMostOne(&["csr_path", "csr_content"]), Rule::AtMostOne(&["privatekey_path", "privatekey_content"])]
        }

        impl $type {
            /// What it is made from; `None` without a provider.
            #[must_use]
            pub fn certificate(&self) -> Option<CertificateArguments> {
                let provider = self.provider?;
                let is_own = provider == Provider::Selfsigned;
                let either = |own: &String, authority: &String| if is_own { own.clone() } else { authority.clone() };
                Some(CertificateArguments {
                    provider,
                    csr_path: self.csr_path.clone(),
                    csr_content: self.csr_content.clone(),
                    own_key_path: self.privatekey_path.clone(),
                    authority_path: self.ownca_path.clone(),
                    authority_content: self.ownca_content.clone(),
                    key_path: if is_own { self.privatekey_path.clone() } else { self.ownca_privatekey_path.clone() },
                    key_content: if is_own { self.privatekey_content.clone() } else { self.ownca_privatekey_content.clone() },
                    key_passphrase: if is_own { self.privatekey_passphrase.clone() } else { self.ownca_privatekey_passphrase.clone() },
                    digest: either(&self.selfsigned_digest, &self.ownca_digest),
                    not_before: either(&self.selfsigned_not_before, &self.ownca_not_before),
                    not_after: either(&self.selfsigned_not_after, &self.ownca_not_after),
                    ignore_timestamps: self.ignore_timestamps,
                    key_identifier: if is_own { self.selfsigned_create_subject_key_identifier } else { self.ownca_create_subject_key_identifier },
                    authority_key_identifier: !is_own && self.ownca_create_authority_key_identifier,
                    force: self.force,
                })
            }
        }
    };
}

certificate! {
    /// Makes a certificate.
    pub struct X509Certificate = "x509_certificate" {
        /// Where it is.
        path: HostPath;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Tell its content.
        return_content: bool = false;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
}

certificate! {
    /// Makes a certificate, and tells it.
    pub struct X509CertificatePipe = "x509_certificate_pipe" {
        /// The certificate as it was.
        content: Option<String>;
    }
}

arguments! {
    /// Tells of a certificate.
    pub struct X509CertificateInfo = "x509_certificate_info" {
        /// Where it is.
        path: Option<HostPath>;
        /// The certificate itself.
        content: Option<String>;
        /// Moments at which it is asked whether it is valid.
        valid_at: Map = Map::new();
        /// For Ansible; openssl is used.
        select_crypto_backend: Option<String>;
    }
    rules [Rule::AtMostOne(&["path", "content"]), Rule::AtLeastOne(&["path", "content"])]
}

file_attributes!(OpensslPrivatekey, OpensslDhparam, OpensslCsr, X509Certificate);
