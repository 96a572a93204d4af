//! `ansible-vault`: the same as `pgfleet vault`, by its words.

use std::path::PathBuf;

use super::config::Config;
use super::grammar::Given;
use super::{Code, Stop};
use crate::args::{VaultCommand, VaultFiles, VaultSource};
use crate::commands;

pub(super) fn run(given: &Given, config: &Config) -> Result<Code, Stop> {
    let mut words = given.words.iter().cloned();
    let action = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    let files = || VaultFiles {
        files: words.iter().map(PathBuf::from).collect(),
        output: given.one("output").map(PathBuf::from),
        source: source(given, config),
    };
    let command = match action.as_str() {
        "encrypt" => VaultCommand::Encrypt(files()),
        "decrypt" => VaultCommand::Decrypt(files()),
        "view" => VaultCommand::View(files()),
        "edit" | "create" => VaultCommand::Edit(files()),
        "rekey" => {
            let new = given.one("new-vault-id").or(given.one("new-vault-password-file")).map(str::to_owned);
            VaultCommand::Rekey { files: files(), new }
        }
        "encrypt_string" => VaultCommand::EncryptString {
            text: words.first().cloned(),
            name: given.one("name").or(given.one("stdin-name")).map(str::to_owned),
            source: source(given, config),
        },
        other => return Err(Stop::Said(Code::Failed, format!("argument action: invalid choice: '{other}'"))),
    };
    match commands::vault::run(command) {
        Ok(_) => Ok(Code::Done),
        Err(error) => {
            crate::screen::error(&error);
            Ok(Code::Error)
        }
    }
}

fn source(given: &Given, config: &Config) -> VaultSource {
    let listed = config.text("vault_identity_list").into_iter().flat_map(|list| list.split(',')).map(|one| one.trim().to_owned());
    let given_files = given.each("vault-id").iter().chain(given.each("vault-password-file")).cloned();
    let set = config.text("vault_password_file").map(str::to_owned);
    VaultSource {
        vault_password_files: listed.chain(given_files).chain(set).collect(),
        ask_vault_pass: given.has("ask-vault-password") || config.flag("ask_vault_pass", false),
        encrypt_vault_id: given.one("encrypt-vault-id").or(config.text("vault_encrypt_identity")).map(str::to_owned),
    }
}
