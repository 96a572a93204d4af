//! Filters on paths, as Python's `os.path` has them.

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin};
use super::python::{self, fail, items_of, text, tuple, type_name};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("basename", |_, call| Ok(basename(&text(&call.input()?)).into())),
    ("dirname", |_, call| Ok(dirname(&text(&call.input()?)).into())),
    ("splitext", splitext),
    ("path_join", path_join),
    ("expanduser", |_, call| Ok(expand_user(&text(&call.input()?)).into())),
    ("expandvars", |_, call| Ok(expand_vars(&text(&call.input()?)).into())),
    ("realpath", realpath),
    ("normpath", |_, call| Ok(normalize(&text(&call.input()?)).into())),
    ("relpath", relpath),
    ("commonpath", commonpath),
    ("fileglob", fileglob),
    ("win_basename", |_, call| Ok(text(&call.input()?).rsplit(['\\', '/']).next().unwrap_or_default().into())),
    ("win_dirname", win_dirname),
    ("win_splitdrive", win_splitdrive),
];

/// `os.path.basename`.
pub(crate) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `os.path.dirname`.
pub(crate) fn dirname(path: &str) -> &str {
    let head = path.rfind('/').map_or("", |end| &path[..=end]);
    let trimmed = head.trim_end_matches('/');
    if trimmed.is_empty() { head } else { trimmed }
}

fn splitext(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let path = text(&call.input()?);
    let name = basename(&path);
    let dots = name.len() - name.trim_start_matches('.').len();
    let cut = name[dots..].rfind('.').map_or(path.len(), |dot| path.len() - name.len() + dots + dot);
    Ok(tuple(vec![path[..cut].into(), path[cut..].into()]))
}

/// `os.path.join`.
pub(crate) fn join(left: &str, right: &str) -> String {
    match () {
        () if right.starts_with('/') || left.is_empty() => right.to_owned(),
        () if left.ends_with('/') => format!("{left}{right}"),
        () => format!("{left}/{right}"),
    }
}

fn path_join(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    if value.as_str().is_some() {
        return Ok(value);
    }
    if !python::is_sequence(&value) {
        return Err(fail(format!("|path_join expects string or sequence, got {} instead.", type_name(&value))));
    }
    let parts = python::defined_items(&value)?.iter().map(|part| python::expect_str(part, "path_join")).collect::<Result<Vec<_>, _>>()?;
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| fail("path_join needs at least one part"))?;
    Ok(parts.fold(first, |path, part| join(&path, &part)).into())
}

fn home_of(user: &str) -> Option<String> {
    if user.is_empty()
        && let Ok(home) = std::env::var("HOME")
    {
        return Some(home);
    }
    let name = if user.is_empty() { std::env::var("USER").ok()? } else { user.to_owned() };
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name.as_str()))
        .and_then(|fields| fields.get(5).map(|home| (*home).to_owned()))
}

/// `os.path.expanduser`.
pub(crate) fn expand_user(path: &str) -> String {
    let Some(rest) = path.strip_prefix('~') else { return path.to_owned() };
    let (user, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    home_of(user).map_or_else(|| path.to_owned(), |home| format!("{}{rest}", home.trim_end_matches('/')))
}

fn expand_vars(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let (name, length) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match std::env::var(name).ok().filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[start..=start + length]),
        }
        rest = &after[length..];
    }
    out + rest
}

fn absolute(path: &str) -> String {
    let here = std::env::current_dir().map(|here| here.to_string_lossy().into_owned()).unwrap_or_default();
    normalize(&join(&here, path))
}

/// `os.path.normpath`.
pub(crate) fn normalize(path: &str) -> String {
    let root = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else if path.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    let normal = format!("{root}{}", parts.join("/"));
    if normal.is_empty() { ".".to_owned() } else { normal }
}

fn realpath(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let path = absolute(&text(&call.input()?));
    // As much of the path as exists is resolved, the rest is kept.
    let mut existing = path.as_str();
    loop {
        if let Ok(resolved) = std::fs::canonicalize(existing) {
            let rest = path[existing.len()..].trim_start_matches('/');
            let resolved = resolved.to_string_lossy();
            return Ok(if rest.is_empty() { resolved.into_owned() } else { join(&resolved, rest) }.into());
        }
        existing = dirname(existing);
        if existing.is_empty() {
            return Ok(path.into());
        }
    }
}

