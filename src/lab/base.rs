//! The base image: made once by mmdebstrap under a temporary name, then renamed, and shared by all labs of a release.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::command::{code, feed, program, run};
use crate::error::LabError;
use crate::mirror::Mirror;
use crate::recipe::Recipe;
use crate::record::{make_dir, remove_dir, write};
use crate::settings::Suite;
use crate::step::{Step, step};

const KEYRINGS: &str = "/usr/share/keyrings";

/// The folder of a recipe's image, made when it is not there yet.
pub(crate) fn ensure(cache_dir: &Path, suite: Suite, progress: &dyn Fn(Step)) -> Result<PathBuf, LabError> {
    let recipe = Recipe::new(suite, Mirror::of_machine());
    let image = cache_dir.join(format!("base-{suite}-{}", recipe.hash()));
    if image.is_dir() {
        return Ok(image);
    }
    make_dir(cache_dir, 0o755)?;
    let _lock = lock(cache_dir)?;
    if image.is_dir() {
        return Ok(image);
    }
    remove_unfinished(cache_dir)?;
    step(progress, &format!("making the base image of Debian {suite} (once)"), || {
        check_mirror(&recipe.mirror)?;
        let new = cache_dir.join(format!("base-{suite}-{}.new", recipe.hash()));
        let made = bootstrap(&recipe, &new, cache_dir, progress).and_then(|()| finish(&recipe, &new));
        if let Err(error) = made {
            // The first failure is the one to tell; what is left is removed by the next try.
            let _ = remove_dir(&new);
            return Err(error);
        }
        fs::rename(&new, &image).map_err(LabError::file("create", &image))
    })?;
    Ok(image)
}

/// Waits while another lab makes an image; the lock goes with the process that holds it.
fn lock(cache_dir: &Path) -> Result<File, LabError> {
    let path = cache_dir.join("lock");
    let file = File::create(&path).map_err(LabError::file("create", &path))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|errno| LabError::File { action: "lock", path, source: errno.into() })?;
    Ok(file)
}

/// What an interrupted making has left; nobody else makes one while the lock is ours.
fn remove_unfinished(cache_dir: &Path) -> Result<(), LabError> {
    let entries = fs::read_dir(cache_dir).map_err(LabError::file("read", cache_dir))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().ends_with(".new") {
            remove_dir(&entry.path())?;
        }
    }
    Ok(())
}

/// A dead network is told in seconds, not after apt's own patience.
fn check_mirror(mirror: &Mirror) -> Result<(), LabError> {
    let Some((host, port)) = mirror.endpoint() else { return Ok(()) };
    let failed = |cause: String| LabError::NoMirror { mirror: mirror.archive.clone(), cause };
    let addresses = (host.as_str(), port).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let mut cause = "no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(_) => return Ok(()),
            Err(error) => cause = error.to_string(),
        }
    }
    Err(failed(cause))
}

fn bootstrap(recipe: &Recipe, target: &Path, cache_dir: &Path, progress: &dyn Fn(Step)) -> Result<(), LabError> {
    let suite = recipe.suite;
    let keyring = keyring(suite, cache_dir)?;
    // Namespaces of its own: its mounts never show here, and nothing of it outlives this program.
    let mut command = program("setpriv");
    command.args(["--pdeathsig=KILL", "unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg("mmdebstrap");
    command.args(["--mode=root", "--format=directory", "--variant=minbase"]);
    // The lists stay: apt-get update in a guest then fetches only what is newer.
    command.args(["--skip=cleanup/apt/lists", &format!("--include={}", recipe.packages.join(","))]);
    command.arg(format!("--keyring={}", keyring.display()));
    for option in recipe.mirror.apt_options.lines() {
        command.arg(format!("--aptopt={}", option.trim_end_matches(';')));
    }
    command.arg("--aptopt=Acquire::Languages \"none\"").arg(suite.as_str()).arg(target);
    let line = |uri: &str, suite: &str| format!("deb {uri} {suite} main");
    command.arg(line(&recipe.mirror.archive, suite.as_str()));
    command.arg(line(&recipe.mirror.archive, &format!("{suite}-updates")));
    command.arg(line(&recipe.mirror.security, &format!("{suite}-security")));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = |source| LabError::Start { command: "mmdebstrap".to_owned(), source };
    let mut child = command.spawn().map_err(failed)?;
    let mut tail: Vec<String> = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).rsplit('\r').next().unwrap_or_default().trim().to_owned();
            if let Some(words) = line.strip_prefix("I: ") {
                progress(Step::Detail(words.to_owned()));
            }
            tail.push(line);
            tail.drain(..tail.len().saturating_sub(12));
        }
    }
    let status = child.wait().map_err(|source| LabError::Start { command: "mmdebstrap".to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(LabError::Base { code: code(status), tail: tail.join("\n") }) }
}

