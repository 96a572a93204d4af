//! The real host.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, XattrFlags};

use super::prompt::Prompt;
use super::{
    Access, Connection, DiskSpace, Finished, Group, Holding, InterfaceAddress, Kind, Metadata, Permissions, Program, Running, System,
    Temporary, Time, Uname, User,
};
use super::{accounts, lease, netlink, process, running};

/// The host that this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux;

static SERIAL: AtomicU32 = AtomicU32::new(0);

impl System for Linux {
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(path)?))
    }

    fn create_temporary(&self, beside: &Path) -> io::Result<Temporary> {
        let folder = beside.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = beside.file_name().map(|name| name.to_string_lossy().chars().take(60).collect::<String>()).unwrap_or_default();
        loop {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".{name}.pgfleet-{}-{serial}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Temporary { path, file: Box::new(file) }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn install_file(&self, temporary: &Path, path: &Path, permissions: &Permissions) -> io::Result<()> {
        let installed = install(self, temporary, path, permissions);
        if installed.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(temporary);
        }
        installed
    }

    fn stat(&self, path: &Path) -> io::Result<Metadata> {
        fs::metadata(path).map(|found| metadata(&found))
    }

    fn lstat(&self, path: &Path) -> io::Result<Metadata> {
        fs::symlink_metadata(path).map(|found| metadata(&found))
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let mut names = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name().into())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn write_in_place(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        // In one write: the kernel takes each one as a whole value.
        OpenOptions::new().write(true).open(path)?.write_all(content)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn hard_link(&self, existing: &Path, path: &Path) -> io::Result<()> {
        fs::hard_link(existing, path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn chmod(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn chown(&self, path: &Path, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        std::os::unix::fs::lchown(path, uid, gid)
    }

    fn set_times(&self, path: &Path, atime: Option<Time>, mtime: Option<Time>) -> io::Result<()> {
        let times = Timestamps { last_access: timespec(atime), last_modification: timespec(mtime) };
        Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn access(&self, path: &Path, access: Access) -> bool {
        let access = match access {
            Access::Read => rustix::fs::Access::READ_OK,
            Access::Write => rustix::fs::Access::WRITE_OK,
            Access::Execute => rustix::fs::Access::EXEC_OK,
        };
        rustix::fs::access(path, access).is_ok()
    }

    fn inode_flags(&self, path: &Path) -> Option<u32> {
        let file = OpenOptions::new().read(true).custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?).open(path).ok()?;
        rustix::fs::ioctl_getflags(&file).ok().map(|flags| flags.bits())
    }

    fn disk_space(&self, path: &Path) -> io::Result<DiskSpace> {
        let found = rustix::fs::statvfs(path)?;
        Ok(DiskSpace {
            block_size: found.f_frsize,
            blocks: found.f_blocks,
            blocks_available: found.f_bavail,
            inodes: found.f_files,
            inodes_available: found.f_favail,
        })
    }

    fn run(&self, program: &Program) -> io::Result<Finished> {
        process::run(program)
    }

    fn start(&self, program: &Program) -> io::Result<Box<dyn Running>> {
        running::start(program)
    }

    fn start_detached(&self, words: &[&str], input: &[u8]) -> io::Result<()> {
        running::start_detached(words, input)
    }

    fn is_alone(&self) -> bool {
        let stdin = io::stdin();
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        let asked = poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        let found = watched[0].revents();
        asked.is_ok() && found.contains(PollFlags::HUP) && !found.contains(PollFlags::IN)
    }

    fn hold_lease(&self, path: &Path, record: &[u8], limit: Duration) -> io::Result<Holding> {
        lease::hold(path, record, limit)
    }

    fn release_lease(&self, path: &Path) {
        lease::release(path);
    }

    fn is_leased(&self, path: &Path) -> io::Result<bool> {
        lease::is_held(path)
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn set_nodename(&self, name: &str) -> io::Result<()> {
        // In containers `/proc/sys` cannot be written, but the name can be set.
        Ok(rustix::system::sethostname(name.as_bytes())?)
    }

    fn uname(&self) -> Uname {
        let found = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        Uname {
            sysname: text(found.sysname()),
            nodename: text(found.nodename()),
            release: text(found.release()),
            version: text(found.version()),
            machine: text(found.machine()),
        }
    }

    fn effective_uid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn effective_gid(&self) -> u32 {
        rustix::process::getegid().as_raw()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn interface_addresses(&self) -> io::Result<Vec<InterfaceAddress>> {
        netlink::addresses()
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        // A static program must not use libc's resolver, which loads libraries of the host.
        let answer = process::run(&Program::new(["getent", "ahosts", host]).timeout(Duration::from_secs(10)));
        let mut addresses: Vec<IpAddr> = match answer {
            Ok(finished) => finished.stdout_text().lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect(),
            Err(_) => in_hosts_file(&fs::read_to_string("/etc/hosts").unwrap_or_default(), host),
        };
        let mut seen = Vec::new();
        addresses.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        if addresses.is_empty() {
            return Err(io::Error::new(ErrorKind::NotFound, format!("the name '{host}' cannot be resolved")));
        }
        Ok(addresses)
    }

    fn connect(&self, host: &str, port: u16, timeout: Duration) -> io::Result<Box<dyn Connection>> {
        let mut last = io::Error::from(ErrorKind::NotFound);
        for address in self.resolve(host)? {
            match TcpStream::connect_timeout(&SocketAddr::new(address, port), timeout) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    stream.set_nodelay(true)?;
                    return Ok(Box::new(Prompt(stream)));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect_local(&self, path: &Path, timeout: Duration) -> io::Result<Box<dyn Connection>> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Box::new(stream))
    }

    fn user_by_name(&self, name: &str) -> io::Result<Option<User>> {
        Ok(accounts::users(&self.account_file("/etc/passwd")?)
            .find(|user| user.name == name)
            .or_else(|| accounts::users(&entry("passwd", name)).find(|user| user.name == name)))
    }

    fn group_by_name(&self, name: &str) -> io::Result<Option<Group>> {
        Ok(accounts::groups(&self.account_file("/etc/group")?)
            .find(|group| group.name == name)
            .or_else(|| accounts::groups(&entry("group", name)).find(|group| group.name == name)))
    }
}

/// The line of an account that is kept elsewhere (LDAP, say); the host's own program asks there.
fn entry(database: &str, name: &str) -> String {
    let program = Program::new(["getent", database, name]).timeout(Duration::from_secs(10));
    process::run(&program).map(|finished| finished.stdout_text()).unwrap_or_default()
}

fn in_hosts_file(text: &str, host: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
        })
        .collect()
}

fn install(system: &Linux, temporary: &Path, path: &Path, permissions: &Permissions) -> io::Result<()> {
    match system.lstat(path) {
        Ok(replaced) if replaced.is_file() => {
            let mine = system.lstat(temporary)?;
            let uid = (mine.uid != replaced.uid).then_some(replaced.uid);
            let gid = (mine.gid != replaced.gid).then_some(replaced.gid);
            if uid.is_some() || gid.is_some() {
                // An ordinary user may replace a file of another one, but not give it away.
                match system.chown(temporary, uid, gid) {
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                    other => other?,
                }
            }
            copy_extended_attributes(path, temporary);
            system.chmod(temporary, replaced.mode)?;
        }
        Ok(_) => system.chmod(temporary, 0o666 & !umask())?,
        Err(error) if error.kind() == ErrorKind::NotFound => system.chmod(temporary, 0o666 & !umask())?,
        Err(error) => return Err(error),
    }
    system.set_permissions(temporary, permissions)?;
    File::open(temporary)?.sync_all()?;
    fs::rename(temporary, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // Some file systems cannot sync a directory; the file itself is safe.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Access lists, labels and the like. What a file system refuses, it did not have.
fn copy_extended_attributes(from: &Path, to: &Path) {
    let mut names = vec![0_u8; 16 * 1024];
    let Ok(length) = rustix::fs::llistxattr(from, &mut names[..]) else { return };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = std::ffi::OsStr::from_bytes(name);
        let mut value = vec![0_u8; 64 * 1024];
        if let Ok(length) = rustix::fs::lgetxattr(from, name, &mut value[..]) {
            let _ = rustix::fs::lsetxattr(to, name, &value[..length], XattrFlags::empty());
        }
    }
}

/// The umask, read without changing it for other threads.
fn umask() -> u32 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            status.lines().find_map(|line| line.strip_prefix("Umask:")).and_then(|text| u32::from_str_radix(text.trim(), 8).ok())
        })
        .unwrap_or(0o022)
}

fn timespec(time: Option<Time>) -> Timespec {
    time.map_or(Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, |time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() })
}

fn time(seconds: i64, nanoseconds: i64) -> Time {
    Time { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

fn metadata(found: &fs::Metadata) -> Metadata {
    let kind = found.file_type();
    Metadata {
        kind: if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Link
        } else if kind.is_fifo() {
            Kind::Fifo
        } else if kind.is_socket() {
            Kind::Socket
        } else if kind.is_char_device() {
            Kind::CharDevice
        } else if kind.is_block_device() {
            Kind::BlockDevice
        } else {
            Kind::File
        },
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        size: found.size(),
        mtime: time(found.mtime(), found.mtime_nsec()),
        atime: time(found.atime(), found.atime_nsec()),
        ctime: time(found.ctime(), found.ctime_nsec()),
        ino: found.ino(),
        dev: found.dev(),
        rdev: found.rdev(),
        nlink: found.nlink(),
        blocks: found.blocks(),
        block_size: found.blksize(),
    }
}
