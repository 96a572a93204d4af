//! Targets from wishes and configuration.

use std::fs;

use super::*;

fn config(text: &str) -> SshConfig {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    fs::write(&file, text).unwrap();
    SshConfig::from_file(&file).unwrap()
}

fn paths(target: &Target) -> Vec<String> {
    target.identities.iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn the_inventory_wins_over_the_configuration() {
    let config = config("Host 10.0.0.5\n Port 1\n User c\n IdentityFile /k/%r\n IdentitiesOnly yes\n");
    let wish = Wish {
        host: Some("10.0.0.5".to_owned()),
        user: Some("admin".to_owned()),
        key_file: Some(PathBuf::from("/inventory/key")),
        ..Wish::default()
    };
    let target = Target::resolve("db1", &wish, &config).unwrap();
    assert_eq!((target.name.as_str(), target.address.as_str(), target.port, target.user.as_str()), ("db1", "10.0.0.5", 1, "admin"));
    assert_eq!(paths(&target), ["/inventory/key", "/k/admin"]);
    assert_eq!(target.required_identity.as_deref(), Some(std::path::Path::new("/inventory/key")));
    assert!(target.identities_only);
    assert_eq!(target.known_name().text(), "[10.0.0.5]:1");
}

#[test]
fn common_args_are_read_as_ssh_would() {
    let wish = |text: &str| Wish { common_args: Some(text.to_owned()), ..Wish::default() };
    let resolve = |text: &str| Target::resolve("db1", &wish(text), &SshConfig::default());
    let target =
        resolve("-o StrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -C -J admin@gate:2200 -i /k/a -p 77 -o 'HostKeyAlias x'")
            .unwrap();
    assert_eq!(target.unknown_keys, UnknownKeys::Accept);
    assert_eq!(target.known_hosts.first(), Some(&PathBuf::from("/dev/null")));
    assert_eq!((target.port, paths(&target)), (77, vec!["/k/a".to_owned()]));
    assert_eq!(target.known_name().text(), "x");
    let hop = &target.jump[0];
    assert_eq!((hop.address.as_str(), hop.port, hop.user.as_str()), ("gate", 2200, "admin"));
    assert_eq!(resolve("-W x:1").unwrap_err().to_string(), "db1: the ssh argument `-W` is not supported");
    assert!(resolve("-o ProxyCommand='nc %h %p'").unwrap_err().to_string().contains("ProxyCommand"));
    assert!(resolve("-o Port=x").unwrap_err().to_string().contains("`x` is not a port"));
}

#[test]
fn jump_chains() {
    let config = config(
        "Host db*\n ProxyJump gate,inner\nHost gate\n HostName 192.0.2.1\n ProxyJump outer\nHost loop\n ProxyJump pool\nHost pool\n ProxyJump loop\n",
    );
    let chain = |name: &str| Target::resolve(name, &Wish::default(), &config);
    let names: Vec<String> = chain("db1").unwrap().jump.into_iter().map(|hop| hop.address).collect();
    assert_eq!(names, ["outer", "192.0.2.1", "inner"]);
    assert!(matches!(chain("loop"), Err(SshError::JumpCircle { .. })));
}

#[test]
fn hops() {
    for (text, expect) in [
        ("gate", Some((None, "gate", None))),
        ("u@gate:22", Some((Some("u"), "gate", Some(22)))),
        ("ssh://u@gate:2200/", Some((Some("u"), "gate", Some(2200)))),
        ("[2001:db8::1]:22", Some((None, "2001:db8::1", Some(22)))),
        ("2001:db8::1", Some((None, "2001:db8::1", None))),
        ("gate:x", None),
        ("u@", None),
    ] {
        let found = split_hop(text);
        let found = found.as_ref().map(|(user, host, port)| (user.as_deref(), host.as_str(), *port));
        assert_eq!(found, expect, "{text}");
    }
}
