//! Passwords: made once, kept in files of their own, never replaced unasked.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use pgfleet_protocol::Secret;

use crate::{StateError, durable};

/// The end of the name of a file that will replace a secret.
const STAGED: &str = ".next";
/// What is put into the name of a file that made room for another, before the time.
const OLD: &str = ".old-";
/// Why a secret without the end of its line is not taken.
pub(crate) const CUT_SHORT: &str = "its line has no end, so it may have been cut short";
const LENGTH: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A new password: 32 letters and digits from the operating system's generator (190 bits).
///
/// # Errors
/// When the operating system has no random numbers to give.
pub fn make_password() -> Result<Secret, StateError> {
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(|error| StateError::Random(error.to_string()))?;
        // Bytes above the largest multiple of 62 are left out, so that each letter is as likely.
        let letters = bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        text.extend(letters.take(LENGTH - text.len()));
    }
    Ok(Secret::new(text))
}

/// How a sealed file of ansible-vault begins.
const SEALED: &str = "$ANSIBLE_VAULT;";

/// Seals secrets for the disk, in ansible-vault's format.
pub trait Seal: Send + Sync {
    /// Opens a sealed text; `None` when it cannot be opened.
    fn open(&self, text: &str) -> Option<Secret>;
    /// Seals a secret; `None` when it cannot be sealed.
    fn seal(&self, secret: &Secret) -> Option<String>;
}

/// The folder of one cluster's secrets, a file each.
#[derive(Clone)]
pub struct Secrets {
    folder: PathBuf,
    seal: Option<Arc<dyn Seal>>,
}

