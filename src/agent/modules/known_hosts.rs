//! `known_hosts`: the keys by which hosts are known, in a file of OpenSSH's form.

use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::keys::KnownHosts;
use sha1::{Digest, Sha1};

use crate::attributes::with_path_info;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::replacement::content_diff;
use crate::system::Permissions;

pub(crate) fn plan(arguments: &KnownHosts, context: &Context) -> Planned {
    let host = arguments.name.to_lowercase();
    let path = paths::expand(context.system, arguments.path.as_str())?;
    let wished = match (&arguments.key, arguments.state) {
        (None, Presence::Present) => return Err(Failure::new("No key specified when adding a host")),
        (key, _) => key.as_deref().map(|key| Entry::wished(key, &host)).transpose()?,
    };
    let before = context.system.read_if_there(&path).context(format_args!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
    let is_host = |line: &str| Entry::read(line).is_some_and(|entry| entry.is_of(&host));
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    match (&wished, arguments.state) {
        (None, _) => lines.retain(|line| !is_host(line)),
        (Some(wished), Presence::Absent) => {
            lines.retain(|line| !(is_host(line) && Entry::read(line).is_some_and(|entry| entry.has_key_of(wished))));
        }
        (Some(wished), Presence::Present) => {
            let is_known = lines.iter().any(|line| is_host(line) && Entry::read(line).is_some_and(|entry| entry.has_key_of(wished)));
            if !is_known {
                lines.retain(|line| !(is_host(line) && Entry::read(line).is_some_and(|entry| entry.kind == wished.kind)));
                if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
                    last.push('\n');
                }
                let names = if arguments.hash_host { hashed(&host, &salt(context)) } else { wished.names.to_owned() };
                lines.push(format!("{names} {}\n", wished.rest));
            }
        }
    }
    let after = lines.concat();
    let mut outcome = Outcome::changed_if(after != text)
        .with("name", arguments.name.as_str())
        .with("path", path.to_string_lossy())
        .with("state", arguments.state.word())
        .with("hash_host", arguments.hash_host);
    if let Some(key) = &arguments.key {
        outcome = outcome.with("key", key.as_str());
    }
    if after == text {
        return Ok(Plan::Done(if before.is_some() { with_path_info(outcome, context, &path) } else { outcome }));
    }
    let shown = content_diff(&path, before.as_deref(), after.as_bytes());
    // A new salt every time: a hashed name would make each diff another one.
    let outcome = if arguments.hash_host { outcome } else { outcome.showing(shown) };
    Ok(Plan::change(outcome, move |context, outcome| {
        let writing = format!("cannot write {}", path.display());
        if let Some(folder) = path.parent().filter(|folder| !context.system.exists(folder)) {
            for made in context.system.make_dirs(folder).context(&writing)? {
                context.system.set_permissions(&made, &Permissions { mode: Some(0o700), ..Permissions::default() }).context(&writing)?;
            }
        }
        context.system.write_file_atomically(&path, after.as_bytes(), &Permissions::default()).context(writing)?;
        Ok(with_path_info(outcome, context, &path))
    }))
}

/// A line of the file.
struct Entry<'a> {
    marker: Option<&'a str>,
    names: &'a str,
    kind: &'a str,
    key: &'a str,
    /// Kind, key and comment.
    rest: &'a str,
}

impl<'a> Entry<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let (marker, line) = match line.strip_prefix('@').and_then(|_| line.split_once(char::is_whitespace)) {
            Some((marker, rest)) => (Some(marker), rest.trim_start()),
            None => (None, line),
        };
        let (names, rest) = line.split_once(char::is_whitespace)?;
        let rest = rest.trim();
        let mut words = rest.split_whitespace();
        Some(Self { marker, names, kind: words.next()?, key: words.next()?, rest })
    }

    /// The line that a task gives; it must be of the host that the task names.
    fn wished(line: &'a str, host: &str) -> Result<Self, Failure> {
        let entry = Self::read(line).filter(|entry| STANDARD.decode(entry.key).is_ok());
        let entry = entry.ok_or_else(|| Failure::new(format!("Invalid key: '{}' is not a line of names, kind and key", line.trim())))?;
        if !entry.is_of(host) {
            return Err(Failure::new(format!(
                "Host parameter does not match hashed host field in supplied key: {host} is not in '{}'",
                entry.names
            )));
        }
        Ok(entry)
    }

    fn is_of(&self, host: &str) -> bool {
        if let Some((salt, sum)) = self.names.strip_prefix("|1|").and_then(|rest| rest.split_once('|')) {
            return STANDARD.decode(salt).is_ok_and(|salt| STANDARD.encode(hmac(&salt, host.as_bytes())) == sum);
        }
        self.names.split(',').any(|name| name.eq_ignore_ascii_case(host))
    }

    fn has_key_of(&self, other: &Self) -> bool {
        self.kind == other.kind && self.key == other.key && self.marker == other.marker
    }
}

fn hashed(host: &str, salt: &[u8]) -> String {
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hmac(salt, host.as_bytes())))
}

/// HMAC-SHA-1, by which OpenSSH hides names; the key is no longer than a block.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha1::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha1::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

fn salt(context: &Context) -> Vec<u8> {
    let mut salt = vec![0; 20];
    let random = context.system.open_file(Path::new("/dev/urandom")).and_then(|mut file| file.read_exact(&mut salt));
    if random.is_err() {
        let passed = context.system.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        salt[..16].copy_from_slice(&passed.as_nanos().to_le_bytes());
    }
    salt
}

#[cfg(test)]
mod tests {
    use super::Entry;

    #[test]
    fn hidden_names_are_recognised() {
        let salt = [7; 20];
        let line = format!("{} ssh-ed25519 AAAA", super::hashed("example.com", &salt));
        let entry = Entry::read(&line).expect("an entry");
        assert!(entry.is_of("example.com") && !entry.is_of("example.org"));
    }
}
