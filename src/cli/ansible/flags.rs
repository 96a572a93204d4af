//! The options of each of Ansible's programs, in the order in which their usage shows them.

use super::grammar::{Flag, Grammar, Takes};

const fn flag(names: &'static [&'static str], takes: Takes, about: &'static str) -> Flag {
    Flag { names, takes, about, or_next: false }
}

const fn either(names: &'static [&'static str], takes: Takes, about: &'static str) -> Flag {
    Flag { names, takes, about, or_next: true }
}

use Takes::{Count, Each, Nothing, Number, One};

const BASE: &[Flag] = &[
    flag(&["-h", "--help"], Nothing, "Show this help."),
    flag(&["--version"], Nothing, "Show the version, and which configuration is used."),
    flag(&["-v", "--verbose"], Count, "Say more; up to six times."),
];
const CONNECT: &[Flag] = &[
    flag(&["--private-key", "--key-file"], One("PRIVATE_KEY_FILE"), "Log in with this key."),
    flag(&["-u", "--user"], One("REMOTE_USER"), "Log in as this user."),
    flag(&["-c", "--connection"], One("CONNECTION"), "ssh or local."),
    flag(&["-T", "--timeout"], Number("TIMEOUT"), "Seconds that connecting may take."),
    flag(&["--ssh-common-args"], One("SSH_COMMON_ARGS"), "Options of ssh: ProxyJump, ProxyCommand ..."),
    flag(&["--sftp-extra-args"], One("SFTP_EXTRA_ARGS"), "Accepted and ignored: there is no sftp."),
    flag(&["--scp-extra-args"], One("SCP_EXTRA_ARGS"), "Accepted and ignored: there is no scp."),
    flag(&["--ssh-extra-args"], One("SSH_EXTRA_ARGS"), "More options of ssh."),
    either(&["-k", "--ask-pass"], Nothing, "Ask for the password to log in with."),
    flag(&["--connection-password-file", "--conn-pass-file"], One("CONNECTION_PASSWORD_FILE"), "Read that password from a file."),
];
const FORCE: &[Flag] = &[flag(&["--force-handlers"], Nothing, "Run notified handlers even where a task failed.")];
const RUNAS: &[Flag] = &[
    flag(&["-b", "--become"], Nothing, "Act as another user."),
    flag(&["--become-method"], One("BECOME_METHOD"), "sudo, su or doas."),
    flag(&["--become-user"], One("BECOME_USER"), "Which user; root otherwise."),
    either(&["-K", "--ask-become-pass"], Nothing, "Ask for the password of becoming another user."),
    flag(&["--become-password-file", "--become-pass-file"], One("BECOME_PASSWORD_FILE"), "Read that password from a file."),
];
const TAGS: &[Flag] = &[
    flag(&["-t", "--tags"], Each("TAGS"), "Only what has these tags."),
    flag(&["--skip-tags"], Each("SKIP_TAGS"), "Nothing that has these tags."),
];
const CHECK: &[Flag] = &[
    flag(&["-C", "--check"], Nothing, "Change nothing; tell what would change."),
    flag(&["-D", "--diff"], Nothing, "Show what changes in files."),
];
const INVENTORY: &[Flag] =
    &[flag(&["-i", "--inventory", "--inventory-file"], Each("INVENTORY"), "Inventory: a file, a folder, or hosts with commas.")];
