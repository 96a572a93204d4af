//! The files that a playbook names: on disk, or carried inside the program.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Shelf, Vault};

/// Where files come from. Paths are as the person wrote them, made absolute or relative to the project's folder.
pub trait Files: Send + Sync {
    /// The content.
    ///
    /// # Errors
    /// As the operating system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// True for a file.
    fn is_file(&self, path: &Path) -> bool;
    /// True for a folder.
    fn is_folder(&self, path: &Path) -> bool;
    /// What a folder holds, sorted by name, full paths.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// The twelve permission bits of a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn permissions(&self, path: &Path) -> io::Result<u32>;
    /// What tells a file as it is now from what may be in its place later; nothing where that cannot be told.
    fn identity(&self, _: &Path) -> Option<FileIdentity> {
        None
    }
    /// Where documents are kept that were parsed already, if anywhere.
    fn shelf(&self) -> Option<Arc<Shelf>> {
        None
    }
}

/// A file in one state: its place on the disk, its length and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    length: u64,
    written: SystemTime,
}

/// Within this time of each other two states of a file may bear the same time.
const TICK: Duration = Duration::from_millis(100);

/// Without `.` and `a/..`, as a person would write it.
#[must_use]
pub fn tidy(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(result.components().next_back(), Some(Component::Normal(_))) => drop(result.pop()),
            part => result.push(part),
        }
    }
    if result.as_os_str().is_empty() { PathBuf::from(".") } else { result }
}

/// The disk itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn permissions(&self, path: &Path) -> io::Result<u32> {
        use std::os::unix::fs::PermissionsExt;
        Ok(std::fs::metadata(path)?.permissions().mode() & 0o7777)
    }

    fn identity(&self, path: &Path) -> Option<FileIdentity> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).ok()?;
        let written = found.modified().ok()?;
        let rests = SystemTime::now().duration_since(written).is_ok_and(|age| age > TICK);
        rests.then(|| FileIdentity { device: found.dev(), inode: found.ino(), length: found.len(), written })
    }
}

/// Files whose readers see what a vault holds: encrypted ones are opened as they are read.
pub struct Opened {
    files: Arc<dyn Files>,
    vault: Arc<Vault>,
}

impl Opened {
    /// These files, opened with this vault.
    #[must_use]
    pub fn new(files: Arc<dyn Files>, vault: Arc<Vault>) -> Self {
        Self { files, vault }
    }
}

impl Files for Opened {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = self.files.read(path)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if Vault::is_vault(text) => {
                self.vault.open_bytes(text).map(|plain| plain.to_vec()).map_err(|problem| io::Error::other(problem.to_string()))
            }
            _ => Ok(bytes),
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.is_file(path)
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.files.is_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.list(folder)
    }

    fn permissions(&self, path: &Path) -> io::Result<u32> {
        self.files.permissions(path)
    }
}

/// The disk first, then files that the program carries, whose paths are relative to `root`.
#[derive(Clone, Debug)]
pub struct Overlay {
    root: PathBuf,
    carried: BTreeMap<&'static str, &'static [u8]>,
    shelf: Arc<Shelf>,
}

impl Overlay {
    /// Carried files appear below `root` where the disk has none of that name.
    pub fn new(root: impl Into<PathBuf>, carried: impl IntoIterator<Item = (&'static str, &'static [u8])>) -> Self {
        Self { root: root.into(), carried: carried.into_iter().collect(), shelf: Arc::default() }
    }

    fn carried(&self, path: &Path) -> Option<&'static [u8]> {
        self.carried.get(self.relative(path)?.as_str()).copied()
    }

    fn relative(&self, path: &Path) -> Option<String> {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.strip_prefix(&self.root).ok()?.components() {
            match part {
                std::path::Component::ParentDir => drop(parts.pop()?),
                std::path::Component::CurDir => {}
                other => parts.push(other.as_os_str().to_str()?),
            }
        }
        Some(parts.join("/"))
    }
}

impl Files for Overlay {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match Disk.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.carried(path).map(<[u8]>::to_vec).ok_or(error),
            other => other,
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        Disk.is_file(path) || self.carried(path).is_some()
    }

    fn is_folder(&self, path: &Path) -> bool {
        Disk.is_folder(path)
            || self.relative(path).is_some_and(|folder| {
                let prefix = format!("{folder}/");
                self.carried.keys().any(|name| name.starts_with(&prefix))
            })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let on_disk = Disk.list(folder);
        let Some(relative) = self.relative(folder) else { return on_disk };
        let prefix = if relative.is_empty() { relative } else { format!("{relative}/") };
        let mut paths: std::collections::BTreeSet<PathBuf> = match on_disk {
            Ok(paths) => paths.into_iter().collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_folder(folder) => std::collections::BTreeSet::new(),
            Err(error) => return Err(error),
        };
        let inside = self.carried.keys().filter_map(|name| name.strip_prefix(prefix.as_str())).filter_map(|rest| rest.split('/').next());
        paths.extend(inside.map(|name| folder.join(name)));
        Ok(paths.into_iter().collect())
    }

    fn permissions(&self, path: &Path) -> io::Result<u32> {
        match Disk.permissions(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.carried(path).is_some() => Ok(0o644),
            other => other,
        }
    }

    fn identity(&self, path: &Path) -> Option<FileIdentity> {
        Disk.identity(path)
    }

    fn shelf(&self) -> Option<Arc<Shelf>> {
        Some(self.shelf.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Files, Overlay};

    #[test]
    fn carried_files_stand_behind_the_disk() {
        let files = Overlay::new("/nowhere", [("playbooks/a.yml", b"a".as_slice()), ("playbooks/tasks/b.yml", b"b".as_slice())]);
        assert_eq!(files.read(Path::new("/nowhere/playbooks/tasks/../a.yml")).ok(), Some(b"a".to_vec()));
        assert!(files.is_folder(Path::new("/nowhere/playbooks/tasks")));
        assert_eq!(files.list(Path::new("/nowhere/playbooks")).expect("lists").len(), 2);
        assert!(files.read(Path::new("/nowhere/playbooks/c.yml")).is_err());
    }
}

#[cfg(test)]
mod opened_tests {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use pgfleet_protocol::Secret;

    use super::{Files, Opened};
    use crate::{Vault, VaultPassword};

    /// One file, whatever it is called.
    struct One(Vec<u8>);

    impl Files for One {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Ok(self.0.clone())
        }

        fn is_file(&self, _: &Path) -> bool {
            true
        }

        fn is_folder(&self, _: &Path) -> bool {
            false
        }

        fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }

        fn permissions(&self, _: &Path) -> io::Result<u32> {
            Ok(0o600)
        }
    }

    #[test]
    fn what_a_vault_holds_is_read_opened() {
        let vault = Vault::new(vec![VaultPassword { label: "default".to_owned(), password: Secret::new("pw") }]);
        let sealed = vault.seal_bytes(b"key \xff", &[7; 32]).expect("sealed");
        let read = |content: &[u8], vault: Vault| Opened::new(Arc::new(One(content.to_vec())), Arc::new(vault)).read(Path::new("f"));
        assert_eq!(read(sealed.as_bytes(), vault.clone()).expect("opened"), b"key \xff");
        assert_eq!(read(b"plain", vault).expect("as it is"), b"plain");
        assert!(read(sealed.as_bytes(), Vault::none()).expect_err("closed").to_string().contains("no vault password"));
    }
}
