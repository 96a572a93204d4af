//! `~/.ssh/config`: which settings ssh would use for a host. The first value given for a setting wins, as in ssh_config(5).

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::SshError;
use crate::paths::{self, Tokens};
use crate::pattern;

const DEEPEST_INCLUDE: usize = 16;
/// Bytes of one file.
const LONGEST_FILE: u64 = 1024 * 1024;

/// The settings read from ssh configuration files.
#[derive(Debug, Clone, Default)]
pub struct SshConfig {
    blocks: Vec<Block>,
}

/// What to do with the key of a host that is not listed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownKeys {
    /// Stop (`yes`, `ask`: nobody can be asked in the middle of a run).
    #[default]
    Refuse,
    /// Pin it (`accept-new`, and `no`, which here is no licence to accept changed keys).
    Accept,
}

/// The settings for one host. Names of files still carry their `~` and `%` tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// `HostName`, with `%h` in it already replaced.
    pub host_name: Option<String>,
    /// `User`.
    pub user: Option<String>,
    /// `Port`.
    pub port: Option<u16>,
    /// `IdentityFile`, all of them in order; `none` empties the list.
    pub identity_files: Vec<String>,
    /// `IdentitiesOnly`.
    pub identities_only: Option<bool>,
    /// `IdentityAgent`.
    pub identity_agent: Option<String>,
    /// `ProxyJump`, without `none`.
    pub proxy_jump: Option<String>,
    /// `ProxyCommand`, without `none`.
    pub proxy_command: Option<String>,
    /// `UserKnownHostsFile`.
    pub user_known_hosts: Option<Vec<String>>,
    /// `GlobalKnownHostsFile`.
    pub global_known_hosts: Option<Vec<String>>,
    /// `StrictHostKeyChecking`.
    pub unknown_keys: Option<UnknownKeys>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `ConnectTimeout`, in seconds.
    pub connect_timeout: Option<u64>,
    /// `ServerAliveInterval`, in seconds.
    pub alive_interval: Option<u64>,
    /// `ServerAliveCountMax`.
    pub alive_count: Option<u64>,
    /// `PubkeyAuthentication`.
    pub pubkey_authentication: Option<bool>,
    /// `PasswordAuthentication`.
    pub password_authentication: Option<bool>,
    /// `PreferredAuthentications`.
    pub preferred_authentications: Option<String>,
}

impl HostSettings {
    /// Whether a way to log in may be tried.
    pub(crate) fn offers(&self, method: &str, switch: Option<bool>) -> bool {
        let listed = |list: &String| list.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(method));
        switch.unwrap_or(true) && self.preferred_authentications.as_ref().is_none_or(listed)
    }
}

#[derive(Debug, Clone)]
struct Block {
    conditions: Vec<Condition>,
    settings: Vec<Setting>,
}

#[derive(Debug, Clone)]
enum Condition {
    Host(Vec<String>),
    Match(Vec<(String, bool, String)>),
}

#[derive(Debug, Clone)]
struct Setting {
    keyword: String,
    arguments: Vec<String>,
    file: String,
    line: usize,
}

impl SshConfig {
    /// The user's and the system's files, as ssh reads them when it is given no `-F`.
    ///
    /// # Errors
    /// A line that cannot be understood, with its place.
    pub fn standard() -> Result<Self, SshError> {
        let mut config = Self::default();
        if let Some(home) = paths::home() {
            config.read_file(&home.join(".ssh/config"), &home.join(".ssh"), &[], 0)?;
        }
        config.read_file(Path::new("/etc/ssh/ssh_config"), Path::new("/etc/ssh"), &[], 0)?;
        Ok(config)
    }

    /// One file only, as `ssh -F FILE` does. A file that does not exist counts as empty.
    ///
    /// # Errors
    /// A line that cannot be understood, with its place.
    pub fn from_file(file: &Path) -> Result<Self, SshError> {
        let mut config = Self::default();
        let base = paths::home().unwrap_or_default().join(".ssh");
        config.read_file(file, &base, &[], 0)?;
        Ok(config)
    }

