//! Runs programs: input, both outputs and the end, without threads and without waiting for what they leave behind.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// A program to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Text for standard input; without any, it is `/dev/null`.
    pub stdin: Option<Vec<u8>>,
    /// Folder to run in.
    pub cwd: Option<PathBuf>,
    /// Variables added to this process' own.
    pub env: Vec<(String, String)>,
    /// How long it may take; its process group is killed then.
    pub timeout: Option<Duration>,
}

impl Program {
    /// A program with arguments.
    pub fn new<T: Into<String>>(argv: impl IntoIterator<Item = T>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The same with that standard input.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// The same in that folder.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// The same with one more variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a time limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Exit code; a signal is its negative number, as Python tells it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// True for exit code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == 0
    }

    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Without a pidfd (before Linux 5.3) the end of a program that left its outputs open is looked for this often.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(program: &Program) -> io::Result<Finished> {
    let (name, arguments) = program.argv.split_first().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no program to run"))?;
    let mut command = Command::new(name);
    command.args(arguments).envs(program.env.iter().map(|(name, value)| (name, value)));
    if let Some(folder) = &program.cwd {
        command.current_dir(folder);
    }
    command.stdin(if program.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    // A group of its own, so that a time limit ends what it started too.
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let mut finished = Finished::default();
    match converse(&mut child, program, &mut finished) {
        Ok(status) => {
            finished.status = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
            Ok(finished)
        }
        Err(error) => {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // It may have ended by itself meanwhile.
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = child.wait();
            Err(error)
        }
    }
}

struct Pipe<P> {
    pipe: Option<P>,
}

impl<P: AsFd> Pipe<P> {
    fn new(pipe: Option<P>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }
}

impl<P: Read> Pipe<P> {
    /// Reads what is there; closes at the end.
    fn drain(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => into.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<P: Write> Pipe<P> {
    /// Writes what goes; closes when all is written or nobody reads.
    fn fill(&mut self, from: &mut &[u8]) {
        while let Some(pipe) = &mut self.pipe {
            if from.is_empty() {
                self.pipe = None;
                return;
            }
            match pipe.write(from) {
                Ok(count) => *from = &from[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
    }
}

fn converse(child: &mut Child, program: &Program, finished: &mut Finished) -> io::Result<ExitStatus> {
    let end = program.timeout.map(|timeout| Instant::now() + timeout);
    let mut input = program.stdin.as_deref().unwrap_or_default();
    let mut stdin = Pipe::new(child.stdin.take())?;
    let mut stdout = Pipe::new(child.stdout.take())?;
    let mut stderr = Pipe::new(child.stderr.take())?;
    let pidfd: Option<OwnedFd> =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    stdin.fill(&mut input);
    loop {
        if let Some(status) = child.try_wait()? {
            // What it wrote is in the pipes by now; what it left running may keep them open for ever.
            stdout.drain(&mut finished.stdout)?;
            stderr.drain(&mut finished.stderr)?;
            return Ok(status);
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::Error::new(ErrorKind::TimedOut, "it ran out of time"));
        }
        let wait = if pidfd.is_some() { left } else { Some(left.map_or(LOOK, |left| left.min(LOOK))) };
        let mut watched: Vec<PollFd> = Vec::with_capacity(4);
        watched.extend(pidfd.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        watched.extend([stdout.fd(), stderr.fd()].into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        watched.extend(stdin.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        match poll(&mut watched, wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        stdin.fill(&mut input);
        stdout.drain(&mut finished.stdout)?;
        stderr.drain(&mut finished.stderr)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::{Duration, Instant};

    use super::{Program, run};

    #[test]
    fn much_input_and_output_does_not_block() {
        let text = vec![b'x'; 1 << 20];
        let finished = run(&Program::new(["sh", "-c", "cat; echo oops >&2; exit 3"]).stdin(text.clone())).expect("runs");
        assert_eq!((finished.status, finished.stdout == text, finished.stderr.as_slice()), (3, true, b"oops\n".as_slice()));
    }

    #[test]
    fn what_stays_in_the_background_is_not_waited_for() {
        let begin = Instant::now();
        let finished = run(&Program::new(["sh", "-c", "sleep 30 & echo $!"])).expect("runs");
        assert!(begin.elapsed() < Duration::from_secs(20));
        let pid: i32 = finished.stdout_text().trim().parse().expect("a pid");
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).expect("a pid"), rustix::process::Signal::KILL).expect("ends");
    }

    #[test]
    fn a_time_limit_ends_the_whole_group() {
        let error = run(&Program::new(["sh", "-c", "sleep 30; true"]).timeout(Duration::from_millis(100))).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn signals_are_negative() {
        assert_eq!(run(&Program::new(["sh", "-c", "kill -9 $$"])).expect("runs").status, -9);
        assert_eq!(run(&Program::new(["/nowhere/at/all"])).expect_err("missing").kind(), ErrorKind::NotFound);
    }
}
