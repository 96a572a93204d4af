//! An in-memory host for tests: a tree of files, scripted answers of programs, and a list of what was run.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Error, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::glob::matches;
use super::{
    Access, Connection, DiskSpace, Finished, Holding, Kind, Metadata, Permissions, Program, Running, System, Temporary, Time, Uname,
};

/// The accounts that every fake host has, unless its files say otherwise.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\npostgres:x:105:110:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\npostgres:x:110:\nssl-cert:x:109:postgres\n";

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Content of a file, target of a link.
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    pub(crate) atime: Time,
}

/// A scripted answer. Of several that match, the last one whose `after` has been run is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Program and arguments, each a shell pattern; a last `...` takes all the rest.
    pub(crate) argv: Vec<String>,
    /// Only once a program that matches this has been run.
    pub(crate) after: Option<Vec<String>>,
    pub(crate) finished: Finished,
    /// Files that running it changes, as [`Fake::set`] takes them.
    pub(crate) writes: BTreeMap<String, Value>,
    /// True for a program that changes the host: it must not be run in check mode.
    pub(crate) effect: bool,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    nodes: BTreeMap<u64, Node>,
    serial: u64,
    clock: u64,
    answers: Vec<Answer>,
    ran: Vec<Program>,
    effects: Vec<Program>,
    ports: BTreeMap<String, Vec<u8>>,
    server: Option<crate::postgres::fake::Shared>,
    full: bool,
    /// Leases of this process; what is beside them is another's.
    leases: Vec<PathBuf>,
}

/// The host. Clones are the same host.
#[derive(Clone, Debug)]
pub(crate) struct Fake(Arc<Mutex<State>>);

impl Default for Fake {
    fn default() -> Self {
        let fake = Self(Arc::new(Mutex::new(State { clock: 1_750_000_000, ..State::default() })));
        fake.set("/", &serde_json::json!({"directory": true}));
        fake.set("/etc/passwd", &Value::from(PASSWD));
        fake.set("/etc/group", &Value::from(GROUP));
        fake.set("/tmp", &serde_json::json!({"directory": true, "mode": "1777"}));
        fake
    }
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while holding it")
    }

    /// Puts something at a path, folders above included: text, `{content, mode, uid, gid}`, `{directory: true}`, `{link: target}`,
    /// `{hard: other path}`, or null for nothing.
    pub(crate) fn set(&self, path: &str, value: &Value) {
        let path = PathBuf::from(path);
        let mut state = self.state();
        for folder in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            if !state.names.contains_key(folder) {
                state.add(folder, Kind::Directory, Vec::new(), 0o755);
            }
        }
        let bits = |default: u32| value["mode"].as_str().map_or(default, |text| u32::from_str_radix(text, 8).expect("an octal mode"));
        if value.is_null() {
            state.names.retain(|name, _| !name.starts_with(&path));
            return;
        } else if let Some(text) = value.as_str() {
            state.add(&path, Kind::File, text.into(), 0o644);
        } else if value["directory"] == true {
            state.add(&path, Kind::Directory, Vec::new(), bits(0o755));
        } else if let Some(target) = value["link"].as_str() {
            state.add(&path, Kind::Link, target.into(), 0o777);
        } else if let Some(other) = value["hard"].as_str() {
            let number = state.names[Path::new(other)];
            state.names.insert(path.clone(), number);
        } else {
            state.add(&path, Kind::File, value["content"].as_str().unwrap_or_default().into(), bits(0o644));
        }
        let number = state.names[&path];
        let node = state.nodes.get_mut(&number).expect("just added");
        let id = |name: &str| value[name].as_u64().map(|number| u32::try_from(number).expect("a small number"));
        node.uid = id("uid").unwrap_or(node.uid);
        node.gid = id("gid").unwrap_or(node.gid);
    }

    /// Scripts an answer.
    pub(crate) fn answer(&self, answer: Answer) {
        self.state().answers.push(answer);
    }

    /// Lets a port accept connections, which read `text`.
    pub(crate) fn open_port(&self, host: &str, port: u16, text: &str) {
        self.state().ports.insert(format!("{host}:{port}"), text.into());
    }

    /// A PostgreSQL server listens on every socket named as its own.
    pub(crate) fn serve(&self, server: &crate::postgres::fake::Shared) {
        self.state().server = Some(std::sync::Arc::clone(server));
    }

    /// From now on nothing more can be written.
    pub(crate) fn fill_disk(&self) {
        self.state().full = true;
    }

    /// All that was run, in order.
    pub(crate) fn ran(&self) -> Vec<Program> {
        self.state().ran.clone()
    }

    /// Programs that were run and that change the host.
    pub(crate) fn effects(&self) -> Vec<Program> {
        self.state().effects.clone()
    }

    /// Everything that is there, times apart.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Node> {
        let state = self.state();
        let node = |number: &u64| Node { mtime: Time::default(), atime: Time::default(), ..state.nodes[number].clone() };
        state.names.iter().map(|(name, number)| (name.clone(), node(number))).collect()
    }
}