    fn read_file(&mut self, file: &Path, base: &Path, outer: &[Condition], depth: usize) -> Result<(), SshError> {
        let shown = file.display().to_string();
        let text = match read_text(file) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(()),
            Err(error) => return Err(SshError::Configuration { file: shown, line: 0, message: format!("cannot be read: {error}") }),
        };
        if depth > DEEPEST_INCLUDE {
            return Err(SshError::Configuration {
                file: shown,
                line: 0,
                message: "Include goes too deep: does a file include itself?".to_owned(),
            });
        }
        let mut conditions = outer.to_vec();
        self.open(&conditions);
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let wrong = |message: String| SshError::Configuration { file: shown.clone(), line: number, message };
            let Some((keyword, arguments)) = split_line(line).map_err(wrong)? else {
                continue;
            };
            if arguments.is_empty() {
                return Err(wrong(format!("{keyword} has no value")));
            }
            match keyword.as_str() {
                "host" => {
                    conditions = outer.to_vec();
                    conditions.push(Condition::Host(arguments));
                    self.open(&conditions);
                }
                "match" => {
                    conditions = outer.to_vec();
                    conditions.push(Condition::Match(match_criteria(&arguments).map_err(wrong)?));
                    self.open(&conditions);
                }
                "include" => {
                    for argument in &arguments {
                        let path = base.join(paths::expand_home(argument));
                        for found in paths::glob(&path) {
                            self.read_file(&found, base, &conditions, depth + 1)?;
                        }
                    }
                    self.open(&conditions);
                }
                _ => {
                    let setting = Setting { keyword, arguments, file: shown.clone(), line: number };
                    if let Some(block) = self.blocks.last_mut() {
                        block.settings.push(setting);
                    }
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, conditions: &[Condition]) {
        self.blocks.push(Block { conditions: conditions.to_vec(), settings: Vec::new() });
    }

    /// The settings for the host that the user calls `alias`. The given options (`Keyword`, value) win over the files.
    ///
    /// # Errors
    /// A value of the wrong kind, with its place.
    pub fn lookup(&self, alias: &str, options: &[(String, String)]) -> Result<HostSettings, SshError> {
        let mut settings = HostSettings::default();
        let mut none = Nones::default();
        for (keyword, value) in options {
            let keyword = keyword.to_lowercase();
            let setting = Setting {
                arguments: if takes_line(&keyword) {
                    vec![value.clone()]
                } else {
                    split_words(value).unwrap_or_else(|_| vec![value.clone()])
                },
                keyword,
                file: "ssh arguments".to_owned(),
                line: 0,
            };
            apply(&mut settings, &mut none, &setting, alias)?;
        }
        for block in &self.blocks {
            if block.conditions.iter().all(|condition| holds(condition, alias, &settings)) {
                for setting in &block.settings {
                    apply(&mut settings, &mut none, setting, alias)?;
                }
            }
        }
        if none.identity {
            settings.identity_files.clear();
        }
        Ok(settings)
    }
}

/// Which settings were switched off with `none`: that too is a first value that wins.
#[derive(Default)]
struct Nones {
    identity: bool,
    proxy: bool,
}

fn apply(settings: &mut HostSettings, none: &mut Nones, setting: &Setting, alias: &str) -> Result<(), SshError> {
    let Some(value) = setting.arguments.first() else {
        return Ok(());
    };
    let wrong = |message: String| SshError::Configuration { file: setting.file.clone(), line: setting.line, message };
    let is_none = value.eq_ignore_ascii_case("none");
    match setting.keyword.as_str() {
        "hostname" => first(&mut settings.host_name, value.replace("%%", "\u{0}").replace("%h", alias).replace('\u{0}', "%")),
        "user" => first(&mut settings.user, value.clone()),
        "port" => {
            let port = value.parse().ok().filter(|port| *port != 0);
            first(&mut settings.port, port.ok_or_else(|| wrong(format!("`{value}` is not a port")))?);
        }
        "identityfile" if is_none => none.identity = true,
        "identityfile" if !settings.identity_files.contains(value) => settings.identity_files.push(value.clone()),
        "identitiesonly" => {
            first(&mut settings.identities_only, yes_or_no(value).ok_or_else(|| wrong(format!("`{value}` is neither yes nor no")))?)
        }
        "identityagent" => first(&mut settings.identity_agent, value.clone()),
        "proxyjump" | "proxycommand" if none.proxy || settings.proxy_jump.is_some() || settings.proxy_command.is_some() => {}
        "proxyjump" | "proxycommand" if is_none => none.proxy = true,
        "proxyjump" => settings.proxy_jump = Some(setting.arguments.join("")),
        "proxycommand" => settings.proxy_command = Some(setting.arguments.join(" ")),
        "userknownhostsfile" => first(&mut settings.user_known_hosts, files(&setting.arguments)),
        "globalknownhostsfile" => first(&mut settings.global_known_hosts, files(&setting.arguments)),
        "stricthostkeychecking" => {
            let policy = match value.to_lowercase().as_str() {
                "yes" | "true" | "ask" => UnknownKeys::Refuse,
                "no" | "off" | "false" | "accept-new" => UnknownKeys::Accept,
                _ => return Err(wrong(format!("`{value}` is none of yes, no, ask, accept-new"))),
            };
            first(&mut settings.unknown_keys, policy);
        }
        "hostkeyalias" => first(&mut settings.host_key_alias, value.clone()),
        "connecttimeout" if !is_none => {
            first(&mut settings.connect_timeout, seconds(value).ok_or_else(|| wrong(format!("`{value}` is not a number of seconds")))?);
        }
        "serveraliveinterval" => {
            first(&mut settings.alive_interval, seconds(value).ok_or_else(|| wrong(format!("`{value}` is not a number of seconds")))?);
        }
        "serveralivecountmax" => {
            first(&mut settings.alive_count, value.parse().map_err(|_| wrong(format!("`{value}` is not a number")))?);
        }
        // Forms of `PubkeyAuthentication` beside yes and no choose among protocols that are tried anyway.
        "pubkeyauthentication" => first(&mut settings.pubkey_authentication, yes_or_no(value).unwrap_or(true)),
        "passwordauthentication" => {
            first(&mut settings.password_authentication, yes_or_no(value).ok_or_else(|| wrong(format!("`{value}` is neither yes nor no")))?)
        }
        "preferredauthentications" => first(&mut settings.preferred_authentications, value.clone()),
        _ => {}
    }
    Ok(())
}

fn first<T>(slot: &mut Option<T>, value: T) {
    if slot.is_none() {
        *slot = Some(value);
    }
}

/// The text of a file, which may be a device or a pipe: no more of it is read than a configuration can be long.
fn read_text(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let length = fs::File::open(file)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if length as u64 > LONGEST_FILE {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("it is longer than {LONGEST_FILE} bytes")));
    }
    Ok(text)
}

