//! The lookup `password`: generated once, kept in a file.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use minijinja::{Error, Value};

use super::arguments::Arguments;
use super::hash::{crypt, random_salt};
use super::python::{self, fail, text};
use super::random::Random;

/// The options of one term.
struct Options {
    length: usize,
    chars: Vec<String>,
    encrypt: Option<String>,
    seed: Option<Value>,
}

/// The password of a file, generated when there is none; `/dev/null` keeps nothing. Relative paths belong to `folder`.
pub(crate) fn lookup(term: &str, folder: Option<&Path>, call: &Arguments) -> Result<Value, Error> {
    let (path, options) = read_options(term, call)?;
    let path = super::paths::expand_user(&path);
    let path = folder.map_or_else(|| path.clone(), |folder| folder.join(&path).to_string_lossy().into_owned());
    let failed = |error: std::io::Error| fail(format!("the password file '{path}': {error}"));
    let keep = path != "/dev/null";
    let existing = match fs::read_to_string(&path) {
        Ok(content) if keep => Some(content.trim_end().to_owned()),
        Err(error) if keep && error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => None,
    };
    let (password, mut salt) = match &existing {
        Some(content) => match content.rsplit_once(" salt=") {
            Some((password, rest)) => (password.to_owned(), Some(rest.split(" ident=").next().unwrap_or(rest).to_owned())),
            None => (content.clone(), None),
        },
        None => (generate(&options)?, None),
    };
    let mut changed = existing.is_none();
    if options.encrypt.is_some() && salt.is_none() {
        salt = Some(random_salt(16)?);
        changed = true;
    }
    if changed && keep {
        if let Some(folder) = Path::new(&path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let content = salt.as_ref().map_or_else(|| format!("{password}\n"), |salt| format!("{password} salt={salt}\n"));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(content.as_bytes()).map_err(failed)?;
    }
    match &options.encrypt {
        Some(kind) => crypt(&password, kind, salt.as_deref(), 16, None).map(Value::from),
        None => Ok(Value::from(password)),
    }
}

fn read_options(term: &str, call: &Arguments) -> Result<(String, Options), Error> {
    let default_chars = || vec!["ascii_letters".to_owned(), "digits".to_owned(), ".,:-_".to_owned()];
    let mut options = Options { length: 20, chars: default_chars(), encrypt: None, seed: None };
    let mut set = |name: &str, value: &Value| -> Result<(), Error> {
        match name {
            "length" => options.length = text(value).parse().map_err(|_| fail("the lookup 'password' needs a number as length"))?,
            "chars" => options.chars = read_chars(value)?,
            "encrypt" => options.encrypt = Some(text(value)).filter(|kind| python::truth(value) && !kind.is_empty()),
            "seed" => options.seed = Some(value.clone()),
            "ident" | "wantlist" | "errors" => {}
            _ => return Err(fail(format!("Unrecognized parameter '{name}' given to password lookup"))),
        }
        Ok(())
    };
    for (name, value) in &call.named {
        set(name, value)?;
    }
    let start = ["length=", "chars=", "encrypt=", "seed=", "ident="].iter().filter_map(|key| term.find(&format!(" {key}"))).min();
    let (path, rest) = term.split_at(start.unwrap_or(term.len()));
    for word in rest.split_whitespace() {
        if let Some((name, value)) = word.split_once('=') {
            set(name, &Value::from(value))?;
        }
    }
    Ok((path.to_owned(), options))
}

/// A list, or names separated by commas; two commas stand for a comma.
fn read_chars(value: &Value) -> Result<Vec<String>, Error> {
    if python::is_sequence(value) {
        return Ok(python::defined_items(value)?.iter().map(text).collect());
    }
    let source = text(value);
    let mut chars: Vec<String> = Vec::new();
    if source.contains(",,") {
        chars.push(",".to_owned());
    }
    chars.extend(source.replace(",,", ",").split(',').filter(|part| !part.is_empty()).map(str::to_owned));
    Ok(chars)
}

fn generate(options: &Options) -> Result<String, Error> {
    let lower = "abcdefghijklmnopqrstuvwxyz";
    let punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    let mut pool = String::new();
    for name in &options.chars {
        match name.as_str() {
            "ascii_letters" => pool += &format!("{lower}{}", lower.to_uppercase()),
            "ascii_lowercase" => pool += lower,
            "ascii_uppercase" => pool += &lower.to_uppercase(),
            "digits" => pool += "0123456789",
            "hexdigits" => pool += "0123456789abcdefABCDEF",
            "octdigits" => pool += "01234567",
            "punctuation" => pool += punctuation,
            other => pool += other,
        }
    }
    let pool: Vec<char> = pool.chars().filter(|c| *c != '"' && *c != '\'').collect();
    let mut source = options.seed.as_ref().map_or(Random::System, Random::seeded);
    (0..options.length).map(|_| source.index(pool.len()).map(|index| pool[index])).collect()
}
