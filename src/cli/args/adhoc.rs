//! Arguments of `pgfleet run`, `exec`, `vault` and `install-links`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::{ConnectionArgs, InventorySource, RunArgs};

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet run all -m ping -i inventory/dev\n  pgfleet run web -m apt -a 'name=curl state=present' -b -i hosts.ini --check\n  pgfleet run 'db[0]' -a 'uptime' -i hosts.ini"
)]
pub(crate) struct TaskArgs {
    /// The hosts: a pattern.
    pub(crate) pattern: String,
    /// The module.
    #[arg(short, long, value_name = "MODULE", default_value = "command")]
    pub(crate) module: String,
    /// Its arguments: name=value, a mapping in braces, or a command.
    #[arg(short, long, value_name = "ARGUMENTS", default_value = "", allow_hyphen_values = true)]
    pub(crate) args: String,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet exec all -i inventory/dev -- uptime\n  pgfleet exec db -b -i hosts.ini -- 'journalctl -u patroni -f'\n  pgfleet exec all --no-names -i hosts.ini -- cat /etc/hostname"
)]
pub(crate) struct ExecArgs {
    /// The hosts: a pattern.
    pub(crate) pattern: String,
    /// Act as another user (root, where nothing says which).
    #[arg(short = 'b', long = "become")]
    pub(crate) become_user: bool,
    /// Lines as they come, without the host's name.
    #[arg(long)]
    pub(crate) no_names: bool,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// The command, for the host's shell.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  pgfleet install-links ~/.local/bin")]
pub(crate) struct LinksArgs {
    /// The folder; it should stand on the search path before Ansible's own programs.
    pub(crate) folder: PathBuf,
    /// Replace what stands there already.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet vault encrypt group_vars/all/secrets.yml --vault-password-file ~/.vault\n  pgfleet vault view group_vars/all/secrets.yml -J\n  pgfleet vault encrypt-string --name db_password --vault-id prod@~/.vault-prod\n  pgfleet vault rekey secrets.yml --vault-password-file old --new-vault-password-file new"
)]
pub(crate) struct VaultArgs {
    #[command(subcommand)]
    pub(crate) command: VaultCommand,
}

/// Passwords of vaults.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct VaultSource {
    /// A file that holds a password, also as label@file; may be given several times.
    #[arg(long = "vault-password-file", visible_alias = "vault-id", value_name = "FILE", env = "PGFLEET_VAULT_PASSWORD_FILE")]
    pub(crate) vault_password_files: Vec<String>,
    /// Ask for the password.
    #[arg(short = 'J', long, visible_alias = "ask-vault-password")]
    pub(crate) ask_vault_pass: bool,
    /// Of several passwords, encrypt with the one of this label.
    #[arg(long, value_name = "LABEL")]
    pub(crate) encrypt_vault_id: Option<String>,
}

/// What a vault is done to.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct VaultFiles {
    /// The files; standard input where there is none.
    pub(crate) files: Vec<PathBuf>,
    /// Write there instead; '-' for standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: VaultSource,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Encrypt files.
    Encrypt(VaultFiles),
    /// Decrypt files.
    Decrypt(VaultFiles),
    /// Show what encrypted files hold.
    View(VaultFiles),
    /// Change an encrypted file with $EDITOR; a new one where there is none.
    Edit(VaultFiles),
    /// Give encrypted files another password.
    Rekey {
        #[command(flatten)]
        files: VaultFiles,
        /// The new password, also as label@file.
        #[arg(long = "new-vault-password-file", visible_alias = "new-vault-id", value_name = "FILE")]
        new: Option<String>,
    },
    /// Encrypt a value for a YAML file; it is read from standard input unless given.
    EncryptString {
        /// The value. Standard input keeps it out of the list of processes.
        text: Option<String>,
        /// The variable's name.
        #[arg(short, long)]
        name: Option<String>,
        #[command(flatten)]
        source: VaultSource,
    },
}
