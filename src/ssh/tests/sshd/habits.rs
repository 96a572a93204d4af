//! What people put into inventories for ssh: arguments, jump hosts and proxy commands, on real servers.

use std::fs;

use pgfleet_ssh::{Arguments, Connector, Options, SshConfig, SshError, Target, Wish};

use crate::server::Server;

async fn whoami(connector: &Connector, target: &Target) -> Result<String, SshError> {
    let session = connector.connect(target).await?;
    let finished = session.run("id -un", b"").await?;
    session.close().await;
    Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned())
}

/// A target of the inventory's own words, with no configuration but the given one.
fn resolve(server: &Server, user: &str, arguments: &str, config: &str) -> Target {
    let _known = server.target(user, "id_ed25519");
    fs::write(server.at("config"), config).unwrap();
    let wish = Wish {
        host: Some("127.0.0.1".to_owned()),
        port: Some(server.port),
        user: Some(user.to_owned()),
        key_file: Some(server.at("id_ed25519")),
        more_args: vec![Arguments { from: "ansible_ssh_common_args".to_owned(), text: arguments.to_owned() }],
        ..Wish::default()
    };
    Target::resolve("db1", &wish, &SshConfig::from_file(&server.at("config")).unwrap()).unwrap()
}

/// Two gates in a configuration file; the keys of all three servers are known.
fn gates(servers: &[&Server; 3]) -> String {
    let known: String = servers.map(|server| format!("{}\n", server.known_line("host_ed25519"))).concat();
    let last = servers[2];
    fs::write(last.at("all_known"), known).unwrap();
    let gate = |name: &str, server: &Server, user: &str| {
        format!("Host {name}\n HostName 127.0.0.1\n Port {}\n User {user}\n IdentityFile {}\n", server.port, server.at("id_rsa").display())
    };
    format!(
        "{}{}Host *\n UserKnownHostsFile {}\n IdentityAgent none\n",
        gate("outer", servers[0], "asked"),
        gate("inner", servers[1], "barred"),
        last.at("all_known").display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn over_one_and_two_hosts_by_arguments() {
    let (outer, inner, last) = (Server::start(), Server::start(), Server::start());
    let config = gates(&[&outer, &inner, &last]);
    let target = resolve(&last, "free", "-o ControlMaster=auto -C -o ProxyJump=outer", &config);
    assert_eq!(whoami(&last.connector(), &target).await.unwrap(), "free");
    assert!(outer.log().contains("Accepted publickey for asked"), "{}", outer.log());
    assert!(!inner.log().contains("Accepted"), "{}", inner.log());
    let target = resolve(&last, "free", "-J outer,inner", &config);
    assert_eq!(whoami(&last.connector(), &target).await.unwrap(), "free");
    assert!(inner.log().contains("Accepted publickey for barred"), "{}", inner.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_leads_to_the_host() {
    let (gate, last) = (Server::start(), Server::start());
    let _known = gate.target("asked", "id_ed25519");
    let through = format!(
        "ssh -F none -o UserKnownHostsFile={} -o IdentitiesOnly=yes -i {} -p {} -W %h:%p asked@127.0.0.1",
        gate.at("known_hosts").display(),
        gate.at("id_ed25519").display(),
        gate.port
    );
    let known = format!("-o UserKnownHostsFile={} ", last.at("known_hosts").display());
    let target = resolve(&last, "free", &format!("{known}-o ProxyCommand='{through}'"), "");
    assert_eq!(whoami(&last.connector(), &target).await.unwrap(), "free");
    assert!(gate.log().contains("Accepted publickey for asked"), "{}", gate.log());

    // One that says why it cannot.
    let target = resolve(&last, "free", &format!("{known}-o ProxyCommand='sh -c \"echo no way to %h >&2; exit 1\"'"), "");
    let error = whoami(&last.connector(), &target).await.unwrap_err();
    assert!(matches!(error, SshError::ProxyEnded { .. }), "{error:?}");
    assert!(error.to_string().ends_with("does not lead to an SSH server: no way to 127.0.0.1"), "{error}");

    // One that says nothing at all is given up.
    let target = resolve(&last, "free", &format!("{known}-o ProxyCommand='sleep 60'"), "");
    let connector = Connector::new(Options { login_timeout: std::time::Duration::from_millis(300), ..last.options() });
    assert!(matches!(whoami(&connector, &target).await, Err(SshError::Timeout { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn host_keys_that_are_never_kept() {
    let server = Server::start();
    let target = resolve(&server, "free", "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null", "");
    // Even a kept key of another host at the same address stands in nobody's way.
    fs::write(server.at("pinned"), server.known_line("id_stranger")).unwrap();
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "free");
    assert_eq!(fs::read_to_string(server.at("pinned")).unwrap(), server.known_line("id_stranger"));
    let strict = resolve(&server, "free", "-o UserKnownHostsFile=/dev/null", "");
    assert!(matches!(whoami(&server.connector(), &strict).await, Err(SshError::UnknownHostKey { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_be_switched_off() {
    let server = Server::start();
    let known = format!("-o UserKnownHostsFile={}", server.at("known_hosts").display());
    let mut target = resolve(&server, "free", &format!("{known} -o PubkeyAuthentication=no"), "");
    let error = whoami(&server.connector(), &target).await.unwrap_err();
    assert!(matches!(error, SshError::PermissionDenied { .. }), "{error}");
    target.password = Some(pgfleet_protocol::Secret::new(crate::server::PASSWORD));
    assert_eq!(whoami(&server.connector(), &target).await.unwrap(), "free");
}
