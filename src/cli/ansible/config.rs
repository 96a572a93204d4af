//! `ansible.cfg` and the `ANSIBLE_*` environment variables: which there are, and what they say.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a setting's value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A path, relative to the file that names it.
    Path,
    /// Paths with commas.
    Paths,
    /// Paths with colons.
    Search,
}

/// A setting: its name here, its section and name in the file, its variables in the environment.
struct Setting(&'static str, &'static str, &'static [&'static str], Kind);

const SETTINGS: &[Setting] = &[
    Setting("inventory", "defaults", &["ANSIBLE_INVENTORY"], Kind::Paths),
    Setting("roles_path", "defaults", &["ANSIBLE_ROLES_PATH"], Kind::Search),
    Setting("collections_path", "defaults", &["ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_COLLECTIONS_PATHS"], Kind::Search),
    Setting("playbook_dir", "defaults", &["ANSIBLE_PLAYBOOK_DIR"], Kind::Path),
    Setting("forks", "defaults", &["ANSIBLE_FORKS"], Kind::Text),
    Setting("remote_user", "defaults", &["ANSIBLE_REMOTE_USER"], Kind::Text),
    Setting("private_key_file", "defaults", &["ANSIBLE_PRIVATE_KEY_FILE"], Kind::Path),
    Setting("host_key_checking", "defaults", &["ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_HOST_KEY_CHECKING"], Kind::Text),
    Setting("timeout", "defaults", &["ANSIBLE_TIMEOUT", "ANSIBLE_SSH_TIMEOUT"], Kind::Text),
    Setting("transport", "defaults", &["ANSIBLE_TRANSPORT"], Kind::Text),
    Setting("vault_password_file", "defaults", &["ANSIBLE_VAULT_PASSWORD_FILE"], Kind::Path),
    Setting("vault_identity_list", "defaults", &["ANSIBLE_VAULT_IDENTITY_LIST"], Kind::Text),
    Setting("vault_encrypt_identity", "defaults", &["ANSIBLE_VAULT_ENCRYPT_IDENTITY"], Kind::Text),
    Setting("ask_vault_pass", "defaults", &["ANSIBLE_ASK_VAULT_PASS"], Kind::Text),
    Setting("ask_pass", "defaults", &["ANSIBLE_ASK_PASS"], Kind::Text),
    Setting("become_password_file", "defaults", &["ANSIBLE_BECOME_PASSWORD_FILE"], Kind::Path),
    Setting("connection_password_file", "defaults", &["ANSIBLE_CONNECTION_PASSWORD_FILE"], Kind::Path),
    Setting("stdout_callback", "defaults", &["ANSIBLE_STDOUT_CALLBACK"], Kind::Text),
    Setting("callback_result_format", "defaults", &["ANSIBLE_CALLBACK_RESULT_FORMAT"], Kind::Text),
    Setting("callback_format_pretty", "defaults", &["ANSIBLE_CALLBACK_FORMAT_PRETTY"], Kind::Text),
    Setting("result_format", "defaults", &[], Kind::Text),
    Setting("display_skipped_hosts", "defaults", &["ANSIBLE_DISPLAY_SKIPPED_HOSTS", "DISPLAY_SKIPPED_HOSTS"], Kind::Text),
    Setting("display_ok_hosts", "defaults", &["ANSIBLE_DISPLAY_OK_HOSTS"], Kind::Text),
    Setting("display_failed_stderr", "defaults", &["ANSIBLE_DISPLAY_FAILED_STDERR"], Kind::Text),
    Setting("check_mode_markers", "defaults", &["ANSIBLE_CHECK_MODE_MARKERS"], Kind::Text),
    Setting("show_custom_stats", "defaults", &["ANSIBLE_SHOW_CUSTOM_STATS"], Kind::Text),
    Setting("show_task_path_on_failure", "defaults", &["ANSIBLE_SHOW_TASK_PATH_ON_FAILURE"], Kind::Text),
    Setting("gathering", "defaults", &["ANSIBLE_GATHERING"], Kind::Text),
    Setting("error_on_missing_handler", "defaults", &["ANSIBLE_ERROR_ON_MISSING_HANDLER"], Kind::Text),
    Setting("force_valid_group_names", "defaults", &["ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS"], Kind::Text),
    Setting("fact_caching", "defaults", &["ANSIBLE_CACHE_PLUGIN"], Kind::Text),
    Setting("fact_caching_connection", "defaults", &["ANSIBLE_CACHE_PLUGIN_CONNECTION"], Kind::Text),
    Setting("fact_caching_prefix", "defaults", &["ANSIBLE_CACHE_PLUGIN_PREFIX"], Kind::Text),
    Setting("fact_caching_timeout", "defaults", &["ANSIBLE_CACHE_PLUGIN_TIMEOUT"], Kind::Text),
    Setting("force_handlers", "defaults", &["ANSIBLE_FORCE_HANDLERS"], Kind::Text),
    Setting("hash_behaviour", "defaults", &["ANSIBLE_HASH_BEHAVIOUR"], Kind::Text),
    Setting("duplicate_dict_key", "defaults", &["ANSIBLE_DUPLICATE_YAML_DICT_KEY"], Kind::Text),
    Setting("allow_broken_conditionals", "defaults", &["ANSIBLE_ALLOW_BROKEN_CONDITIONALS"], Kind::Text),
    Setting("verbosity", "defaults", &["ANSIBLE_VERBOSITY"], Kind::Text),
    Setting("module_name", "defaults", &[], Kind::Text),
    Setting("subset", "defaults", &["ANSIBLE_SUBSET"], Kind::Text),
    Setting("force_color", "defaults", &["ANSIBLE_FORCE_COLOR"], Kind::Text),
    Setting("nocolor", "defaults", &["ANSIBLE_NOCOLOR"], Kind::Text),
    Setting("localhost_warning", "defaults", &["ANSIBLE_LOCALHOST_WARNING"], Kind::Text),
    Setting("deprecation_warnings", "defaults", &["ANSIBLE_DEPRECATION_WARNINGS"], Kind::Text),
    Setting("inventory_unparsed_warning", "inventory", &["ANSIBLE_INVENTORY_UNPARSED_WARNING"], Kind::Text),
    Setting("unparsed_is_failed", "inventory", &["ANSIBLE_INVENTORY_UNPARSED_FAILED"], Kind::Text),
    Setting("any_unparsed_is_failed", "inventory", &["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"], Kind::Text),
    Setting("enable_plugins", "inventory", &["ANSIBLE_INVENTORY_ENABLED"], Kind::Text),
    Setting("export", "inventory", &["ANSIBLE_INVENTORY_EXPORT"], Kind::Text),
    Setting("become", "privilege_escalation", &["ANSIBLE_BECOME"], Kind::Text),
    Setting("become_method", "privilege_escalation", &["ANSIBLE_BECOME_METHOD"], Kind::Text),
    Setting("become_user", "privilege_escalation", &["ANSIBLE_BECOME_USER"], Kind::Text),
    Setting("become_exe", "privilege_escalation", &["ANSIBLE_BECOME_EXE"], Kind::Text),
    Setting("become_flags", "privilege_escalation", &["ANSIBLE_BECOME_FLAGS"], Kind::Text),
    Setting("become_ask_pass", "privilege_escalation", &["ANSIBLE_BECOME_ASK_PASS"], Kind::Text),
    Setting("ssh_args", "ssh_connection", &["ANSIBLE_SSH_ARGS"], Kind::Text),
    Setting("ssh_common_args", "ssh_connection", &["ANSIBLE_SSH_COMMON_ARGS"], Kind::Text),
    Setting("ssh_extra_args", "ssh_connection", &["ANSIBLE_SSH_EXTRA_ARGS"], Kind::Text),
    Setting("diff_always", "diff", &["ANSIBLE_DIFF_ALWAYS"], Kind::Text),
    Setting("diff_context", "diff", &["ANSIBLE_DIFF_CONTEXT"], Kind::Text),
    Setting("run_tags", "tags", &["ANSIBLE_RUN_TAGS"], Kind::Text),
    Setting("skip_tags", "tags", &["ANSIBLE_SKIP_TAGS"], Kind::Text),
];

