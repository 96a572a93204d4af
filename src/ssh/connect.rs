//! Connecting: paced, with a limit for every phase, over jump hosts, and once more when a connection was dropped early.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgfleet_protocol::Secret;
use russh::SshId;
use russh::client::{self, Handle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::authenticate::{Log, Login};
use crate::error::{Phase, SshError};
use crate::host_key::{Farewell, HostKeyCheck, Stopped};
use crate::keys::KeyRing;
use crate::known_hosts::KnownFiles;
use crate::proxy;
use crate::session::Session;
use crate::target::Target;

/// Bytes of a packet that a host may send: the most that the library takes. What packets cost is in docs/performance.md.
const PACKET: u32 = 65_535;

/// Gives the passphrase of a key file, or nothing. It may block, as a question on a terminal does.
pub type Passphrase = Arc<dyn Fn(&Path) -> Option<Secret> + Send + Sync>;

/// How to connect, for all hosts alike.
#[derive(Clone)]
pub struct Options {
    /// Limit for the TCP connection, and for the server's greeting.
    pub connect_timeout: Duration,
    /// Limit for the key exchange, and for each step of the authentication.
    pub login_timeout: Duration,
    /// Limit for a command to start, sudo's answer included.
    pub start_timeout: Duration,
    /// Accept and pin host keys that are not known yet. Changed keys are refused all the same.
    pub accept_new_host_keys: bool,
    /// The file of pinned host keys. It is also read.
    pub pin_file: PathBuf,
    /// Handshakes at a time with one sshd, which drops connections from the tenth unauthenticated one on (MaxStartups 10:30:100).
    pub handshakes: usize,
    /// Silence after which the host is asked for a sign of life. Three unanswered questions end the connection.
    pub keepalive: Duration,
    /// The pause before the second attempt.
    pub retry_pause: Duration,
    /// Where passphrases come from.
    pub passphrase: Passphrase,
}

impl Options {
    /// The usual limits: 10 s to connect, eight handshakes at a time, a dead host noticed within 20 s, no passphrases.
    #[must_use]
    pub fn new(pin_file: PathBuf) -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(20),
            start_timeout: Duration::from_secs(30),
            accept_new_host_keys: false,
            pin_file,
            handshakes: 8,
            keepalive: Duration::from_secs(5),
            retry_pause: Duration::from_millis(700),
            passphrase: Arc::new(|_| None),
        }
    }
}

/// Connects to hosts. Clones share the pacing, the opened keys and what was read of known hosts.
#[derive(Clone)]
pub struct Connector {
    options: Arc<Options>,
    pacing: Arc<Pacing>,
    ring: Arc<KeyRing>,
    known: Arc<KnownFiles>,
}

/// Permits for handshakes, for each address that is connected to.
#[derive(Default)]
struct Pacing(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Pacing {
    /// The permits of the first machine on the way: those behind it have an sshd of their own.
    fn of(&self, target: &Target, handshakes: usize) -> Arc<Semaphore> {
        let first = target.jump.first().unwrap_or(target);
        // Where a program connects, nobody knows which machine it goes by.
        let address = if first.proxy_command.is_some() { String::new() } else { first.address.clone() };
        let mut permits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        permits.entry(address).or_insert_with(|| Arc::new(Semaphore::new(handshakes.max(1)))).clone()
    }
}

type Connection = (Handle<HostKeyCheck>, Farewell);

impl Connector {
    /// A connector with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            pacing: Arc::default(),
            known: Arc::default(),
            ring: Arc::new(KeyRing::new(Arc::clone(&options.passphrase))),
            options: Arc::new(options),
        }
    }

    /// Connects and authenticates, over the jump hosts if there are any.
    ///
    /// # Errors
    /// The cause, with the host's name. No attempt takes longer than the sum of the limits.
    pub async fn connect(&self, target: &Target) -> Result<Session, SshError> {
        if let Some(key) = &target.required_identity
            && self.ring.public(key).await.is_none()
        {
            // What is wrong with the key is better said before a host is bothered.
            self.ring.open(&target.name, key).await?;
        }
        match self.attempt(target).await {
            Err(error) if error.transient() => {
                sleep(self.options.retry_pause).await;
                self.attempt(target).await
            }
            result => result,
        }
    }

    async fn attempt(&self, target: &Target) -> Result<Session, SshError> {
        // One permit for the whole chain: a permit for each hop could leave all chains waiting for their last one.
        let permits = self.pacing.of(target, self.options.handshakes);
        let permit = permits.acquire().await;
        let mut hops: Vec<Connection> = Vec::new();
        for hop in &target.jump {
            let connection = self.open(hop, hops.last()).await.map_err(|source| SshError::Jump {
                host: target.name.clone(),
                hop: hop.name.clone(),
                source: Box::new(source),
            })?;
            hops.push(connection);
        }
        let (handle, farewell) = self.open(target, hops.last()).await?;
        if permits.available_permits() == 0 {
            // Others wait. sshd admits a user before its listener stops counting the connection; once the session answers, it has stopped.
            let _unanswered = timeout(self.options.login_timeout, handle.send_ping()).await;
        }
        drop(permit);
        let hops = hops.into_iter().map(|(handle, _)| handle).collect();
        Ok(Session::new(target, handle, hops, farewell, self.options.start_timeout))
    }

    async fn open(&self, target: &Target, via: Option<&Connection>) -> Result<Connection, SshError> {
        let check = HostKeyCheck::new(target, self.options.accept_new_host_keys, self.options.pin_file.clone(), &self.known)?;
        let farewell = check.farewell();
        let limit = target.connect_timeout.unwrap_or(self.options.connect_timeout);
        let mut handle = match (via, &target.proxy_command) {
            (None, Some(command)) => {
                let (stream, words) = proxy::start(target, command)?;
                match self.exchange_keys(target, stream, check).await {
                    Err(SshError::Closed { host, .. }) => {
                        return Err(SshError::ProxyEnded { host, command: command.clone(), said: words.last().await });
                    }
                    exchanged => exchanged?,
                }
            }
            (None, None) => {
                let stream = tcp(target, limit).await?;
                greeting(target, &stream, limit).await?;
                self.exchange_keys(target, stream, check).await?
            }
            (Some((jump, _)), _) => {
                let opening = jump.channel_open_direct_tcpip(target.address.clone(), u32::from(target.port), "127.0.0.1", 0);
                let channel = timeout(limit, opening).await.map_err(|_| too_slow(target, Phase::Connecting, limit))?;
                let channel = channel.map_err(|error| unreachable_over_jump(target, &error))?;
                self.exchange_keys(target, channel.into_stream(), check).await?
            }
        };
        let login = Login {
            handle: &mut handle,
            target,
            ring: &self.ring,
            farewell: &farewell,
            limit: self.options.login_timeout,
            log: Log::default(),
        };
        login.run().await?;
        Ok((handle, farewell))
    }

    async fn exchange_keys<S>(&self, target: &Target, stream: S, check: HostKeyCheck) -> Result<Handle<HostKeyCheck>, SshError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = client::Config {
            client_id: SshId::Standard(concat!("SSH-2.0-pgfleet_", env!("CARGO_PKG_VERSION")).into()),
            preferred: check.preferred(),
            keepalive_interval: Some(target.keepalive.unwrap_or(self.options.keepalive)),
            keepalive_max: target.keepalive_max.unwrap_or(3),
            nodelay: true,
            maximum_packet_size: PACKET,
            ..client::Config::default()
        };
        let limit = self.options.login_timeout;
        let connecting = client::connect_stream(Arc::new(config), stream, check);
        let result = timeout(limit, connecting).await.map_err(|_| too_slow(target, Phase::KeyExchange, limit))?;
        result.map_err(|stopped| {
            let host = target.name.clone();
            match stopped {
                Stopped::Refused(error) => *error,
                Stopped::Library(russh::Error::Disconnect | russh::Error::HUP) => {
                    SshError::Closed { host, phase: Phase::KeyExchange, detail: String::new() }
                }
                Stopped::Library(russh::Error::IO(source)) => {
                    SshError::Closed { host, phase: Phase::KeyExchange, detail: source.to_string() }
                }
                Stopped::Library(russh::Error::Version) => SshError::NotSsh { host, address: target.address.clone(), port: target.port },
                Stopped::Library(source) => SshError::Handshake { host, source },
            }
        })
    }
}

