//! `lookup`, `query` and the lookup plugins.

use std::path::{Path, PathBuf};

use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::{Arguments, defined};
use super::lists::{cartesian, flatten_into, transpose};
use super::python::{self, dictionary, fail, items_of, list, pairs_of, text, tuple};
use super::random::Random;
use super::tables::{self, Term};
use super::{controller, dicts, paths, regex, sequence};
use crate::Files;
use crate::evaluate::scope_of;

/// The lookups by name.
pub(crate) const NAMES: &[&str] = &[
    "config",
    "csvfile",
    "dict",
    "env",
    "file",
    "fileglob",
    "first_found",
    "flattened",
    "indexed_items",
    "ini",
    "inventory_hostnames",
    "items",
    "lines",
    "list",
    "nested",
    "password",
    "pipe",
    "random_choice",
    "sequence",
    "subelements",
    "template",
    "together",
    "unvault",
    "url",
    "varnames",
    "vars",
];

/// `lookup(name, terms..)`: one value as it is, several texts joined by commas.
pub(crate) fn lookup(state: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let items = match run(state, call) {
        Err(error) => match call.keyword("errors").map(text).as_deref() {
            Some("ignore" | "warn") => return Ok(if wants_list(call) { list(Vec::new()) } else { Value::from(()) }),
            _ => return Err(error),
        },
        Ok(items) => items,
    };
    if wants_list(call) {
        return Ok(list(items));
    }
    Ok(match items.len() {
        1 => items.into_iter().next().unwrap_or_default(),
        2.. if items.iter().all(|item| item.as_str().is_some()) => items.iter().map(text).collect::<Vec<_>>().join(",").into(),
        _ => list(items),
    })
}

/// `query(name, terms..)`: always a list.
pub(crate) fn query(state: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    match run(state, call) {
        Err(_) if matches!(call.keyword("errors").map(text).as_deref(), Some("ignore" | "warn")) => Ok(list(Vec::new())),
        items => items.map(list),
    }
}

fn wants_list(call: &Arguments) -> bool {
    call.keyword("wantlist").is_some_and(python::truth)
}

/// Where files come from, for the scope that a function is called in.
pub(crate) fn with_files<T>(state: &State<'_, '_>, use_files: impl FnOnce(&dyn Files) -> T) -> T {
    match scope_of(state) {
        Some(scope) => use_files(scope.files()),
        None => use_files(&crate::Disk),
    }
}

