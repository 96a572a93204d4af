//! Files that are there whole or not at all, whatever happens while they are written.

use std::fs::{DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::StateError;
use crate::disk::{Disk, Real};

/// The end of the name of a file that is being written. It begins with a dot and names the process: `.NAME.PROCESS.tmp`.
const TEMPORARY: &str = ".tmp";
/// Folders of state that others keep in order, and that may be large.
const NOT_OURS: [&str; 3] = ["backups", "lab", "runs"];

/// Makes a folder and its parents, readable by the owner alone.
///
/// # Errors
/// When it cannot be made.
pub fn create_folder(path: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StateError::write(path))
}

/// Writes a file for the owner alone: a temporary file beside it, made durable, renamed, the folder made durable.
///
/// # Errors
/// When any step fails; the old file is then untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    create_folder(folder_of(path))?;
    put(&Real, path, bytes, None)
}

/// Writes a file in the place of another, whose mode and owner it keeps; a new one is for the owner alone.
///
/// # Errors
/// When any step fails; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    // A link stays one; what it leads to is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    put(&Real, path, bytes, std::fs::metadata(path).ok())
}

/// Gives a file that is kept another name beside it, whatever was there before.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StateError> {
    Real.rename(from, to).and_then(|()| Real.sync_folder(folder_of(to))).map_err(StateError::write(to))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn put(disk: &dyn Disk, path: &Path, bytes: &[u8], like: Option<Metadata>) -> Result<(), StateError> {
    let folder = folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}{TEMPORARY}", std::process::id()));
    let written = (|| {
        // What an earlier process with the same number has left.
        drop(disk.remove(&temporary));
        let mut file = disk.create(&temporary)?;
        disk.write(&mut file, bytes)?;
        if let Some(before) = like {
            // Only root may give files away; the mode follows, since a new owner takes bits of it along.
            drop(std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid())));
            file.set_permissions(before.permissions())?;
        }
        disk.sync(&file)?;
        disk.rename(&temporary, path)?;
        disk.sync_folder(folder)
    })();
    written.map_err(|error| {
        // What is left of the temporary file has no value; the first error is the one that matters.
        drop(disk.remove(&temporary));
        StateError::write(path)(error)
    })
}

/// Makes durable which names a folder has.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StateError> {
    Real.sync_folder(path).map_err(StateError::write(path))
}

/// Removes what processes that are no more have begun to write below a folder. Whoever holds the lock of the folder does it.
pub(crate) fn sweep(folder: &Path) {
    // A folder that cannot be read is met again by whoever reads what is in it.
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            sweep(&entry.path());
        } else if kind.is_file() && writer_of(&name).is_some_and(|process| !is_alive(process)) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

/// The process that writes a temporary file, by its name. Earlier versions gave it no end.
fn writer_of(name: &str) -> Option<u32> {
    let (before, process) = name.strip_suffix(TEMPORARY).unwrap_or(name).rsplit_once('.')?;
    process.parse().ok().filter(|_| before.len() > 1 && before.starts_with('.'))
}

fn is_alive(process: u32) -> bool {
    process != std::process::id() && PathBuf::from(format!("/proc/{process}")).exists()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::{put, sweep, writer_of};
    use crate::disk::faulty::{Fault, Faulty};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("pgfleet-durable-{name}-{}", std::process::id()));
        super::create_folder(&folder).expect("a folder");
        folder
    }

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let folder = folder("whole");
        let path = folder.join("deep/file");
        super::write(&path, b"one").expect("writes");
        super::write(&path, b"two").expect("writes again");
        assert_eq!(std::fs::read(&path).expect("reads"), b"two");
        assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.join("deep")).expect("lists").count(), 1);
        std::fs::remove_dir_all(folder).expect("cleans up");
    }

    /// Each call of the system fails once, and the power goes once before and once after it, with what was not made durable half lost.
    #[test]
    fn whatever_fails_while_it_is_written_the_file_is_the_old_one_or_the_new_one() {
        let folder = folder("faults");
        let path = folder.join("secret");
        let (old, new) = (b"old, and whole\n".as_slice(), b"new, and whole too\n".as_slice());
        let mut tried = 0;
        for fault in [Fault::NoRoom, Fault::NoRight, Fault::PowerCut] {
            for call in 1.. {
                super::write(&path, old).expect("the file of before");
                let disk = Faulty::new(fault, call);
                let ended = put(&disk, &path, new, None);
                if !disk.has_failed() {
                    ended.expect("nothing failed any more");
                    break;
                }
                tried += 1;
                let error = ended.expect_err("it failed, and says so");
                assert!(error.to_string().contains("secret"), "{error}");
                let now = std::fs::read(&path).expect("it is there");
                assert!(now == old || now == new, "{fault:?} at call {call}: {:?}", String::from_utf8_lossy(&now));
                let left: Vec<String> = names(&folder);
                assert!(fault == Fault::PowerCut || left == ["secret"], "{fault:?} at call {call} leaves {left:?}");
                sweep(&folder);
                assert_eq!(names(&folder), ["secret"], "after the next run has begun");
            }
        }
        assert_eq!(tried, 15, "five calls, three faults");
        std::fs::remove_dir_all(folder).expect("cleans up");
    }

    fn names(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("lists");
        let mut names: Vec<String> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_nobody_writes_any_more_is_swept() {
        let folder = folder("sweep");
        // Process 1 lives; no process has the largest number.
        let dead = u32::MAX;
        let kept = [".app.1.tmp", ".report.scram", "app", "app.next", "users/.a.b.scram"];
        let gone = [format!(".app.{dead}.tmp"), format!(".app.{dead}"), format!("users/..report.scram.{dead}.tmp")];
        for name in kept.iter().map(ToString::to_string).chain(gone.clone()) {
            super::write(&folder.join(&name), b"x").expect("writes");
        }
        super::write(&folder.join(format!("backups/.x.{dead}.tmp")), b"x").expect("writes");
        sweep(&folder);
        kept.iter().for_each(|name| assert!(folder.join(name).exists(), "{name} is gone"));
        gone.iter().for_each(|name| assert!(!folder.join(name).exists(), "{name} is left"));
        assert!(folder.join(format!("backups/.x.{dead}.tmp")).exists(), "backups look after themselves");
        assert_eq!((writer_of(".12.tmp"), writer_of("app.12"), writer_of(".a.12.tmp")), (None, None, Some(12)));
        std::fs::remove_dir_all(folder).expect("cleans up");
    }
}