async fn tcp(target: &Target, limit: Duration) -> Result<TcpStream, SshError> {
    let resolve = |source: io::Error| SshError::Resolve { host: target.name.clone(), address: target.address.clone(), source };
    let address = target.address.trim_start_matches('[').trim_end_matches(']');
    let lookup = timeout(limit, lookup_host((address, target.port))).await.map_err(|_| too_slow(target, Phase::Connecting, limit))?;
    let addresses: Vec<SocketAddr> = lookup.map_err(resolve)?.collect();
    if addresses.is_empty() {
        return Err(resolve(io::Error::from(io::ErrorKind::NotFound)));
    }
    let stream = timeout(limit, TcpStream::connect(addresses.as_slice())).await.map_err(|_| too_slow(target, Phase::Connecting, limit))?;
    let stream = stream.map_err(|source| SshError::Connect {
        host: target.name.clone(),
        address: target.address.clone(),
        port: target.port,
        source,
    })?;
    // Frames are small and wait for answers; a connection that cannot be tuned still works.
    let _untuned = stream.set_nodelay(true);
    Ok(stream)
}

/// Waits for the server's first words without taking them, to tell a hung or overloaded sshd from other troubles.
async fn greeting(target: &Target, stream: &TcpStream, limit: Duration) -> Result<(), SshError> {
    let mut first = [0_u8; 64];
    let read = timeout(limit, stream.peek(&mut first)).await.map_err(|_| too_slow(target, Phase::Banner, limit))?;
    let closed = |detail: String| SshError::Closed { host: target.name.clone(), phase: Phase::Banner, detail };
    let length = read.map_err(|source| closed(source.to_string()))?;
    let words = String::from_utf8_lossy(&first[..length]);
    if length == 0 {
        return Err(closed(String::new()));
    }
    // sshd says so in place of its greeting (MaxStartups, PerSourcePenalties).
    if words.starts_with("Exceeded MaxStartups") || words.starts_with("Not allowed at this time") {
        return Err(closed(words.lines().next().unwrap_or_default().trim().to_owned()));
    }
    if words.starts_with("HTTP/") || first[0] < b'\t' || first[0] > 0x7e {
        return Err(SshError::NotSsh { host: target.name.clone(), address: target.address.clone(), port: target.port });
    }
    Ok(())
}

fn too_slow(target: &Target, phase: Phase, limit: Duration) -> SshError {
    SshError::Timeout { host: target.name.clone(), phase, seconds: limit.as_secs() }
}

fn unreachable_over_jump(target: &Target, error: &russh::Error) -> SshError {
    let reason = match error {
        russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::AdministrativelyProhibited) => {
            "the jump host does not allow forwarding (AllowTcpForwarding)".to_owned()
        }
        russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed) => "the jump host cannot reach it".to_owned(),
        other => other.to_string(),
    };
    SshError::Connect { host: target.name.clone(), address: target.address.clone(), port: target.port, source: io::Error::other(reason) }
}