fn run(state: &mut State<'_, '_>, call: &Arguments) -> Result<Vec<Value>, Error> {
    let name = text(&call.input()?);
    let name = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(&name);
    crate::harmless::may_look_up(name)?;
    let terms = &call.positional[1..];
    let option = |key: &str| call.keyword(key).cloned();
    if !["env", "first_found"].contains(&name) {
        for value in terms.iter().chain(call.named.iter().map(|(_, value)| value)) {
            defined(value)?;
        }
    }
    match name {
        "env" => terms.iter().map(|term| environment_variable(term, option("default"))).collect(),
        "vars" => terms.iter().map(|term| variable(state, term, option("default"))).collect(),
        "varnames" => variable_names(state, terms),
        "file" => terms.iter().map(|term| file(state, &text(term), call)).collect(),
        "unvault" => terms.iter().map(|term| content_of(state, &text(term)).map(Value::from)).collect(),
        "csvfile" => {
            let nothing = [Value::from("")];
            let rows = if terms.is_empty() { &nothing[..] } else { terms }.iter().map(|term| {
                let term = Term::read(term, call, tables::OF_CSV)?;
                term.check_key("Search key is required but was not found")?;
                tables::csv(&term, &table_of(state, &term.option("file", "ansible.csv"), &term)?)
            });
            let found = rows.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten();
            found
                .map(|value| if python::is_sequence(&value) && value.as_str().is_none() { items_of(&value) } else { Ok(vec![value]) })
                .collect::<Result<Vec<_>, _>>()
                .map(|values| values.concat())
        }
        "ini" => {
            let values = terms.iter().map(|term| {
                let term = Term::read(term, call, tables::OF_INI)?;
                term.check_key("No key to look up was provided as first term within string inline options")?;
                tables::ini(&term, &table_of(state, &term.option("file", "ansible.ini"), &term)?)
            });
            Ok(values.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
        }
        "config" => {
            let values = terms.iter().map(|term| controller::setting(state, &text(term), call)).collect::<Result<Vec<_>, Error>>()?;
            Ok(values.into_iter().flatten().collect())
        }
        "url" => {
            let pages = terms.iter().map(|term| controller::url(&text(term), call)).collect::<Result<Vec<_>, Error>>()?;
            Ok(pages.into_iter().flatten().collect())
        }
        "inventory_hostnames" => controller::inventory_hostnames(state, terms),
        "fileglob" => Ok(terms.iter().flat_map(|term| file_glob(state, &text(term))).map(Value::from).collect()),
        "first_found" => first_found(state, terms, call),
        "template" => terms.iter().map(|term| template(state, &text(term), call)).collect(),
        "pipe" => terms.iter().map(|term| shell(state, &text(term)).map(|output| Value::from(output.trim_end()))).collect(),
        "lines" => lines(state, terms),
        "password" => terms.iter().map(|term| super::password::lookup(&text(term), playbook_folder(state).as_deref(), call)).collect(),
        "dict" => {
            let mut entries = Vec::new();
            if let Some(other) = terms.iter().find(|term| !python::is_mapping(term) && !term.is_undefined()) {
                return Err(fail(format!("the 'dict' lookup plugin expects a dictionary, got '{}'", python::type_name(other))));
            }
            for (key, value) in terms.iter().map(pairs_of).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
                entries.push(dictionary([(Value::from("key"), key), (Value::from("value"), value)]));
            }
            Ok(entries)
        }
        "items" => flattened(terms, Some(1)),
        "flattened" => flattened(terms, None),
        "list" => Ok(terms.to_vec()),
        "sequence" => sequence::generate(terms, call),
        "indexed_items" => {
            Ok(flattened(terms, Some(1))?.into_iter().enumerate().map(|(index, item)| tuple(vec![Value::from(index), item])).collect())
        }
        "nested" | "cartesian" => {
            let lists = terms.iter().map(items_of).collect::<Result<Vec<_>, _>>()?;
            if lists.is_empty() {
                return Err(fail("with_nested requires at least one element in the nested list"));
            }
            cartesian(&lists).into_iter().map(|row| flattened(&row, Some(1)).map(list)).collect()
        }
        "together" => {
            let lists = terms.iter().map(items_of).collect::<Result<Vec<_>, _>>()?;
            if lists.is_empty() {
                return Err(fail("with_together requires at least one element in each list"));
            }
            transpose(&lists, &Value::from(())).into_iter().map(|row| flattened(&row, Some(1)).map(list)).collect()
        }
        "subelements" => subelements(terms),
        "random_choice" if terms.is_empty() => Ok(Vec::new()),
        "random_choice" => {
            let choices = if let [only] = terms { items_of(only).unwrap_or_else(|_| terms.to_vec()) } else { terms.to_vec() };
            let chosen = choices[Random::System.index(choices.len())?].clone();
            // `lookup` gives the term itself, a loop one of its elements.
            Ok(vec![if terms.len() == 1 && !wants_list(call) && python::is_sequence(&terms[0]) { list(vec![chosen]) } else { chosen }])
        }
        _ => Err(match crate::closest(name, NAMES.iter().copied()) {
            Some(known) => fail(format!("the lookup '{name}' is unknown; did you mean '{known}'?")),
            None => fail(format!("the lookup '{name}' is unknown")),
        }),
    }
}

/// Flattens the terms one level, or wholly.
fn flattened(terms: &[Value], levels: Option<i64>) -> Result<Vec<Value>, Error> {
    let mut flat = Vec::new();
    for term in terms {
        if python::is_sequence(term) {
            flatten_into(term, levels.map(|levels| levels - 1), false, &mut flat)?;
        } else {
            flat.push(defined(term)?);
        }
    }
    Ok(flat)
}

fn environment_variable(term: &Value, default: Option<Value>) -> Result<Value, Error> {
    let term = text(&defined(term)?);
    let name = term.split_whitespace().next().ok_or_else(|| fail("the lookup 'env' needs a name"))?;
    match (std::env::var(name), default) {
        (Ok(value), _) => Ok(Value::from(value)),
        (Err(_), Some(default)) => Ok(default),
        (Err(_), None) => Ok(Value::from("")),
    }
}

