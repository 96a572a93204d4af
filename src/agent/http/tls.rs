//! TLS 1.3 with the cluster's own services: its authority signs both sides, and nobody else is trusted.

use std::io;
use std::path::{Path, PathBuf};
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

fn certificates(system: &dyn System, path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = system.read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::thread;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

    use super::{Trust, certificates, encrypted};
    use crate::system::Linux;

    /// Certificates of an authority for 127.0.0.1 and node.lan, good for a hundred years.
    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("http/fixtures").join(name)
    }

    /// Takes one connection, and asks for a certificate of the authority as Patroni does.
    fn server() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&Linux, &file("ca.crt")).expect("an authority").remove(0)).expect("usable");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().expect("a verifier");
        let key = PrivateKeyDer::from_pem_file(file("node.key")).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("a version")
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&Linux, &file("node.crt")).expect("a certificate"), key)
            .expect("a server");
        thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).expect("a session"), stream);
            let mut asked = [0; 4];
            if stream.read_exact(&mut asked).is_ok() {
                let _ = stream.write_all(b"pong");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        port
    }

    fn ask(host: &str, authority: &str, shows: bool) -> Result<String, String> {
        let own = shows.then(|| (file("node.crt"), file("node.key")));
        let trust = Trust { authority: file(authority), own };
        let stream = TcpStream::connect(("127.0.0.1", server())).expect("a server");
        let mut connection = encrypted(&Linux, Box::new(stream), host, &trust).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        connection.write_all(b"ping").and_then(|()| connection.read_to_string(&mut answer)).map_err(|error| error.to_string())?;
        Ok(answer)
    }

    #[test]
    fn both_sides_are_verified() {
        assert_eq!(ask("127.0.0.1", "ca.crt", true).as_deref(), Ok("pong"));
        assert_eq!(ask("node.lan", "ca.crt", true).as_deref(), Ok("pong"));
        assert!(ask("127.0.0.2", "ca.crt", true).is_err_and(|why| why.contains("not valid for name")));
        assert!(ask("127.0.0.1", "other.crt", true).is_err_and(|why| why.contains("UnknownIssuer")));
        assert!(ask("127.0.0.1", "ca.crt", false).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        assert!(ask("127.0.0.1", "node.key", true).is_err());
        let trust = Trust { authority: file("ca.crt"), own: Some((file("node.crt"), file("ca.crt"))) };
        let stream = TcpStream::connect(("127.0.0.1", server())).expect("a server");
        let Err(error) = encrypted(&Linux, Box::new(stream), "127.0.0.1", &trust) else { panic!("that is no key") };
        assert!(error.to_string().contains("fixtures/ca.crt: "), "{error}");
    }
}
