//! Options and settings become a wish and a view.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pgfleet_engine::{FactCache, Gathering, Habits, Stop as Ending};
use pgfleet_inventory::GroupNames;
use pgfleet_playbook::TagSelection;
use pgfleet_protocol::{Map, Mode, Secret};
use pgfleet_template::VaultPassword;
use pgfleet_workflows::{JsonFiles, Project, SshHabits, Strictness, Wish};
use serde_json::Value;

use super::config::Config;
use super::grammar::Given;
use super::{Code, Stop};
use crate::report::ansible::{Form, Format, View};
use crate::{prompt, screen, settings};

/// The run that a person asks for.
pub(super) fn wish(given: &Given, config: &Config) -> Result<Wish, Stop> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let become_password = password(
        given.has("ask-become-pass") || config.flag("become_ask_pass", false),
        given.one("become-password-file").or(config.text("become_password_file")),
        "BECOME password: ",
    )?;
    let forks = match given.one("forks") {
        Some(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| Stop::Said(Code::Failed, "The number of processes (--forks) must be >= 1".to_owned()))?,
        None => config.number("forks").unwrap_or(5).max(1),
    };
    Ok(Wish {
        project: Project::at(here),
        inventories: Vec::new(),
        limit: given.one("limit").or(config.text("subset")).map(str::to_owned),
        tags: TagSelection::new(list(given.each("tags"), config.text("run_tags")), list(given.each("skip-tags"), config.text("skip_tags"))),
        extra: given.each("extra-vars").to_vec(),
        mode: if given.has("check") { Mode::Check } else { Mode::Apply },
        diff: given.has("diff") || config.flag("diff_always", false),
        forks: usize::try_from(forks).unwrap_or(5),
        verbosity: verbosity(given, config),
        r#become: given.has("become") || config.flag("become", false),
        become_password,
        remote_user: given.one("user").or(config.text("remote_user")).map(str::to_owned),
        ssh: SshHabits {
            private_key: given.one("private-key").or(config.text("private_key_file")).map(settings::at_home),
            ssh_args: config.text("ssh_args").map(str::to_owned),
            common_args: given.one("ssh-common-args").or(config.text("ssh_common_args")).map(str::to_owned),
            extra_args: given.one("ssh-extra-args").or(config.text("ssh_extra_args")).map(str::to_owned),
            host_key_checking: config.text("host_key_checking").map(|_| config.flag("host_key_checking", true)),
        },
        vault_passwords: vault_passwords(given, config)?,
        roles_paths: config.text("roles_path").map_or_else(settings::roles_paths, folders),
        collections_paths: config.text("collections_path").map_or_else(settings::collections_paths, folders),
        accept_new_host_keys: false,
        connect_timeout: given.one("timeout").and_then(|text| text.parse().ok()).or(config.number("timeout")).map(Duration::from_secs),
        passphrase: None,
        stop: Ending::default(),
        habits: Habits {
            fallbacks: fallbacks(given, config)?,
            start_at_task: given.one("start-at-task").map(str::to_owned),
            force_handlers: given.has("force-handlers") || config.flag("force_handlers", false),
            gathering: match config.text("gathering") {
                Some("explicit") => Gathering::Explicit,
                Some("smart") => Gathering::Smart,
                _ => Gathering::Implicit,
            },
            fact_cache: fact_cache(given, config),
            warn_of_reserved: true,
            merge_mappings: config.text("hash_behaviour") == Some("merge"),
            group_names: match config.text("force_valid_group_names") {
                Some("always" | "silently") => GroupNames::Replaced,
                _ => GroupNames::AsWritten,
            },
            allow_broken_conditions: config.flag("allow_broken_conditionals", false),
            forgive_missing_handlers: !config.flag("error_on_missing_handler", true),
            brief: false,
            refuse_duplicates: config.text("duplicate_dict_key") == Some("error"),
        },
        strictness: Strictness::Lenient,
        asker: prompt::is_possible().then(|| Arc::new(prompt::Terminal) as Arc<dyn pgfleet_engine::Asker>),
    })
}

/// Where facts are kept; one that cannot be had is told, and harms nothing.
fn fact_cache(given: &Given, config: &Config) -> Option<Arc<dyn FactCache>> {
    let name = config.text("fact_caching").unwrap_or("memory");
    let warn = |why: String| {
        screen::note(&format!("[WARNING]: {why}"));
        None
    };
    match name.strip_prefix("ansible.builtin.").unwrap_or(name) {
        "memory" => None,
        "jsonfile" => {
            let Some(folder) = config.text("fact_caching_connection").filter(|folder| !folder.is_empty()) else {
                return warn("error, 'jsonfile' cache plugin requires the 'fact_caching_connection' config option to be set (to a writeable directory path)".to_owned());
            };
            let timeout = config.number("fact_caching_timeout").unwrap_or(86_400);
            let timeout = (timeout > 0).then(|| Duration::from_secs(timeout));
            let prefix = config.text("fact_caching_prefix").unwrap_or_default();
            match JsonFiles::new(settings::at_home(folder), prefix, timeout, given.has("flush-cache")) {
                Ok(files) => Some(Arc::new(files)),
                Err(error) => warn(format!("facts are not kept: {folder}: {error}")),
            }
        }
        other => warn(format!("facts are not kept between runs: '{other}' of fact_caching is not supported, 'jsonfile' is")),
    }
}

