//! The agent: cold and warm, as every kind of user, and what each obstacle is called.

use std::borrow::Cow;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use pgfleet_protocol::Secret;
use pgfleet_ssh::{AgentBinary, Become, ExitStatus, Process, Session, SshError};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{PASSWORD, Server};

/// A small program in the agent's place: tells who runs it, then repeats its input.
fn agent(version: &str, padding: usize) -> AgentBinary {
    let mut program = format!("#!/bin/sh\n# {version}\necho \"$1 $(id -un) $HOME $0\"\nexec cat\n").into_bytes();
    let mut state = 7_u32;
    program.extend((0..padding).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    }));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&program).unwrap();
    AgentBinary {
        gzip: Cow::Owned(encoder.finish().unwrap()),
        sha256: Sha256::digest(&program).iter().map(|byte| format!("{byte:02x}")).collect(),
        architecture: Cow::Borrowed(std::env::consts::ARCH),
    }
}

async fn session(server: &Server, user: &str) -> Session {
    server.connector().connect(&server.target(user, "id_ed25519")).await.unwrap()
}

fn sudo(user: &str, password: Option<&str>) -> Become {
    Become::Sudo { user: user.to_owned(), password: password.map(Secret::new) }
}

/// Starts the agent, sends a line, and returns all it says.
async fn talk(session: &Session, binary: &AgentBinary, become_user: &Become) -> Result<String, SshError> {
    let Process { mut stdin, mut stdout, mut exit } = session.agent(binary, become_user).await?;
    stdin.write_all(b"frame").await.unwrap();
    stdin.shutdown().await.unwrap();
    let mut text = String::new();
    stdout.read_to_string(&mut text).await.unwrap();
    assert_eq!(exit.wait().await?, ExitStatus::Code(0));
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_the_right_user() {
    let server = Server::start();
    let binary = agent("one", 300_000);
    let system = format!("/var/lib/pgfleet/agent/{}/pgfleet-agent", binary.sha256);
    let own = format!("/home/barred/.cache/pgfleet/agent/{}/pgfleet-agent", binary.sha256);
    let expect = |user: &str, home: &str, place: &str| format!("exec {user} {home} {place}\nframe");
    let password = Some(PASSWORD);
    for (login, become_user, expect) in [
        ("barred", Become::No, expect("barred", "/home/barred", &own)),
        ("free", sudo("root", None), expect("root", "/root", &system)),
        ("free", sudo("root", password), expect("root", "/root", &system)),
        ("free", sudo("other", None), expect("other", "/home/other", &system)),
        ("asked", sudo("root", password), expect("root", "/root", &system)),
        ("asked", sudo("other", password), expect("other", "/home/other", &system)),
        ("root", Become::No, expect("root", "/root", &system)),
        ("root", sudo("root", None), expect("root", "/root", &system)),
        ("root", sudo("other", None), expect("other", "/home/other", &system)),
        ("root", sudo("other", password), expect("other", "/home/other", &system)),
    ] {
        let session = session(&server, login).await;
        for round in ["cold", "warm"] {
            assert_eq!(talk(&session, &binary, &become_user).await.unwrap(), expect, "{login} {become_user:?} {round}");
        }
    }
    // Where the agent lies already, one command is all it takes.
    let commands = |user: &str| server.log().matches(&format!("Starting session: command for {user} ")).count();
    assert_eq!(commands("barred"), 3 + 1, "look, deliver, run; then run");
    assert_eq!(commands("asked"), 4, "delivered before by another user");
    let root = session(&server, "root").await;
    let found = root.run("cd /var/lib/pgfleet/agent; stat -c '%a %U %n' . * */*", b"").await.unwrap();
    let expect = format!("755 root .\n755 root {0}\n755 root {0}/pgfleet-agent\n", binary.sha256);
    assert_eq!(String::from_utf8_lossy(&found.stdout), expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_on_no_command_line() {
    let server = Server::start();
    let session = session(&server, "asked").await;
    let binary = agent("looked at", 0);
    let Process { stdin, mut stdout, exit } = session.agent(&binary, &sudo("root", Some(PASSWORD))).await.unwrap();
    let root = self::session(&server, "root").await;
    // Only the processes of this server's own namespace: those of the rest of the machine are nobody's business here.
    let look = "own=$(readlink /proc/self/ns/mnt); for p in /proc/[0-9]*; do [ \"$(readlink $p/ns/mnt)\" = \"$own\" ] || continue; \
                for f in cmdline environ; do tr '\\0' ' ' <$p/$f; echo; done; done 2>/dev/null";
    let processes = root.run(look, b"").await.unwrap();
    let processes = String::from_utf8_lossy(&processes.stdout).into_owned();
    let ours = processes.lines().any(|line| line.contains("pgfleet-sudo-") && line.contains(&binary.sha256));
    assert!(ours, "our own sudo was there to see");
    // The test's own server carries it in its environment, in the words PASSWORD=...
    assert!(!processes.replace(&format!("PASSWORD={PASSWORD}"), "").contains(PASSWORD));
    drop((stdin, exit));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    assert!(!rest.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn obstacles_have_names() {
    let server = Server::start();
    let small = agent("one", 0);
    let large = agent("two", 3_000_000);
    let damaged = AgentBinary { sha256: "0".repeat(64), ..small.clone() };
    let broken = AgentBinary { gzip: Cow::Borrowed(b"no gzip at all"), ..small.clone() };
    let failure = |login: &'static str, binary: AgentBinary, become_user: Become| {
        let server = &server;
        async move { talk(&session(server, login).await, &binary, &become_user).await.unwrap_err() }
    };
    let password = Some(PASSWORD);
    let error = failure("asked", small.clone(), sudo("root", None)).await;
    assert!(matches!(error, SshError::SudoPasswordNeeded { .. }), "{error:?}");
    assert_eq!(
        format!("{error}: {}", error.hint().unwrap()),
        "sudo on db1 asks for a password: give one with -K or ansible_become_password"
    );
    let error = failure("asked", small.clone(), sudo("root", Some("wrong"))).await;
    assert!(matches!(error, SshError::SudoWrongPassword { .. }), "{error:?}");
    let error = failure("barred", small.clone(), sudo("root", password)).await;
    assert!(matches!(error, SshError::SudoRefused { .. }), "{error:?}");
    let error = failure("bare", small.clone(), sudo("root", password)).await;
    assert!(matches!(error, SshError::SudoMissing { .. }), "{error:?}");
    for login in ["free", "root"] {
        let error = failure(login, small.clone(), sudo("nosuchuser", None)).await;
        assert!(matches!(error, SshError::BecomeUserUnknown { .. }), "{login}: {error:?}");
    }
    assert!(matches!(failure("free", small.clone(), sudo("x; reboot", None)).await, SshError::BecomeUserUnknown { .. }));
    let error = failure("nogzip", small.clone(), Become::No).await;
    assert!(matches!(&error, SshError::ProgramMissing { program, .. } if program == "gzip"), "{error:?}");
    let error = failure("other", small.clone(), Become::No).await;
    assert!(matches!(&error, SshError::Architecture { found, .. } if found == "Linux riscv64"), "{error:?}");
    let error = failure("full", large, Become::No).await;
    assert!(matches!(error, SshError::DiskFull { .. }), "{error:?}");
    let error = failure("noexec", small.clone(), Become::No).await;
    assert!(matches!(error, SshError::NotExecutable { .. }), "{error:?}");
    let error = failure("barred", damaged, Become::No).await;
    assert!(matches!(&error, SshError::AgentDamaged { found, .. } if *found == small.sha256), "{error:?}");
    let error = failure("barred", broken, Become::No).await;
    assert!(matches!(error, SshError::Delivery { .. }), "{error:?}");
    // Nothing half-done stays behind.
    let left = session(&server, "root").await.run("find /home /var/lib/pgfleet -name 'upload*'", b"").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_older_agents_are_kept() {
    let server = Server::start();
    let session = session(&server, "barred").await;
    let versions: Vec<AgentBinary> = ["one", "two", "three", "four"].into_iter().map(|version| agent(version, 0)).collect();
    session.run("mkdir -p .cache/pgfleet/agent/keep-me", b"").await.unwrap();
    for binary in &versions {
        talk(&session, binary, &Become::No).await.unwrap();
    }
    let listed = session.run("ls .cache/pgfleet/agent", b"").await.unwrap();
    let mut listed: Vec<String> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    listed.sort();
    let mut expect: Vec<String> = versions[1..].iter().map(|binary| binary.sha256.clone()).chain(["keep-me".to_owned()]).collect();
    expect.sort();
    assert_eq!(listed, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_deliver_one_file() {
    let server = Server::start();
    let binary = agent("one", 500_000);
    let session = session(&server, "free").await;
    let root = sudo("root", None);
    let talks =
        (talk(&session, &binary, &root), talk(&session, &binary, &root), talk(&session, &binary, &root), talk(&session, &binary, &root));
    let (a, b, c, d) = tokio::join!(talks.0, talks.1, talks.2, talks.3);
    for text in [a, b, c, d] {
        assert!(text.unwrap().ends_with("\nframe"));
    }
}