impl Secrets {
    /// The secrets in a folder, which need not exist yet.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), seal: None }
    }

    /// The same, which can open what is sealed. What is stored is sealed where the secrets are.
    #[must_use]
    pub fn with_seal(self, seal: Option<Arc<dyn Seal>>) -> Self {
        Self { seal, ..self }
    }

    /// Whether the secrets are sealed: one that is speaks for all.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn is_sealed(&self) -> Result<bool, StateError> {
        for (name, _) in self.names()? {
            let path = self.folder.join(name);
            if std::fs::read_to_string(&path).map_err(StateError::read(&path))?.starts_with(SEALED) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores a secret again, sealed or not.
    ///
    /// # Errors
    /// When it cannot be read, sealed or stored.
    pub fn store_again(&self, name: &str, sealed: bool) -> Result<(), StateError> {
        match self.read_document(name)? {
            Some(secret) => self.write(name, &secret, sealed),
            None => Ok(()),
        }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A secret, if it was made.
    ///
    /// # Errors
    /// When its file cannot be read, or is empty.
    pub fn read(&self, name: &str) -> Result<Option<Secret>, StateError> {
        let path = self.folder.join(name);
        match self.read_document(name)? {
            Some(text) if text.reveal().contains('\n') => Err(StateError::Secret { path, reason: "it has more than one line" }),
            text => Ok(text),
        }
    }

    /// A secret of any number of lines, if it was made; without the end of its last line.
    ///
    /// # Errors
    /// When its file cannot be read, or is empty.
    pub fn read_document(&self, name: &str) -> Result<Option<Secret>, StateError> {
        let path = self.folder.join(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) if text.contains('\0') => return Err(StateError::Secret { path, reason: "it holds what no text holds" }),
            Ok(text) if text.starts_with(SEALED) => match &self.seal {
                None => return Err(StateError::Secret { path, reason: "it is sealed; open it with --vault-password-file FILE" }),
                Some(seal) => seal
                    .open(&text)
                    .ok_or(StateError::Secret { path: path.clone(), reason: "no vault password that was given opens it" })?,
            },
            // Whatever is kept here ends with the end of a line: half of a password would be taken for one.
            Ok(text) if !text.is_empty() && !text.ends_with('\n') => return Err(StateError::Secret { path, reason: CUT_SHORT }),
            Ok(text) => Secret::new(text.trim_end_matches(['\r', '\n'])),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::read(&path)(error)),
        };
        match text.reveal() {
            "" => Err(StateError::Secret { path, reason: "the file is empty" }),
            _ => Ok(Some(text)),
        }
    }

    /// A secret, made now if it was not before.
    ///
    /// # Errors
    /// When it cannot be read, made or stored.
    pub fn read_or_make(&self, name: &str) -> Result<Secret, StateError> {
        if let Some(secret) = self.read(name)? {
            return Ok(secret);
        }
        let secret = make_password()?;
        self.store(name, &secret)?;
        Ok(secret)
    }

    /// What will replace a secret once everything uses it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn staged(&self, name: &str) -> Result<Option<Secret>, StateError> {
        self.read(&format!("{name}{STAGED}"))
    }

    /// Keeps what will replace a secret, beside it.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub fn stage(&self, name: &str, secret: &Secret) -> Result<(), StateError> {
        self.store(&format!("{name}{STAGED}"), secret)
    }

    /// What was staged becomes the secret. Nothing happens where nothing is staged.
    ///
    /// # Errors
    /// When it cannot be done; the old secret and the staged one are then there as before.
    pub fn commit(&self, name: &str) -> Result<(), StateError> {
        let path = self.folder.join(name);
        match std::fs::rename(self.folder.join(format!("{name}{STAGED}")), &path) {
            Ok(()) => durable::sync_folder(&self.folder),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StateError::write(&path)(error)),
        }
    }

    /// Throws away what was staged.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn discard(&self, name: &str) -> Result<(), StateError> {
        let path = self.folder.join(format!("{name}{STAGED}"));
        match std::fs::remove_file(&path) {
            Ok(()) => durable::sync_folder(&self.folder),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StateError::write(&path)(error)),
        }
    }

    /// Gives a secret that makes room another name beside it, and tells that; `time` makes it its own. Nothing where there is none.
    ///
    /// # Errors
    /// When it cannot be done; it is then there as before.
    pub fn put_aside(&self, name: &str, time: &str) -> Result<Option<PathBuf>, StateError> {
        put_aside(&self.folder.join(name), time)
    }

    /// The files that others on this machine may read, with their modes.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn exposed(&self) -> Result<Vec<(String, u32)>, StateError> {
        let mut found = Vec::new();
        for (name, _) in self.names()? {
            let path = self.folder.join(&name);
            let mode = std::fs::metadata(&path).map_err(StateError::read(&path))?.mode() & 0o777;
            if mode & 0o077 != 0 {
                found.push((name, mode));
            }
        }
        Ok(found)
    }

    /// The names of all secrets below the folder with the time each was made, sorted. Staged ones, those that made room, and hidden files are left out.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn names(&self) -> Result<Vec<(String, SystemTime)>, StateError> {
        let mut found = Vec::new();
        for prefix in ["", "users/"] {
            let folder = self.folder.join(prefix);
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StateError::read(&folder)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(StateError::read(&folder))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let data = entry.metadata().map_err(StateError::read(&entry.path()))?;
                if data.is_file() && !name.starts_with('.') && !name.ends_with(STAGED) && !name.contains(OLD) {
                    found.push((format!("{prefix}{name}"), data.modified().map_err(StateError::read(&entry.path()))?));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Stores a secret.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub fn store(&self, name: &str, secret: &Secret) -> Result<(), StateError> {
        self.write(name, secret, self.is_sealed()?)
    }

    /// Stores a secret, sealed or not, whatever those beside it are.
    ///
    /// # Errors
    /// When it cannot be sealed or stored.
    pub fn store_as(&self, name: &str, secret: &Secret, sealed: bool) -> Result<(), StateError> {
        self.write(name, secret, sealed)
    }

    fn write(&self, name: &str, secret: &Secret, sealed: bool) -> Result<(), StateError> {
        let path = self.folder.join(name);
        if !sealed {
            return durable::write(&path, format!("{}\n", secret.reveal()).as_bytes());
        }
        let reason = "the secrets beside it are sealed, and it cannot be without --vault-password-file FILE";
        let text = self.seal.as_ref().and_then(|seal| seal.seal(secret));
        durable::write(&path, text.ok_or(StateError::Secret { path: path.clone(), reason })?.as_bytes())
    }
}

/// Gives a file that makes room for another its name with the time behind it, and tells that. Nothing where there is none.
///
/// # Errors
/// When it cannot be done; it is then there as before.
pub fn put_aside(path: &Path, time: &str) -> Result<Option<PathBuf>, StateError> {
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}{OLD}{time}"));
    durable::rename(path, &aside)?;
    Ok(Some(aside))
}

