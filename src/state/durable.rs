//! Files that are there whole or not at all, whatever happens while they are written.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::StateError;

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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error| {
        // What is left of the temporary file has no value; the first error is the one that matters.
        drop(std::fs::remove_file(&temporary));
        StateError::write(path)(error)
    })
}

/// Writes a file in the place of another, whose mode and owner it keeps; a new one is for the owner alone.
///
/// # Errors
/// When any step fails; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    // A link stays one; what it leads to is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = std::fs::metadata(path).ok();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        if let Some(before) = before {
            // Only root may give files away; the mode follows, since a new owner takes bits of it along.
            drop(std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid())));
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error| {
        // What is left of the temporary file has no value; the first error is the one that matters.
        drop(std::fs::remove_file(&temporary));
        StateError::write(path)(error)
    })
}

/// Makes durable which names a folder has.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StateError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(StateError::write(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let folder = std::env::temp_dir().join(format!("pgfleet-durable-{}", std::process::id()));
        let path = folder.join("deep/file");
        super::write(&path, b"one").expect("writes");
        super::write(&path, b"two").expect("writes again");
        assert_eq!(std::fs::read(&path).expect("reads"), b"two");
        assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.join("deep")).expect("lists").count(), 1);
        std::fs::remove_dir_all(folder).expect("cleans up");
    }
}