fn no(kind: i32) -> Error {
    Error::from_raw_os_error(kind)
}

const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const ENOSPC: i32 = 28;
const ENOTEMPTY: i32 = 39;
const ELOOP: i32 = 40;

impl State {
    fn now(&self) -> Time {
        Time { seconds: self.clock.cast_signed(), nanoseconds: 0 }
    }

    fn add(&mut self, path: &Path, kind: Kind, content: Vec<u8>, mode: u32) {
        self.serial += 1;
        let (number, now) = (self.serial, self.now());
        self.nodes.insert(number, Node { kind, content, mode, uid: 0, gid: 0, mtime: now, atime: now });
        self.names.insert(path.to_path_buf(), number);
    }

    /// The path without links; the last part may be missing.
    fn resolve(&self, path: &Path, follow: bool) -> io::Result<PathBuf> {
        let mut todo: Vec<PathBuf> = path.components().rev().map(|part| part.as_os_str().into()).collect();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.components().next() {
                Some(Component::RootDir) => at = PathBuf::from("/"),
                Some(Component::ParentDir) => {
                    at.pop();
                }
                Some(Component::Normal(name)) => {
                    let next = at.join(name);
                    let node = self.names.get(&next).map(|number| &self.nodes[number]);
                    match node {
                        Some(node) if node.kind == Kind::Link && (follow || !todo.is_empty()) => {
                            links += 1;
                            if links > 40 {
                                return Err(no(ELOOP));
                            }
                            let target = PathBuf::from(String::from_utf8_lossy(&node.content).into_owned());
                            todo.extend(target.components().rev().map(|part| PathBuf::from(part.as_os_str())));
                        }
                        Some(node) if !todo.is_empty() && node.kind != Kind::Directory => return Err(no(ENOTDIR)),
                        None if !todo.is_empty() => return Err(no(ENOENT)),
                        _ => at = next,
                    }
                }
                _ => {}
            }
        }
        Ok(at)
    }

    fn number(&self, path: &Path, follow: bool) -> io::Result<u64> {
        self.names.get(&self.resolve(path, follow)?).copied().ok_or_else(|| no(ENOENT))
    }

    fn node(&self, path: &Path, follow: bool) -> io::Result<&Node> {
        Ok(&self.nodes[&self.number(path, follow)?])
    }

    fn node_mut(&mut self, path: &Path, follow: bool) -> io::Result<&mut Node> {
        let number = self.number(path, follow)?;
        self.nodes.get_mut(&number).ok_or_else(|| no(ENOENT))
    }

    /// Where something new may be put.
    fn vacant(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.resolve(path, false)?;
        if self.names.contains_key(&path) {
            return Err(no(EEXIST));
        }
        match path.parent().and_then(|folder| self.names.get(folder)) {
            Some(_) if self.full => Err(no(ENOSPC)),
            Some(_) => Ok(path),
            None => Err(no(ENOENT)),
        }
    }

    fn metadata(&self, number: u64) -> Metadata {
        let node = &self.nodes[&number];
        Metadata {
            kind: node.kind,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            size: node.content.len() as u64,
            mtime: node.mtime,
            atime: node.atime,
            ctime: node.mtime,
            ino: number,
            dev: 1,
            rdev: 0,
            nlink: self.names.values().filter(|other| **other == number).count() as u64,
            blocks: 8,
            block_size: 4096,
        }
    }

    fn children(&self, path: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|name| name.parent() == Some(path)).cloned().collect()
    }

    fn has_run(&self, pattern: &[String]) -> bool {
        self.ran.iter().any(|program| argv_matches(pattern, &program.argv))
    }
}

fn argv_matches(pattern: &[String], argv: &[String]) -> bool {
    let (pattern, argv) = match pattern.split_last() {
        Some((last, rest)) if last == "..." && argv.len() >= rest.len() => (rest, &argv[..rest.len()]),
        _ => (pattern, argv),
    };
    pattern.len() == argv.len() && pattern.iter().zip(argv).all(|(pattern, word)| pattern == word || matches(pattern, word))
}

