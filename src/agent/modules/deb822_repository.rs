//! `deb822_repository`: a package source of apt in its newer form, with its key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgfleet_protocol::modules::repositories::Deb822Repository;
use pgfleet_protocol::{FileAttributes, FileMode, Outcome};
use serde_json::Value;

use crate::http::{Request, Url};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::{Replacement, content_diff};
use crate::system::Permissions;

const KEYS: &str = "/etc/apt/keyrings";
const SOURCES: &str = "/etc/apt/sources.list.d";
const ARMOR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

pub(crate) fn plan(arguments: &Deb822Repository, context: &Context) -> Planned {
    let options = &arguments.options;
    let slug = slug(options.text("name").unwrap_or_default());
    let path = Path::new(SOURCES).join(format!("{slug}.sources"));
    if options.text("state") == Some("absent") {
        return Ok(absent(&slug, path, context));
    }
    if let Some(wrong) = options.list("types").into_iter().find(|kind| !matches!(*kind, "deb" | "deb-src")) {
        return Err(Failure::new(format!("value of types must be one or more of: deb, deb-src. Got no match for: {wrong}")));
    }
    let key = options.text("signed_by").map(|signed| Key::find(signed, &slug, context)).transpose()?;
    let text = written(arguments, key.as_ref());
    let before = context.system.read_if_there(&path).context(format_args!("cannot read {}", path.display()))?;
    let mode = arguments.attributes().mode.unwrap_or(FileMode::Octal(0o644));
    let attributes = FileAttributes { mode: Some(mode), ..FileAttributes::default() };
    let dest = path.to_string_lossy().into_owned();
    let planned = Replacement { path, before, after: text.clone().into_bytes(), attributes, ..Replacement::default() }.plan(context)?;
    let file = key.as_ref().and_then(|key| key.file.as_ref()).map(|file| Value::from(file.to_string_lossy()));
    let planned = match key.and_then(Key::into_file) {
        Some((file, content)) => with_key(planned, file, content),
        None => planned,
    };
    Ok(planned.with("repo", text).with("dest", dest).with("key_filename", file.unwrap_or_default()))
}

/// The name in small letters, of which only letters, digits and `-` stay.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    let mut is_gap = false;
    for letter in name.to_lowercase().chars() {
        let gap = letter == '_' || letter.is_whitespace();
        if gap && !is_gap {
            slug.push('-');
        } else if letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' {
            slug.push(letter);
        }
        is_gap = gap;
    }
    slug
}

fn absent(slug: &str, path: PathBuf, context: &Context) -> Plan {
    let keys = ["asc", "gpg"].map(|end| Path::new(KEYS).join(format!("{slug}.{end}")));
    let there: Vec<PathBuf> = std::iter::once(path.clone()).chain(keys.clone()).filter(|path| context.system.lstat(path).is_ok()).collect();
    let outcome = Outcome::changed_if(!there.is_empty())
        .with("repo", Value::Null)
        .with("dest", path.to_string_lossy())
        .with("key_filename", keys[1].to_string_lossy());
    if there.is_empty() {
        return Plan::Done(outcome);
    }
    let outcome = match context.system.read_file(&path) {
        Ok(before) => outcome.showing(content_diff(&path, Some(&before), b"")),
        Err(_) => outcome,
    };
    Plan::change(outcome, move |context, outcome| {
        for path in there {
            context.system.remove_file(&path).context(format_args!("cannot remove {}", path.display()))?;
        }
        Ok(outcome)
    })
}

/// The key that signs a source: a file, or text within the source.
struct Key {
    value: String,
    file: Option<PathBuf>,
    /// What the file shall hold, where it does not.
    content: Option<Vec<u8>>,
}

impl Key {
    fn find(signed: &str, slug: &str, context: &Context) -> Result<Self, Failure> {
        if context.system.stat(Path::new(signed)).is_ok_and(|found| found.is_file()) {
            return Ok(Self { value: signed.to_owned(), file: Some(signed.into()), content: None });
        }
        if !signed.contains("://") {
            return Ok(Self { value: signed.to_owned(), file: None, content: None });
        }
        let fetched = fetch(signed, context)?;
        let end = if fetched.windows(ARMOR.len()).any(|part| part == ARMOR) { "asc" } else { "gpg" };
        let file = Path::new(KEYS).join(format!("{slug}.{end}"));
        let found = context.system.read_if_there(&file).context(format_args!("cannot read {}", file.display()))?;
        let value = file.to_string_lossy().into_owned();
        Ok(Self { value, content: (found.as_deref() != Some(&fetched)).then_some(fetched), file: Some(file) })
    }

    fn into_file(self) -> Option<(PathBuf, Vec<u8>)> {
        self.file.zip(self.content)
    }
}

fn fetch(address: &str, context: &Context) -> Result<Vec<u8>, Failure> {
    let wrong = |reason: String| Failure::new(format!("Could not fetch signed_by key: {reason}"));
    let url = Url::parse(address).map_err(&wrong)?;
    let mut request = Request::get(url, Duration::from_secs(30));
    request.environment = context.environment.to_vec();
    let mut body = Vec::new();
    match request.send(context.system, &mut body) {
        Ok(response) if response.status == 200 => Ok(body),
        Ok(response) => Err(wrong(format!("HTTP Error {}: {}", response.status, response.reason))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The plan with a key that is written first.
fn with_key(planned: Plan, file: PathBuf, content: Vec<u8>) -> Plan {
    let (outcome, rest) = match planned {
        Plan::Done(outcome) => (outcome, None),
        Plan::Change(outcome, apply) => (outcome, Some(apply)),
    };
    Plan::change(Outcome { status: Outcome::changed().status, ..outcome }, move |context, outcome| {
        let writing = format!("cannot write {}", file.display());
        context.system.make_dirs(Path::new(KEYS)).context(&writing)?;
        let permissions = Permissions { mode: Some(0o644), ..Permissions::default() };
        context.system.write_file_atomically(&file, &content, &permissions).context(writing)?;
        rest.map_or(Ok(outcome.clone()), |apply| apply(context, outcome))
    })
}

/// The fields under apt's names, sorted by ours.
fn written(arguments: &Deb822Repository, key: Option<&Key>) -> String {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for (name, value) in arguments.options.iter() {
        let value = match value {
            _ if matches!(name, "state" | "mode" | "install_python_debian") => continue,
            Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            _ if name == "signed_by" => key.map(|key| key.value.clone()).unwrap_or_default(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        fields.push((name, value));
    }
    if !fields.iter().any(|(name, _)| *name == "types") {
        fields.push(("types", "deb".to_owned()));
    }
    fields.sort_by_key(|(name, _)| *name);
    fields.iter().map(|(name, value)| format!("{}:{}\n", field(name), folded(value))).collect()
}

fn folded(value: &str) -> String {
    if !value.contains('\n') {
        return format!(" {value}");
    }
    value.trim().lines().map(|line| format!("\n    {}", if line.trim().is_empty() { "." } else { line.trim() })).collect()
}

fn field(name: &str) -> String {
    match name {
        "name" => "X-Repolib-Name".to_owned(),
        "uris" => "URIs".to_owned(),
        other => {
            let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
            other.split('_').map(capital).collect::<Vec<_>>().join("-")
        }
    }
}
