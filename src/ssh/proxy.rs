//! ProxyCommand: a program whose standard streams are the way to the host.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::SshError;
use crate::target::Target;

/// Of what the program says the last so many bytes are kept.
const MOST_WORDS: usize = 1024;
/// How long a program that has ended is listened to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The running program. It ends when this is dropped.
pub(crate) struct Proxy {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

/// What the program says on its stderr.
pub(crate) struct Words {
    text: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Words {
    fn of(stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = text.clone();
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                add(&mut sink.lock().unwrap_or_else(PoisonError::into_inner), String::from_utf8_lossy(&line).trim());
            }
        });
        Self { text, reading }
    }

    /// All of it, once the program has ended; what it started may keep its stderr open.
    pub(crate) async fn last(self) -> String {
        let _all = timeout(LAST_WORDS, self.reading).await;
        self.text.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned()
    }
}

fn add(text: &mut String, line: &str) {
    if text.len() + line.len() < MOST_WORDS {
        text.push_str(line);
        text.push(' ');
    }
}

/// The command with the user's shell rules: `exec COMMAND`, in `sh`. Ctrl-C and the end of a terminal reach all of its processes; the way
/// to the host must outlive them, since what goes on there is ended in order.
fn line(command: &str) -> String {
    format!("trap '' INT HUP; exec {command}")
}

/// Starts the command.
pub(crate) fn start(target: &Target, command: &str) -> Result<(Proxy, Words), SshError> {
    let failed = |source| SshError::ProxyCommand { host: target.name.clone(), command: command.to_owned(), source };
    let mut child = Command::new("/bin/sh")
        .args(["-c", &line(command)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(failed(std::io::Error::other("it has no streams")));
    };
    Ok((Proxy { stdin, stdout, _child: child }, Words::of(stderr)))
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

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_way_outlives_the_key_and_the_terminal() {
        // Whoever runs the tests may ignore these signals, as nohup does.
        let shell = ["--default-signal=INT,HUP", "/bin/sh", "-c"];
        let run = |line: &str| std::process::Command::new("env").args(shell).arg(line).output().expect("runs").stdout;
        let command = "sh -c 'kill -INT $$; kill -HUP $$; echo goes on'";
        assert_eq!(run(&line(command)), b"goes on\n");
        assert_eq!(run(command), b"", "without it, it would end");
    }
}