fn variable(state: &State<'_, '_>, term: &Value, default: Option<Value>) -> Result<Value, Error> {
    let Some(name) = term.as_str() else {
        return Err(fail(format!("Variable name must be 'str' not '{}'.", python::type_name(term))));
    };
    match state.lookup(name).filter(|value| !value.is_undefined()) {
        Some(value) => defined(&value),
        // What is there and cannot be rendered takes no default.
        None if let Some(scope) = scope_of(state).filter(|scope| scope.says(name)) => {
            scope.get(name).map(Option::unwrap_or_default).map_err(crate::evaluate::into_error)
        }
        None => default.ok_or_else(|| Error::new(ErrorKind::UndefinedError, format!("No variable named '{name}' was found."))),
    }
}

fn variable_names(state: &State<'_, '_>, terms: &[Value]) -> Result<Vec<Value>, Error> {
    let names: Vec<String> = match scope_of(state) {
        Some(scope) => scope.names(),
        None => state.known_variables().into_iter().map(String::from).collect(),
    };
    let mut found = Vec::new();
    for term in terms {
        let Some(pattern) = term.as_str() else {
            return Err(fail(format!("Invalid setting identifier, \"{term}\" is not a string, it is a {}", python::type_name(term))));
        };
        let pattern = pattern.to_owned();
        for name in &names {
            let matches = regex::is_match(name, &pattern, regex::Flags::default());
            if matches.map_err(|error| fail(format!("Unable to use \"{pattern}\" as a search parameter: {error}")))? {
                found.push(Value::from(name.as_str()));
            }
        }
    }
    Ok(found)
}

/// The folder of the playbook, in which commands run and to which relative paths belong.
fn playbook_folder(state: &State<'_, '_>) -> Option<PathBuf> {
    state.lookup("playbook_dir").and_then(|folder| folder.as_str().map(PathBuf::from))
}

/// The path of a file that a lookup names, looked for as is and below `folder`.
fn find(state: &State<'_, '_>, name: &str, folder: &str) -> Option<PathBuf> {
    let name = paths::expand_user(name);
    match scope_of(state) {
        Some(scope) => scope.find_file(&name, folder),
        None => Some(PathBuf::from(name)).filter(|path| path.exists()),
    }
}

fn bytes_of(state: &State<'_, '_>, path: &Path) -> Result<Vec<u8>, Error> {
    with_files(state, |files| files.read(path)).map_err(|error| fail(format!("Unable to access the file '{}': {error}", path.display())))
}

fn read(state: &State<'_, '_>, path: &Path) -> Result<String, Error> {
    let bytes = bytes_of(state, path)?;
    String::from_utf8(bytes).map_err(|_| fail(format!("the file '{}' is not UTF-8 text", path.display())))
}

fn found(state: &State<'_, '_>, name: &str) -> Result<PathBuf, Error> {
    find(state, name, "files").ok_or_else(|| fail(format!("Unable to access the file '{name}': No such file or directory")))
}

fn content_of(state: &State<'_, '_>, name: &str) -> Result<String, Error> {
    read(state, &found(state, name)?)
}

/// A table in the encoding that its term names.
fn table_of(state: &State<'_, '_>, name: &str, term: &Term<'_>) -> Result<String, Error> {
    tables::decode(bytes_of(state, &found(state, name)?)?, &term.option("encoding", "utf-8"), name)
}

fn file(state: &State<'_, '_>, name: &str, call: &Arguments) -> Result<Value, Error> {
    let content = content_of(state, name)?;
    let left = call.keyword("lstrip").is_some_and(python::truth);
    let right = call.keyword("rstrip").is_none_or(python::truth);
    Ok(super::text::strip(&content, None, left, right).into())
}

