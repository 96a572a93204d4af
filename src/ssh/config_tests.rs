//! ssh_config tables; every answer is compared with the real `ssh -G`.

use std::process::Command;

use super::*;
use crate::paths::Tokens;

/// Our settings in the form of `ssh -G`.
fn ours(config: &SshConfig, alias: &str, options: &[(String, String)]) -> Vec<String> {
    let settings = config.lookup(alias, options).unwrap();
    let host = settings.host_name.clone().unwrap_or_else(|| alias.to_owned());
    let user = settings.user.clone().unwrap_or_else(paths::login_name);
    let port = settings.port.unwrap_or(22);
    let tokens = Tokens { name: alias, host: &host, port, user: &user, key_alias: None };
    let expand = |file: &String| paths::expand(file, &tokens).display().to_string();
    let mut lines = vec![format!("hostname {host}"), format!("user {user}"), format!("port {port}")];
    lines.extend(settings.identity_files.iter().map(|file| format!("identityfile {}", expand(file))));
    lines.push(format!("identitiesonly {}", if settings.identities_only == Some(true) { "yes" } else { "no" }));
    lines.extend(settings.proxy_jump.iter().map(|jump| format!("proxyjump {jump}")));
    lines.extend(settings.proxy_command.iter().map(|command| format!("proxycommand {command}")));
    lines.extend(settings.host_key_alias.iter().map(|alias| format!("hostkeyalias {alias}")));
    lines.extend(settings.connect_timeout.iter().map(|seconds| format!("connecttimeout {seconds}")));
    lines.extend(settings.alive_interval.iter().map(|seconds| format!("serveraliveinterval {seconds}")));
    if let Some(files) = &settings.user_known_hosts {
        lines.push(format!("userknownhostsfile {}", files.iter().map(expand).collect::<Vec<_>>().join(" ")));
    }
    if let Some(policy) = settings.unknown_keys {
        lines.push(format!("stricthostkeychecking {policy:?}"));
    }
    lines.sort();
    lines
}

