//! `apt_key`: a key that apt trusts for every source, by the `apt-key` that Debian had until its version 12.

use std::time::Duration;

use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::repositories::AptKey;
use pgfleet_protocol::{Map, Outcome};
use serde_json::Value;

use crate::http::{Request, Tls, Url};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::system::{Finished, Program};

/// A keyserver may not answer at once.
const TRIES: usize = 5;

pub(crate) fn plan(arguments: &AptKey, context: &Context) -> Planned {
    for name in ["apt-key", "gpg"] {
        if context.system.find_program(name).is_none() {
            return Err(missing(name, context));
        }
    }
    let path = |path: &Option<pgfleet_protocol::HostPath>| {
        let known = path.as_ref().map(|path| paths::expand(context.system, path.as_str())).transpose()?;
        Ok::<_, Failure>(known.map(|path| path.to_string_lossy().into_owned()))
    };
    let ring = Ring(path(&arguments.keyring)?);
    let source = Source::of(arguments, path(&arguments.file)?, context)?;
    let id = match arguments.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => Some(id.to_owned()),
        None => source.id(context)?,
    };
    let key = Key::read(id.as_deref())?;
    let before = ring.keys(&key, context)?;
    let is_there = before.contains(&key.compared);
    let is_wished = arguments.state == Presence::Present;
    let outcome = key.told(Outcome::changed_if(is_there != is_wished)).with("before", before);
    if is_there == is_wished {
        return Ok(Plan::Done(outcome));
    }
    Ok(Plan::change(outcome, move |context, outcome| {
        match is_wished {
            true => source.add(&ring, &key, context)?,
            false => ring.remove(&key, context)?,
        }
        let after = ring.keys(&key, context)?;
        if after.contains(&key.compared) == is_wished {
            return Ok(outcome.with("after", after));
        }
        let what = if is_wished { "failed to add the key" } else { "the key was not removed" };
        let message = format!("apt-key did not return an error, but {what} (check that the id is correct and *not* a subkey)");
        Err(Failure { message, data: outcome.data }.with("after", after))
    }))
}

fn missing(name: &str, context: &Context) -> Failure {
    let path = context.system.variable("PATH").unwrap_or_default();
    let hint = match name {
        "apt-key" => "since version 13 Debian has none: use deb822_repository with signed_by, or get_url into /etc/apt/keyrings",
        _ => "install gnupg first",
    };
    Failure::new(format!("Failed to find required executable \"{name}\" in paths: {path} ({hint})"))
}

/// A key's number, in the lengths that apt-key and gpg ask for.
struct Key {
    given: String,
    whole: String,
    short: String,
    long: String,
    /// As the key stands in lists of keys.
    compared: String,
}

impl Key {
    fn read(id: Option<&str>) -> Result<Self, Failure> {
        let given = id.unwrap_or_default().to_owned();
        let upper = given.trim().to_ascii_uppercase();
        let whole = upper.strip_prefix("0X").unwrap_or(&upper).to_owned();
        let is_hex = whole.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || !(whole.len() == 8 || whole.len() >= 16) {
            return Err(Failure::new("Invalid key_id").with("id", id.map_or(Value::Null, Value::from)));
        }
        let last = |count: usize| whole[whole.len().saturating_sub(count)..].to_owned();
        let (short, long) = (last(8), last(16));
        Ok(Self { given, compared: if whole.len() == 8 { short.clone() } else { long.clone() }, short, long, whole })
    }

    fn told(&self, outcome: Outcome) -> Outcome {
        outcome.with("id", &*self.given).with("short_id", &*self.short).with("fp", &*self.long).with("key_id", &*self.whole)
    }
}

/// Where a key comes from.
enum Source {
    File(String),
    Text(Vec<u8>),
    /// Fetched when it is needed, since its number is known.
    Address(Box<Request>),
    Server(String),
    Nowhere,
}

impl Source {
    fn of(arguments: &AptKey, file: Option<String>, context: &Context) -> Result<Self, Failure> {
        if let Some(file) = file {
            return Ok(Self::File(file));
        }
        if let Some(server) = &arguments.keyserver {
            return Ok(Self::Server(server.clone()));
        }
        if let Some(text) = &arguments.data {
            return Ok(Self::Text(text.clone().into_bytes()));
        }
        let Some(address) = &arguments.url else { return Ok(Self::Nowhere) };
        let mut request = Request::get(Url::parse(address).map_err(Failure::new)?, Duration::from_secs(10));
        request.environment = context.environment.to_vec();
        request.tls = Tls { is_unchecked: !arguments.validate_certs, ..Tls::default() };
        match arguments.id {
            Some(_) => Ok(Self::Address(Box::new(request))),
            None => fetch(&request, context).map(Self::Text),
        }
    }

    /// The number of its first key, as gpg finds it.
    fn id(&self, context: &Context) -> Result<Option<String>, Failure> {
        let (program, named) = match self {
            Self::Server(_) => return Err(Failure::new("Missing key_id, required with keyserver.")),
            Self::Address(_) | Self::Nowhere => return Ok(None),
            Self::File(file) => (Program::new(["gpg", "--with-colons", file]), file.as_str()),
            Self::Text(text) => (Program::new(["gpg", "--with-colons", "-"]).stdin(text.clone()), "inline data"),
        };
        let found = done(program, context, &format!("Unable to extract key from '{named}'"))?;
        Ok(listed(&found.stdout_text()).into_iter().next())
    }

