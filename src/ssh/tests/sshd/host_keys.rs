//! Host keys: what ssh accepts is accepted, and nothing else; refusals come before any authentication.

use std::fs;

use pgfleet_ssh::{Connector, Options, SshError, UnknownKeys};

use crate::server::{Server, keygen, ssh_accepts};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_verdicts_as_ssh() {
    let server = Server::start();
    let stranger = fs::read_to_string(server.at("id_stranger.pub")).unwrap();
    let place = format!("[127.0.0.1]:{}", server.port);
    let [ed25519, ecdsa, rsa] = ["host_ed25519", "host_ecdsa", "host_rsa"].map(|key| server.known_line(key));
    let bare = |line: &str| line.split_once(' ').unwrap().1.to_owned();
    let table = [
        ("nothing known", String::new(), "unknown"),
        ("all known", [ed25519.clone(), ecdsa.clone(), rsa.clone()].join("\n"), "ok"),
        ("only ECDSA known: it is asked for", ecdsa.clone(), "ok"),
        ("only RSA known: it is asked for", rsa.clone(), "ok"),
        ("another key", format!("{place} {stranger}"), "changed"),
        ("another key and the right one", format!("{place} {stranger}\n{ed25519}"), "ok"),
        ("wildcard", format!("[127.0.0.*]:{} {}", server.port, bare(&ed25519)), "ok"),
        ("negated", format!("[127.0.0.*]:*,!{place} {}", bare(&ed25519)), "unknown"),
        ("without the port", format!("127.0.0.1 {}", bare(&ed25519)), "ok"),
        ("another port", format!("[127.0.0.1]:1 {}", bare(&ed25519)), "unknown"),
        ("revoked", format!("{ed25519}\n@revoked * {}", bare(&ed25519)), "revoked"),
        ("another type revoked", format!("{ed25519}\n@revoked * {}", bare(&rsa)), "ok"),
    ];
    let file = server.at("kh");
    for (what, text, expect) in table {
        fs::write(&file, text).unwrap();
        let mut target = server.target("root", "id_ed25519");
        target.known_hosts = vec![file.clone()];
        let verdict = match server.connector().connect(&target).await {
            Ok(_) => "ok",
            Err(SshError::UnknownHostKey { .. }) => "unknown",
            Err(SshError::ChangedHostKey { file: named, line: 1, .. }) if named == file => "changed",
            Err(SshError::RevokedHostKey { file: named, line: 2, .. }) if named == file => "revoked",
            Err(other) => panic!("{what}: {other}"),
        };
        assert_eq!(verdict, expect, "{what}");
        assert_eq!(ssh_accepts(&server, &file), expect == "ok", "{what}: ssh says otherwise");
    }
    // A hashed file, made by ssh-keygen.
    fs::write(&file, &ed25519).unwrap();
    keygen(&["-q", "-H", "-f", &file.display().to_string()]);
    assert!(fs::read_to_string(&file).unwrap().starts_with("|1|"));
    let mut target = server.target("root", "id_ed25519");
    target.known_hosts = vec![file];
    server.connector().connect(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_comes_before_authentication() {
    let mut server = Server::start();
    let mut target = server.target("root", "id_ed25519");
    target.known_hosts = vec![];
    let error = server.connector().connect(&target).await.unwrap_err();
    let SshError::UnknownHostKey { fingerprint, .. } = &error else { panic!("{error}") };
    let shown = std::process::Command::new("ssh-keygen").arg("-lf").arg(server.at("host_ed25519.pub")).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&**fingerprint), "{error}");
    assert!(error.hint().unwrap().contains("--accept-new-host-keys"));
    server.wait_for_log("[preauth]");
    for words in ["Accepted", "Failed", "Postponed", "for root"] {
        assert!(!server.log().contains(words), "{}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_pinned_and_changed_ones_refused() {
    let server = Server::start();
    let mut target = server.target("root", "id_ed25519");
    target.known_hosts = vec![];
    let accepting = Connector::new(Options { accept_new_host_keys: true, ..server.options() });
    accepting.connect(&target).await.unwrap();
    assert_eq!(fs::read_to_string(server.at("pinned")).unwrap().split(' ').next().unwrap(), format!("[127.0.0.1]:{}", server.port));
    server.connector().connect(&target).await.unwrap();

    fs::write(server.at("pinned"), format!("[127.0.0.1]:{} {}", server.port, fs::read_to_string(server.at("id_stranger.pub")).unwrap()))
        .unwrap();
    target.unknown_keys = UnknownKeys::Accept;
    let error = accepting.connect(&target).await.unwrap_err();
    assert!(matches!(error, SshError::ChangedHostKey { line: 1, .. }), "{error}");
    assert!(error.hint().unwrap().contains("remove line 1 of "));
}

#[tokio::test(flavor = "multi_thread")]
async fn host_certificates() {
    for (authority, kind) in [("ed25519", "ed25519"), ("rsa", "rsa")] {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str| folder.path().join(name).display().to_string();
        keygen(&["-q", "-t", authority, "-N", "", "-f", &made("ca")]);
        keygen(&["-q", "-t", kind, "-N", "", "-f", &made("host")]);
        keygen(&["-q", "-s", &made("ca"), "-I", "db1", "-h", "-n", "127.0.0.1", &made("host.pub")]);
        let server = Server::start_with(&format!("HostKey {}\nHostCertificate {}\n", made("host"), made("host-cert.pub")));
        let ca = fs::read_to_string(made("ca.pub")).unwrap();
        let file = server.at("kh");
        for (text, expect) in [
            (format!("@cert-authority 127.0.0.* {ca}"), true),
            (format!("@cert-authority [127.0.0.1]:{} {ca}", server.port), true),
            (format!("@cert-authority 127.0.0.* {ca}@revoked * {ca}"), false),
            (format!("@cert-authority db1 {ca}"), false),
            (format!("127.0.0.1 {}", fs::read_to_string(made("host.pub")).unwrap()), true),
            (
                format!(
                    "@cert-authority * {}127.0.0.1 {}",
                    fs::read_to_string(server.at("id_stranger.pub")).unwrap(),
                    fs::read_to_string(made("host.pub")).unwrap()
                ),
                true,
            ),
        ] {
            fs::write(&file, &text).unwrap();
            let mut target = server.target("root", "id_ed25519");
            target.known_hosts = vec![file.clone()];
            let result = server.connector().connect(&target).await;
            assert_eq!(result.is_ok(), expect, "{text}: {:?}", result.err());
            assert_eq!(ssh_accepts(&server, &file), expect, "{text}: ssh says otherwise");
        }
    }
}
