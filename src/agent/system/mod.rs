//! The host as modules see it: one trait for all they do to it, the real one, and a fake one for tests.

mod accounts;
pub(crate) mod ancestry;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod glob;
mod lease;
mod linux;
mod netlink;
mod process;
mod prompt;
mod running;

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use accounts::{Group, User};
pub use linux::Linux;
pub use netlink::InterfaceAddress;
pub(crate) use process::too_much;
pub use process::{Finished, Program};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// A moment, as seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

impl Time {
    /// As a number of seconds, as Ansible tells times.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "what Python does too")]
    pub fn as_f64(self) -> f64 {
        self.seconds as f64 + f64::from(self.nanoseconds) / 1e9
    }
}

/// What `stat` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last change of content.
    pub mtime: Time,
    /// Last access.
    pub atime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Inode number.
    pub ino: u64,
    /// Device it is on.
    pub dev: u64,
    /// Device it is.
    pub rdev: u64,
    /// Names it has.
    pub nlink: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Preferred size of reads.
    pub block_size: u64,
}

impl Metadata {
    /// True for a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// True for a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// True for a symbolic link.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.kind == Kind::Link
    }
}

/// Owner, group and permission bits to set; `None` leaves as is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// The twelve permission bits.
    pub mode: Option<u32>,
}

impl Permissions {
    /// True when there is nothing to set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A new file beside its later place, seen by nobody else.
pub struct Temporary {
    /// Where it is.
    pub path: PathBuf,
    /// Its content.
    pub file: Box<dyn Write>,
}

/// What `uname` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uname {
    /// `Linux`.
    pub sysname: String,
    /// The host's name.
    pub nodename: String,
    /// The kernel's release.
    pub release: String,
    /// The kernel's version.
    pub version: String,
    /// `x86_64`.
    pub machine: String,
}

/// Size of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks.
    pub blocks: u64,
    /// Blocks free for ordinary users.
    pub blocks_available: u64,
    /// Inodes.
    pub inodes: u64,
    /// Inodes free for ordinary users.
    pub inodes_available: u64,
}

/// A kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Execute, or enter.
    Execute,
}

/// Who has a lease after it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// This process, as before.
    Kept,
    /// This process, from now on.
    Taken,
    /// Another process.
    Others,
}

/// A connection to a port.
pub trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// A program that runs. Dropped, it is ended.
pub trait Running: Send {
    /// What it reads; once.
    fn stdin(&mut self) -> Option<Box<dyn Write + Send>>;
    /// What it prints; once.
    fn stdout(&mut self) -> Option<Box<dyn Read + Send>>;
    /// What it complains of; once.
    fn stderr(&mut self) -> Option<Box<dyn Read + Send>>;
    /// Waits for its end: its exit code, below zero for a signal.
    fn wait(&mut self) -> io::Result<i32>;
    /// Ends it and what it started.
    fn end(&mut self);
}

