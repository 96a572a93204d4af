//! Sources of an inventory: which reader each one gets, and what is checked when all are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_template::{Files, Place, Problem, SourceFile, Vars, Vault, closest};

use crate::variables::{VariableFolder, only_document};
use crate::{GroupName, HostName, Inventory, Origin, Reading, address, range};

/// An inventory in the making.
pub(crate) struct Loader<'l> {
    pub(crate) files: &'l dyn Files,
    pub(crate) vault: &'l Arc<Vault>,
    /// The variables of the command line.
    pub(crate) extra: &'l Arc<Vars>,
    pub(crate) inventory: Inventory,
    pub(crate) problems: Vec<Problem>,
    pub(crate) a_program_failed: bool,
    /// The folders of the sources that were read, where variables may stand.
    pub(crate) folders: Vec<PathBuf>,
}

pub(crate) fn load(
    files: &dyn Files,
    sources: &[String],
    playbook_folder: Option<&Path>,
    vault: &Arc<Vault>,
    reading: &Reading,
) -> Result<Inventory, Vec<Problem>> {
    let inventory = Inventory { vault: vault.clone(), merges: reading.merges, group_names: reading.group_names, ..Inventory::default() };
    let mut loader =
        Loader { files, vault, extra: &reading.extra, inventory, problems: Vec::new(), a_program_failed: false, folders: Vec::new() };
    for source in sources.iter().map(|source| source.trim()).filter(|source| !source.is_empty()) {
        let folder = loader.source(source);
        loader.folders.extend(folder);
    }
    if let Err(message) = loader.inventory.reconcile() {
        loader.problems.push(Problem::new(message));
    }
    loader.warn_of_ambiguous_names();
    let folders = std::mem::take(&mut loader.folders);
    loader.variable_folders(&folders, playbook_folder);
    if loader.problems.is_empty() { Ok(loader.inventory) } else { Err(loader.problems) }
}

/// A list of hosts with every range in it written out: `a,b[1:3]` is `a,b1,b2,b3`. A range that lacks something is left as it is, as a host's name;
/// the reasons come beside.
///
/// # Errors
/// What no range can have.
pub fn expand_list(list: &str) -> Result<(String, Vec<String>), String> {
    let (mut names, mut unchanged) = (Vec::new(), Vec::new());
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match range::expand(entry) {
            Ok(expanded) => names.extend(expanded),
            Err(reason) if reason.starts_with("host range must ") => {
                names.push(entry.to_owned());
                unchanged.push(reason);
            }
            Err(reason) => return Err(reason),
        }
    }
    Ok((names.join(",") + ",", unchanged))
}

