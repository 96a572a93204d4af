//! `authorized_key`: the keys with which people log in as a user.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::keys::AuthorizedKey;

use crate::http::{Request, Tls, Url};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::replacement::content_diff;
use crate::system::{Permissions, User};

pub(crate) fn plan(arguments: &AuthorizedKey, context: &Context) -> Planned {
    let user = context.system.user_by_name(&arguments.user)?;
    let file = match (&arguments.path, &user) {
        (Some(path), _) => paths::expand(context.system, path.as_str())?,
        (None, Some(user)) => Path::new(&user.home).join(".ssh/authorized_keys"),
        (None, None) if context.mode.is_check() => {
            return Ok(Plan::Done(Outcome::changed().saying(format!("the user {} is not there yet", arguments.user))));
        }
        (None, None) => return Err(Failure::new(format!("Failed to lookup user {}: no such user", arguments.user))),
    };
    let file = if arguments.follow { context.system.real_path(&file).unwrap_or(file) } else { file };
    let wished = wished(arguments, context)?;
    let reading = format!("cannot read {}", file.display());
    let before = context.system.read_if_there(&file).context(&reading)?;
    let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
    let mut found: Vec<Line> = text.lines().filter(|line| !line.trim().is_empty()).map(Line::read).collect();
    let differs = change(&mut found, wished, arguments);
    let outcome = Outcome::changed_if(differs)
        .with("user", arguments.user.as_str())
        .with("key", arguments.key.as_str())
        .with("keyfile", file.to_string_lossy())
        .with("state", arguments.state.word())
        .with("exclusive", arguments.exclusive)
        .with("manage_dir", arguments.manage_dir);
    let outcome = match &arguments.key_options {
        Some(options) => outcome.with("key_options", options.as_str()),
        None => outcome,
    };
    if !differs {
        return Ok(Plan::Done(outcome));
    }
    let after: String = found.iter().map(Line::written).collect();
    let outcome = outcome.showing(content_diff(&file, before.as_deref(), after.as_bytes()));
    let manage_dir = arguments.manage_dir;
    Ok(Plan::change(outcome, move |context, outcome| {
        let user = user.ok_or_else(|| Failure::new("Failed to lookup the user: no such user"))?;
        write(&file, &after, before.is_some(), manage_dir, &user, context)?;
        Ok(outcome)
    }))
}

fn write(file: &Path, text: &str, is_there: bool, manage_dir: bool, user: &User, context: &Context) -> Result<(), Failure> {
    let writing = format!("cannot write {}", file.display());
    let own = Permissions { uid: Some(user.uid), gid: Some(user.gid), mode: None };
    if let Some(folder) = file.parent().filter(|folder| manage_dir && !context.system.exists(folder)) {
        let made: Vec<PathBuf> = context.system.make_dirs(folder).context(&writing)?;
        for folder in made {
            context.system.set_permissions(&folder, &Permissions { mode: Some(0o700), ..own }).context(&writing)?;
        }
    }
    let permissions = if is_there { Permissions::default() } else { Permissions { mode: Some(0o600), ..own } };
    context.system.write_file_atomically(file, text.as_bytes(), &permissions).context(writing)
}

/// One line of a file of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Key {
        options: String,
        kind: String,
        key: String,
        comment: String,
    },
    /// A comment, or what is no key.
    Other(String),
}

const KINDS: [&str; 4] = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];

impl Line {
    fn read(line: &str) -> Self {
        let line = line.trim();
        if line.starts_with('#') {
            return Self::Other(line.to_owned());
        }
        let words = words(line);
        let is_kind = |word: &&str| KINDS.iter().any(|kind| word.starts_with(kind));
        let at = match (words.first(), words.get(1)) {
            (Some(word), _) if is_kind(word) => 0,
            (_, Some(word)) if is_kind(word) => 1,
            _ => return Self::Other(line.to_owned()),
        };
        let Some(key) = words.get(at + 1) else { return Self::Other(line.to_owned()) };
        Self::Key {
            options: if at == 1 { words[0].to_owned() } else { String::new() },
            kind: words[at].to_owned(),
            key: (*key).to_owned(),
            comment: words[at + 2..].join(" "),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Other(text) => format!("{text}\n"),
            Self::Key { options, kind, key, comment } => {
                let words: Vec<&str> =
                    [options, kind, key, comment].into_iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
                format!("{}\n", words.join(" "))
            }
        }
    }

    fn is_same_key(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key { key, .. }, Self::Key { key: other, .. }) => key == other,
            (Self::Other(text), Self::Other(other)) => text == other,
            _ => false,
        }
    }
}

/// Words between spaces; options may have spaces within quotes.
fn words(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), None, false, false);
    for (at, letter) in line.char_indices() {
        if letter.is_whitespace() && !is_quoted {
            words.extend(start.take().map(|start| &line[start..at]));
        } else {
            start.get_or_insert(at);
            is_quoted ^= letter == '"' && !is_escaped;
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    words.extend(start.map(|start| &line[start..]));
    words
}

fn wished(arguments: &AuthorizedKey, context: &Context) -> Result<Vec<Line>, Failure> {
    let fetched;
    let text = if arguments.key.starts_with("http://") || arguments.key.starts_with("https://") {
        let url = Url::parse(&arguments.key).map_err(Failure::new)?;
        let mut request = Request::get(url, Duration::from_secs(30));
        request.environment = context.environment.to_vec();
        request.tls = Tls { is_unchecked: !arguments.validate_certs, ..Tls::default() };
        let mut body = Vec::new();
        match request.send(context.system, &mut body) {
            Ok(response) if response.status == 200 => {}
            Ok(response) => return Err(Failure::new(format!("Error getting key from: {} (status {})", arguments.key, response.status))),
            Err(error) => return Err(Failure::new(format!("Error getting key from: {}: {error}", arguments.key))),
        }
        fetched = String::from_utf8_lossy(&body).into_owned();
        &fetched
    } else {
        &arguments.key
    };
    let mut keys = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Line::Key { mut options, kind, key, mut comment } = Line::read(line) else {
            return Err(Failure::new(format!("invalid key specified: {line}")));
        };
        if let Some(given) = &arguments.key_options {
            options.clone_from(given);
        }
        if let Some(given) = &arguments.comment {
            comment.clone_from(given);
        }
        keys.push(Line::Key { options, kind, key, comment });
    }
    Ok(keys)
}

/// Brings the lines about; `true` when they were otherwise.
fn change(found: &mut Vec<Line>, wished: Vec<Line>, arguments: &AuthorizedKey) -> bool {
    let before = found.clone();
    if arguments.state == Presence::Absent {
        found.retain(|line| !wished.iter().any(|key| key.is_same_key(line)));
        return *found != before;
    }
    if arguments.exclusive {
        found.retain(|line| wished.iter().any(|key| key.is_same_key(line)));
    }
    for key in wished {
        if !found.contains(&key) {
            found.retain(|line| !line.is_same_key(&key));
            found.push(key);
        }
    }
    *found != before
}

#[cfg(test)]
mod tests {
    use super::{Line, words};

    #[test]
    fn options_may_have_spaces_within_quotes() {
        let line = r#"command="ls -l \"x y\"",no-pty ssh-ed25519 AAAA me at home"#;
        assert_eq!(words(line).len(), 6);
        let read = Line::read(line);
        assert!(matches!(&read, Line::Key { kind, key, comment, .. } if kind == "ssh-ed25519" && key == "AAAA" && comment == "me at home"));
        assert_eq!(read.written(), format!("{line}\n"));
    }
}
