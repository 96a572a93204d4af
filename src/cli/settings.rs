//! Arguments become a wish: files resolved, passwords read, questions asked.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pgfleet_engine::{Habits, Stop};
use pgfleet_playbook::TagSelection;
use pgfleet_protocol::{Mode, Secret};
use pgfleet_template::{Problem, VaultPassword};
use pgfleet_workflows::{Project, SshHabits, Strictness, Wish, WorkflowError};

use crate::args::{ConnectionArgs, InventorySource, RunArgs, RunOutput};
use crate::prompt;

const VAULT_FILE: &str = "--vault-password-file";

/// The project that the person works in.
pub(crate) fn project(given: Option<&PathBuf>) -> Project {
    match given {
        Some(folder) => Project::at(folder),
        None => Project::around(&std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))),
    }
}

/// The wish of a run.
pub(crate) fn wish(project: Project, run: &RunArgs, stop: Stop) -> Result<Wish, WorkflowError> {
    let mut wish = wish_to_look(project, &run.source, &run.connection, stop)?;
    wish.tags = TagSelection::new(run.tags.clone(), run.skip_tags.clone());
    wish.mode = if run.check { Mode::Check } else { Mode::Apply };
    wish.diff = run.diff;
    wish.verbosity = run.verbose;
    wish.habits.brief = run.verbose == 0 && run.output != RunOutput::Json;
    wish.r#become = run.become_user;
    Ok(wish)
}

/// The wish of something that only looks.
pub(crate) fn wish_to_look(
    project: Project,
    source: &InventorySource,
    connection: &ConnectionArgs,
    stop: Stop,
) -> Result<Wish, WorkflowError> {
    let inventories = inventories(&project, source);
    let become_password = match (&connection.become_password_file, connection.ask_become_pass) {
        (Some(file), _) => Some(secret_of(file)?),
        (None, true) => Some(asked("BECOME password: ", "--become-password-file")?),
        (None, false) => None,
    };
    Ok(Wish {
        inventories,
        limit: source.limit.clone(),
        tags: TagSelection::default(),
        extra: connection.extra.clone(),
        mode: Mode::Apply,
        diff: false,
        forks: connection.forks.max(1),
        verbosity: 0,
        r#become: false,
        become_password,
        remote_user: connection.user.clone(),
        ssh: SshHabits {
            private_key: connection.private_key.as_deref().map(readable_key).transpose()?,
            common_args: connection.ssh_common_args.clone(),
            extra_args: connection.ssh_extra_args.clone(),
            ..SshHabits::default()
        },
        vault_passwords: vault_passwords(source)?,
        roles_paths: roles_paths(),
        collections_paths: collections_paths(),
        accept_new_host_keys: connection.accept_new_host_keys,
        connect_timeout: connection.timeout.map(Duration::from_secs),
        passphrase: prompt::is_possible().then(|| -> pgfleet_ssh::Passphrase {
            Arc::new(|key: &Path| prompt::secret(&format!("Passphrase of {}: ", key.display())).ok())
        }),
        asker: prompt::is_possible().then(|| Arc::new(prompt::Terminal) as Arc<dyn pgfleet_engine::Asker>),
        stop,
        project,
        habits: Habits::default(),
        strictness: Strictness::Strict,
    })
}

/// Where roles are looked for beside the playbook's own folders.
pub(crate) fn roles_paths() -> Vec<PathBuf> {
    search_path("ANSIBLE_ROLES_PATH", "roles", true)
}

/// Where collections are looked for.
pub(crate) fn collections_paths() -> Vec<PathBuf> {
    search_path("ANSIBLE_COLLECTIONS_PATH", "", false)
}

/// Folders of an environment variable, or those that Ansible has for it.
fn search_path(variable: &str, below: &str, with_etc: bool) -> Vec<PathBuf> {
    if let Some(given) = std::env::var_os(variable).filter(|given| !given.is_empty()) {
        return std::env::split_paths(&given).collect();
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ansible"));
    let etc = with_etc.then(|| PathBuf::from("/etc/ansible"));
    home.into_iter().chain(std::iter::once(PathBuf::from("/usr/share/ansible"))).chain(etc).map(|folder| folder.join(below)).collect()
}

/// The inventories given, or the project's own.
fn inventories(project: &Project, source: &InventorySource) -> Vec<String> {
    let own = project.root().join("inventory");
    if source.inventory.is_empty() && own.exists() { vec![own.display().to_string()] } else { source.inventory.clone() }
}

fn vault_passwords(source: &InventorySource) -> Result<Vec<VaultPassword>, WorkflowError> {
    vault_passwords_of(&source.vault_password_files, source.ask_vault_pass)
}

/// Passwords in files, each perhaps with a label, and one that is asked for.
pub(crate) fn vault_passwords_of(files: &[String], asks: bool) -> Result<Vec<VaultPassword>, WorkflowError> {
    let mut passwords: Vec<VaultPassword> = files.iter().map(|given| vault_password(given)).collect::<Result<_, _>>()?;
    if asks {
        passwords.push(VaultPassword { label: "default".to_owned(), password: asked("Vault password: ", VAULT_FILE)? });
    }
    Ok(passwords)
}

/// `file`, `label@file` or `label@prompt`.
pub(crate) fn vault_password(given: &str) -> Result<VaultPassword, WorkflowError> {
    let (label, file) = given.split_once('@').filter(|(label, _)| !label.contains('/')).unwrap_or(("default", given));
    let label = if label.is_empty() { "default" } else { label };
    let password = if file == "prompt" { asked(&format!("Vault password ({label}): "), VAULT_FILE)? } else { secret_of(&at_home(file))? };
    Ok(VaultPassword { label: label.to_owned(), password })
}

/// A path in which `~` is the person's home.
pub(crate) fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Asks for a secret; where nobody can be asked, says how to give it otherwise.
pub(crate) fn asked(question: &str, file_option: &str) -> Result<Secret, WorkflowError> {
    prompt::secret(question).map_err(|error| {
        Problem::new(format!("cannot ask for the {}: {error}", question.trim_end_matches(": ")))
            .with_hint(format!("without a terminal, give it with {file_option} FILE"))
            .into()
    })
}

/// A key that the person names must be there; what it is good for, the login tells.
fn readable_key(file: &Path) -> Result<PathBuf, WorkflowError> {
    let why = match std::fs::File::open(file).and_then(|file| file.metadata()) {
        Ok(data) if data.is_file() => return Ok(file.to_owned()),
        Ok(_) => "it is not a file".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Problem::new(format!("cannot read the private key {}: {why}", file.display())).into())
}

/// The password in a file, or the one that a program prints.
pub(crate) fn secret_of(file: &Path) -> Result<Secret, WorkflowError> {
    let unreadable = |why: String| Problem::new(format!("cannot read the password file {}: {why}", file.display()));
    let is_program = std::fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    let text = if is_program {
        let path = std::path::absolute(file).map_err(|error| unreadable(error.to_string()))?;
        let output = Command::new(path).stderr(Stdio::inherit()).output().map_err(|error| unreadable(error.to_string()))?;
        if !output.status.success() {
            return Err(unreadable(format!("the program ended with {}", output.status)).into());
        }
        String::from_utf8(output.stdout).map_err(|error| unreadable(error.to_string()))?
    } else {
        std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Problem::new(format!("the password file {} is empty", file.display())).into());
    }
    Ok(Secret::new(text))
}
