//! Keys, passphrases, the ssh-agent, passwords and jump hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pgfleet_protocol::Secret;
use pgfleet_ssh::{Connector, Options, SshConfig, SshError, Target, Wish};

use crate::server::{KeyAgent, PASSWORD, Server};

async fn whoami(connector: &Connector, target: &Target) -> Result<String, SshError> {
    let session = connector.connect(target).await?;
    let finished = session.run("id -un", b"").await?;
    session.close().await;
    Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_kinds() {
    let server = Server::start();
    for key in ["id_ed25519", "id_ecdsa", "id_rsa", "id_locked"] {
        assert_eq!(whoami(&server.connector(), &server.target("free", key)).await.unwrap(), "free", "{key}");
    }
    assert!(server.log().contains("RSA SHA256:"), "the RSA key was used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_asked_once_for_many_hosts() {
    let server = Server::start();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let options = Options {
        passphrase: Arc::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Some(Secret::new("opensesame"))
        }),
        ..server.options()
    };
    let connector = Connector::new(options);
    let target = server.target("free", "id_locked");
    let sessions: Vec<_> = (0..12)
        .map(|_| {
            let (connector, target) = (connector.clone(), target.clone());
            tokio::spawn(async move { whoami(&connector, &target).await })
        })
        .collect();
    for session in sessions {
        assert_eq!(session.await.unwrap().unwrap(), "free");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_used() {
    let server = Server::start();
    let error = |key: &'static str, passphrase: Option<&'static str>| {
        let options = Options { passphrase: Arc::new(move |_| passphrase.map(Secret::new)), ..server.options() };
        let mut target = server.target("free", key);
        // Without the public half beside it the private one has to be opened.
        let _gone = fs::remove_file(server.at(&format!("{key}.pub")));
        target.required_identity = Some(server.at(key));
        async move { Connector::new(options).connect(&target).await.map(|_| ()).unwrap_err() }
    };
    fs::write(server.at("rubbish"), "hello\n").unwrap();
    fs::set_permissions(server.at("rubbish"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(error("missing", None).await, SshError::KeyUnreadable { .. }));
    assert!(matches!(error("rubbish", None).await, SshError::KeyFormat { .. }));
    assert!(matches!(error("id_locked", None).await, SshError::PassphraseNeeded { .. }));
    assert!(matches!(error("id_locked", Some("wrong")).await, SshError::WrongPassphrase { .. }));
    fs::set_permissions(server.at("id_rsa"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = error("id_rsa", None).await;
    assert!(matches!(open, SshError::KeyPermissions { mode: 0o644, .. }), "{open}");
    assert!(open.hint().unwrap().starts_with("chmod 600 "));
    let stranger = error("id_stranger", None).await;
    assert_eq!(
        stranger.to_string(),
        "db1: permission denied for user free (tried: publickey id_stranger; the host takes: publickey, password)"
    );
    let nothing = server.connector().connect(&server.target("free", "")).await.unwrap_err();
    assert!(matches!(nothing, SshError::PermissionDenied { .. }), "{nothing}");
    let nobody = server.connector().connect(&server.target("nosuchuser", "id_ecdsa")).await.unwrap_err();
    assert!(matches!(nobody, SshError::PermissionDenied { .. }), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_holds_the_key() {
    let server = Server::start();
    for key in ["id_ed25519", "id_rsa"] {
        let agent = KeyAgent::start(&server, key);
        let mut target = server.target("free", "");
        target.agent_socket = Some(agent.socket.clone());
        assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "free");
        // Only the public half of a wanted key is on this machine.
        let hidden = server.at("elsewhere");
        fs::rename(server.at(key), &hidden).unwrap();
        target.identities = vec![server.at(key)];
        target.required_identity = Some(server.at(key));
        target.identities_only = true;
        assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "free");
        fs::rename(&hidden, server.at(key)).unwrap();
        // With other wanted keys alone, this one is not offered.
        target.identities = vec![server.at("id_stranger")];
        target.required_identity = None;
        assert!(matches!(whoami(&server.connector(), &target).await, Err(SshError::PermissionDenied { .. })));
    }
    let mut target = server.target("free", "id_ed25519");
    target.agent_socket = Some(server.at("no.sock"));
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "free", "without an agent there are the files");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords() {
    let server = Server::start();
    let mut target = server.target("asked", "");
    target.password = Some(Secret::new(PASSWORD));
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "asked");
    target.identities = vec![server.at("id_stranger")];
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "asked", "after a key that is not taken");
    target.password = Some(Secret::new("battery staple"));
    let error = whoami(&server.connector(), &target).await.unwrap_err().to_string();
    assert!(error.contains("tried: publickey id_stranger, password"), "{error}");
    assert!(!error.contains("battery"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_password_together() {
    let server = Server::start_with("AuthenticationMethods publickey,password\nMaxAuthTries 3");
    let mut target = server.target("asked", "id_ed25519");
    let error = whoami(&server.connector(), &target).await.unwrap_err().to_string();
    assert!(error.contains("the host takes: password"), "{error}");
    target.password = Some(Secret::new(PASSWORD));
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "asked");
    // Too many keys: sshd ends the connection, and says why.
    target.identities = vec![server.at("id_stranger"); 6];
    let error = whoami(&server.connector(), &target).await.unwrap_err();
    assert!(matches!(error, SshError::PermissionDenied { .. }), "{error}");
    assert!(error.to_string().contains("Too many authentication failures"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jump_hosts() {
    let server = Server::start();
    let last = Server::start();
    let mut target = last.target("free", "id_ed25519");
    let mut first = server.target("asked", "id_ecdsa");
    first.name = "gate".to_owned();
    target.jump = vec![first.clone(), server.target("barred", "id_rsa")];
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "free");
    assert!(server.log().contains("Accepted publickey for asked") && server.log().contains("Accepted publickey for barred"));

    // Each hop's key is checked.
    first.known_hosts = vec![];
    target.jump = vec![first];
    let error = whoami(&server.connector(), &target).await.unwrap_err();
    assert!(
        matches!(&error, SshError::Jump { hop, source, .. } if hop == "gate" && matches!(**source, SshError::UnknownHostKey { .. })),
        "{error}"
    );

    // A port that nobody listens on, seen from the hop.
    target.jump = vec![server.target("asked", "id_ecdsa")];
    target.port = crate::server::free_port();
    assert!(matches!(whoami(&server.connector(), &target).await, Err(SshError::Connect { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_from_ssh_config() {
    let server = Server::start();
    let _known = server.target("free", "id_rsa");
    let dir = server.dir.path().display();
    let text = format!(
        "Host db1\n HostName 127.0.0.1\n Port {port}\n User free\n ProxyJump gate\nHost gate\n HostName 127.0.0.1\n Port {port}\n User asked\n\
         Host *\n IdentityFile {dir}/id_none\n IdentityFile {dir}/id_rsa\n UserKnownHostsFile {dir}/known_hosts\n IdentityAgent none\n",
        port = server.port
    );
    fs::write(server.at("config"), text).unwrap();
    let config = SshConfig::from_file(&server.at("config")).unwrap();
    let target = Target::resolve("db1", &Wish::default(), &config).unwrap();
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "free");
    assert!(server.log().contains("Accepted publickey for asked"), "over the gate");
}