/// A search path.
fn folders(text: &str) -> Vec<PathBuf> {
    std::env::split_paths(text).collect()
}

/// How much is said.
pub(super) fn verbosity(given: &Given, config: &Config) -> u8 {
    let count = u64::try_from(given.count("verbose")).unwrap_or_default().max(config.number("verbosity").unwrap_or_default());
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// How the run is shown.
pub(super) fn view(given: &Given, config: &Config) -> View {
    let callback = config.text("stdout_callback").unwrap_or("default").rsplit('.').next().unwrap_or_default();
    let format = config.text("callback_result_format").or(config.text("result_format"));
    let usual = View::default();
    View {
        form: match callback {
            "minimal" => Form::Minimal,
            "oneline" => Form::OneLine,
            "json" => Form::Json,
            _ => Form::Default,
        },
        format: if callback == "yaml" || format == Some("yaml") { Format::Yaml } else { Format::Json },
        pretty: config.text("callback_format_pretty").map(|_| config.flag("callback_format_pretty", false)),
        verbosity: verbosity(given, config),
        skipped: config.flag("display_skipped_hosts", callback != "skippy"),
        ok: config.flag("display_ok_hosts", callback != "actionable"),
        failed_to_stderr: config.flag("display_failed_stderr", false),
        check_markers: config.flag("check_mode_markers", false),
        stats: config.flag("show_custom_stats", false),
        duplicates: config.text("duplicate_dict_key") != Some("ignore"),
        path_on_failure: config.flag("show_task_path_on_failure", false),
        context: config.number("diff_context").and_then(|lines| usize::try_from(lines).ok()).unwrap_or(usual.context),
        check: given.has("check"),
        adhoc: None,
    }
}

/// `a,b` and several options are one list.
fn list(given: &[String], otherwise: Option<&str>) -> Vec<String> {
    let given = if given.is_empty() { otherwise.map(str::to_owned).into_iter().collect() } else { given.to_vec() };
    given.iter().flat_map(|text| text.split(',')).map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
}

/// What holds about connections where neither a variable nor a keyword says so.
fn fallbacks(given: &Given, config: &Config) -> Result<Map, Stop> {
    let mut map = Map::new();
    let mut set = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), Value::from(value));
        }
    };
    set("ansible_connection", given.one("connection").or(config.text("transport").filter(|name| !matches!(*name, "smart" | "ssh"))));
    set("ansible_become_user", given.one("become-user").or(config.text("become_user")));
    set("ansible_become_method", given.one("become-method").or(config.text("become_method")));
    set("ansible_become_exe", config.text("become_exe"));
    set("ansible_become_flags", config.text("become_flags"));
    let login = password(
        given.has("ask-pass") || config.flag("ask_pass", false),
        given.one("connection-password-file").or(config.text("connection_password_file")),
        "SSH password: ",
    )?;
    set("ansible_password", login.as_ref().map(Secret::reveal));
    Ok(map)
}

fn password(asks: bool, file: Option<&str>, question: &str) -> Result<Option<Secret>, Stop> {
    match (asks, file) {
        (true, _) => asked(question).map(Some),
        (false, Some(file)) => secret_of(file).map(Some),
        (false, None) => Ok(None),
    }
}

fn asked(question: &str) -> Result<Secret, Stop> {
    prompt::secret(question).map_err(|error| Stop::Said(Code::Error, format!("{}: {error}", question.trim_end_matches(": "))))
}

/// What a file holds, or what it prints where it can be run.
fn secret_of(file: &str) -> Result<Secret, Stop> {
    settings::secret_of(&settings::at_home(file)).map_err(Stop::from)
}

/// Passwords of vaults, in the order in which they are tried.
pub(super) fn vault_passwords(given: &Given, config: &Config) -> Result<Vec<VaultPassword>, Stop> {
    let listed = list(&[], config.text("vault_identity_list"));
    let files = given.each("vault-password-file").iter().map(|file| format!("default@{file}"));
    let set = config.text("vault_password_file").map(|file| format!("default@{file}"));
    let mut passwords = Vec::new();
    for written in listed.into_iter().chain(given.each("vault-id").iter().cloned()).chain(files).chain(set) {
        let (label, source) = match written.rsplit_once('@') {
            Some((label, source)) if !label.is_empty() => (label.to_owned(), source.to_owned()),
            Some((_, source)) => ("default".to_owned(), source.to_owned()),
            None => ("default".to_owned(), written.clone()),
        };
        let password = match source.as_str() {
            "prompt" | "prompt_ask_vault_pass" => asked(&format!("Vault password ({label}): "))?,
            file => secret_of(file)?,
        };
        passwords.push(VaultPassword { label, password });
    }
    if given.has("ask-vault-password") || config.flag("ask_vault_pass", false) {
        passwords.push(VaultPassword { label: "default".to_owned(), password: asked("Vault password: ")? });
    }
    Ok(passwords)
}
