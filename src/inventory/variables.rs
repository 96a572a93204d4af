//! Files of variables, and the folders `group_vars` and `host_vars`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Files, Node, Problem, Raw, SourceFile, Vars, Vault};

/// Endings of files of variables, tried in this order.
const ENDINGS: [&str; 4] = ["", ".yml", ".yaml", ".json"];
/// Folders nested deeper than this are a circle of symbolic links.
const DEEPEST: usize = 32;

/// Reads a YAML or JSON file of variables; an empty one has none.
///
/// # Errors
/// When it cannot be read or is no mapping.
pub fn read_variables(files: &dyn Files, path: &Path, vault: &Arc<Vault>) -> Result<Vars, Problem> {
    let mut vars = Vars::new();
    match read_into(files, path, vault, &mut vars).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(vars),
    }
}

fn read_into(files: &dyn Files, path: &Path, vault: &Arc<Vault>, vars: &mut Vars) -> Vec<Problem> {
    let mut problems = Vec::new();
    match SourceFile::read(files, path, vault) {
        Ok(source) => match only_document(&source) {
            Ok(Some(node)) => vars.extend(vars_of(&node, &source, vault, &mut problems)),
            Ok(None) => {}
            Err(problem) => problems.push(source.explain(problem)),
        },
        Err(problem) => problems.push(problem),
    }
    problems
}

/// The one document of a file, `None` when it is empty.
///
/// # Errors
/// Malformed YAML, or several documents.
pub(crate) fn only_document(source: &SourceFile) -> Result<Option<Arc<Node>>, Problem> {
    let document = source.document("a file of variables has one document, and here begins a second one")?;
    Ok(document.filter(|node| !node.is_null()))
}

/// The variables of a mapping; a problem with one does not hide those of the others.
pub(crate) fn vars_of(node: &Node, source: &SourceFile, vault: &Arc<Vault>, problems: &mut Vec<Problem>) -> Vars {
    let mut vars = Vars::new();
    if node.is_null() {
        return vars;
    }
    let Some(entries) = node.mapping() else {
        problems.push(source.explain(node.problem(format!("variables are a mapping, not {}", node.kind_name()))));
        return vars;
    };
    for (key, value) in entries {
        let named = key.scalar_text().ok_or_else(|| key.problem(format!("a variable's name is text, not {}", key.kind_name())));
        match named.and_then(|name| Ok((name.to_owned(), Raw::from_node(value, vault)?))) {
            Ok((name, value)) => drop(vars.insert(name, value)),
            Err(problem) => problems.push(source.explain(problem)),
        }
    }
    vars
}

type Entry = Result<Arc<Vars>, Vec<Problem>>;

/// The variables of groups and hosts that stand in the folders `group_vars` and `host_vars` of one place.
/// All are read at once, also those of groups that a playbook may make later.
#[derive(Debug, Default)]
pub(crate) struct VariableFolder {
    groups: HashMap<String, Entry>,
    hosts: HashMap<String, Entry>,
}

impl VariableFolder {
    pub(crate) fn read(files: &dyn Files, folder: &Path, vault: &Arc<Vault>) -> Self {
        Self { groups: entries(files, &folder.join("group_vars"), vault), hosts: entries(files, &folder.join("host_vars"), vault) }
    }

    pub(crate) fn group(&self, name: &str) -> Option<&Entry> {
        self.groups.get(name)
    }

    pub(crate) fn host(&self, name: &str) -> Option<&Entry> {
        self.hosts.get(name)
    }
}

fn entries(files: &dyn Files, folder: &Path, vault: &Arc<Vault>) -> HashMap<String, Entry> {
    let mut entries = HashMap::new();
    if !files.is_folder(folder) {
        return entries;
    }
    for path in files.list(folder).unwrap_or_default() {
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if is_hidden_or_backup(file_name) {
            continue;
        }
        let stems = ENDINGS.iter().filter_map(|ending| file_name.strip_suffix(ending)).filter(|stem| !stem.is_empty());
        for stem in stems {
            if !entries.contains_key(stem) {
                entries.insert(stem.to_owned(), entry(files, folder, stem, vault));
            }
        }
    }
    entries
}

fn entry(files: &dyn Files, folder: &Path, name: &str, vault: &Arc<Vault>) -> Entry {
    let mut found = Vec::new();
    for ending in ENDINGS {
        let path = folder.join(format!("{name}{ending}"));
        if files.is_folder(&path) {
            files_below(files, &path, 0, &mut found).map_err(|problem| vec![problem])?;
            break;
        }
        if files.is_file(&path) {
            found.push(path);
            break;
        }
    }
    let mut vars = Vars::new();
    let problems: Vec<Problem> = found.iter().flat_map(|path| read_into(files, path, vault, &mut vars)).collect();
    if problems.is_empty() { Ok(Arc::new(vars)) } else { Err(problems) }
}

fn files_below(files: &dyn Files, folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Problem> {
    if depth > DEEPEST {
        return Err(Problem::new(format!("{}: folders are nested more than {DEEPEST} deep", folder.display())));
    }
    let paths = files.list(folder).map_err(|error| Problem::new(format!("cannot read the folder {}: {error}", folder.display())))?;
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if is_hidden_or_backup(name) {
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if files.is_folder(&path) {
            if ending.is_empty() {
                files_below(files, &path, depth + 1, found)?;
            }
        } else if ending.is_empty() || ENDINGS.iter().any(|known| known.strip_prefix('.') == Some(ending)) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_hidden_or_backup(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~')
}
