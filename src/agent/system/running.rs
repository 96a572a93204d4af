//! A program that runs beside the agent: both its ends in hand, ended with its whole group when it is given up.

use std::io::{self, Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{Program, Running};

struct Group {
    child: Child,
    ended: bool,
}

/// Starts a program in a group of its own.
pub(crate) fn start(program: &Program) -> io::Result<Box<dyn Running>> {
    let (name, arguments) = program.argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program to run"))?;
    let mut command = Command::new(name);
    command.args(arguments).envs(program.env.iter().map(|(name, value)| (name, value)));
    if let Some(folder) = &program.cwd {
        command.current_dir(folder);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let group = Group { child: command.spawn()?, ended: false };
    if let Some(pid) = group.pid() {
        end_with_the_controller(pid);
    }
    Ok(Box::new(group))
}

/// Starts this program again, which then begins a session of its own. Its input is a file in memory, which has no other end that could be gone.
pub(crate) fn start_detached(words: &[&str], input: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::from(rustix::fs::memfd_create("job", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    let mut command = Command::new("/proc/self/exe");
    command.args(words).stdin(file).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    let mut child = command.spawn()?;
    // Somebody has to take note of its end while this process lives.
    std::thread::Builder::new().stack_size(64 * 1024).spawn(move || child.wait()).map(drop)
}

/// A program that says nothing for hours would not notice that nobody listens any more: when the agent's own output has no
/// reader, it is ended. Without a pidfd (before Linux 5.3) that is left to the next thing it says.
fn end_with_the_controller(pid: Pid) {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let watch = move || loop {
        let output = std::io::stdout();
        let mut watched = [PollFd::new(&process, PollFlags::IN), PollFd::new(&output, PollFlags::empty())];
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if !watched[0].revents().is_empty() {
            return;
        }
        if !watched[1].revents().is_empty() {
            // It may have ended by itself meanwhile.
            let _ = kill_process_group(pid, Signal::KILL);
            return;
        }
    };
    // Without room for a thread it ends with the next thing it says.
    drop(std::thread::Builder::new().stack_size(64 * 1024).spawn(watch));
}

impl Group {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Running for Group {
    fn stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        self.child.stdin.take().map(|pipe| Box::new(pipe) as Box<dyn Write + Send>)
    }

    fn stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        self.child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>)
    }

    fn stderr(&mut self) -> Option<Box<dyn Read + Send>> {
        self.child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>)
    }

    fn wait(&mut self) -> io::Result<i32> {
        let status = self.child.wait()?;
        self.ended = true;
        Ok(status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)))
    }

    fn end(&mut self) {
        if self.ended {
            return;
        }
        if let Some(pid) = self.pid() {
            // It may have ended by itself meanwhile.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}