fn relpath(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [path, start] = call.bind(["path", "start"])?;
    let (path, start) = (absolute(&text(&path.required()?)), absolute(&start.text(".")));
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (path, start) = (parts(&path), parts(&start));
    let common = path.iter().zip(&start).take_while(|(left, right)| left == right).count();
    let relative: Vec<String> = std::iter::repeat_n("..".to_owned(), start.len() - common).chain(path[common..].iter().cloned()).collect();
    Ok(if relative.is_empty() { ".".to_owned() } else { relative.join("/") }.into())
}

fn commonpath(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let paths: Vec<String> = items_of(&call.input()?)?.iter().map(text).collect();
    let first = paths.first().ok_or_else(|| fail("commonpath() arg is an empty sequence"))?;
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect::<Vec<_>>();
    if paths.iter().any(|path| path.starts_with('/') != first.starts_with('/')) {
        return Err(fail("Can't mix absolute and relative paths"));
    }
    let mut common = parts(first);
    for path in &paths {
        let length = common.iter().zip(&parts(path)).take_while(|(left, right)| left == right).count();
        common.truncate(length);
    }
    Ok(format!("{}{}", if first.starts_with('/') { "/" } else { "" }, common.join("/")).into())
}

/// True when a name matches a shell pattern with `*`, `?` and `[...]`.
pub(crate) fn matches_glob(pattern: &str, name: &str) -> bool {
    fn matches(pattern: &[char], name: &[char]) -> bool {
        let Some((first, rest)) = pattern.split_first() else { return name.is_empty() };
        match first {
            '*' => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
            '?' => !name.is_empty() && matches(rest, &name[1..]),
            '[' => match (rest.iter().skip(1).position(|c| *c == ']'), name.split_first()) {
                (Some(end), Some((c, name))) => {
                    let set = &rest[..=end];
                    let (negated, set) = if set[0] == '!' { (true, &set[1..]) } else { (false, set) };
                    let mut found = false;
                    let mut index = 0;
                    while index < set.len() {
                        if index + 2 < set.len() && set[index + 1] == '-' {
                            found |= (set[index]..=set[index + 2]).contains(c);
                            index += 3;
                        } else {
                            found |= set[index] == *c;
                            index += 1;
                        }
                    }
                    found != negated && matches(&rest[end + 2..], name)
                }
                (None, Some(('[', name))) => matches(rest, name),
                _ => false,
            },
            c => name.first() == Some(c) && matches(rest, &name[1..]),
        }
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    (!name.starts_with(&['.']) || pattern.starts_with(&['.'])) && matches(&pattern, &name)
}

/// The files that a pattern with wildcards in any part names.
pub(crate) fn glob(files: &dyn crate::Files, pattern: &str) -> Vec<String> {
    let mut found = vec![if pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    for part in parts {
        let wild = part.contains(['*', '?', '[']);
        let below = |folder: &String| -> Vec<String> {
            if !wild {
                return vec![join(folder, part)];
            }
            let place = if folder.is_empty() { "." } else { folder.as_str() };
            let entries = files.list(std::path::Path::new(place)).unwrap_or_default();
            let names = entries.iter().filter_map(|entry| entry.file_name()?.to_str().map(str::to_owned));
            names.filter(|name| matches_glob(part, name)).map(|name| join(folder, &name)).collect()
        };
        found = found.iter().flat_map(below).collect();
    }
    found.retain(|path| files.is_file(std::path::Path::new(path)));
    found
}

fn fileglob(state: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let pattern = text(&call.input()?);
    let found = super::lookups::with_files(state, |files| glob(files, &pattern));
    Ok(found.into_iter().map(Value::from).collect())
}

fn win_dirname(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let path = text(&call.input()?);
    Ok(path.rfind(['\\', '/']).map_or("", |end| path[..end].trim_end_matches(['\\', '/'])).into())
}

fn win_splitdrive(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let path = text(&call.input()?);
    let cut = if path.chars().nth(1) == Some(':') { 2 } else { 0 };
    Ok(tuple(vec![path[..cut].into(), path[cut..].into()]))
}