/// Whether the rest of the line, quotes and all, is the value.
fn takes_line(keyword: &str) -> bool {
    keyword == "proxycommand"
}

/// Seconds as ssh_config(5) writes times: `90`, `1m30s`.
fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let factor = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[digits + unit.map_or(0, char::len_utf8)..];
    }
    (!text.is_empty()).then_some(total)
}

fn files(arguments: &[String]) -> Vec<String> {
    arguments.iter().filter(|file| !file.eq_ignore_ascii_case("none")).cloned().collect()
}

fn yes_or_no(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

fn holds(condition: &Condition, alias: &str, settings: &HostSettings) -> bool {
    match condition {
        Condition::Host(patterns) => pattern::list_matches(patterns.iter().map(String::as_str), alias),
        Condition::Match(criteria) => criteria.iter().all(|(word, negated, argument)| {
            let patterns = || argument.split(',');
            let found = match word.as_str() {
                "all" => true,
                "host" => pattern::list_matches(patterns(), settings.host_name.as_deref().unwrap_or(alias)),
                "originalhost" => pattern::list_matches(patterns(), alias),
                "user" => pattern::list_matches(patterns(), &settings.user.clone().unwrap_or_else(paths::login_name)),
                "localuser" => pattern::list_matches(patterns(), &paths::login_name()),
                "exec" => succeeds(argument, alias, settings),
                // Names are not made canonical here.
                _ => return false,
            };
            found != *negated
        }),
    }
}

/// Whether the command of a `Match exec` ends well. As with ssh, it is run for each host that gets as far as that line.
fn succeeds(command: &str, alias: &str, settings: &HostSettings) -> bool {
    let (host, user) = (settings.host_name.as_deref().unwrap_or(alias), settings.user.clone().unwrap_or_else(paths::login_name));
    let key_alias = settings.host_key_alias.as_deref();
    let tokens = Tokens { name: alias, host, port: settings.port.unwrap_or(22), user: &user, key_alias };
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &paths::replace_tokens(command, &tokens)]);
    let status = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn match_criteria(arguments: &[String]) -> Result<Vec<(String, bool, String)>, String> {
    let mut criteria = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (word, given) = word.split_once('=').map_or((word.as_str(), None), |(word, value)| (word, Some(value.to_owned())));
        let (word, negated) = word.strip_prefix('!').map_or((word, false), |word| (word, true));
        let word = word.to_lowercase();
        let argument = match word.as_str() {
            "all" | "canonical" | "final" => String::new(),
            _ => given.or_else(|| words.next().cloned()).ok_or_else(|| format!("Match {word} has no value"))?,
        };
        criteria.push((word, negated, argument));
    }
    Ok(criteria)
}

