//! The controller's own disk and, where a connection is `local`, its own agent.

use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pgfleet_engine::{Become, Incoming, Local};
use pgfleet_ssh::AgentBinary;
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};

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
    file: Option<std::fs::File>,
}

impl Part {
    fn file(&mut self) -> io::Result<&mut std::fs::File> {
        if self.file.is_none() {
            self.file = Some(std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.temporary)?);
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("no file"))
    }
}

impl Incoming for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all(bytes)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file()?.sync_all()?;
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
pub(crate) fn start_here(agent: &AgentBinary, wanted: Option<&Become>) -> io::Result<Child> {
    let program = unpacked(agent)?;
    let user = wanted.map(|wanted| wanted.user.as_str()).filter(|user| !is_me(user));
    let mut command = match user {
        Some(user) => {
            let mut command = Command::new("sudo");
            command.args(["-n", "-u", user, "--"]).arg(&program);
            command
        }
        None => Command::new(&program),
    };
    command.arg("exec").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()
}

fn is_me(user: &str) -> bool {
    std::env::var("USER").is_ok_and(|me| me == user) || (user == "root" && std::env::var_os("HOME").is_some_and(|home| home == "/root"))
}

/// The agent as a program on this disk, named by its content.
fn unpacked(agent: &AgentBinary) -> io::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let folder = cache.unwrap_or_else(std::env::temp_dir).join("pgfleet/agent").join(&agent.sha256);
    let program = folder.join("pgfleet-agent");
    if Disk.sha256(&program).as_ref() == Some(&agent.sha256) {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    let temporary = folder.join(format!(".{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&temporary)?;
    io::copy(&mut flate2::read::GzDecoder::new(&agent.gzip[..]), &mut file)?;
    drop(file);
    std::fs::rename(&temporary, &program)?;
    Ok(program)
}
