//! Commands: streams of many megabytes, statuses, stderr, many connections, and a host that dies.

use std::time::{Duration, Instant};

use pgfleet_ssh::{Connector, ExitStatus, Options, Process, SshError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::Server;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_there_and_back() {
    let server = Server::start();
    let session = server.connector().connect(&server.target("free", "id_ed25519")).await.unwrap();
    let sent = noise(20 << 20);
    let finished = session.run("cat", &sent).await.unwrap();
    assert!(finished.stdout == sent, "{} bytes came back", finished.stdout.len());
    assert_eq!(finished.status, ExitStatus::Code(0));

    let Process { mut stdin, mut stdout, mut exit } = session.spawn("cat; echo end >&2; exit 7").await.unwrap();
    let mut received = Vec::new();
    let (sending, reading) = tokio::join!(
        async {
            stdin.write_all(&sent).await?;
            stdin.shutdown().await
        },
        stdout.read_to_end(&mut received)
    );
    sending.unwrap();
    reading.unwrap();
    assert!(received == sent);
    assert_eq!(exit.wait().await.unwrap(), ExitStatus::Code(7));
    assert_eq!(exit.stderr_tail(), "end\n");
    assert!(!session.is_closed());
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_and_ends() {
    let server = Server::start();
    let session = server.connector().connect(&server.target("free", "id_ed25519")).await.unwrap();
    let status = |command: &'static str| {
        let session = &session;
        async move { session.run(command, b"").await.unwrap().status }
    };
    assert_eq!(status("exit 0").await, ExitStatus::Code(0));
    assert_eq!(status("exit 42").await, ExitStatus::Code(42));
    assert_eq!(status("kill -9 $$").await, ExitStatus::Signal("KILL".to_owned()));
    // A command that does not read its input ends all the same.
    let finished = session.run("exec <&-; echo out; echo err >&2; exit 3", &noise(8 << 20)).await.unwrap();
    assert_eq!((finished.stdout, finished.stderr, finished.status), (b"out\n".to_vec(), b"err\n".to_vec(), ExitStatus::Code(3)));
    // Of a streaming command the last 4 KiB of stderr are kept.
    let process = session.spawn("head -c 100000 /dev/zero | tr '\\0' x >&2; echo last >&2").await.unwrap();
    let mut exit = process.exit.clone();
    assert!(process.wait().await.unwrap().success());
    exit.wait().await.unwrap();
    assert_eq!(exit.status(), Some(ExitStatus::Code(0)));
    assert!(exit.stderr_tail().len() == 4096 && exit.stderr_tail().ends_with("xlast\n"));
    // Dropping the input is its end.
    let Process { stdin, mut stdout, .. } = session.spawn("wc -c").await.unwrap();
    drop(stdin);
    let mut count = String::new();
    stdout.read_to_string(&mut count).await.unwrap();
    assert_eq!(count.trim(), "0");
    // Dropping all of it ends the command.
    let process = session.spawn("echo $$; exec sleep 1000").await.unwrap();
    let Process { stdin, mut stdout, exit } = process;
    let mut pid = [0; 32];
    let length = stdout.read(&mut pid).await.unwrap();
    assert!(String::from_utf8_lossy(&pid[..length]).trim().parse::<i32>().is_ok());
    exit.abort();
    let mut exit = exit;
    assert!(matches!(exit.wait().await, Err(SshError::Lost { .. })));
    drop((stdin, stdout));
    let pid = String::from_utf8_lossy(&pid[..length]).trim().parse().unwrap();
    // sshd leaves a command without a terminal alone when its channel closes; this one is ours to end.
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_never_stops_talking_is_given_up() {
    let server = Server::start();
    let session = server.connector().connect(&server.target("free", "id_ed25519")).await.unwrap();
    let error = session.run("exec yes", b"").await.unwrap_err();
    assert!(matches!(error, SshError::TooMuch { .. }), "{error}");
    // The connection is as good as before.
    assert!(session.run("true", b"").await.unwrap().status == ExitStatus::Code(0));
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_are_paced() {
    // This sshd drops every connection beyond nine that are not authenticated yet.
    let server = Server::start_with("MaxStartups 9:100:9");
    let connector = Connector::new(Options { retry_pause: Duration::ZERO, ..server.options() });
    let target = server.target("free", "id_ed25519");
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (connector, target) = (connector.clone(), target.clone());
            tokio::spawn(async move { connector.connect(&target).await?.run("true", b"").await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap().status.success());
    }
    assert!(!server.log().contains("MaxStartups"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_is_noticed() {
    let server = Server::start();
    let connector = Connector::new(Options { keepalive: Duration::from_millis(300), ..server.options() });
    let session = connector.connect(&server.target("root", "id_ed25519")).await.unwrap();
    let Process { stdin, mut stdout, mut exit } = session.spawn("echo $PPID; exec cat").await.unwrap();
    let mut text = [0; 32];
    let length = stdout.read(&mut text).await.unwrap();
    let pid = Pid::from_raw(String::from_utf8_lossy(&text[..length]).trim().parse().unwrap()).unwrap();
    // A stopped sshd keeps its connection open and says nothing, as a host does that hangs.
    kill_process(pid, Signal::STOP).unwrap();
    let start = Instant::now();
    let error = stdout.read(&mut text).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    let lost = exit.wait().await.unwrap_err();
    assert_eq!(lost.to_string(), "db1: the connection was lost: the host no longer answers");
    assert_eq!(exit.status(), None, "nobody knows how it ended");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(session.is_closed());
    assert!(matches!(session.run("true", b"").await, Err(SshError::Lost { .. })));
    kill_process(pid, Signal::KILL).unwrap();
    drop(stdin);
}
