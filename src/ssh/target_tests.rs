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

fn given(from: &str, text: &str) -> Arguments {
    Arguments { from: from.to_owned(), text: text.to_owned() }
}

#[test]
fn common_args_are_read_as_ssh_would() {
    let wish = |text: &str| Wish { more_args: vec![given("ansible_ssh_common_args", text)], ..Wish::default() };
    let resolve = |text: &str| Target::resolve("db1", &wish(text), &SshConfig::default());
    let target = resolve(
        "-o StrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -C -J admin@gate:2200 -i /k/a -p 77 -o 'HostKeyAlias x' \
         -o ServerAliveInterval=30 -o ServerAliveCountMax=10 -o PreferredAuthentications=password",
    )
    .unwrap();
    assert_eq!(target.unknown_keys, UnknownKeys::Accept);
    assert!(target.forgets_host_keys);
    assert_eq!(target.known_hosts.first(), Some(&PathBuf::from("/dev/null")));
    assert_eq!((target.port, paths(&target)), (77, vec!["/k/a".to_owned()]));
    assert_eq!(target.known_name().text(), "x");
    assert_eq!((target.keepalive, target.keepalive_max), (Some(Duration::from_secs(30)), Some(10)));
    assert_eq!((target.offers_keys, target.offers_password), (false, true));
    let hop = &target.jump[0];
    assert_eq!((hop.address.as_str(), hop.port, hop.user.as_str()), ("gate", 2200, "admin"));
    assert_eq!(resolve("-W x:1").unwrap_err().to_string(), "db1: the ssh argument `-W` in ansible_ssh_common_args is not supported");
    let target = resolve("-l me -p 23 -o ProxyCommand='ssh -W %h:%p -l %r gate # %%'").unwrap();
    assert_eq!(target.proxy_command.as_deref(), Some("ssh -W db1:23 -l me gate # %"));
    assert!(resolve("-o Port=x").unwrap_err().to_string().contains("`x` is not a port"));
    assert_eq!(resolve("-J gate:x").unwrap_err().to_string(), "db1: `gate:x` is not a jump host: it reads [user@]host[:port]");
}

#[test]
fn wishes_win_in_the_order_of_the_real_tool() {
    let wish = Wish {
        ssh_args: Some(given("ansible_ssh_args", "-o User=first -o StrictHostKeyChecking=yes -o ControlMaster=auto")),
        user: Some("second".to_owned()),
        port: Some(2),
        timeout: Some(7),
        host_key_checking: Some(false),
        more_args: vec![
            given("ansible_ssh_common_args", "-o Port=3 -o ConnectTimeout=9 -o ProxyJump=a"),
            given("--ssh-extra-args", "-J b"),
        ],
        ..Wish::default()
    };
    let target = Target::resolve("db1", &wish, &SshConfig::default()).unwrap();
    assert_eq!((target.user.as_str(), target.port, target.unknown_keys), ("first", 2, UnknownKeys::Refuse));
    assert_eq!((target.connect_timeout, target.jump[0].name.as_str(), target.jump.len()), (Some(Duration::from_secs(7)), "a", 1));
    assert_eq!(target.ignored, ["the ssh option ControlMaster has no effect: one connection a host serves the whole run anyway"]);
    let unchecked = Wish { host_key_checking: Some(false), ..Wish::default() };
    assert_eq!(Target::resolve("db1", &unchecked, &SshConfig::default()).unwrap().unknown_keys, UnknownKeys::Accept);
}

#[test]
fn another_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ssh.cfg");
    fs::write(&file, "Host db*\n User fromfile\n ProxyJump gate\nHost gate\n Port 2222\n").unwrap();
    let wish = Wish { more_args: vec![given("ansible_ssh_common_args", &format!("-F {}", file.display()))], ..Wish::default() };
    let target = Target::resolve("db1", &wish, &config("User other\n")).unwrap();
    assert_eq!((target.user.as_str(), target.jump[0].port), ("fromfile", 2222));
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
