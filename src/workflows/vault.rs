//! Files and texts in ansible-vault's format: encrypted, opened, changed, and given another password.

use std::path::{Path, PathBuf};

use pgfleet_protocol::Secret;
use pgfleet_state::replace;
use pgfleet_template::{Problem, Vault, VaultPassword};

use crate::WorkflowError;

/// Columns that an encrypted value is indented by in YAML.
const INDENT: usize = 10;

/// Encrypts a text with the password.
///
/// # Errors
/// It is encrypted already, or there is no randomness.
pub fn seal_text(plain: &[u8], password: &VaultPassword) -> Result<String, WorkflowError> {
    if plain.starts_with(b"$ANSIBLE_VAULT;") {
        return Err(Problem::new("this is encrypted already").with_hint("'vault rekey' gives it another password").into());
    }
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| WorkflowError::Failed(format!("no random numbers: {error}")))?;
    Ok(Vault::new(vec![password.clone()]).seal_bytes(plain, &salt)?)
}

/// Opens an encrypted text with any of the passwords.
///
/// # Errors
/// It is not encrypted, or none of them opens it.
pub fn open_text(text: &[u8], passwords: &[VaultPassword]) -> Result<Vec<u8>, WorkflowError> {
    Ok(Vault::new(passwords.to_vec()).open_bytes(&readable(text)?)?.to_vec())
}

/// Encrypts a file in place; its mode stays. With `output` it goes there instead.
///
/// # Errors
/// As [`seal_text`], or the file cannot be read or written.
pub fn encrypt_file(path: &Path, output: Option<&Path>, password: &VaultPassword) -> Result<(), WorkflowError> {
    let sealed = seal_text(&content(path)?, password).map_err(|error| about(path, error))?;
    Ok(replace(output.unwrap_or(path), sealed.as_bytes())?)
}

/// Decrypts a file in place; its mode stays. With `output` it goes there instead.
///
/// # Errors
/// As [`open_text`], or the file cannot be read or written.
pub fn decrypt_file(path: &Path, output: Option<&Path>, passwords: &[VaultPassword]) -> Result<(), WorkflowError> {
    let plain = view_file(path, passwords)?;
    Ok(replace(output.unwrap_or(path), &plain)?)
}

/// What an encrypted file holds.
///
/// # Errors
/// As [`open_text`], or the file cannot be read.
pub fn view_file(path: &Path, passwords: &[VaultPassword]) -> Result<Vec<u8>, WorkflowError> {
    open_text(&content(path)?, passwords).map_err(|error| about(path, error))
}

/// Gives a file another password. All files can be opened before the first is written.
///
/// # Errors
/// As [`open_text`], or a file cannot be read or written.
pub fn rekey_files(paths: &[PathBuf], passwords: &[VaultPassword], new: &VaultPassword) -> Result<(), WorkflowError> {
    let mut sealed = Vec::new();
    for path in paths {
        sealed.push((path, seal_text(&view_file(path, passwords)?, new)?));
    }
    for (path, text) in sealed {
        replace(path, text.as_bytes())?;
    }
    Ok(())
}

/// Puts what a person made of an encrypted file back, with the label and password that it had. False when nothing changed.
///
/// # Errors
/// As [`seal_text`] and [`open_text`].
pub fn edited(path: &Path, passwords: &[VaultPassword], plain: &[u8]) -> Result<bool, WorkflowError> {
    let before = content(path)?;
    if open_text(&before, passwords).map_err(|error| about(path, error))? == plain {
        return Ok(false);
    }
    let text = readable(&before)?;
    let label = Vault::label_of(&text).unwrap_or_else(|| "default".to_owned());
    let opens = |password: &&VaultPassword| Vault::new(vec![(*password).clone()]).open_bytes(&text).is_ok();
    let Some(password) = passwords.iter().find(opens) else { return Err(Problem::new("no vault password opens this file").into()) };
    let sealed = seal_text(plain, &VaultPassword { label, password: password.password.clone() })?;
    replace(path, sealed.as_bytes())?;
    Ok(true)
}

/// A value for a YAML file, encrypted: `name: !vault |` and the lines below it.
///
/// # Errors
/// As [`seal_text`].
pub fn seal_value(name: Option<&str>, plain: &Secret, password: &VaultPassword) -> Result<String, WorkflowError> {
    let sealed = seal_text(plain.reveal().as_bytes(), password)?;
    let margin = " ".repeat(INDENT);
    let lines: String = sealed.lines().map(|line| format!("\n{margin}{line}")).collect();
    let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
    Ok(format!("{name}!vault |{lines}"))
}

fn content(path: &Path) -> Result<Vec<u8>, WorkflowError> {
    std::fs::read(path).map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())).into())
}

fn readable(text: &[u8]) -> Result<String, WorkflowError> {
    let text = std::str::from_utf8(text).ok().filter(|text| Vault::is_vault(text));
    Ok(text.ok_or_else(|| Problem::new("this is not encrypted with ansible-vault"))?.to_owned())
}

fn about(path: &Path, error: WorkflowError) -> WorkflowError {
    match error {
        WorkflowError::Input(problems) => {
            let named = |problem: Problem| Problem { message: format!("{}: {}", path.display(), problem.message), ..problem };
            WorkflowError::Input(problems.into_iter().map(named).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use pgfleet_protocol::Secret;
    use pgfleet_template::VaultPassword;

    use super::{decrypt_file, edited, encrypt_file, rekey_files, seal_value, view_file};

    fn password(label: &str, text: &str) -> VaultPassword {
        VaultPassword { label: label.to_owned(), password: Secret::new(text) }
    }

    #[test]
    fn files_are_encrypted_in_place_and_keep_their_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("vars.yml");
        let plain = [b"a: 1\n".as_slice(), &[0xff, 0x00]].concat();
        std::fs::write(&file, &plain).expect("writes");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("has a mode");
        let (first, second) = (password("default", "one"), password("prod", "two"));
        encrypt_file(&file, None, &first).expect("encrypts");
        assert!(encrypt_file(&file, None, &first).is_err(), "twice is a mistake");
        assert!(view_file(&file, std::slice::from_ref(&second)).is_err());
        rekey_files(std::slice::from_ref(&file), std::slice::from_ref(&first), &second).expect("rekeys");
        assert!(std::fs::read_to_string(&file).expect("reads").starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
        let both = [first, second];
        assert!(!edited(&file, &both, &plain).expect("compares"));
        assert!(edited(&file, &both, b"b: 2\n").expect("changes"));
        assert!(std::fs::read_to_string(&file).expect("reads").starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
        decrypt_file(&file, None, &both).expect("decrypts");
        assert_eq!(std::fs::read(&file).expect("reads"), b"b: 2\n");
        assert_eq!(std::fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
    }

    #[test]
    fn values_stand_in_yaml_as_ansible_vault_writes_them() {
        let value = seal_value(Some("token"), &Secret::new("x"), &password("default", "one")).expect("seals");
        let body = value.strip_prefix("token: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          ").expect("its head");
        assert!(body.lines().all(|line| line.trim().chars().all(|digit| digit.is_ascii_hexdigit())), "{value}");
    }
}
