//! Servers that are not well: silent, closing, overloaded, not SSH at all. Everything ends within its limit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pgfleet_ssh::{Connector, Options, Phase, SshError, Target};

use crate::server::{Server, free_port, listener};

fn target(server: &Server, port: u16) -> Target {
    Target { port, ..server.target("free", "id_ed25519") }
}

fn connector(server: &Server) -> Connector {
    Connector::new(Options {
        connect_timeout: Duration::from_secs(1),
        login_timeout: Duration::from_secs(1),
        retry_pause: Duration::from_millis(10),
        ..server.options()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_silence_has_an_end() {
    let server = Server::start();
    let open: &'static Mutex<Vec<TcpStream>> = Box::leak(Box::default());
    let silent = listener(|_, stream| open.lock().unwrap().push(stream));
    let greets = listener(|_, mut stream| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").unwrap();
        open.lock().unwrap().push(stream);
    });
    for (port, expect) in [(silent, Phase::Banner), (greets, Phase::KeyExchange)] {
        let start = Instant::now();
        let error = connector(&server).connect(&target(&server, port)).await.unwrap_err();
        assert!(matches!(&error, SshError::Timeout { phase, .. } if *phase == expect), "{error}");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
    // An address that nobody has: no answer at all.
    let mut nobody = target(&server, 22);
    nobody.address = "192.0.2.1".to_owned();
    let start = Instant::now();
    let error = connector(&server).connect(&nobody).await.unwrap_err();
    assert!(matches!(error, SshError::Timeout { phase: Phase::Connecting, .. } | SshError::Connect { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn early_ends_are_tried_once_more() {
    let server = Server::start();
    let real = server.port;
    let forward = move |stream: TcpStream| {
        let onward = TcpStream::connect(("127.0.0.1", real)).unwrap();
        for (mut from, mut to) in [(stream.try_clone().unwrap(), onward.try_clone().unwrap()), (onward, stream)] {
            std::thread::spawn(move || {
                let _ended = std::io::copy(&mut from, &mut to);
                let _closed = to.shutdown(Shutdown::Both);
            });
        }
    };
    let closes_once = listener(move |number, stream| if number == 0 { drop(stream) } else { forward(stream) });
    let busy_once = listener(
        move |number, mut stream| {
            if number == 0 { stream.write_all(b"Exceeded MaxStartups\r\n").unwrap() } else { forward(stream) }
        },
    );
    for port in [closes_once, busy_once] {
        let mut target = target(&server, port);
        target.host_key_alias = Some(format!("[127.0.0.1]:{real}"));
        connector(&server).connect(&target).await.unwrap();
    }
    let closes = listener(|_, stream| drop(stream));
    let error = connector(&server).connect(&target(&server, closes)).await.unwrap_err();
    assert!(matches!(error, SshError::Closed { phase: Phase::Banner, .. }), "{error}");
    let busy = listener(|_, mut stream| stream.write_all(b"Exceeded MaxStartups\r\n").unwrap());
    let error = connector(&server).connect(&target(&server, busy)).await.unwrap_err();
    assert_eq!(error.to_string(), "db1: the connection was closed while waiting for the SSH greeting: Exceeded MaxStartups");
    let cut = listener(|_, mut stream| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").unwrap();
        let _read = stream.read(&mut [0; 16]);
    });
    let error = connector(&server).connect(&target(&server, cut)).await.unwrap_err();
    assert!(matches!(error, SshError::Closed { phase: Phase::KeyExchange, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_troubles() {
    let server = Server::start();
    let http = listener(|_, mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").unwrap());
    assert!(matches!(connector(&server).connect(&target(&server, http)).await, Err(SshError::NotSsh { .. })));
    let error = connector(&server).connect(&target(&server, free_port())).await.unwrap_err();
    assert!(error.hint().unwrap().contains("is sshd running"), "{error}");
    let mut nameless = target(&server, 22);
    nameless.address = "no-such-host.invalid".to_owned();
    assert!(matches!(connector(&server).connect(&nameless).await, Err(SshError::Resolve { .. })));
    let mut unreadable = target(&server, server.port);
    unreadable.known_hosts = vec![server.dir.path().to_owned()];
    assert!(matches!(connector(&server).connect(&unreadable).await, Err(SshError::KnownHostsFile { .. })));
}