/// Names in the file that differ from ours.
fn name_in_file(name: &'static str) -> &'static str {
    match name {
        "diff_always" => "always",
        "diff_context" => "context",
        "run_tags" => "run",
        "skip_tags" => "skip",
        "inventory_unparsed_warning" => "inventory_unparsed_warning",
        other => other,
    }
}

/// What file and environment say.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// The file, where one is used.
    pub(super) file: Option<PathBuf>,
    values: BTreeMap<&'static str, String>,
    /// Entries of the file and variables that mean nothing here.
    pub(super) unknown: Vec<String>,
    /// What deserves a word.
    pub(super) warnings: Vec<String>,
}

impl Config {
    /// Finds and reads the file, and takes the environment over it.
    pub(super) fn find() -> Self {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let mut config = Self::default();
        if let Some(file) = locate(&environment, &mut config.warnings) {
            match std::fs::read_to_string(&file) {
                Ok(text) => config.read(&text, &file, &environment),
                Err(error) => config.warnings.push(format!("cannot read {}: {error}", file.display())),
            }
            config.file = Some(file);
        }
        config.take(&environment);
        config
    }

    fn read(&mut self, text: &str, file: &Path, environment: &BTreeMap<String, String>) {
        let folder = std::path::absolute(file).ok().and_then(|file| file.parent().map(Path::to_path_buf)).unwrap_or_default();
        for (section, name, value) in entries(text) {
            let known = SETTINGS.iter().find(|Setting(own, place, _, _)| *place == section && name_in_file(own) == name);
            match known {
                Some(Setting(own, _, _, kind)) => drop(self.values.insert(own, resolved(&value, *kind, &folder, environment))),
                None => self.unknown.push(format!("[{section}] {name}")),
            }
        }
    }

