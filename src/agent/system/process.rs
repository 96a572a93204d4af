//! Runs programs: input, both outputs and the end, without threads and without waiting for what they leave behind.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use pgfleet_protocol::MAX_FRAME;
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

/// More than this of one output is not kept: no result has room for it.
const KEPT: usize = MAX_FRAME;
/// As much is read of one output before the other, the end and the time are looked at again. No pipe holds more than a user may ask for, 1 MiB.
const AT_ONCE: usize = 1 << 20;

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
    match converse(&mut child, program) {
        Ok((status, outputs)) => {
            let status = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
            let [stdout, stderr] = outputs;
            match stdout.unkept + stderr.unkept {
                0 => Ok(Finished { status, stdout: stdout.kept, stderr: stderr.kept }),
                unkept => Err(too_much(stdout.kept.len() + stderr.kept.len() + unkept, status)),
            }
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

/// What is told of a program whose output has no room in a result; it ran to its end all the same.
pub(crate) fn too_much(bytes: usize, status: i32) -> io::Error {
    let limit = MAX_FRAME >> 20;
    let message = format!(
        "it ended with {status}, but wrote {bytes} bytes: a result, which holds them as text and as lines, has {limit} MiB at most. \
         Have it write to a file, and fetch that"
    );
    io::Error::new(ErrorKind::FileTooLarge, message)
}

/// What was read of an output.
#[derive(Default)]
struct Taken {
    kept: Vec<u8>,
    /// How many bytes came after those.
    unkept: usize,
}

impl Taken {
    fn take(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.unkept += bytes.len() - room;
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

impl<P: io::Read> Pipe<P> {
    /// Reads what is there, up to [`AT_ONCE`]; closes at the end.
    fn drain(&mut self, into: &mut Taken) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let mut left = AT_ONCE;
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    into.take(&buffer[..count]);
                    left = left.saturating_sub(count);
                    if left == 0 {
                        return Ok(());
                    }
                }
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

fn converse(child: &mut Child, program: &Program) -> io::Result<(ExitStatus, [Taken; 2])> {
    let [mut written, mut complained] = <[Taken; 2]>::default();
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
            stdout.drain(&mut written)?;
            stderr.drain(&mut complained)?;
            return Ok((status, [written, complained]));
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
        stdout.drain(&mut written)?;
        stderr.drain(&mut complained)?;
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
    fn what_no_result_has_room_for_is_not_kept() {
        let error = run(&Program::new(["sh", "-c", "head -c 40000000 /dev/zero; exit 3"])).expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert!(error.to_string().starts_with("it ended with 3, but wrote 40000000 bytes"), "{error}");
    }

    #[test]
    fn who_never_stops_writing_runs_out_of_time() {
        let endless = Program::new(["sh", "-c", "exec yes"]).timeout(Duration::from_millis(300));
        assert_eq!(run(&endless).expect_err("never ends").kind(), ErrorKind::TimedOut);
        // Nor is waited for one that is left behind, which writes as long as somebody reads.
        let finished = run(&Program::new(["sh", "-c", "yes & echo begun"]).timeout(Duration::from_secs(20))).expect("ends");
        assert_eq!(finished.status, 0);
    }

    #[test]
    fn signals_are_negative() {
        assert_eq!(run(&Program::new(["sh", "-c", "kill -9 $$"])).expect("runs").status, -9);
        assert_eq!(run(&Program::new(["/nowhere/at/all"])).expect_err("missing").kind(), ErrorKind::NotFound);
    }
}
