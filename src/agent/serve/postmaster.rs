//! PostgreSQL's processes, found and ended from outside: its data belongs to another user.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// A running PostgreSQL.
pub(super) struct Postmaster {
    handle: Handle,
    /// How the titles of its processes begin, where it has a name (`cluster_name`, which Patroni always gives).
    title: Option<String>,
}

impl Postmaster {
    /// The one that runs on this data.
    pub(super) fn find(data_dir: &Path) -> Option<Self> {
        let process = processes().ok()?.into_iter().find(|process| process.is_postmaster_of(data_dir))?;
        let handle = Handle::of(process.pid).ok()?;
        let title = process.words().iter().find_map(|word| word.strip_prefix("--cluster_name=").map(|name| format!("postgres: {name}: ")));
        // It may have ended meanwhile, and its number be another's.
        process.is_postmaster_of(data_dir).then_some(Self { handle, title })
    }

    /// Waits for its end, so long at the most, and says whether it has come.
    pub(super) fn ends_within(&self, limit: Duration) -> bool {
        self.handle.ends_within(limit)
    }

    /// Ends the processes that it has left behind, and gives their number. PostgreSQL does not start beside them, and one that is busy with a
    /// query notices only afterwards that its postmaster is gone.
    pub(super) fn end_orphans(&self) -> io::Result<usize> {
        let Some(title) = &self.title else { return Ok(0) };
        let all = processes()?;
        let has_postmaster =
            |orphan: &Process| all.iter().any(|other| other.pid.as_raw_nonzero().get() == orphan.parent && other.is_postgres());
        let orphans = all.iter().filter(|process| process.title().starts_with(title.as_str()) && !has_postmaster(process));
        // One that has ended meanwhile has no handle.
        let handles: Vec<Handle> = orphans.filter_map(|orphan| orphan.kill().ok()).collect();
        Ok(handles.iter().filter(|handle| handle.ends_within(GONE)).count())
    }
}

/// Kills a PostgreSQL and all its processes at once: those that are busy would notice late that the first of them is gone. Gives their number.
pub(super) fn end(data_dir: &Path) -> io::Result<usize> {
    let Some(postmaster) = processes()?.into_iter().find(|process| process.is_postmaster_of(data_dir)) else { return Ok(0) };
    // It starts no more processes.
    kill_process(postmaster.pid, Signal::STOP)?;
    let children = processes()?.into_iter().filter(|process| process.parent == postmaster.pid.as_raw_nonzero().get());
    let mut count = 1;
    for child in children {
        // It may have ended meanwhile.
        let _ = kill_process(child.pid, Signal::KILL);
        count += 1;
    }
    kill_process(postmaster.pid, Signal::KILL)?;
    Ok(count)
}

/// A process whose end can be waited for, and whose number is no other's.
struct Handle(OwnedFd);

impl Handle {
    fn of(pid: Pid) -> io::Result<Self> {
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    fn ends_within(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).ok();
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], limit.as_ref()).is_ok_and(|count| count > 0)
    }
}

struct Process {
    pid: Pid,
    parent: i32,
}

impl Process {
    fn read(name: &str) -> Option<Self> {
        let pid = Pid::from_raw(name.parse().ok()?)?;
        let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
        // The name in brackets may hold anything.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self { pid, parent })
    }

    fn words(&self) -> Vec<String> {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').map(str::to_owned).collect()
    }

    /// What a process of PostgreSQL's writes over its command line.
    fn title(&self) -> String {
        self.words().into_iter().next().unwrap_or_default()
    }

    fn is_postgres(&self) -> bool {
        Path::new(&self.title()).file_name().is_some_and(|name| name == "postgres")
    }

    /// `postgres -D FOLDER ...`, as Patroni starts it.
    fn is_postmaster_of(&self, data_dir: &Path) -> bool {
        let words = self.words();
        let folder = words.iter().skip_while(|word| *word != "-D").nth(1);
        self.is_postgres() && folder.is_some_and(|folder| Path::new(folder) == data_dir)
    }

    fn kill(&self) -> io::Result<Handle> {
        let handle = Handle::of(self.pid)?;
        kill_process(self.pid, Signal::KILL)?;
        Ok(handle)
    }
}

fn processes() -> io::Result<Vec<Process>> {
    let names = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| Process::read(&name)).collect())
}
