//! Lookups of what only the controller knows: hosts of a pattern, settings, pages of the network.

use std::process::{Command, Stdio};

use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::paths::matches_glob;
use super::python::{self, fail, items_of, pairs_of, text};
use super::regex::{Flags, is_match};
use crate::evaluate::scope_of;

/// The hosts that a pattern selects, by the variable `groups`.
pub(crate) fn inventory_hostnames(state: &State<'_, '_>, terms: &[Value]) -> Result<Vec<Value>, Error> {
    let groups = state.lookup("groups").filter(python::is_mapping).ok_or_else(|| fail("inventory_hostnames needs an inventory"))?;
    let groups: Vec<(String, Vec<String>)> = pairs_of(&groups)?
        .iter()
        .map(|(name, hosts)| Ok((text(name), items_of(hosts)?.iter().map(text).collect())))
        .collect::<Result<_, Error>>()?;
    let words = terms.iter().map(text).collect::<Vec<_>>().join(",");
    let mut words: Vec<&str> = words.split([',', ':']).map(str::trim).filter(|word| !word.is_empty()).collect();
    // Unions first, then intersections, then what is taken away.
    words.sort_by_key(|word| if word.starts_with('!') { 2 } else { u8::from(word.starts_with('&')) });
    let mut chosen: Vec<String> = Vec::new();
    for word in words {
        let hosts = hosts_of(&groups, word.trim_start_matches(['!', '&']))?;
        match word.as_bytes().first() {
            Some(b'!') => chosen.retain(|host| !hosts.contains(host)),
            Some(b'&') => chosen.retain(|host| hosts.contains(host)),
            _ => {
                for host in hosts {
                    if !chosen.contains(&host) {
                        chosen.push(host);
                    }
                }
            }
        }
    }
    Ok(chosen.into_iter().map(Value::from).collect())
}

fn hosts_of(groups: &[(String, Vec<String>)], word: &str) -> Result<Vec<String>, Error> {
    let fits = |name: &str| match word.strip_prefix('~') {
        Some(pattern) => is_match(name, pattern, Flags { anchored: true, ..Flags::default() }),
        None => Ok(name == word || matches_glob(word, name)),
    };
    let mut hosts: Vec<String> = Vec::new();
    for (name, members) in groups {
        let whole = fits(name)?;
        for host in members {
            if (whole || fits(host)?) && !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
    }
    Ok(hosts)
}

/// Settings that playbooks ask for, with the values that hold unless a file says otherwise.
pub(crate) fn setting(state: &State<'_, '_>, name: &str, call: &Arguments) -> Result<Option<Value>, Error> {
    Ok(Some(match name {
        "DEFAULT_FORKS" => Value::from(5),
        "DEFAULT_TIMEOUT" => Value::from(10),
        "ALLOW_BROKEN_CONDITIONALS" => Value::from(scope_of(state).is_some_and(|scope| scope.allows_broken_conditions())),
        "DEFAULT_BECOME" | "HOST_KEY_CHECKING_DISABLED" | "RETRY_FILES_ENABLED" | "DEFAULT_KEEP_REMOTE_FILES" => Value::from(false),
        "HOST_KEY_CHECKING" => Value::from(true),
        "DEFAULT_BECOME_METHOD" => Value::from("sudo"),
        "DEFAULT_BECOME_USER" => Value::from("root"),
        "DEFAULT_REMOTE_USER" | "DEFAULT_PRIVATE_KEY_FILE" | "CONFIG_FILE" => Value::from(()),
        "DEFAULT_GATHERING" => Value::from("implicit"),
        "DEFAULT_HASH_BEHAVIOUR" => Value::from("replace"),
        "DEFAULT_STRATEGY" => Value::from("linear"),
        "DEFAULT_MANAGED_STR" => Value::from("Ansible managed"),
        "DEFAULT_ROLES_PATH" => paths("ANSIBLE_ROLES_PATH", &["~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles"]),
        "COLLECTIONS_PATHS" => paths("ANSIBLE_COLLECTIONS_PATH", &["~/.ansible/collections", "/usr/share/ansible/collections"]),
        "DEFAULT_HOST_LIST" => paths("ANSIBLE_INVENTORY", &["/etc/ansible/hosts"]),
        "DEFAULT_LOCAL_TMP" => Value::from(super::paths::expand_user("~/.ansible/tmp")),
        _ => match call.keyword("on_missing").map(text).as_deref() {
            Some("skip" | "warn") => return Ok(None),
            _ => return Err(fail(format!("the setting '{name}' is not known here"))),
        },
    }))
}

fn paths(variable: &str, default: &[&str]) -> Value {
    match std::env::var(variable) {
        Ok(given) => given.split([':', ',']).map(super::paths::expand_user).map(Value::from).collect(),
        Err(_) => default.iter().map(|path| Value::from(super::paths::expand_user(path))).collect(),
    }
}

/// The content of a page, fetched by `curl`: in lines unless `split_lines` is false.
pub(crate) fn url(address: &str, call: &Arguments) -> Result<Vec<Value>, Error> {
    let option = |name: &str| call.keyword(name).filter(|value| !value.is_none()).map(text);
    let flag = |name: &str, default: bool| call.keyword(name).map_or(default, python::truth);
    if !address.contains("://") || address.starts_with('-') {
        return Err(fail(format!("lookup url: '{address}' is no address")));
    }
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--location", "--max-time"]);
    command.arg(option("timeout").unwrap_or_else(|| "10".to_owned()));
    if !flag("validate_certs", true) {
        command.arg("--insecure");
    }
    for (name, argument) in [("http_agent", "--user-agent"), ("ca_path", "--cacert"), ("unix_socket", "--unix-socket")] {
        if let Some(value) = option(name) {
            command.args([argument, &value]);
        }
    }
    let mut secrets = String::new();
    if let Some(user) = option("username").or_else(|| option("url_username")) {
        let password = option("password").or_else(|| option("url_password")).unwrap_or_default();
        secrets += &format!("user = {}\n", quoted(&format!("{user}:{password}")));
    }
    for (name, value) in call.keyword("headers").map_or_else(|| Ok(Vec::new()), pairs_of)? {
        secrets += &format!("header = {}\n", quoted(&format!("{}: {}", text(&name), text(&value))));
    }
    // What is secret goes in by standard input: arguments are seen by everyone.
    let output = run(command.args(["--config", "-"]).arg(address), &secrets)
        .map_err(|error| fail(format!("lookup url: cannot run curl, which must be installed here: {error}")))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(fail(format!("Failed lookup url for {address}: {}", why.trim())));
    }
    let content = String::from_utf8(output.stdout).map_err(|_| fail(format!("lookup url: {address} is not UTF-8 text")))?;
    if flag("split_lines", true) {
        return Ok(super::text::split_lines(&content, false).into_iter().map(Value::from).collect());
    }
    Ok(vec![Value::from(content)])
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn run(command: &mut Command, input: &str) -> std::io::Result<std::process::Output> {
    use std::io::Write as _;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    child.wait_with_output()
}
