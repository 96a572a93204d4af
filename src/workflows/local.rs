//! The controller's own disk and, where a connection is `local`, its own agent.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use pgfleet_engine::{Become, Incoming, Local};
use pgfleet_protocol::Secret;
use pgfleet_ssh::AgentBinary;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::settle::Settling;

/// The disk.
pub(crate) struct Disk;

impl Local for Disk {
    fn sha256(&self, path: &Path) -> Option<String> {
        let mut file = std::fs::File::open(path).ok()?;
        let mut hasher = Sha256::new();
        let mut buffer = [0; 64 * 1024];
        loop {
            match file.read(&mut buffer).ok()? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        Some(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Incoming>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        Ok(Box::new(Part { path: path.to_owned(), temporary, file: None }))
    }
}

/// A file that appears when it is whole.
struct Part {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<Settling>,
}

impl Part {
    fn file(&mut self) -> io::Result<&mut Settling> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.temporary)?;
                Ok(none.insert(Settling::new(file)))
            }
        }
    }
}

impl Incoming for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write(bytes)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file()?;
        self.file.take().map_or(Ok(()), Settling::finish)?;
        std::fs::set_permissions(&self.temporary, std::fs::Permissions::from_mode(0o644))?;
        std::fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After `finish` there is nothing left to remove.
        drop(std::fs::remove_file(&self.temporary));
    }
}

/// Starts the carried agent on the controller.
pub(crate) async fn start_here(agent: &AgentBinary, wanted: Option<&Become>) -> io::Result<Child> {
    let user = wanted.filter(|wanted| !is_me(&wanted.user));
    // Another user may not be able to enter this one's home.
    let folder = if user.is_some() { public_folder()? } else { private_folder() };
    let program = unpacked(agent, &folder)?;
    let mut command = as_user(user, program.as_os_str()).await?;
    // Ctrl-C and the end of a terminal reach all processes of a group: what the agent does now, it shall do to its end.
    command.process_group(0);
    command.arg("exec").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()
}

/// Runs a command line on the controller to its end.
pub(crate) async fn run_here(line: &str, wanted: Option<&Become>) -> io::Result<Output> {
    let mut command = as_user(wanted.filter(|wanted| !is_me(&wanted.user)), OsStr::new("/bin/sh")).await?;
    // As with the agent.
    command.process_group(0);
    command.args(["-c", line]).stdin(Stdio::null()).kill_on_drop(true).output().await
}

/// A command that a program begins as the wanted user: root needs no leave, others have sudo's.
pub(crate) async fn as_user(wanted: Option<&Become>, program: &OsStr) -> io::Result<Command> {
    let Some(wanted) = wanted else { return Ok(Command::new(program)) };
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", &wanted.user, "--"]).arg(program);
        return Ok(command);
    }
    if wanted.method.ends_with("doas") {
        let mut command = Command::new(wanted.exe.as_deref().unwrap_or("doas"));
        command.args(["-n", "-u", &wanted.user]).arg(program);
        return Ok(command);
    }
    if wanted.method.ends_with("su") {
        return Err(io::Error::other("on the controller itself another user is become by sudo or doas, or by root"));
    }
    if let Some(password) = &wanted.password {
        leave_of_sudo(password).await?;
    }
    let mut command = Command::new("sudo");
    command.args(["-n", "-H", "-u", &wanted.user, "--"]).arg(program);
    Ok(command)
}

/// Has sudo take the password beforehand: later it would be read from the same stream as the agent's frames.
async fn leave_of_sudo(password: &Secret) -> io::Result<()> {
    let mut sudo = Command::new("sudo");
    sudo.args(["-S", "-p", "", "-v"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = sudo.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // sudo that asks for nothing closes its input unread.
        let _unread = stdin.write_all(format!("{}\n", password.reveal()).as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("sudo does not accept the password: {}", said.lines().next_back().unwrap_or_default().trim())))
}

/// Whether this process already is the user.
pub(crate) fn is_me(user: &str) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let named = |line: &str| {
        let mut fields = line.split(':');
        fields.next() == Some(user) && fields.nth(1).and_then(|uid| uid.parse().ok()) == Some(me)
    };
    std::fs::read_to_string("/etc/passwd").is_ok_and(|text| text.lines().any(named)) || (user == "root" && me == 0)
}

fn private_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("pgfleet/agent")
}

/// A folder of ours that every user can enter and nobody else can write to.
fn public_folder() -> io::Result<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    let folder = PathBuf::from(format!("/var/tmp/pgfleet-{me}"));
    match std::fs::DirBuilder::new().mode(0o755).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let data = std::fs::symlink_metadata(&folder)?;
    if !data.is_dir() || data.uid() != me || data.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!("{} belongs to somebody else, or others may write to it: remove it", folder.display())));
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// The agent as a program on this disk, named by its content.
fn unpacked(agent: &AgentBinary, folder: &Path) -> io::Result<PathBuf> {
    let folder = folder.join(&agent.sha256);
    let program = folder.join("pgfleet-agent");
    if Disk.sha256(&program).as_ref() == Some(&agent.sha256) {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    let temporary = folder.join(format!(".{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&temporary)?;
    io::copy(&mut flate2::read::GzDecoder::new(&agent.gzip[..]), &mut file)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    drop(file);
    std::fs::rename(&temporary, &program)?;
    Ok(program)
}