    fn take(&mut self, environment: &BTreeMap<String, String>) {
        let here = std::env::current_dir().unwrap_or_default();
        for Setting(name, _, variables, kind) in SETTINGS {
            if let Some(value) = variables.iter().find_map(|variable| environment.get(*variable)) {
                self.values.insert(name, resolved(value, *kind, &here, environment));
            }
        }
        let known = |variable: &str| {
            variable == "ANSIBLE_CONFIG" || SETTINGS.iter().any(|Setting(_, _, variables, _)| variables.contains(&variable))
        };
        self.unknown.extend(environment.keys().filter(|variable| variable.starts_with("ANSIBLE_") && !known(variable)).cloned());
    }

    /// A setting's text; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A setting that is on or off.
    pub(super) fn flag(&self, name: &str, otherwise: bool) -> bool {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            Some("yes" | "on" | "1" | "true" | "t" | "y" | "1.0") => true,
            Some("no" | "off" | "0" | "false" | "f" | "n" | "0.0") => false,
            _ => otherwise,
        }
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }
}

/// The first file there is: named by the environment, here, at home, the system's.
fn locate(environment: &BTreeMap<String, String>, warnings: &mut Vec<String>) -> Option<PathBuf> {
    if let Some(named) = environment.get("ANSIBLE_CONFIG").filter(|named| !named.is_empty()) {
        let path = expand(named, environment);
        let path = if path.is_dir() { path.join("ansible.cfg") } else { path };
        if path.is_file() {
            return Some(path);
        }
    }
    let here = std::env::current_dir().unwrap_or_default();
    let in_folder = here.join("ansible.cfg");
    if in_folder.is_file() {
        // Whoever may write there could have this program do anything.
        if std::fs::metadata(&here).is_ok_and(|data| data.permissions().mode() & 0o002 != 0) {
            warnings.push(format!(
                "Ansible is being run in a world writable directory ({}), ignoring it as an ansible.cfg source.",
                here.display()
            ));
        } else {
            return Some(in_folder);
        }
    }
    let home = environment.get("HOME").map(|home| Path::new(home).join(".ansible.cfg"));
    home.into_iter().chain([PathBuf::from("/etc/ansible/ansible.cfg")]).find(|path| path.is_file())
}