/// The same lines from ssh, leaving out what it adds when the file is silent.
fn theirs(file: &Path, alias: &str, options: &[(String, String)], like: &[String]) -> Vec<String> {
    let mut command = Command::new("ssh");
    command.arg("-G").arg("-F").arg(file);
    for (keyword, value) in options {
        command.arg("-o").arg(format!("{keyword}={value}"));
    }
    let output = command.arg("--").arg(alias).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let spoken = |keyword: &str| like.iter().any(|line| line.split(' ').next() == Some(keyword));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |keyword: &str| text.lines().find_map(|line| line.strip_prefix(keyword)).unwrap_or_default().trim().to_owned();
    let (host, user, port) = (value("hostname "), value("user "), value("port ").parse().unwrap());
    let tokens = Tokens { name: alias, host: &host, port, user: &user, key_alias: None };
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| {
            let keyword = line.split(' ').next().unwrap_or_default();
            match keyword {
                "hostname" | "user" | "port" | "identitiesonly" | "proxyjump" | "proxycommand" | "hostkeyalias" => true,
                "serveraliveinterval" => !line.ends_with(" 0"),
                "connecttimeout" => !line.ends_with(" none"),
                "identityfile" | "userknownhostsfile" | "stricthostkeychecking" => spoken(keyword),
                _ => false,
            }
        })
        .map(|line| {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = match (keyword, value) {
                ("stricthostkeychecking", "false" | "accept-new") => "Accept".to_owned(),
                ("stricthostkeychecking", _) => "Refuse".to_owned(),
                ("identityfile" | "userknownhostsfile", files) => {
                    files.split(' ').map(|file| paths::expand(file, &tokens).display().to_string()).collect::<Vec<_>>().join(" ")
                }
                (_, value) => value.to_owned(),
            };
            format!("{keyword} {value}")
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn settings_are_those_of_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("conf.d")).unwrap();
    fs::write(at("conf.d/10-first.conf"), "User fromfirst\nHost inner\n  Port 1010\n").unwrap();
    fs::write(at("conf.d/20-second.conf"), "User fromsecond\nHostKeyAlias aliased\n").unwrap();
    let include = at("conf.d/*.conf").display().to_string();
    let files: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("first value wins", "Host db1\n Port 1\n User one\nHost *\n Port 2\n User two\n IdentityFile /k/two\n".to_owned()),
        ("before any Host", "User early\nPort 99\nHost db1\nUser late\n".to_owned()),
        ("patterns and negation", "Host db? !db2\n Port 7\nHost *.lan,*.x\n Port 8\nHost !db1 *\n User notdb1\n".to_owned()),
        ("equals signs, quotes, case", "HOST=db1\n  hostname = \"10.0.0.5\"\n  POrt=\"2200\"\n\tUser\tadmin\n  IdentityFile \"/k/with_space\"\n".to_owned()),
        ("tokens", "Host db*\n HostName %h.example.com\n IdentityFile /k/%h-%n-%r-%p-%u\n IdentityFile ~/k/%%\n User u1\n Port 44\n".to_owned()),
        ("several keys", "Host db1\n IdentityFile /k/a\n IdentityFile /k/b\n IdentitiesOnly yes\nHost *\n IdentityFile /k/c\n IdentityFile /k/a\n".to_owned()),
        ("jump", "Host db*\n ProxyJump admin@gate:2200,inner\nHost *\n ProxyCommand nc %h %p\n".to_owned()),
        ("no jump", "Host db1\n ProxyJump none\nHost *\n ProxyJump gate\n".to_owned()),
        ("known hosts", "Host db1\n UserKnownHostsFile /k/one /k/two\n StrictHostKeyChecking accept-new\nHost *\n UserKnownHostsFile /k/three\n StrictHostKeyChecking no\n".to_owned()),
        ("strict", "StrictHostKeyChecking ask\n".to_owned()),
        ("comments", "# one\n  # two\nHost db1 # three\n Port 5 # four\n User a # b\n".to_owned()),
        ("match", "Match host 10.*\n Port 1\nHost db1\n HostName 10.0.0.5\nMatch host 10.*\n Port 2\nMatch originalhost db1 user root\n ConnectTimeout 3\nMatch !host 10.*\n User nonten\nMatch all\n User all\n".to_owned()),
        ("proxy command", "Host db*\n ProxyCommand = ssh -W '%h':%p \"a b\" # no comment\nHost *\n ProxyJump gate\n".to_owned()),
        ("times", "ConnectTimeout 1m30s\nServerAliveInterval 2m\n".to_owned()),
        ("match exec", "Match exec \"test %n = db1\"\n Port 8\nMatch host db* !exec \"test %n = db1\"\n Port 9\nMatch host *.lan exec \"test %h = x.lan\"\n User lan\n".to_owned()),
        ("include", format!("Host db1\n Include {include}\n Port 1\nHost *\n User outer\n Port 2\n")),
        ("include of nothing", "Include /nonexistent/*.conf\nUser me\n".to_owned()),
        ("options", "Host *\n HostKeyAlias a\n ConnectTimeout 17\n Compression yes\n ForwardAgent no\n".to_owned()),
    ];
    for (what, text) in files {
        let file = at("config");
        fs::write(&file, text).unwrap();
        let config = SshConfig::from_file(&file).unwrap();
        for alias in ["db1", "db2", "inner", "x.lan", "other"] {
            for options in [vec![], vec![("Port".to_owned(), "3".to_owned()), ("User".to_owned(), "root".to_owned())]] {
                let ours = ours(&config, alias, &options);
                assert_eq!(ours, theirs(&file, alias, &options, &ours), "{what}: {alias} {options:?}");
            }
        }
    }
}

#[test]
fn bad_lines_have_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    for (text, expect) in [
        ("Host a\n Port many\n", ":2: `many` is not a port"),
        ("Port 0\n", ":1: `0` is not a port"),
        ("User \"x\n", ":1: a quote is not closed"),
        ("\nUser\n", ":2: user has no value"),
        ("IdentitiesOnly perhaps\n", ":1: `perhaps` is neither yes nor no"),
        ("StrictHostKeyChecking maybe\n", ":1: `maybe` is none of yes, no, ask, accept-new"),
    ] {
        fs::write(&file, text).unwrap();
        let error = SshConfig::from_file(&file).and_then(|config| config.lookup("a", &[]).map(|_| ())).unwrap_err();
        assert_eq!(error.to_string(), format!("{}{expect}", file.display()));
    }
    fs::write(&file, format!("Include {}\n", file.display())).unwrap();
    assert!(SshConfig::from_file(&file).unwrap_err().to_string().contains("include itself"));
}