    fn add(&self, ring: &Ring, key: &Key, context: &Context) -> Result<(), Failure> {
        match self {
            Self::File(file) => done(ring.call(["add", file]), context, &format!("Unable to add a key from file {file}")).map(drop),
            Self::Text(text) => ring.take(text.clone(), context),
            Self::Address(request) => ring.take(fetch(request, context)?, context),
            Self::Server(server) => ring.receive(server, key, context),
            Self::Nowhere => Err(Failure::new("there is no key to add: give data, file, url or keyserver")),
        }
    }
}

/// The file that apt-key keeps keys in; its own choice where none is named.
struct Ring(Option<String>);

impl Ring {
    fn call<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>) -> Program {
        let mut words = vec!["apt-key"];
        words.extend(self.0.iter().flat_map(|path| ["--keyring", path]));
        words.extend(arguments);
        Program::new(words)
    }

    fn keys(&self, key: &Key, context: &Context) -> Result<Vec<String>, Failure> {
        let program = self.call(["adv", "--list-public-keys", "--keyid-format=long"]);
        let found = done(program, context, "Unable to list public keys")?;
        let length = key.compared.len();
        Ok(listed(&found.stdout_text()).into_iter().map(|id| id[id.len().saturating_sub(length)..].to_owned()).collect())
    }

    fn take(&self, text: Vec<u8>, context: &Context) -> Result<(), Failure> {
        done(self.call(["add", "-"]).stdin(text), context, "Unable to add a key from binary data").map(drop)
    }

    fn receive(&self, server: &str, key: &Key, context: &Context) -> Result<(), Failure> {
        let value = |name: &&str| context.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let proxy = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"].iter().find_map(value);
        let proxy = proxy.map(|proxy| format!("http-proxy={proxy}"));
        let options = proxy.iter().flat_map(|proxy| ["--keyserver-options", proxy]);
        let words = ["adv", "--no-tty", "--keyserver", server].into_iter().chain(options).chain(["--recv", &*key.whole]);
        let program = self.call(words);
        let message = format!("Error fetching key {} from keyserver: {server}", key.whole);
        let mut last = done(program.clone(), context, &message);
        for _ in 1..TRIES {
            if last.is_ok() {
                break;
            }
            last = done(program.clone(), context, &message);
        }
        last.map(drop)
    }

    fn remove(&self, key: &Key, context: &Context) -> Result<(), Failure> {
        done(self.call(["del", &*key.short]), context, &format!("Unable to remove a key with id {}", key.short)).map(drop)
    }
}

fn done(program: Program, context: &Context, message: &str) -> Result<Finished, Failure> {
    let named = program.argv.join(" ");
    let program = ["LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"].iter().fold(program, |program, name| program.env(name, "C.UTF-8"));
    let finished = context.run(program).context(format_args!("cannot run {named}"))?;
    if finished.is_success() {
        return Ok(finished);
    }
    let mut data = Map::new();
    data.insert("cmd".to_owned(), named.into());
    data.insert("rc".to_owned(), finished.status.into());
    data.insert("stdout".to_owned(), finished.stdout_text().into());
    data.insert("stderr".to_owned(), finished.stderr_text().into());
    Err(Failure { message: message.to_owned(), data })
}

fn fetch(request: &Request, context: &Context) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let failed = |reason: String| Failure::new(format!("Failed to download key at {}: {reason}", request.url));
    match request.send(context.system, &mut body) {
        Ok(response) if response.status == 200 => Ok(body),
        Ok(response) => Err(failed(format!("HTTP Error {}: {}", response.status, response.reason))),
        Err(error) => Err(failed(error.ansible())),
    }
}

/// The numbers of keys and their parts, in apt-key's form (`pub rsa4096/NUMBER date`) or gpg's with colons.
fn listed(text: &str) -> Vec<String> {
    let keys = text.lines().filter(|line| (line.starts_with("pub") || line.starts_with("sub")) && !line.contains("expired"));
    let number = |line: &str| {
        let word = line.split_whitespace().nth(1).and_then(|word| word.split_once('/')).map(|(_, number)| number);
        word.or_else(|| line.split(':').nth(4)).map(str::to_owned)
    };
    keys.filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::{Key, listed};

    #[test]
    fn numbers_of_keys_have_three_lengths() {
        let key = Key::read(Some("0xB97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8")).expect("a key");
        assert_eq!((key.short.as_str(), key.long.as_str()), ("ACCC4CF8", "7FCC7D46ACCC4CF8"));
        assert_eq!((key.whole.len(), key.compared.as_str()), (40, "7FCC7D46ACCC4CF8"));
        assert_eq!(Key::read(Some("accc4cf8")).expect("a key").compared, "ACCC4CF8");
        for wrong in [None, Some(""), Some("ACCC4CF"), Some("7FCC7D46ACCC"), Some("not a number at all")] {
            assert!(Key::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lists_of_keys_have_two_forms() {
        let apt = "/etc/apt/trusted.gpg\n---\npub   rsa4096/7FCC7D46ACCC4CF8 2011-10-13 [SC]\n      B97B\nuid  x\nsub   rsa2048/0000000000000001 2001-01-01 [E] [expired: 2002-01-01]\n";
        assert_eq!(listed(apt), ["7FCC7D46ACCC4CF8"]);
        let gpg = "pub:-:4096:1:7FCC7D46ACCC4CF8:1318516105:::-:::scSC::::::23::0:\nfpr:::::::::B97B:\nuid:-::::1:::A B::::::::::0:\nsub:-:2048:1:0000000000000002:1:::::e:\n";
        assert_eq!(listed(gpg), ["7FCC7D46ACCC4CF8", "0000000000000002"]);
    }
}