/// Sections, names and values, comments left out.
fn entries(text: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut entries: Vec<(String, String, String)> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let trimmed = trimmed.split_once(" ;").map_or(trimmed, |(value, _)| value.trim_end());
        if line.starts_with([' ', '\t'])
            && let Some((_, _, value)) = entries.last_mut()
        {
            // A value goes on in lines that are indented.
            value.push('\n');
            value.push_str(trimmed);
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            name.0.clone_into(&mut section);
        } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            entries.push((section.clone(), name.trim().to_ascii_lowercase(), unquoted(value.trim()).to_owned()));
        }
    }
    entries
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

fn resolved(value: &str, kind: Kind, folder: &Path, environment: &BTreeMap<String, String>) -> String {
    let one = |text: &str| {
        let path = expand(text.trim(), environment);
        let path = match path.to_str().and_then(|text| text.strip_prefix("{{CWD}}")) {
            Some(rest) => PathBuf::from(format!(".{rest}")),
            None => folder.join(path),
        };
        path.display().to_string()
    };
    match kind {
        Kind::Text => value.to_owned(),
        Kind::Path => one(value),
        Kind::Paths => {
            // A list of hosts is no path, and neither is what names one after a comma.
            let parts: Vec<&str> = value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            let listed = value.contains(',') && parts.iter().all(|part| !folder.join(expand(part, environment)).exists());
            if listed { value.to_owned() } else { parts.into_iter().map(one).collect::<Vec<_>>().join(",") }
        }
        Kind::Search => value.split(':').filter(|part| !part.is_empty()).map(one).collect::<Vec<_>>().join(":"),
    }
}

/// `~` and `$VARIABLES` replaced.
fn expand(text: &str, environment: &BTreeMap<String, String>) -> PathBuf {
    let text = match (text.strip_prefix('~'), environment.get("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => text.to_owned(),
    };
    let mut expanded = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, tail)) => (name, tail),
            None => after.split_at(after.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').unwrap_or(after.len())),
        };
        match environment.get(name) {
            Some(value) => expanded.push_str(value),
            None => expanded.push_str(&rest[before.len()..rest.len() - tail.len()]),
        }
        rest = tail;
    }
    expanded.push_str(rest);
    PathBuf::from(expanded)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::Config;

    #[test]
    fn the_file_is_read_as_ansible_reads_it() {
        let environment = BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned()), ("NET".to_owned(), "lan".to_owned())]);
        let mut config = Config::default();
        let text = "# hosts\n[defaults]\ninventory = hosts.ini ; ours\nroles_path=~/roles:./more\nforks: 9\nhost_key_checking = False\nlibrary = x\nprivate_key_file = keys/$NET/${NET}_id\n\n[ssh_connection]\npipelining = true\n[privilege_escalation]\nbecome = yes\n[diff]\nalways=on\n";
        config.read(text, Path::new("/etc/p/ansible.cfg"), &environment);
        assert_eq!(config.text("inventory"), Some("/etc/p/hosts.ini"));
        assert_eq!(config.text("roles_path"), Some("/home/me/roles:/etc/p/./more"));
        assert_eq!(config.text("private_key_file"), Some("/etc/p/keys/lan/lan_id"));
        assert_eq!((config.number("forks"), config.flag("host_key_checking", true), config.flag("become", false)), (Some(9), false, true));
        assert!(config.flag("diff_always", false));
        assert_eq!(config.unknown, ["[defaults] library", "[ssh_connection] pipelining"]);
        config.take(&BTreeMap::from([("ANSIBLE_FORKS".to_owned(), "3".to_owned()), ("ANSIBLE_NOCOWS".to_owned(), "1".to_owned())]));
        assert_eq!(config.number("forks"), Some(3));
        assert_eq!(config.unknown.last().map(String::as_str), Some("ANSIBLE_NOCOWS"));
    }
}
