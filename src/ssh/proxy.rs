//! ProxyCommand: a program whose standard streams are the way to the host.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::SshError;
use crate::target::Target;

/// Of what the program says the last so many bytes are kept.
const MOST_WORDS: usize = 1024;

/// The running program. It ends when this is dropped.
pub(crate) struct Proxy {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

/// What the program said on its stderr, so far.
#[derive(Clone, Default)]
pub(crate) struct Words(Arc<Mutex<String>>);

impl Words {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned()
    }

    fn add(&self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() + line.len() < MOST_WORDS {
            text.push_str(line);
            text.push(' ');
        }
    }
}

/// Starts the command with the user's shell rules: `exec COMMAND`, in `sh`.
pub(crate) fn start(target: &Target, command: &str) -> Result<(Proxy, Words), SshError> {
    let failed = |source| SshError::ProxyCommand { host: target.name.clone(), command: command.to_owned(), source };
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let words = Words::default();
    if let Some(stderr) = child.stderr.take() {
        let words = words.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                words.add(String::from_utf8_lossy(&line).trim());
            }
        });
    }
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(std::io::Error::other("it has no streams")));
    };
    Ok((Proxy { stdin, stdout, _child: child }, words))
}

impl AsyncRead for Proxy {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(context)
    }
}
