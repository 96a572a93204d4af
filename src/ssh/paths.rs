//! File names as ssh configuration writes them: `~`, `%` tokens, environment variables and wildcards.

use std::env;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::pattern;

/// The values that `%` tokens stand for.
pub(crate) struct Tokens<'a> {
    /// `%n`, the name the user gave.
    pub(crate) name: &'a str,
    /// `%h`, the address.
    pub(crate) host: &'a str,
    /// `%p`.
    pub(crate) port: u16,
    /// `%r`, the user on the host.
    pub(crate) user: &'a str,
    /// `%k`, where the host's keys are listed under another name.
    pub(crate) key_alias: Option<&'a str>,
}

impl Tokens<'_> {
    /// What `%` and this letter stand for.
    fn value(&self, letter: char) -> Option<String> {
        let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Some(match letter {
            '%' => "%".to_owned(),
            'h' => self.host.to_owned(),
            'n' => self.name.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'k' => self.key_alias.unwrap_or(self.name).to_owned(),
            'u' => login_name(),
            'i' => rustix::process::getuid().as_raw().to_string(),
            'd' => home().unwrap_or_default().to_string_lossy().into_owned(),
            'l' => machine(),
            'L' => machine().split('.').next().unwrap_or_default().to_owned(),
            _ => return None,
        })
    }
}

/// Replaces the tokens in a command; the rest is the shell's. Unknown tokens stay as they are.
pub(crate) fn replace_tokens(text: &str, tokens: &Tokens<'_>) -> String {
    let mut result = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            result.push(c);
            continue;
        }
        let letter = chars.next();
        match letter.and_then(|letter| tokens.value(letter)) {
            Some(value) => result.push_str(&value),
            None => {
                result.push('%');
                result.extend(letter);
            }
        }
    }
    result
}

pub(crate) fn home() -> Option<PathBuf> {
    env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// The name of the user who runs this program.
pub(crate) fn login_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let named = fs::read_to_string("/etc/passwd").ok().and_then(|text| {
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
        })
    });
    named.or_else(|| env::var("USER").ok()).or_else(|| env::var("LOGNAME").ok()).unwrap_or_else(|| uid.to_string())
}

/// Replaces a leading `~` by the home directory.
pub(crate) fn expand_home(text: &str) -> PathBuf {
    match (text.strip_prefix('~'), home()) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => PathBuf::from(text),
    }
}

/// Replaces tokens, `${VARIABLE}` and a leading `~`. Unknown tokens and variables stay as they are.
pub(crate) fn expand(text: &str, tokens: &Tokens<'_>) -> PathBuf {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        let (before, after) = rest.split_at(at);
        result.push_str(before);
        if let Some((name, tail)) = after.strip_prefix("${").and_then(|tail| tail.split_once('}')) {
            match env::var(name) {
                Ok(value) => result.push_str(&value),
                Err(_) => result.push_str(&after[..name.len() + 3]),
            }
            rest = tail;
            continue;
        }
        let mut chars = after.chars();
        let sign = chars.next();
        if sign != Some('%') {
            result.extend(sign);
            rest = chars.as_str();
            continue;
        }
        let letter = chars.next();
        match letter.and_then(|letter| tokens.value(letter)) {
            Some(value) => result.push_str(&value),
            None => {
                result.push('%');
                result.extend(letter);
            }
        }
        rest = chars.as_str();
    }
    result.push_str(rest);
    expand_home(&result)
}

/// The existing files that a path with wildcards names, in order of name.
pub(crate) fn glob(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let text = component.as_os_str().to_string_lossy();
        let wild = matches!(component, Component::Normal(_)) && text.contains(['*', '?']);
        found = found
            .into_iter()
            .flat_map(|base| {
                if !wild {
                    return vec![base.join(component)];
                }
                let mut names: Vec<String> = fs::read_dir(&base)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .filter(|name| pattern::matches(&text, name) && (text.starts_with('.') || !name.starts_with('.')))
                    .collect();
                names.sort();
                names.into_iter().map(|name| base.join(name)).collect()
            })
            .collect();
    }
    found.retain(|path| path.is_file());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced() {
        let tokens = Tokens { name: "db1", host: "10.0.0.5", port: 2222, user: "admin", key_alias: None };
        let home = home().unwrap_or_default();
        for (text, expect) in [
            ("/k/%h_%n_%p_%r", "/k/10.0.0.5_db1_2222_admin".to_owned()),
            ("/k/100%%", "/k/100%".to_owned()),
            ("~/.ssh/id_%n", format!("{}/.ssh/id_db1", home.display())),
            ("%d/id", format!("{}/id", home.display())),
            ("/k/%u", format!("/k/{}", login_name())),
            ("/k/${NO_SUCH_VARIABLE_HERE}/$x", "/k/${NO_SUCH_VARIABLE_HERE}/$x".to_owned()),
            ("${HOME}/id", format!("{}/id", env::var("HOME").unwrap_or_else(|_| "${HOME}".to_owned()))),
        ] {
            assert_eq!(expand(text, &tokens), PathBuf::from(expect), "{text}");
        }
    }
}