struct Writer {
    fake: Fake,
    path: PathBuf,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.fake.state();
        if state.full {
            return Err(no(ENOSPC));
        }
        state.node_mut(&self.path, false)?.content.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct FakeConnection(Cursor<Vec<u8>>);

impl Read for FakeConnection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for FakeConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl System for Fake {
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        let node = state.node(path, true)?;
        if node.kind == Kind::Directory { Err(no(EISDIR)) } else { Ok(node.content.clone()) }
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(Cursor::new(self.read_file(path)?)))
    }

    fn create_temporary(&self, beside: &Path) -> io::Result<Temporary> {
        let mut state = self.state();
        let name = format!(".{}.tmp-{}", beside.file_name().unwrap_or_default().to_string_lossy(), state.serial);
        let path = state.vacant(&beside.with_file_name(name))?;
        state.add(&path, Kind::File, Vec::new(), 0o600);
        Ok(Temporary { path: path.clone(), file: Box::new(Writer { fake: self.clone(), path }) })
    }

    fn install_file(&self, temporary: &Path, path: &Path, permissions: &Permissions) -> io::Result<()> {
        let mut state = self.state();
        let replaced = state.node(path, false).ok().filter(|node| node.kind == Kind::File).cloned();
        let node = state.node_mut(temporary, false)?;
        node.mode = replaced.as_ref().map_or(0o644, |replaced| replaced.mode);
        if let Some(replaced) = replaced {
            (node.uid, node.gid) = (replaced.uid, replaced.gid);
        }
        drop(state);
        self.set_permissions(temporary, permissions)?;
        self.rename(temporary, path)
    }

    fn stat(&self, path: &Path) -> io::Result<Metadata> {
        let state = self.state();
        Ok(state.metadata(state.number(path, true)?))
    }

    fn lstat(&self, path: &Path) -> io::Result<Metadata> {
        let state = self.state();
        Ok(state.metadata(state.number(path, false)?))
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let path = state.resolve(path, true)?;
        match state.node(&path, true)?.kind {
            Kind::Directory => Ok(state.children(&path).iter().filter_map(|child| child.file_name().map(PathBuf::from)).collect()),
            _ => Err(no(ENOTDIR)),
        }
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let path = state.vacant(path)?;
        state.add(&path, Kind::Directory, Vec::new(), 0o755);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let path = state.resolve(path, false)?;
        if state.node(&path, false)?.kind == Kind::Directory {
            return Err(no(EISDIR));
        }
        state.names.remove(&path);
        Ok(())
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let path = state.resolve(path, false)?;
        state.number(&path, false)?;
        state.names.retain(|name, _| !name.starts_with(&path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (from, to) = (state.resolve(from, false)?, state.resolve(to, false)?);
        let number = state.number(&from, false)?;
        if !state.names.contains_key(to.parent().unwrap_or(Path::new("/"))) {
            return Err(no(ENOENT));
        }
        if let Ok(replaced) = state.node(&to, false)
            && replaced.kind == Kind::Directory
        {
            return Err(no(if state.nodes[&number].kind != Kind::Directory { EISDIR } else { ENOTEMPTY }));
        }
        let moved: Vec<_> =
            state.names.iter().filter(|(name, _)| name.starts_with(&from)).map(|(name, number)| (name.clone(), *number)).collect();
        for (name, number) in moved {
            state.names.remove(&name);
            let below = name.strip_prefix(&from).unwrap_or(Path::new("")).to_path_buf();
            state.names.insert(if below.as_os_str().is_empty() { to.clone() } else { to.join(below) }, number);
        }
        Ok(())
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let path = state.vacant(path)?;
        state.add(&path, Kind::Link, target.to_string_lossy().into_owned().into_bytes(), 0o777);
        Ok(())
    }

    fn hard_link(&self, existing: &Path, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let number = state.number(existing, false)?;
        let path = state.vacant(path)?;
        state.names.insert(path, number);
        Ok(())
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.state();
        let node = state.node(path, false)?;
        if node.kind != Kind::Link {
            return Err(ErrorKind::InvalidInput.into());
        }
        Ok(String::from_utf8_lossy(&node.content).into_owned().into())
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.state();
        let path = state.resolve(path, true)?;
        state.number(&path, true).map(|_| path)
    }

    fn chmod(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.state().node_mut(path, true)?.mode = mode;
        Ok(())
    }

    fn chown(&self, path: &Path, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let mut state = self.state();
        let node = state.node_mut(path, false)?;
        node.uid = uid.unwrap_or(node.uid);
        node.gid = gid.unwrap_or(node.gid);
        Ok(())
    }

    fn set_times(&self, path: &Path, atime: Option<Time>, mtime: Option<Time>) -> io::Result<()> {
        let mut state = self.state();
        let node = state.node_mut(path, false)?;
        node.atime = atime.unwrap_or(node.atime);
        node.mtime = mtime.unwrap_or(node.mtime);
        Ok(())
    }

    fn access(&self, path: &Path, access: Access) -> bool {
        match (self.stat(path), access) {
            (Err(_), _) => false,
            (Ok(found), Access::Execute) => found.mode & 0o111 != 0,
            (Ok(_), _) => true,
        }
    }

    fn inode_flags(&self, _path: &Path) -> Option<u32> {
        Some(0x8_0000)
    }

    fn disk_space(&self, _path: &Path) -> io::Result<DiskSpace> {
        let blocks_available = if self.state().full { 0 } else { 1 << 19 };
        Ok(DiskSpace { block_size: 4096, blocks: 1 << 20, blocks_available, inodes: 1 << 16, inodes_available: 1 << 15 })
    }

    fn run(&self, program: &Program) -> io::Result<Finished> {
        let answer = {
            let mut state = self.state();
            let found = state
                .answers
                .iter()
                .rev()
                .find(|answer| {
                    argv_matches(&answer.argv, &program.argv) && answer.after.as_ref().is_none_or(|pattern| state.has_run(pattern))
                })
                .cloned();
            state.ran.push(program.clone());
            if found.as_ref().is_some_and(|answer| answer.effect) {
                state.effects.push(program.clone());
            }
            found
        };
        let Some(answer) = answer else { return Err(no(ENOENT)) };
        for (path, value) in &answer.writes {
            self.set(path, value);
        }
        Ok(answer.finished)
    }

    /// The program has ended already: all of its output is there at once.
    fn start(&self, program: &Program) -> io::Result<Box<dyn Running>> {
        self.run(program).map(|finished| Box::new(Ended { finished }) as Box<dyn Running>)
    }

    fn hold_lease(&self, path: &Path, record: &[u8], _: Duration) -> io::Result<Holding> {
        if self.state().leases.iter().any(|lease| lease == path) {
            return Ok(Holding::Kept);
        }
        if self.is_leased(path)? {
            return Ok(Holding::Others);
        }
        self.state().add(path, Kind::File, record.to_owned(), 0o600);
        self.state().leases.push(path.to_owned());
        Ok(Holding::Taken)
    }

    fn release_lease(&self, path: &Path) {
        self.state().leases.retain(|lease| lease != path);
        self.state().names.remove(path);
    }

    fn is_leased(&self, path: &Path) -> io::Result<bool> {
        // Whoever takes it says by which agent.
        Ok(self.read_file(path).is_ok_and(|record| String::from_utf8_lossy(&record).contains("\"agent\"")))
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.state().clock)
    }

    fn sleep(&self, duration: Duration) {
        self.state().clock += duration.as_secs().max(1);
    }

    fn uname(&self) -> Uname {
        let text = |text: &str| text.to_owned();
        Uname { sysname: text("Linux"), nodename: text("node1"), release: text("6.12.0"), version: text("#1 SMP"), machine: text("x86_64") }
    }

    fn effective_uid(&self) -> u32 {
        0
    }

    fn effective_gid(&self) -> u32 {
        0
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "PATH").then(|| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        host.parse().map(|address| vec![address]).map_err(|_| ErrorKind::NotFound.into())
    }

    fn connect(&self, host: &str, port: u16, _timeout: Duration) -> io::Result<Box<dyn Connection>> {
        let text = self.state().ports.get(&format!("{host}:{port}")).cloned().ok_or(ErrorKind::ConnectionRefused)?;
        Ok(Box::new(FakeConnection(Cursor::new(text))))
    }

    fn connect_local(&self, path: &Path, _timeout: Duration) -> io::Result<Box<dyn Connection>> {
        if let Some(server) = &self.state().server
            && path.ends_with(".s.PGSQL.5432")
        {
            return Ok(Box::new(crate::postgres::fake::Session::new(server)));
        }
        let text = self.state().ports.get(&path.display().to_string()).cloned().ok_or(ErrorKind::ConnectionRefused)?;
        Ok(Box::new(FakeConnection(Cursor::new(text))))
    }
}

/// A program of the fake that was started.
struct Ended {
    finished: Finished,
}

impl Running for Ended {
    fn stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        Some(Box::new(io::sink()))
    }

    fn stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        Some(Box::new(io::Cursor::new(std::mem::take(&mut self.finished.stdout))))
    }

    fn stderr(&mut self) -> Option<Box<dyn Read + Send>> {
        Some(Box::new(io::Cursor::new(std::mem::take(&mut self.finished.stderr))))
    }

    fn wait(&mut self) -> io::Result<i32> {
        Ok(self.finished.status)
    }

    fn end(&mut self) {}
}
