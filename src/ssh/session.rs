//! An authenticated connection to a host, and commands on it.

use std::fmt;
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, Disconnect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::error::{Phase, SshError};
use crate::host_key::{Farewell, HostKeyCheck};
use crate::process::{ExitStatus, Process};
use crate::target::Target;

/// Of the stderr of a streaming command the last so many bytes are kept.
const STDERR_TAIL: usize = 4 * 1024;
/// Of the stderr of a command that is run to its end.
const STDERR_WHOLE: usize = 1024 * 1024;
/// Of its stdout: a command that says more is ended, so that no host fills the controller's memory.
const STDOUT_WHOLE: usize = 64 * 1024 * 1024;
/// Farewells are a courtesy: they may not hold a run up.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A connection to a host. It ends when it is closed or dropped.
pub struct Session {
    host: String,
    user: String,
    handle: Handle<HostKeyCheck>,
    hops: Vec<Handle<HostKeyCheck>>,
    farewell: Farewell,
    start_timeout: Duration,
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr, at most the last MiB.
    pub stderr: Vec<u8>,
}

impl Session {
    pub(crate) fn new(
        target: &Target,
        handle: Handle<HostKeyCheck>,
        hops: Vec<Handle<HostKeyCheck>>,
        farewell: Farewell,
        start_timeout: Duration,
    ) -> Self {
        Self { host: target.name.clone(), user: target.user.clone(), handle, hops, farewell, start_timeout }
    }

    /// The inventory's name of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The user who is logged in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        self.start_timeout
    }

    pub(crate) fn farewell(&self) -> Farewell {
        self.farewell.clone()
    }

    pub(crate) async fn channel(&self) -> Result<Channel<Msg>, russh::Error> {
        self.handle.channel_open_session().await
    }

    /// Runs a command (for the login shell) to its end, with all of `stdin` as its input.
    ///
    /// # Errors
    /// The connection was lost, or the host would not run the command. A status other than zero is no error.
    pub async fn run(&self, command: &str, stdin: &[u8]) -> Result<Finished, SshError> {
        let Process { stdin: mut input, stdout: mut output, mut exit } = self.spawn_keeping(command, STDERR_WHOLE).await?;
        let writing = async {
            // A command need not read its input; what it says and returns is what counts.
            let _unread = input.write_all(stdin).await;
            let _closed = input.shutdown().await;
        };
        let reading = async {
            let mut stdout = Vec::new();
            // Read with one byte to spare, which tells too much from just enough.
            let read = (&mut output).take(STDOUT_WHOLE as u64 + 1).read_to_end(&mut stdout).await;
            if stdout.len() > STDOUT_WHOLE {
                exit.abort();
                return Err(SshError::TooMuch { host: self.host.clone(), limit: STDOUT_WHOLE });
            }
            let status = exit.wait().await?;
            read.map_err(|source| SshError::Stream { host: self.host.clone(), source })?;
            Ok(Finished { status, stdout, stderr: exit.stderr_bytes() })
        };
        tokio::pin!(writing, reading);
        tokio::select! {
            finished = &mut reading => finished,
            () = &mut writing => reading.await,
        }
    }

    /// Starts a command (for the login shell) whose streams the caller works with.
    ///
    /// # Errors
    /// The connection was lost, or the host opens no more channels.
    pub async fn spawn(&self, command: &str) -> Result<Process, SshError> {
        self.spawn_keeping(command, STDERR_TAIL).await
    }

    async fn spawn_keeping(&self, command: &str, stderr_cap: usize) -> Result<Process, SshError> {
        let opening = async {
            let channel = self.handle.channel_open_session().await?;
            channel.exec(true, command).await?;
            Ok::<_, russh::Error>(channel)
        };
        let opened = timeout(self.start_timeout, opening).await.map_err(|_| SshError::Timeout {
            host: self.host.clone(),
            phase: Phase::Command,
            seconds: self.start_timeout.as_secs(),
        })?;
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(reason) => {
                SshError::Refused { host: self.host.clone(), what: "open another channel", reason: format!("{reason:?} (MaxSessions?)") }
            }
            other => {
                let farewell = self.farewell.text();
                SshError::Lost { host: self.host.clone(), reason: if farewell.is_empty() { other.to_string() } else { farewell } }
            }
        })?;
        Ok(Process::start(channel, self.host.clone(), self.farewell.clone(), stderr_cap))
    }

    /// Says goodbye to the host and to the jump hosts.
    pub async fn close(self) {
        for handle in std::iter::once(&self.handle).chain(self.hops.iter().rev()) {
            let _gone = timeout(CLOSE_LIMIT, handle.disconnect(Disconnect::ByApplication, "done", "en")).await;
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("host", &self.host).field("user", &self.user).finish_non_exhaustive()
    }
}
