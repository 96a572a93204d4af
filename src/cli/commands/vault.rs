//! `pgfleet vault`, and `ansible-vault`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use pgfleet_protocol::Secret;
use pgfleet_template::{Problem, VaultPassword};
use pgfleet_workflows::{WorkflowError, decrypt_file, edited, encrypt_file, open_text, rekey_files, seal_text, seal_value, view_file};

use crate::args::{VaultCommand, VaultFiles, VaultSource};
use crate::exit::Exit;
use crate::{prompt, screen, settings};

const STANDARD: &str = "-";

pub(crate) fn run(command: VaultCommand) -> Result<Exit, WorkflowError> {
    match command {
        VaultCommand::Encrypt(files) => {
            let passwords = passwords(&files.source)?;
            let password = chosen(&files.source, &passwords)?;
            each(&files, |path, output| encrypt_file(path, output, password), |text| Ok(seal_text(text, password)?.into_bytes()), true)
        }
        VaultCommand::Decrypt(files) => {
            let passwords = passwords(&files.source)?;
            each(&files, |path, output| decrypt_file(path, output, &passwords), |text| open_text(text, &passwords), false)
        }
        VaultCommand::View(files) => {
            let passwords = passwords(&files.source)?;
            for file in &files.files {
                screen::bytes(&view_file(file, &passwords)?);
            }
            Ok(Exit::Done)
        }
        VaultCommand::Edit(files) => {
            let passwords = passwords(&files.source)?;
            for file in &files.files {
                edit(file, &passwords, chosen(&files.source, &passwords)?)?;
            }
            Ok(Exit::Done)
        }
        VaultCommand::Rekey { files, new } => {
            let passwords = passwords(&files.source)?;
            let new = match new {
                Some(given) => settings::vault_password(&given)?,
                None => VaultPassword { label: "default".to_owned(), password: twice("New Vault password: ")? },
            };
            rekey_files(&files.files, &passwords, &new)?;
            screen::note("Rekey successful");
            Ok(Exit::Done)
        }
        VaultCommand::EncryptString { text, name, source } => {
            let passwords = passwords(&source)?;
            let text = match text {
                Some(text) => Secret::new(text),
                None if prompt::is_possible() => settings::asked("String to encrypt: ", "the argument")?,
                None => Secret::new(String::from_utf8_lossy(&standard_input()?).into_owned()),
            };
            screen::line(&seal_value(name.as_deref(), &text, chosen(&source, &passwords)?)?);
            Ok(Exit::Done)
        }
    }
}

/// Files in place or into one output; standard input to standard output.
fn each(
    files: &VaultFiles,
    in_place: impl Fn(&Path, Option<&Path>) -> Result<(), WorkflowError>,
    whole: impl Fn(&[u8]) -> Result<Vec<u8>, WorkflowError>,
    encrypts: bool,
) -> Result<Exit, WorkflowError> {
    let output = files.output.as_deref();
    if output.is_some() && files.files.len() > 1 {
        return Err(Problem::new("--output takes one file at a time").into());
    }
    let streams = files.files.is_empty() || files.files == [PathBuf::from(STANDARD)];
    if streams || output == Some(Path::new(STANDARD)) {
        let text = match files.files.first().filter(|_| !streams) {
            Some(file) => std::fs::read(file).map_err(|error| Problem::new(format!("cannot read {}: {error}", file.display())))?,
            None => standard_input()?,
        };
        let made = whole(&text)?;
        match output.filter(|output| *output != Path::new(STANDARD)) {
            Some(output) => {
                std::fs::write(output, made).map_err(|error| WorkflowError::Failed(format!("{}: {error}", output.display())))?
            }
            None => screen::bytes(&made),
        }
        return Ok(Exit::Done);
    }
    for file in &files.files {
        in_place(file, output)?;
    }
    screen::note(if encrypts { "Encryption successful" } else { "Decryption successful" });
    Ok(Exit::Done)
}

fn standard_input() -> Result<Vec<u8>, WorkflowError> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(|error| WorkflowError::Failed(format!("standard input: {error}")))?;
    Ok(bytes)
}

fn passwords(source: &VaultSource) -> Result<Vec<VaultPassword>, WorkflowError> {
    let passwords = settings::vault_passwords_of(&source.vault_password_files, source.ask_vault_pass)?;
    if !passwords.is_empty() {
        return Ok(passwords);
    }
    let password = settings::asked("Vault password: ", "--vault-password-file")?;
    Ok(vec![VaultPassword { label: "default".to_owned(), password }])
}

/// The password to encrypt with.
fn chosen<'p>(source: &VaultSource, passwords: &'p [VaultPassword]) -> Result<&'p VaultPassword, WorkflowError> {
    let known = || passwords.iter().map(|password| password.label.as_str());
    match (&source.encrypt_vault_id, passwords) {
        (Some(label), _) => passwords
            .iter()
            .find(|password| password.label == *label)
            .ok_or_else(|| Problem::new(format!("no vault password has the label '{label}'")).did_you_mean(label, known()).into()),
        (None, [one]) => Ok(one),
        (None, []) => Err(Problem::new("no vault password was given").into()),
        (None, _) => Err(Problem::new(format!("the vault-ids {} are available to encrypt", known().collect::<Vec<_>>().join(",")))
            .with_hint("choose one with --encrypt-vault-id")
            .into()),
    }
}

fn twice(question: &str) -> Result<Secret, WorkflowError> {
    let password = settings::asked(question, "--new-vault-password-file")?;
    let again = settings::asked(&format!("Confirm {question}"), "--new-vault-password-file")?;
    if password.reveal() == again.reveal() { Ok(password) } else { Err(Problem::new("the two passwords differ").into()) }
}

/// Lets a person change a file in a folder that nobody else may enter.
fn edit(file: &Path, passwords: &[VaultPassword], password: &VaultPassword) -> Result<(), WorkflowError> {
    let is_new = !file.exists();
    let before = if is_new { Vec::new() } else { view_file(file, passwords)? };
    let failed = |what: &str, error: io::Error| WorkflowError::Failed(format!("{what}: {error}"));
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let folder = parent.join(format!("pgfleet-vault-{}", std::process::id()));
    let mut maker = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut maker, 0o700);
    maker.create(&folder).map_err(|error| failed("cannot make a folder for the text", error))?;
    let clear = folder.join(file.file_name().unwrap_or_default());
    let changed = (|| {
        std::fs::write(&clear, &before).map_err(|error| failed("cannot write the text", error))?;
        let editor = std::env::var("EDITOR").unwrap_or_else(|_| "vi".to_owned());
        let line = format!("{editor} \"$1\"");
        let status = Command::new("sh").args(["-c", &line, "sh"]).arg(&clear).status().map_err(|error| failed(&editor, error))?;
        if !status.success() {
            return Err(WorkflowError::Failed(format!("{editor} ended with {status}; the file is as it was")));
        }
        std::fs::read(&clear).map_err(|error| failed("cannot read the text", error))
    })();
    // The text in the clear goes first, whatever came of it.
    drop(std::fs::remove_dir_all(&folder));
    let changed = changed?;
    if is_new {
        pgfleet_state::replace(file, seal_text(&changed, password)?.as_bytes())?;
    } else {
        edited(file, passwords, &changed)?;
    }
    Ok(())
}
