//! A remote program that a person speaks with: on a terminal of its own, or with plain streams.

use std::fmt;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::time::timeout;

use crate::error::{Phase, SshError};
use crate::host_key::Farewell;
use crate::process::ExitStatus;
use crate::session::Session;

/// The size of a terminal, in signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Signs of a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
}

/// What comes from the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// Its output; on a terminal also its errors.
    Output(Vec<u8>),
    /// Its errors.
    Error(Vec<u8>),
    /// Its end.
    End(ExitStatus),
}

/// A running program: both ends of what is said, for two tasks.
#[derive(Debug)]
pub struct Conversation {
    /// What it says.
    pub listener: Listener,
    /// What is said to it.
    pub speaker: Speaker,
}

/// The program's own words.
pub struct Listener {
    host: String,
    read: ChannelReadHalf,
    farewell: Farewell,
    status: Option<ExitStatus>,
}

/// The way to the program.
pub struct Speaker {
    host: String,
    write: ChannelWriteHalf<Msg>,
}

impl Session {
    /// Starts a command (for the login shell) to speak with; with a `terminal` of that kind (as `$TERM`) and size, or without one.
    ///
    /// # Errors
    /// The connection was lost, or the host gives no channel or terminal.
    pub async fn converse(&self, command: &str, terminal: Option<(&str, Size)>) -> Result<Conversation, SshError> {
        let limit = self.start_timeout();
        let opening = async {
            let channel = self.channel().await?;
            if let Some((kind, size)) = terminal {
                channel.request_pty(false, kind, size.columns, size.rows, 0, 0, &[]).await?;
            }
            channel.exec(false, command).await?;
            Ok::<_, russh::Error>(channel)
        };
        let host = self.host().to_owned();
        let opened = timeout(limit, opening).await;
        let opened = opened.map_err(|_| SshError::Timeout { host: host.clone(), phase: Phase::Command, seconds: limit.as_secs() })?;
        let channel = opened.map_err(|error| SshError::Lost { host: host.clone(), reason: error.to_string() })?;
        let (read, write) = channel.split();
        let listener = Listener { host: host.clone(), read, farewell: self.farewell(), status: None };
        Ok(Conversation { listener, speaker: Speaker { host, write } })
    }
}

impl Listener {
    /// What the program says next; may be given up and asked again.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn next(&mut self) -> Result<Spoken, SshError> {
        loop {
            match self.read.wait().await {
                Some(ChannelMsg::Data { data }) => return Ok(Spoken::Output(data.to_vec())),
                Some(ChannelMsg::ExtendedData { data, .. }) => return Ok(Spoken::Error(data.to_vec())),
                // Output may still come after it.
                Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(ExitStatus::Code(exit_status)),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => self.status = Some(ExitStatus::Signal(format!("{signal_name:?}"))),
                Some(ChannelMsg::Failure) => return Err(self.lost("the host does not run commands")),
                Some(ChannelMsg::Close) | None => {
                    let status = self.status.take();
                    return status.map(Spoken::End).ok_or_else(|| self.lost("the program ended without an exit status"));
                }
                Some(_) => {}
            }
        }
    }

    fn lost(&self, reason: &str) -> SshError {
        let farewell = self.farewell.text();
        SshError::Lost { host: self.host.clone(), reason: if farewell.is_empty() { reason.to_owned() } else { farewell } }
    }
}

impl Speaker {
    /// Says something to the program.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn say(&self, text: &[u8]) -> Result<(), SshError> {
        self.write.data(text).await.map_err(|error| self.lost(&error))
    }

    /// Tells the program that nothing more will be said.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn end_input(&self) -> Result<(), SshError> {
        self.write.eof().await.map_err(|error| self.lost(&error))
    }

    /// Asks the program to end, as Ctrl-C does.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn interrupt(&self) -> Result<(), SshError> {
        self.write.signal(russh::Sig::INT).await.map_err(|error| self.lost(&error))
    }

    /// Tells the program that its terminal has another size now.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn resize(&self, size: Size) -> Result<(), SshError> {
        self.write.window_change(size.columns, size.rows, 0, 0).await.map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &russh::Error) -> SshError {
        SshError::Lost { host: self.host.clone(), reason: error.to_string() }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listener").field("host", &self.host).finish_non_exhaustive()
    }
}

impl fmt::Debug for Speaker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Speaker").field("host", &self.host).finish_non_exhaustive()
    }
}