impl Loader<'_> {
    /// Reads one source; gives the folder in which its `group_vars` may stand.
    fn source(&mut self, source: &str) -> Option<PathBuf> {
        let path = expand_home(source);
        self.a_program_failed = false;
        if path == Path::new("/dev/null") {
            return None;
        }
        if self.files.is_folder(&path) {
            self.directory(&path, 0);
            return Some(path);
        }
        if self.files.is_file(&path) {
            self.file(&path);
            return Some(path.parent().map(Path::to_path_buf).unwrap_or_default());
        }
        if source.contains(',') {
            self.host_list(source);
        } else {
            let hint = match self.neighbour(&path) {
                Some(name) => format!("did you mean '{name}'?"),
                None => "name a file, a folder, or hosts with commas: -i 'host1,'".to_owned(),
            };
            self.problems.push(Problem::new(format!("inventory '{source}' does not exist")).with_hint(hint));
        }
        None
    }

    /// The name beside a missing file that is most like its name.
    fn neighbour(&self, path: &Path) -> Option<String> {
        let name = path.file_name()?.to_str()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let names: Vec<String> =
            self.files.list(folder).ok()?.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
        closest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }

    fn host_list(&mut self, list: &str) {
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (host, port) = match address::parse(entry) {
                Some(address) if !address.host.contains('[') => (address.host, address.port),
                _ => (entry.to_owned(), None),
            };
            if self.inventory.host(&host).is_some() {
                continue;
            }
            let ungrouped = GroupName::known("ungrouped");
            if let Err(error) = self.inventory.ensure_host(&host, Some(&ungrouped), port, None) {
                self.problems.push(Problem::new(format!("the list of hosts has '{host}', which is no name for a host: {error}")));
            }
        }
    }

    /// Reads one file: executable ones are run, the others are told apart by their ending, or else by content.
    pub(crate) fn file(&mut self, path: &Path) {
        let file = absolute(path);
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        let origin = Arc::new(Origin { file, folder });
        let is_executable = self.files.permissions(path).is_ok_and(|bits| bits & 0o111 != 0);
        if is_executable && self.script(path, &origin) {
            return;
        }
        let source = match SourceFile::read(self.files, path, self.vault) {
            Ok(source) => source,
            Err(problem) => return self.problems.push(problem),
        };
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => {
                let problem = Problem::new("an inventory in TOML cannot be read").at(&Place::new(source.name.clone(), 1, 1));
                self.problems.push(source.explain(problem.with_hint("write it as YAML or INI")));
            }
            Some("yml" | "yaml" | "json") => self.yaml_file(&source, &origin),
            None if looks_like_yaml(&source.text) => self.yaml_file(&source, &origin),
            _ => self.ini(&source, &origin),
        }
    }

    fn yaml_file(&mut self, source: &SourceFile, origin: &Arc<Origin>) {
        match only_document(source) {
            Ok(Some(node)) => self.yaml(source, &node, origin),
            Ok(None) => {}
            Err(problem) => self.problems.push(source.explain(problem)),
        }
    }

    /// The hosts that an entry stands for, put into a group.
    ///
    /// # Errors
    /// What is wrong with the entry.
    pub(crate) fn add_hosts(&mut self, entry: &str, group: &GroupName, origin: &Arc<Origin>) -> Result<Vec<HostName>, String> {
        let (pattern, port) = match address::parse(entry) {
            Some(address) => (address.host, address.port),
            None => (entry.to_owned(), None),
        };
        let mut names = Vec::new();
        for name in range::expand(&pattern)? {
            let added = self.inventory.ensure_host(&name, Some(group), port, Some(origin));
            names.push(added.map_err(|error| format!("'{name}' is no name for a host: {error}"))?);
        }
        Ok(names)
    }

    fn warn_of_ambiguous_names(&mut self) {
        let both = self.inventory.groups.keys().filter(|group| self.inventory.host(group.as_str()).is_some());
        let warnings: Vec<Problem> = both
            .map(|name| {
                Problem::new(format!("'{name}' is the name of a group and of a host: what is said of the host holds for the whole group"))
            })
            .collect();
        self.inventory.warnings.extend(warnings);
    }

    fn variable_folders(&mut self, folders: &[PathBuf], playbook_folder: Option<&Path>) {
        let mut known: IndexMap<PathBuf, Arc<VariableFolder>> = IndexMap::new();
        let mut read = |folder: &Path| {
            let read = || Arc::new(VariableFolder::read(self.files, folder, self.vault));
            known.entry(absolute(folder)).or_insert_with(read).clone()
        };
        self.inventory.beside_sources = folders.iter().map(|folder| read(folder)).collect();
        self.inventory.beside_playbook = playbook_folder.map(read);
        for folder in known.values() {
            let groups = self.inventory.groups.keys().filter_map(|group| folder.group(group.as_str()));
            let hosts = self.inventory.hosts.keys().filter_map(|host| folder.host(host.as_str()));
            for problems in groups.chain(hosts).filter_map(|entry| entry.as_ref().err()) {
                self.problems.extend(problems.iter().cloned());
            }
        }
    }
}

/// True for a text whose first line of substance is how YAML begins; INI begins with `[` or a host.
fn looks_like_yaml(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    first.is_some_and(|line| {
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        let key = line.find(": ").or_else(|| line.ends_with(':').then(|| line.len() - 1));
        line.starts_with("---") || line.starts_with("%YAML") || line.starts_with('{') || key.is_some_and(|end| !line[..end].contains('='))
    })
}

/// The path with `~` and without `.` and `..`, from the root of the file system.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

fn expand_home(source: &str) -> PathBuf {
    match (source.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(source),
    }
}

#[cfg(test)]
mod tests {
    use super::looks_like_yaml;

    #[test]
    fn files_without_ending_are_told_apart() {
        for (text, expect) in [
            ("# c\n\nall:\n  hosts:\n", true),
            ("---\nall:\n", true),
            ("{\"all\": {}}", true),
            ("web: {hosts: {a: }}", true),
            ("all: # everything\n", true),
            ("[web]\nw1\n", false),
            ("w1\n", false),
            ("w1:2222 a=b\n", false),
            ("w1 a='b: c'\n", false),
            ("", false),
        ] {
            assert_eq!(looks_like_yaml(text), expect, "{text}");
        }
    }
}