/// The keys that sign a release. A machine older than the release gets them from the newest keyring package of its own
/// release, which apt checks with the keys that the machine has.
fn keyring(suite: Suite, cache_dir: &Path) -> Result<PathBuf, LabError> {
    let knows = |folder: &Path| {
        ["gpg", "pgp"].iter().any(|ending| folder.join(format!("debian-archive-{suite}-automatic.{ending}")).is_file())
            && folder.join("debian-archive-keyring.gpg").is_file()
    };
    if knows(Path::new(KEYRINGS)) {
        return Ok(Path::new(KEYRINGS).join("debian-archive-keyring.gpg"));
    }
    let folder = cache_dir.join("keyring.new");
    remove_dir(&folder)?;
    make_dir(&folder, 0o755)?;
    let path = folder.to_string_lossy().into_owned();
    run(
        "sh",
        &["-c", "cd \"$1\" && apt-get update -q && apt-get download -q debian-archive-keyring && dpkg-deb -x ./*.deb tree", "sh", &path],
    )?;
    let tree = folder.join("tree/usr/share/keyrings");
    if knows(&tree) {
        return Ok(tree.join("debian-archive-keyring.gpg"));
    }
    Err(LabError::Base {
        code: "no key".to_owned(),
        tail: format!("this machine's debian-archive-keyring has no key of Debian {suite}: upgrade it"),
    })
}

/// The recipe's files, users and units.
fn finish(recipe: &Recipe, image: &Path) -> Result<(), LabError> {
    let root = image.to_string_lossy().into_owned();
    for file in &recipe.files {
        let path = image.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(LabError::file("create", folder))?;
        }
        write(&path, file.text.as_bytes(), file.mode)?;
    }
    for stale in ["etc/apt/sources.list", "etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname", "etc/resolv.conf"] {
        let path = image.join(stale);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(LabError::file("remove", path)(error)),
            _ => {}
        }
    }
    let ssh = image.join("etc/ssh");
    for entry in fs::read_dir(&ssh).map_err(LabError::file("read", &ssh))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path()).map_err(LabError::file("remove", entry.path()))?;
        }
    }
    run("chroot", &[&root, "update-ca-certificates"])?;
    run("chroot", &[&root, "useradd", "--create-home", "--shell=/bin/bash", "--uid=1000", "--gid=operator", "--groups=sudo", "operator"])?;
    feed("chroot", &[&root, "chpasswd"], "operator:operator\n")?;
    for folder in ["root/.ssh", "home/operator/.ssh"] {
        make_dir(&image.join(folder), 0o700)?;
    }
    run("chroot", &[&root, "chown", "operator:operator", "/home/operator/.ssh"])?;
    for (verb, units) in [("mask", recipe.masked), ("enable", recipe.enabled)] {
        let mut arguments = vec!["--quiet", "--root", &root, verb];
        arguments.extend(units);
        run("systemctl", &arguments)?;
    }
    fs::set_permissions(image, Permissions::from_mode(0o755)).map_err(LabError::file("set the mode of", image))
}