/// A line's keyword in lower case and its arguments; nothing for an empty line or a comment.
fn split_line(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let keyword = keyword.to_lowercase();
    let arguments = match rest.trim() {
        line if takes_line(&keyword) && !line.is_empty() => vec![line.to_owned()],
        _ => split_words(rest)?,
    };
    Ok(Some((keyword, arguments)))
}

/// Words as ssh_config splits them: quotes of both kinds, backslashes before quotes, and a comment at the end.
pub(crate) fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.peek().is_none_or(|c| *c == '#') {
            return Ok(words);
        }
        let mut word = String::new();
        let mut quote: Option<char> = None;
        while let Some(c) = rest.next() {
            match (c, quote) {
                ('\\', _) if rest.peek().is_some_and(|next| matches!(next, '"' | '\'' | '\\') || (quote.is_none() && *next == ' ')) => {
                    word.extend(rest.next());
                }
                (c, Some(open)) if c == open => quote = None,
                (_, Some(_)) => word.push(c),
                ('"' | '\'', None) => quote = Some(c),
                (c, None) if c.is_whitespace() => break,
                (c, None) => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quote is not closed".to_owned());
        }
        words.push(word);
    }
}

/// Words as the real tool splits its arguments for ssh: like a shell without variables, with no comments.
pub(crate) fn split_arguments(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None, '\\') => word.get_or_insert_default().push(rest.next().ok_or("a backslash at the end")?),
            (Some('"'), '\\') if matches!(rest.peek(), Some('"' | '\\')) => word.get_or_insert_default().extend(rest.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// The file names that ssh uses where the configuration names none.
pub(crate) fn default_known_hosts() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let user = paths::home().map(|home| vec![home.join(".ssh/known_hosts"), home.join(".ssh/known_hosts2")]).unwrap_or_default();
    let global = vec![PathBuf::from("/etc/ssh/ssh_known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts2")];
    (user, global)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
