//! A running remote command: its streams as owned halves, the end of its stderr, and its exit status.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, watch};

use crate::error::SshError;
use crate::host_key::Farewell;

/// Blocks of output that wait for the reader before the host is made to wait.
const WAITING_BLOCKS: usize = 16;

/// A remote command. Read or drop `stdout` before waiting for the end: a full pipe holds the command up.
#[derive(Debug)]
pub struct Process {
    /// The command's input. Dropping it or shutting it down is the end of the input.
    pub stdin: Stdin,
    /// The command's output.
    pub stdout: Stdout,
    /// The command's end.
    pub exit: Exit,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this number.
    Code(u32),
    /// A signal ended it.
    Signal(String),
}

impl ExitStatus {
    /// Whether it returned zero.
    #[must_use]
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "{code}"),
            Self::Signal(name) => write!(formatter, "signal {name}"),
        }
    }
}

/// The input half.
pub struct Stdin {
    writer: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    orders: mpsc::UnboundedSender<Order>,
    ended: bool,
}

/// The output half. A lost connection is an error here, not an end.
pub struct Stdout {
    blocks: mpsc::Receiver<Bytes>,
    block: Bytes,
    progress: watch::Receiver<Progress>,
    _orders: mpsc::UnboundedSender<Order>,
}

/// The end of the command, and what it wrote to stderr.
#[derive(Clone)]
pub struct Exit {
    host: String,
    progress: watch::Receiver<Progress>,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    EndInput,
    Close,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    stderr: Vec<u8>,
    end: Option<End>,
}

#[derive(Debug, Clone)]
enum End {
    Status(ExitStatus),
    Refused,
    Lost(String),
}

impl Process {
    /// Takes over a channel on which a command was requested. The last `stderr_cap` bytes of stderr are kept.
    pub(crate) fn start(channel: Channel<Msg>, host: String, farewell: Farewell, stderr_cap: usize) -> Self {
        let (read, write) = channel.split();
        let (orders, received_orders) = mpsc::unbounded_channel();
        let (output, blocks) = mpsc::channel(WAITING_BLOCKS);
        let (report, progress) = watch::channel(Progress::default());
        let writer = Box::pin(write.make_writer());
        let pump = Pump { read, write, output: Some(output), report, stderr_cap, farewell };
        tokio::spawn(pump.run(received_orders));
        Self {
            stdin: Stdin { writer, orders: orders.clone(), ended: false },
            stdout: Stdout { blocks, block: Bytes::new(), progress: progress.clone(), _orders: orders.clone() },
            exit: Exit { host, progress, orders },
        }
    }

    /// Ends the input, drops the output and waits for the end.
    ///
    /// # Errors
    /// The connection was lost, or the host would not run the command.
    pub async fn wait(self) -> Result<ExitStatus, SshError> {
        let Self { stdin, stdout, mut exit } = self;
        drop(stdin);
        drop(stdout);
        exit.wait().await
    }
}

impl Exit {
    /// Waits until the command has ended and its output was taken.
    ///
    /// # Errors
    /// The connection was lost, or the host would not run the command.
    pub async fn wait(&mut self) -> Result<ExitStatus, SshError> {
        let host = self.host.clone();
        let end = match self.progress.wait_for(|progress| progress.end.is_some()).await {
            Ok(progress) => progress.end.clone(),
            Err(_) => None,
        };
        match end {
            Some(End::Status(status)) => Ok(status),
            Some(End::Refused) => Err(SshError::Refused {
                host,
                what: "run a command",
                reason: "a forced command, or a shell that does not exist?".to_owned(),
            }),
            Some(End::Lost(reason)) => Err(SshError::Lost { host, reason }),
            None => Err(SshError::Lost { host, reason: "the session has ended".to_owned() }),
        }
    }

    /// How the command ended, where it has and the host said so.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        match &self.progress.borrow().end {
            Some(End::Status(status)) => Some(status.clone()),
            _ => None,
        }
    }

    /// The last of what the command wrote to stderr so far.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        String::from_utf8_lossy(&self.progress.borrow().stderr).into_owned()
    }

    pub(crate) fn stderr_bytes(&self) -> Vec<u8> {
        self.progress.borrow().stderr.clone()
    }

    /// Waits until there is more on stderr, or the end. False after the end.
    pub(crate) async fn more_stderr(&mut self) -> bool {
        self.progress.borrow().end.is_none() && self.progress.changed().await.is_ok()
    }

    /// Closes the channel: the host ends the command's streams.
    pub fn abort(&self) {
        // A pump that has ended already needs no order.
        let _ended = self.orders.send(Order::Close);
    }
}

struct Pump {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    output: Option<mpsc::Sender<Bytes>>,
    report: watch::Sender<Progress>,
    stderr_cap: usize,
    farewell: Farewell,
}

impl Pump {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut end = None;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::EndInput) => {
                        let _closed = self.write.eof().await;
                    }
                    Some(Order::Close) | None => {
                        let _closed = self.write.close().await;
                        end.get_or_insert(End::Lost("the command was given up".to_owned()));
                        break;
                    }
                },
                message = self.read.wait() => match message {
                    Some(ChannelMsg::Data { data }) => self.forward(data).await,
                    Some(ChannelMsg::ExtendedData { data, ext: 1 }) => self.keep_stderr(&data),
                    Some(ChannelMsg::ExitStatus { exit_status }) => end = Some(End::Status(ExitStatus::Code(exit_status))),
                    Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                        end = Some(End::Status(ExitStatus::Signal(format!("{signal_name:?}"))));
                    }
                    Some(ChannelMsg::Failure) => {
                        end = Some(End::Refused);
                        let _closed = self.write.close().await;
                        break;
                    }
                    Some(ChannelMsg::Close) | None => break,
                    Some(_) => {}
                },
            }
        }
        let end = end.unwrap_or_else(|| {
            let farewell = self.farewell.text();
            End::Lost(if farewell.is_empty() { "the command ended without an exit status".to_owned() } else { farewell })
        });
        // The end is reported before the output closes, so that the reader can tell an end from a loss.
        self.report.send_modify(|progress| progress.end = Some(end));
        self.output = None;
    }

    async fn forward(&mut self, data: Bytes) {
        if let Some(output) = &self.output
            && output.send(data).await.is_err()
        {
            self.output = None;
        }
    }

    fn keep_stderr(&self, data: &[u8]) {
        self.report.send_modify(|progress| {
            progress.stderr.extend_from_slice(data);
            let surplus = progress.stderr.len().saturating_sub(self.stderr_cap);
            progress.stderr.drain(..surplus);
        });
    }
}

impl Stdout {
    fn lost(&self) -> Option<io::Error> {
        match &self.progress.borrow().end {
            Some(End::Lost(reason)) => Some(io::Error::new(io::ErrorKind::ConnectionAborted, reason.clone())),
            _ => None,
        }
    }
}

impl AsyncRead for Stdout {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.block.is_empty() {
            match ready!(this.blocks.poll_recv(context)) {
                Some(block) => this.block = block,
                None => return Poll::Ready(this.lost().map_or(Ok(()), Err)),
            }
        }
        let length = this.block.len().min(buffer.remaining());
        buffer.put_slice(&this.block.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stdin {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.writer.as_mut().poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(self.writer.as_mut().poll_shutdown(context));
        self.ended = true;
        Poll::Ready(result)
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if !self.ended {
            // A pump that has ended already needs no order.
            let _ended = self.orders.send(Order::EndInput);
        }
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stdin").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stdout").finish_non_exhaustive()
    }
}

impl fmt::Debug for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exit").field("host", &self.host).finish_non_exhaustive()
    }
}
