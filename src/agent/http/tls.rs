//! TLS 1.3 with the cluster's own services: its authority signs both sides, and nobody else is trusted.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::system::{Connection, System};

/// Whom to trust, and what to show of oneself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trust {
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    /// The node's certificate and its key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
}

/// The connection, encrypted, its other end verified to be `host`.
pub(super) fn encrypted(
    system: &dyn System,
    mut connection: Box<dyn Connection>,
    host: &str,
    trust: &Trust,
) -> io::Result<Box<dyn Connection>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut client = ClientConnection::new(Arc::new(configuration(system, trust)?), name).map_err(io::Error::other)?;
    while client.is_handshaking() {
        client.complete_io(&mut connection)?;
    }
    Ok(Box::new(StreamOwned::new(client, connection)))
}

fn configuration(system: &dyn System, trust: &Trust) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(system, &trust.authority)? {
        roots.add(certificate).map_err(|error| unusable(&trust.authority, error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &trust.own else { return Ok(builder.with_no_client_auth()) };
    let pem = system.read_file(key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(key, error))?;
    builder.with_client_auth_cert(certificates(system, certificate)?, private).map_err(|error| unusable(certificate, error))
}

fn certificates(system: &dyn System, path: &PathBuf) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = system.read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.map_err(|error| unusable(path, error))
}

fn unusable(path: &std::path::Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