fn file_glob(state: &State<'_, '_>, term: &str) -> Vec<String> {
    let search: Vec<PathBuf> = scope_of(state).map_or_else(|| vec![PathBuf::from(".")], |scope| scope.search().to_vec());
    let candidates = search.into_iter().map(whole).flat_map(|folder| [folder.join("files").join(term), folder.join(term)]);
    let globbed = candidates.map(|pattern| with_files(state, |files| paths::glob(files, &pattern.to_string_lossy())));
    globbed.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// The whole path, which is what playbooks get to see.
fn whole(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The names that one term of `first_found` gives.
fn candidates(term: &Value, call: &Arguments, names: &mut Vec<String>) -> Result<(), Error> {
    let split = |value: Option<Value>, separators: &[char]| -> Result<Vec<String>, Error> {
        let Some(value) = value.filter(|value| !value.is_undefined() && !value.is_none()) else { return Ok(Vec::new()) };
        let values = if value.as_str().is_some() { vec![value] } else { python::defined_items(&value)? };
        Ok(values.iter().flat_map(|value| text(value).split(separators).map(str::to_owned).collect::<Vec<_>>()).collect())
    };
    let option = |key: &str| -> Result<Option<Value>, Error> {
        let own =
            if python::is_mapping(term) { Some(python::get(term, &Value::from(key))?).filter(|value| !value.is_undefined()) } else { None };
        Ok(own.or_else(|| call.keyword(key).cloned()))
    };
    if python::is_sequence(term) {
        return items_of(term)?.iter().try_for_each(|item| candidates(item, call, names));
    }
    if !python::is_mapping(term) && !term.is_undefined() && term.as_str().is_none() {
        let found = python::type_name(term);
        return Err(fail(format!("Invalid term supplied. A string, dict or list is required, not '{found}').")));
    }
    let files = if python::is_mapping(term) { option("files")? } else { Some(defined(term)?) };
    let folders = split(option("paths")?, &[',', ':', ';'])?;
    for file in split(files, &[',', ';'])? {
        if folders.is_empty() {
            names.push(file);
        } else {
            names.extend(folders.iter().map(|folder| paths::join(folder, &file)));
        }
    }
    Ok(())
}

fn first_found(state: &State<'_, '_>, terms: &[Value], call: &Arguments) -> Result<Vec<Value>, Error> {
    // Terms may be undefined, options may not.
    call.named.iter().try_for_each(|(_, value)| defined(value).map(drop))?;
    let mut names = Vec::new();
    for term in terms {
        candidates(term, call, &mut names)?;
    }
    if terms.is_empty() {
        candidates(&dictionary([]), call, &mut names)?;
    }
    // Without a task at hand, each of the folders that tasks would look in is tried.
    let found = names.iter().find_map(|name| ["files", "templates", "vars"].iter().find_map(|folder| find(state, name, folder)));
    if let Some(path) = found {
        return Ok(vec![paths::normalize(&whole(path).to_string_lossy()).into()]);
    }
    let mut skip = call.keyword("skip").is_some_and(python::truth);
    for term in terms.iter().filter(|term| python::is_mapping(term)) {
        skip |= python::truth(&python::get(term, &Value::from("skip"))?);
    }
    if skip { Ok(Vec::new()) } else { Err(fail(format!("No file was found when using first_found: {}", names.join(", ")))) }
}

fn template(state: &State<'_, '_>, name: &str, call: &Arguments) -> Result<Value, Error> {
    let variables = call.keyword("template_vars").cloned();
    let mut options = crate::TemplateOptions::default();
    let crate::Delimiters { block: [block, end_block], variable: [open, close], comment: [comment, end_comment], .. } =
        &mut options.delimiters;
    for (option, mark) in [
        ("variable_start_string", open),
        ("variable_end_string", close),
        ("block_start_string", block),
        ("block_end_string", end_block),
        ("comment_start_string", comment),
        ("comment_end_string", end_comment),
    ] {
        if let Some(given) = call.keyword(option).filter(|given| !given.is_none()) {
            *mark = text(given);
        }
    }
    for (option, switch) in [("trim_blocks", &mut options.trim_blocks), ("lstrip_blocks", &mut options.lstrip_blocks)] {
        if let Some(given) = call.keyword(option).filter(|given| !given.is_none()) {
            *switch = python::truth(given);
        }
    }
    let path = find(state, name, "templates").ok_or_else(|| fail(format!("the template file {name} could not be found for the lookup")))?;
    let source = read(state, &path)?;
    let Some(mut scope) = scope_of(state) else { return Err(fail("the lookup 'template' needs variables")) };
    if !scope.defines("ansible_managed") {
        scope = scope.with("ansible_managed", Value::from("Ansible managed"));
    }
    for (key, value) in variables.map_or_else(|| Ok(Vec::new()), |variables| pairs_of(&variables))? {
        scope = scope.with(&text(&key), value);
    }
    let rendered = scope.render(&path.to_string_lossy(), &source, &options).map_err(crate::evaluate::into_error)?;
    // A template that is nothing but comments gives nothing at all.
    Ok(if is_comment(&source, &options) { Value::from(()) } else { Value::from(rendered) })
}

/// True for a source that has comments, and nothing else.
fn is_comment(source: &str, options: &crate::TemplateOptions) -> bool {
    let [open, close] = &options.delimiters.comment;
    let mut rest = source;
    while let Some((_, after)) = rest.strip_prefix(open.as_str()).and_then(|inner| inner.split_once(close.as_str())) {
        rest = after.strip_prefix('\n').filter(|_| options.trim_blocks).unwrap_or(after);
    }
    rest.is_empty() && !source.is_empty()
}

fn shell(state: &State<'_, '_>, command: &str) -> Result<String, Error> {
    let output = std::process::Command::new("/bin/sh")
        .current_dir(playbook_folder(state).filter(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from(".")))
        .arg("-c")
        .arg(command)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| fail(format!("lookup pipe({command}): {error}")))?;
    if !output.status.success() {
        return Err(fail(format!("lookup pipe({command}) returned {}", output.status.code().unwrap_or(-1))));
    }
    String::from_utf8(output.stdout).map_err(|_| fail(format!("lookup pipe({command}): the output is not UTF-8 text")))
}

fn lines(state: &State<'_, '_>, terms: &[Value]) -> Result<Vec<Value>, Error> {
    let mut lines = Vec::new();
    for term in terms {
        lines.extend(super::text::split_lines(&shell(state, &text(term))?, false).into_iter().map(Value::from));
    }
    Ok(lines)
}

fn subelements(terms: &[Value]) -> Result<Vec<Value>, Error> {
    let misfit = |more: &str| fail(format!("subelements lookup expects a list of two or three items, {more}"));
    let ([elements, path] | [elements, path, _]) = terms else { return Err(misfit("")) };
    let is_list = python::is_sequence(elements) && elements.as_str().is_none();
    let Some(path) = path.as_str().filter(|_| is_list || python::is_mapping(elements)) else {
        return Err(misfit("first a dict or a list, second a string pointing to the subkey"));
    };
    let skip_missing = match terms.get(2) {
        Some(flags) if python::is_mapping(flags) => python::truth(&python::get(flags, &Value::from("skip_missing"))?),
        Some(_) => return Err(misfit("the optional third item must be a dict with flags ('skip_missing',)")),
        None => false,
    };
    // What a skipped task registered has nothing below it, and neither has a skipped item.
    let is_skipped = |value: &Value| python::is_mapping(value) && python::get(value, &"skipped".into()).is_ok_and(|it| python::truth(&it));
    if is_skipped(elements) {
        return Ok(Vec::new());
    }
    let all: Vec<Value> = match is_list {
        true => items_of(elements)?,
        false => pairs_of(elements)?.into_iter().map(|(_, value)| value).collect(),
    };
    let elements = &list(all.into_iter().filter(|item| !is_skipped(item)).collect());
    let path: Vec<Value> = path.split('.').map(Value::from).collect();
    // The elements come without the list that they were paired with.
    let pair = |row: Vec<Value>| match row.as_slice() {
        [element, below] => Ok(tuple(vec![without(element, &path)?, below.clone()])),
        _ => Ok(tuple(row)),
    };
    dicts::elements_below(elements, &path, skip_missing)?.into_iter().map(pair).collect()
}

/// A mapping without what stands at a path of keys.
fn without(value: &Value, path: &[Value]) -> Result<Value, Error> {
    let Some((first, rest)) = path.split_first().filter(|_| python::is_mapping(value)) else { return Ok(value.clone()) };
    let mut kept = Vec::new();
    for (key, item) in pairs_of(value)? {
        if key != *first {
            kept.push((key, item));
        } else if !rest.is_empty() {
            kept.push((key, without(&item, rest)?));
        }
    }
    Ok(dictionary(kept))
}
