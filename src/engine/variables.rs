//! `include_vars`: variables from a file, or from the files of a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_inventory::read_variables;
use pgfleet_protocol::{Argument, Items, Map};
use pgfleet_template::{Expression, Problem, Raw, Scope, Value, Vars, to_exact_json, to_json};
use serde_json::Value as Json;

use crate::attempt::Attempt;
use crate::{Ending, TaskResult};

/// Which files of a folder are read.
struct Choice {
    /// How deep, the folder itself being 1; 0 for all.
    depth: u64,
    extensions: Vec<String>,
    skip_other_extensions: bool,
    /// Ends of names to leave out, as regular expressions.
    ignored: Vec<String>,
    /// What a name must contain.
    matching: Option<String>,
}

impl Attempt<'_> {
    pub(crate) fn include_vars(&self, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut read = Vec::new();
        let found = self.read_included(scope, &mut read);
        let files: Vec<String> = read.iter().map(|path| path.display().to_string()).collect();
        let mut vars = match found {
            Ok(vars) => vars,
            Err(problem) => {
                let mut result = TaskResult::from(problem.at(&self.task.place)).with("ansible_included_var_files", files);
                let message = result.data.get("msg").cloned().unwrap_or_default();
                result.data.insert("ansible_facts".to_owned(), Json::Object(Map::new()));
                result.data.insert("message".to_owned(), message);
                return Ok(result);
            }
        };
        let merges = self.text(scope, "hash_behaviour")?.as_deref() == Some("merge");
        if let Some(name) = self.text(scope, "name")? {
            let entries = vars.into_iter().map(|(name, raw)| (Raw::from(Value::from(name)), raw)).collect();
            vars = Vars::from_iter([(name, Raw::map(entries))]);
        }
        if merges {
            for (name, raw) in &mut vars {
                *raw = merged(scope.get(name)?, raw, scope)?;
            }
        }
        let inside = scope.over(Arc::new(vars.clone()));
        let written = |raw: &Raw| to_exact_json(&raw.as_written()).unwrap_or(Json::Null);
        let rendered = |raw: &Raw| raw.evaluate(&inside).and_then(|value| to_exact_json(&value)).unwrap_or_else(|_| written(raw));
        let shown: Map = vars.iter().map(|(name, raw)| (name.clone(), rendered(raw))).collect();
        self.run.warn_of_reserved(vars.keys().map(String::as_str), &self.task.place);
        for host in self.owners(scope)? {
            host.include(vars.clone());
        }
        let result = TaskResult::new(Ending::Ok).with("ansible_facts", Json::Object(shown)).with("ansible_included_var_files", files);
        // What was encrypted is not shown, whatever else was read with it.
        let loader = &self.run.options.loader;
        let is_sealed = |path: &PathBuf| loader.files().read(path).is_ok_and(|bytes| bytes.starts_with(b"$ANSIBLE_VAULT;"));
        Ok(if read.iter().any(is_sealed) { result.with(crate::redact::HIDDEN, true) } else { result })
    }

    fn read_included(&self, scope: &Scope, read: &mut Vec<PathBuf>) -> Result<Vars, Problem> {
        let loader = &self.run.options.loader;
        let mut vars = Vars::new();
        match (self.text(scope, "file")?, self.text(scope, "dir")?) {
            (Some(_), Some(_)) => {
                return Err(Problem::new("You are mixing file only and dir only arguments, these are incompatible"));
            }
            (Some(file), None) => {
                let path = self.find_vars(file.trim_end_matches('\n'))?;
                vars = read_variables(&**loader.files(), &path, loader.vault())?;
                read.push(path);
            }
            (None, Some(folder)) => {
                let folder = self.vars_folder(&folder)?;
                let choice = self.choice(scope)?;
                for path in chosen_below(&**loader.files(), &folder, &choice, scope, &self.task.place)? {
                    vars.extend(read_variables(&**loader.files(), &path, loader.vault())?);
                    read.push(path);
                }
            }
            (None, None) => return Err(Problem::new("'include_vars' takes a file or a folder")),
        }
        Ok(vars)
    }

    fn choice(&self, scope: &Scope) -> Result<Choice, Problem> {
        let list = |name: &str| -> Result<Option<Vec<String>>, Problem> {
            let Some(raw) = self.raw_argument(name) else { return Ok(None) };
            Items::read(&to_json(&raw.evaluate(scope)?)?).map(Some).map_err(Problem::new)
        };
        let number =
            |name: &str| self.raw_argument(name).map_or(Ok(0), |raw| u64::read(&to_json(&raw.evaluate(scope)?)?).map_err(Problem::new));
        let otherwise = || ["yaml", "yml", "json"].map(str::to_owned).to_vec();
        let ignored = match self.text(scope, "ignore_files")? {
            Some(names) => names.split_whitespace().map(str::to_owned).collect(),
            None => Vec::new(),
        };
        Ok(Choice {
            depth: number("depth")?,
            extensions: list("extensions")?.unwrap_or_else(otherwise),
            skip_other_extensions: self
                .raw_argument("ignore_unknown_extensions")
                .map_or(Ok(false), |raw| crate::play::truth(raw, scope))?,
            ignored,
            matching: self.text(scope, "files_matching")?,
        })
    }

    /// A folder is looked for beside the file of the task, or below `vars` there.
    fn vars_folder(&self, name: &str) -> Result<PathBuf, Problem> {
        let files = self.run.options.loader.files();
        let mut candidates = vec![self.task.folder.join(name), self.task.folder.join("vars").join(name)];
        if let Some(role) = &self.task.settings.role {
            candidates.extend([role.origin.path.join("vars").join(name), role.origin.path.join(name)]);
        }
        let candidates: Vec<PathBuf> = candidates.iter().map(|path| absolute(path)).collect();
        match candidates.iter().find(|path| files.is_folder(path)) {
            Some(path) => Ok(absolute(path)),
            None if files.is_file(&candidates[0]) => Err(Problem::new(format!("{} is not a directory", candidates[0].display()))),
            None => Err(Problem::new(format!("{} directory does not exist", candidates[0].display()))),
        }
    }

    fn find_vars(&self, name: &str) -> Result<PathBuf, Problem> {
        let files = self.run.options.loader.files();
        let folders = self.run.folders(self.playing, Some(self.task));
        let candidates = folders.iter().flat_map(|folder| [folder.join("vars").join(name), folder.join(name)]);
        let found = candidates.into_iter().find(|path| files.is_file(path));
        found
            .map(|path| absolute(&path))
            .ok_or_else(|| Problem::new(format!("Could not find file of variables '{name}' in {}", self.task.folder.display())))
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether a name has a regular expression in it.
pub(crate) fn has(name: &str, pattern: &str, scope: &Scope, place: &pgfleet_template::Place) -> Result<bool, Problem> {
    let scope = scope.with("pattern_of_names", Value::from(pattern)).with("name_of_file", Value::from(name));
    Expression::parse("name_of_file is search(pattern_of_names)", place)?.evaluate(&scope).map(|value| value.is_true())
}

/// Files below a folder, folder by folder in the order of their names.
fn chosen_below(
    files: &dyn pgfleet_template::Files,
    root: &Path,
    choice: &Choice,
    scope: &Scope,
    place: &pgfleet_template::Place,
) -> Result<Vec<PathBuf>, Problem> {
    let matches = |pattern: &str, name: &str| has(name, pattern, scope, place);
    let mut folders = vec![(root.to_owned(), 1)];
    let mut chosen = Vec::new();
    let mut next = 0;
    while let Some((folder, depth)) = folders.get(next).cloned() {
        next += 1;
        let entries = files.list(&folder).map_err(|error| Problem::new(format!("cannot read {}: {error}", folder.display())))?;
        for path in entries {
            if files.is_folder(&path) {
                if choice.depth == 0 || depth < choice.depth {
                    folders.push((path, depth + 1));
                }
                continue;
            }
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some(pattern) = &choice.matching
                && !matches(pattern, &name)?
            {
                continue;
            }
            let mut ignored = false;
            for pattern in &choice.ignored {
                ignored = ignored || matches(&format!("{pattern}$"), &name)?;
            }
            let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
            let known = choice.extensions.contains(&extension);
            match (ignored, known) {
                (true, _) => {}
                (false, true) => chosen.push(path),
                (false, false) if choice.skip_other_extensions => {}
                (false, false) => {
                    let known = choice.extensions.join(", ");
                    return Err(Problem::new(format!("{} does not have a valid extension: {known}", path.display())));
                }
            }
        }
    }
    chosen.sort_by(|left, right| (left.parent(), left.file_name()).cmp(&(right.parent(), right.file_name())));
    Ok(chosen)
}

/// A mapping over another one, key by key.
fn merged(below: Option<Value>, above: &Raw, scope: &Scope) -> Result<Raw, Problem> {
    let Some(below) = below else { return Ok(above.clone()) };
    let (Json::Object(below), Json::Object(above_map)) = (to_exact_json(&below)?, to_exact_json(&above.evaluate(scope)?)?) else {
        return Ok(above.clone());
    };
    let scope = scope.over(Arc::new(crate::scopes::vars([
        ("map_below", pgfleet_template::from_json(&Json::Object(below))),
        ("map_above", pgfleet_template::from_json(&Json::Object(above_map))),
    ])));
    let place = pgfleet_template::Place::new("include_vars", 1, 1);
    let value = Expression::parse("map_below | combine(map_above, recursive=true)", &place)?.evaluate(&scope)?;
    Ok(Raw::from(value))
}