#[cfg(test)]
mod tests {
    use super::{Secrets, make_password};

    #[test]
    fn passwords_are_long_and_differ() {
        let (first, second) = (make_password().expect("random"), make_password().expect("random"));
        assert_eq!(first.reveal().len(), 32);
        assert!(first != second);
    }

    #[test]
    fn a_secret_is_made_once() {
        let folder = std::env::temp_dir().join(format!("pgfleet-secrets-{}", std::process::id()));
        let secrets = Secrets::in_folder(&folder);
        assert!(secrets.read("app").expect("reads").is_none());
        let made = secrets.read_or_make("app").expect("makes");
        assert!(secrets.read_or_make("app").expect("reads") == made);
        let old = secrets.read("app").expect("reads");
        let new = make_password().expect("random");
        secrets.stage("app", &new).expect("stages");
        assert!(secrets.read("app").expect("reads") == old && secrets.staged("app").expect("reads").as_ref() == Some(&new));
        assert_eq!(secrets.names().expect("lists").into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["app"]);
        secrets.commit("app").expect("commits");
        secrets.commit("app").expect("has nothing left to do");
        assert!(secrets.read("app").expect("reads") == Some(new) && secrets.staged("app").expect("reads").is_none());
        std::fs::write(folder.join("empty"), "\n").expect("writes");
        assert!(secrets.read_or_make("empty").is_err(), "an emptied secret is not silently replaced");
        std::fs::remove_dir_all(folder).expect("cleans up");
    }

    /// Half of a password is no password, at whatever length it was cut; and nothing of it is taken, made anew or thrown away.
    #[test]
    fn a_damaged_secret_is_refused_and_left_as_it_is() {
        let folder = std::env::temp_dir().join(format!("pgfleet-damaged-{}", std::process::id()));
        let secrets = Secrets::in_folder(&folder);
        let path = folder.join("app");
        secrets.read_or_make("app").expect("makes");
        let whole = std::fs::read(&path).expect("reads");
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
        // A block that never reached the disk, something that is no text, and two lines.
        damaged.extend([vec![0; whole.len()], [&whole[..16], &[0; 17]].concat(), vec![0xff, 0xfe, b'\n'], [&whole[..], b"x\n"].concat()]);
        for bytes in damaged {
            std::fs::write(&path, &bytes).expect("writes");
            let error = secrets.read_or_make("app").expect_err("refuses");
            assert!(error.to_string().contains("/app"), "{error}");
            assert_eq!(std::fs::read(&path).expect("reads"), bytes, "it is left as it is");
        }
        let aside = secrets.put_aside("app", "20260101T000000").expect("moves").expect("there was one");
        assert!(aside.ends_with("app.old-20260101T000000") && secrets.names().expect("lists").is_empty());
        assert!(secrets.put_aside("app", "20260101T000000").expect("looks").is_none());
        std::fs::remove_dir_all(folder).expect("cleans up");
    }

    #[test]
    fn what_others_may_read_is_told() {
        let folder = std::env::temp_dir().join(format!("pgfleet-exposed-{}", std::process::id()));
        let secrets = Secrets::in_folder(&folder);
        secrets.read_or_make("app").expect("makes");
        secrets.read_or_make("users/report").expect("makes");
        assert!(secrets.exposed().expect("looks").is_empty());
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(folder.join("users/report"), open).expect("opens");
        assert_eq!(secrets.exposed().expect("looks"), [("users/report".to_owned(), 0o644)]);
        std::fs::remove_dir_all(folder).expect("cleans up");
    }
}
