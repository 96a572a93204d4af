//! Reading playbooks and task files. All problems of all files are collected before any is reported.

pub(crate) mod arguments;
mod keyword;
mod literal;
mod play;
mod prompt;
mod repeat;
mod task;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Files, Node, Place, Problem, SourceFile, Vault};

use crate::{Playbook, Settings, Step, Task};

/// How deep files may include each other.
pub const MAX_INCLUDE_DEPTH: usize = 64;

/// Reads playbooks through one set of files and with one vault.
#[derive(Clone)]
pub struct Loader {
    files: Arc<dyn Files>,
    vault: Arc<Vault>,
}

impl Loader {
    /// A reader of these files.
    #[must_use]
    pub fn new(files: Arc<dyn Files>, vault: Arc<Vault>) -> Self {
        Self { files, vault }
    }

    /// The files that it reads.
    #[must_use]
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// The vault that it opens values with.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Reads a playbook and everything that it imports.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn playbook(&self, path: &Path) -> Result<Playbook, Vec<Problem>> {
        let mut reading = Reading::new(self);
        let plays = reading.playbook(path, &Settings::default());
        reading.finish(Playbook { plays })
    }

    /// Reads a file of tasks that are included at run time, with what they inherit. `playbook_folder` is where the
    /// file is looked for when it is not beside the including one.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn tasks(&self, path: &Path, inherited: &Settings) -> Result<Vec<Step>, Vec<Problem>> {
        let mut reading = Reading::new(self);
        let steps = reading.task_file(path, inherited);
        reading.finish(steps)
    }

    /// The file of that name beside the including file, or in the playbook's folder or its `tasks`.
    #[must_use]
    pub fn find_tasks(&self, name: &str, folder: &Path, playbook_folder: &Path) -> Option<PathBuf> {
        let candidates =
            [folder.join(name), folder.join("tasks").join(name), playbook_folder.join("tasks").join(name), playbook_folder.join(name)];
        candidates.into_iter().find(|path| self.files.is_file(path))
    }
}

/// One reading: what was found wrong so far, and the files that were read.
struct Reading<'a> {
    loader: &'a Loader,
    problems: Vec<Problem>,
    sources: BTreeMap<Arc<str>, SourceFile>,
    /// Files being read, outermost first.
    stack: Vec<PathBuf>,
    playbook_folder: Arc<PathBuf>,
    /// Handlers that the play being read notifies by fixed names.
    notified: Vec<(Place, String)>,
}

impl<'a> Reading<'a> {
    fn new(loader: &'a Loader) -> Self {
        Self {
            loader,
            problems: Vec::new(),
            sources: BTreeMap::new(),
            stack: Vec::new(),
            playbook_folder: Arc::default(),
            notified: Vec::new(),
        }
    }

    fn finish<T>(self, result: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(result);
        }
        let sources = self.sources;
        let explain = |problem: Problem| match problem.place.as_ref().and_then(|place| sources.get(&place.file)) {
            Some(source) => source.explain(problem),
            None => problem,
        };
        // Files in the order in which they were met, and in each from top to bottom.
        let mut files: Vec<Option<Arc<str>>> = Vec::new();
        let mut problems: Vec<(usize, Problem)> = Vec::new();
        for problem in self.problems {
            let file = problem.place.as_ref().map(|place| place.file.clone());
            let number = files.iter().position(|known| *known == file).unwrap_or_else(|| {
                files.push(file);
                files.len() - 1
            });
            problems.push((number, problem));
        }
        problems.sort_by_key(|(file, problem)| (*file, problem.place.as_ref().map(|place| (place.line, place.column))));
        Err(problems.into_iter().map(|(_, problem)| explain(problem)).collect())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The value of a result, its problem kept.
    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problem(problem)).ok()
    }

    /// The only document of a file; `None` for an empty one or after a problem.
    fn document(&mut self, path: &Path) -> Option<Node> {
        let source = SourceFile::read(&*self.loader.files, path, &self.loader.vault);
        let source = self.keep(source)?;
        let documents = source.documents();
        self.sources.insert(source.name.clone(), source);
        let mut documents = self.keep(documents)?;
        if let Some(second) = documents.get(1) {
            let problem = second.problem("a second document; a playbook file holds one");
            self.problem(problem);
        }
        (!documents.is_empty()).then(|| documents.swap_remove(0))
    }

    /// Runs `read` with the file on the stack, unless it is there already or too deep.
    fn inside<T>(&mut self, path: &Path, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.stack.iter().any(|open| open == path) {
            self.problem(Problem::new(format!("{} imports itself", path.display())));
            return None;
        }
        if self.stack.len() >= MAX_INCLUDE_DEPTH {
            self.problem(Problem::new(format!("{}: imports nest deeper than {MAX_INCLUDE_DEPTH} files", path.display())));
            return None;
        }
        self.stack.push(path.to_owned());
        let result = read(self);
        self.stack.pop();
        Some(result)
    }

    fn task_file(&mut self, path: &Path, inherited: &Settings) -> Vec<Step> {
        let folder = Arc::new(parent(path));
        self.inside(path, |reading| match reading.document(path) {
            Some(document) if document.is_null() => Vec::new(),
            Some(document) => reading.steps(&document, inherited, &folder),
            None => Vec::new(),
        })
        .unwrap_or_default()
    }

    /// Handlers are tasks; blocks and imports among them are opened.
    fn handlers(&mut self, node: &Node, inherited: &Settings, folder: &Arc<PathBuf>) -> Vec<Arc<Task>> {
        let mut handlers = Vec::new();
        for step in self.steps(node, inherited, folder) {
            flatten(step, &mut handlers);
        }
        handlers
    }
}

fn flatten(step: Step, tasks: &mut Vec<Arc<Task>>) {
    match step {
        Step::Task(task) => tasks.push(task),
        Step::Block(block) => block.block.iter().cloned().for_each(|step| flatten(step, tasks)),
    }
}

/// The folder of a file; the current one for a bare name.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