const LIST_HOSTS: &[Flag] = &[flag(&["--list-hosts"], Nothing, "List the hosts that are meant, and do nothing.")];
const LIMIT: &[Flag] = &[
    flag(&["-l", "--limit"], One("SUBSET"), "Only these hosts: a pattern, or @file."),
    flag(&["--flush-cache"], Nothing, "Forget what is known of hosts from earlier runs."),
];
const EXTRA: &[Flag] = &[flag(&["-e", "--extra-vars"], Each("EXTRA_VARS"), "More variables: name=value, a mapping, or @file.")];
const VAULT: &[Flag] = &[
    flag(&["--vault-id"], Each("VAULT_IDS"), "A vault's label and where its password is: label@file, label@prompt."),
    either(&["-J", "--ask-vault-password", "--ask-vault-pass"], Nothing, "Ask for the vault's password."),
    flag(&["--vault-password-file", "--vault-pass-file"], Each("VAULT_PASSWORD_FILES"), "Read the vault's password from a file."),
];
const FORKS: &[Flag] = &[
    flag(&["-f", "--forks"], Number("FORKS"), "Hosts at a time."),
    flag(&["-M", "--module-path"], Each("MODULE_PATH"), "Accepted and ignored: modules in Python are not run."),
];
const PLAYBOOK: &[Flag] = &[
    flag(&["--syntax-check"], Nothing, "Check the playbook, and do nothing."),
    flag(&["--list-tasks"], Nothing, "List the tasks, and do nothing."),
    flag(&["--list-tags"], Nothing, "List the tags, and do nothing."),
    flag(&["--step"], Nothing, "Ask before each task."),
    flag(&["--start-at-task"], One("START_AT_TASK"), "Begin with the task of this name."),
];
const ADHOC: &[Flag] = &[
    flag(&["-P", "--poll"], Number("POLL_INTERVAL"), "Seconds between looks at a task in the background."),
    flag(&["-B", "--background"], Number("SECONDS"), "Run in the background, for so many seconds at most."),
    flag(&["-o", "--one-line"], Nothing, "A line for each host."),
    flag(&["-t", "--tree"], One("TREE"), "Keep each host's result in a file of this folder."),
];
const FOLDER: &[Flag] = &[flag(&["--playbook-dir"], One("BASEDIR"), "The folder that stands for the playbook's.")];
const TASK_LIMIT: &[Flag] = &[flag(&["--task-timeout"], Number("TASK_TIMEOUT"), "Seconds that the task may take.")];
const MODULE: &[Flag] = &[
    flag(&["-a", "--args"], One("MODULE_ARGS"), "The module's arguments: name=value, a mapping, or a command."),
    flag(&["-m", "--module-name"], One("MODULE_NAME"), "The module; command otherwise."),
];
const LISTING: &[Flag] = &[
    flag(&["--list"], Nothing, "Everything."),
    flag(&["--host"], One("HOST"), "The variables of one host."),
    flag(&["--graph"], Nothing, "Groups and hosts as a tree."),
    flag(&["-y", "--yaml"], Nothing, "YAML instead of JSON."),
    flag(&["--toml"], Nothing, "TOML; refused."),
    flag(&["--vars"], Nothing, "Variables in the tree as well."),
    flag(&["--export"], Nothing, "Variables where they are written, groups' among them."),
    flag(&["--output"], One("OUTPUT_FILE"), "Write to this file."),
];
const SEALING: &[Flag] = &[
    flag(&["--output"], One("OUTPUT_FILE"), "Write to this file; - for standard output."),
    flag(&["--encrypt-vault-id"], One("ENCRYPT_VAULT_ID"), "The label of the password to encrypt with."),
    flag(&["-p", "--prompt"], Nothing, "Ask for the text."),
    flag(&["-n", "--name"], Each("ENCRYPT_STRING_NAMES"), "The variable's name."),
    flag(&["--stdin-name"], One("ENCRYPT_STRING_STDIN_NAME"), "The name of the variable whose text comes on standard input."),
    flag(&["--show-input"], Nothing, "Show what is typed."),
    flag(&["--new-vault-id"], One("NEW_VAULT_ID"), "The new label and password, for rekey."),
    flag(&["--new-vault-password-file"], One("NEW_VAULT_PASSWORD_FILE"), "The new password, for rekey."),
];

fn all(groups: &[&'static [Flag]]) -> Vec<&'static Flag> {
    groups.iter().flat_map(|group| group.iter()).collect()
}

/// `ansible-playbook`.
pub(super) fn playbook() -> Grammar {
    Grammar {
        program: "ansible-playbook",
        about: "Runs playbooks on the hosts that they name.",
        flags: all(&[BASE, CONNECT, FORCE, RUNAS, TAGS, CHECK, INVENTORY, LIST_HOSTS, LIMIT, EXTRA, VAULT, FORKS, PLAYBOOK]),
        words: "playbook [playbook ...]",
        required: Some("playbook"),
    }
}

/// `ansible`.
pub(super) fn adhoc() -> Grammar {
    Grammar {
        program: "ansible",
        about: "Runs one task on the hosts of a pattern.",
        flags: all(&[BASE, RUNAS, INVENTORY, LIST_HOSTS, LIMIT, ADHOC, CONNECT, CHECK, EXTRA, VAULT, FORKS, FOLDER, TASK_LIMIT, MODULE]),
        words: "pattern",
        required: Some("pattern"),
    }
}

/// `ansible-inventory`.
pub(super) fn inventory() -> Grammar {
    Grammar {
        program: "ansible-inventory",
        about: "Shows what an inventory contains.",
        flags: all(&[BASE, INVENTORY, LIMIT, VAULT, FOLDER, EXTRA, LISTING]),
        words: "[group]",
        required: None,
    }
}

/// `ansible-vault`, after the word that says what to do.
pub(super) fn vault() -> Grammar {
    Grammar {
        program: "ansible-vault",
        about: "Encrypts and decrypts files and texts.",
        flags: all(&[BASE, VAULT, SEALING]),
        words: "{create,decrypt,edit,view,encrypt,encrypt_string,rekey} ...",
        required: Some("action"),
    }
}