/// Everything that modules do to a host.
pub trait System: Send + Sync {
    /// The content of a file.
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// A file's content, piece by piece.
    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read>>;
    /// A new, empty file of mode 0600 in the folder of `beside`.
    fn create_temporary(&self, beside: &Path) -> io::Result<Temporary>;
    /// Puts a temporary file in its place at once: it takes owner, mode and extended attributes of the file that it replaces
    /// (0666 less the umask where there is none), then what `permissions` say; synced, renamed. Removes it when that fails.
    fn install_file(&self, temporary: &Path, path: &Path, permissions: &Permissions) -> io::Result<()>;
    /// What is at a path, links followed.
    fn stat(&self, path: &Path) -> io::Result<Metadata>;
    /// What is at a path, links not followed.
    fn lstat(&self, path: &Path) -> io::Result<Metadata>;
    /// The names in a directory, sorted.
    fn list_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes one directory; its parent must be there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a file or link.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all below it, or a file.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Renames, replacing what is at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a symbolic link at `path` that says `target`.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;
    /// Gives an existing file another name.
    fn hard_link(&self, existing: &Path, path: &Path) -> io::Result<()>;
    /// What a symbolic link says.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// The path without links; all of it must be there.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;
    /// Sets permission bits; links are followed.
    fn chmod(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Sets owner and group; links are not followed.
    fn chown(&self, path: &Path, uid: Option<u32>, gid: Option<u32>) -> io::Result<()>;
    /// Sets times of access and change; `None` leaves as is.
    fn set_times(&self, path: &Path, atime: Option<Time>, mtime: Option<Time>) -> io::Result<()>;
    /// Whether this process may.
    fn access(&self, path: &Path, access: Access) -> bool;
    /// The inode's flags, as `lsattr` tells them; `None` where the file system has none.
    fn inode_flags(&self, path: &Path) -> Option<u32>;
    /// Space on the file system of a path.
    fn disk_space(&self, path: &Path) -> io::Result<DiskSpace>;
    /// Runs a program to its end. An error means that it could not be started, or ran out of time ([`io::ErrorKind::TimedOut`]).
    fn run(&self, program: &Program) -> io::Result<Finished>;
    /// Starts a program and gives both ends of it. Its input's text, its limit of time and its end are the caller's to see to.
    fn start(&self, program: &Program) -> io::Result<Box<dyn Running>>;
    /// Starts this program again, with other words and this input, and lets it go.
    fn start_detached(&self, _words: &[&str], _input: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// True when nobody is left at the other end of this process' own input: the controller is gone.
    fn is_alone(&self) -> bool {
        false
    }
    /// Takes the lease that a file stands for, or goes on having it, and writes the record into the file. It ends with this process, with
    /// its controller, and where that says nothing for as long as `limit`.
    fn hold_lease(&self, _path: &Path, _record: &[u8], _limit: Duration) -> io::Result<Holding> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Gives up a lease that this process has.
    fn release_lease(&self, _path: &Path) {}
    /// Whether any process has it.
    fn is_leased(&self, _path: &Path) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The time.
    fn now(&self) -> SystemTime;
    /// Rests.
    fn sleep(&self, duration: Duration);
    /// The host's name.
    fn hostname(&self) -> io::Result<String> {
        Ok(self.uname().nodename)
    }
    /// Gives the running kernel another host name.
    fn set_nodename(&self, name: &str) -> io::Result<()> {
        self.write_in_place(Path::new("/proc/sys/kernel/hostname"), name.as_bytes())
    }
    /// Kernel and machine.
    fn uname(&self) -> Uname;
    /// The user that this process acts as.
    fn effective_uid(&self) -> u32;
    /// The group that this process acts as.
    fn effective_gid(&self) -> u32;
    /// An environment variable of this process.
    fn variable(&self, name: &str) -> Option<String>;
    /// The addresses of all network interfaces.
    fn interface_addresses(&self) -> io::Result<Vec<InterfaceAddress>> {
        Ok(Vec::new())
    }
    /// The addresses of a host name.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
    /// Connects to a port; reads and writes take no longer than `timeout` either.
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> io::Result<Box<dyn Connection>>;
    /// Connects to a socket of this host; reads and writes take no longer than `timeout`.
    fn connect_local(&self, path: &Path, timeout: Duration) -> io::Result<Box<dyn Connection>>;

    /// A file's content as text.
    fn read_text(&self, path: &Path) -> io::Result<String> {
        String::from_utf8(self.read_file(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8 text"))
    }
    /// A file's content, or `None` when there is no file.
    fn read_if_there(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        absent_is_none(self.read_file(path))
    }
    /// What is at a path, links followed; `None` for nothing.
    fn stat_if_there(&self, path: &Path) -> io::Result<Option<Metadata>> {
        absent_is_none(self.stat(path))
    }
    /// What is at a path, links not followed; `None` for nothing.
    fn lstat_if_there(&self, path: &Path) -> io::Result<Option<Metadata>> {
        absent_is_none(self.lstat(path))
    }
    /// True when something is there, links followed.
    fn exists(&self, path: &Path) -> bool {
        self.stat(path).is_ok()
    }
    /// Replaces a file's content at once, or makes the file.
    fn write_file_atomically(&self, path: &Path, content: &[u8], permissions: &Permissions) -> io::Result<()> {
        let Temporary { path: temporary, mut file } = self.create_temporary(path)?;
        if let Err(error) = file.write_all(content).and_then(|()| file.flush()) {
            // The first error is the one to tell.
            let _ = self.remove_file(&temporary);
            return Err(error);
        }
        drop(file);
        self.install_file(&temporary, path, permissions)
    }
    /// Writes into a file as it is, for the kernel's own files under `/proc` and `/sys`.
    fn write_in_place(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.write_file_atomically(path, content, &Permissions::default())
    }
    /// Sets owner and group, then permission bits (in that order: a change of owner clears setuid).
    fn set_permissions(&self, path: &Path, permissions: &Permissions) -> io::Result<()> {
        if permissions.uid.is_some() || permissions.gid.is_some() {
            self.chown(path, permissions.uid, permissions.gid)?;
        }
        permissions.mode.map_or(Ok(()), |mode| self.chmod(path, mode))
    }
    /// Makes a directory and its missing parents; answers those made, outermost first.
    fn make_dirs(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut missing: Vec<&Path> =
            path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !self.exists(folder)).collect();
        missing.reverse();
        for folder in &missing {
            match self.make_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.exists(folder) => {}
                other => other?,
            }
        }
        Ok(missing.into_iter().map(Path::to_path_buf).collect())
    }
    /// All paths that match a shell pattern (`*`, `?`, `[..]`), sorted.
    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        glob::expand(&|folder| self.list_dir(folder).unwrap_or_default(), &|path| self.lstat(path).is_ok(), pattern)
    }
    /// The user of that name.
    fn user_by_name(&self, name: &str) -> io::Result<Option<User>> {
        Ok(accounts::users(&self.account_file("/etc/passwd")?).find(|user| user.name == name))
    }
    /// The user of that number.
    fn user_by_id(&self, uid: u32) -> io::Result<Option<User>> {
        Ok(accounts::users(&self.account_file("/etc/passwd")?).find(|user| user.uid == uid))
    }
    /// The group of that name.
    fn group_by_name(&self, name: &str) -> io::Result<Option<Group>> {
        Ok(accounts::groups(&self.account_file("/etc/group")?).find(|group| group.name == name))
    }
    /// The group of that number.
    fn group_by_id(&self, gid: u32) -> io::Result<Option<Group>> {
        Ok(accounts::groups(&self.account_file("/etc/group")?).find(|group| group.gid == gid))
    }
    /// All users of `/etc/passwd`.
    fn users(&self) -> io::Result<Vec<User>> {
        Ok(accounts::users(&self.account_file("/etc/passwd")?).collect())
    }
    /// All groups of `/etc/group`.
    fn groups(&self) -> io::Result<Vec<Group>> {
        Ok(accounts::groups(&self.account_file("/etc/group")?).collect())
    }
    /// The text of an account file; empty when there is none.
    fn account_file(&self, path: &str) -> io::Result<String> {
        Ok(self.read_if_there(Path::new(path))?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default())
    }
    /// Where a program is on the search path; absolute names are only checked.
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        let is_program = |path: &Path| self.stat(path).is_ok_and(|found| found.is_file()) && self.access(path, Access::Execute);
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| is_program(path));
        }
        let path = self.variable("PATH").unwrap_or_default();
        path.split(':')
            .chain(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
            .filter(|folder| folder.starts_with('/'))
            .map(|folder| Path::new(folder).join(name))
            .find(|path| is_program(path))
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
