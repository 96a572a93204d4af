//! Reading playbooks and task files. All problems of all files are collected before any is reported.

pub(crate) mod arguments;
mod keyword;
mod literal;
mod name;
mod play;
mod prompt;
mod repeat;
mod role;
mod search;
mod specs;
mod task;

pub use arguments::misfit;
pub use search::{FoundRole, RoleSearch};
pub use task::first_word;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Files, Language, Node, Place, Problem, SourceFile, Vars, Vault};

use crate::catalog::short_name;
use crate::{Play, Playbook, Role, RoleChoice, Settings, Step, Task};

/// How deep files may include each other.
pub const MAX_INCLUDE_DEPTH: usize = 64;

/// Reads playbooks through one set of files and with one vault.
#[derive(Clone)]
pub struct Loader {
    files: Arc<dyn Files>,
    vault: Arc<Vault>,
    roles_paths: Vec<PathBuf>,
    collections_paths: Vec<PathBuf>,
    extra: Arc<Vars>,
    /// A handler that is not there is no mistake.
    forgives_missing_handlers: bool,
}

/// What an include brings into a play that is running.
#[derive(Default)]
pub struct Included {
    /// Its tasks.
    pub steps: Vec<Step>,
    /// Handlers of the roles among them.
    pub handlers: Vec<Arc<Task>>,
    /// The roles among them, the included one first.
    pub roles: Vec<Arc<Role>>,
}

impl Loader {
    /// A reader of these files.
    #[must_use]
    pub fn new(files: Arc<dyn Files>, vault: Arc<Vault>) -> Self {
        Self {
            files,
            vault,
            roles_paths: Vec::new(),
            collections_paths: Vec::new(),
            extra: Arc::default(),
            forgives_missing_handlers: false,
        }
    }

    /// Looks for roles and collections in these folders too.
    #[must_use]
    pub fn with_paths(self, roles_paths: Vec<PathBuf>, collections_paths: Vec<PathBuf>) -> Self {
        Self { roles_paths, collections_paths, ..self }
    }

    /// Takes no offence at names of handlers that nothing answers to.
    #[must_use]
    pub fn forgiving_missing_handlers(self, forgives: bool) -> Self {
        Self { forgives_missing_handlers: forgives, ..self }
    }

    /// Names of imports may use these variables.
    #[must_use]
    pub fn with_extra(self, extra: Arc<Vars>) -> Self {
        Self { extra, ..self }
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
        let deferred = match reading.problems.is_empty() {
            true => reading.explained(reading.deferred.clone()),
            // Where the playbook is refused anyway, all of it is told at once.
            false => {
                let deferred = std::mem::take(&mut reading.deferred);
                reading.problems.extend(deferred);
                Vec::new()
            }
        };
        reading.finish(Playbook { plays, deferred })
    }

    /// Reads a file of tasks that are included at run time into a play, with what they inherit.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn tasks(&self, path: &Path, inherited: &Settings, play: &Play) -> Result<Included, Vec<Problem>> {
        let mut reading = Reading::within(self, play);
        let steps = reading.task_file(path, inherited);
        let included = Included {
            steps,
            handlers: std::mem::take(&mut reading.imported_handlers),
            roles: reading.used_roles.split_off(play.used_roles.len()),
        };
        reading.finish(included)
    }

    /// Reads a role that is included at run time into a play.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn role(&self, choice: RoleChoice, place: &Place, inherited: &Settings, play: &Play) -> Result<Included, Vec<Problem>> {
        let mut reading = Reading::within(self, play);
        let parent = inherited.role.clone();
        let choice = RoleChoice { public: choice.public.or(Some(false)), ..choice };
        let settings = role::with_parent_names(inherited.clone(), parent.as_deref());
        let usage = role::RoleUse {
            choice,
            place: place.clone(),
            own: Settings::default(),
            given: Arc::default(),
            parameters: Arc::default(),
            from_include: true,
        };
        let read = reading.role(usage, &settings, parent.as_ref());
        let mut included = Included::default();
        if let Some(read) = read {
            included.steps = read.steps;
            included.handlers = read.handlers;
            included.roles.push(read.role);
        }
        included.handlers.append(&mut reading.imported_handlers);
        included.roles.extend(reading.used_roles.split_off(play.used_roles.len()));
        reading.finish(included)
    }

    /// The file of that name beside the including file, in the role, or in the playbook's folder or its `tasks`.
    #[must_use]
    pub fn find_tasks(&self, name: &str, folder: &Path, role: Option<&Path>, playbook_folder: &Path) -> Option<PathBuf> {
        let mut candidates = vec![folder.join(name), folder.join("tasks").join(name)];
        if let Some(role) = role {
            let is_handlers = folder.starts_with(role.join("handlers"));
            let subs = if is_handlers { ["handlers", "tasks"] } else { ["tasks", "handlers"] };
            candidates.extend(subs.map(|sub| role.join(sub).join(name)));
            candidates.push(role.join(name));
        }
        candidates.extend([playbook_folder.join("tasks").join(name), playbook_folder.join(name)]);
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
    /// The play being read includes files or roles at run time.
    includes: bool,
    /// What is wrong with single tasks that may never run.
    deferred: Vec<Problem>,
    /// Variables of the play being read.
    play_vars: Arc<Vars>,
    /// Roles that it uses.
    used_roles: Vec<Arc<Role>>,
    /// Handlers of its `roles`.
    role_handlers: Vec<Arc<Task>>,
    /// Handlers of roles that its tasks import.
    imported_handlers: Vec<Arc<Task>>,
    /// Collections in which it looks for roles.
    collections: Vec<String>,
    /// The collection that the playbook belongs to.
    default_collection: Option<String>,
    language: Option<Arc<Language>>,
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
            includes: false,
            deferred: Vec::new(),
            play_vars: Arc::default(),
            used_roles: Vec::new(),
            role_handlers: Vec::new(),
            imported_handlers: Vec::new(),
            collections: Vec::new(),
            default_collection: None,
            language: None,
        }
    }

    /// A reading of what is included into a play.
    fn within(loader: &'a Loader, play: &Play) -> Self {
        Self {
            playbook_folder: play.folder.clone(),
            play_vars: play.vars.clone(),
            used_roles: play.used_roles.clone(),
            collections: play.collections.clone(),
            default_collection: loader.collection_around(&play.folder),
            ..Self::new(loader)
        }
    }

    fn explained(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let explain = |problem: Problem| match problem.place.as_ref().and_then(|place| self.sources.get(&place.file)) {
            Some(source) => source.explain(problem),
            None => problem,
        };
        problems.into_iter().map(explain).collect()
    }

    fn finish<T>(self, result: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(result);
        }
        // Files in the order in which they were met, and in each from top to bottom.
        let mut files: Vec<Option<Arc<str>>> = Vec::new();
        let mut problems: Vec<(usize, Problem)> = Vec::new();
        let found = self.explained(self.problems.clone());
        for problem in found {
            let file = problem.place.as_ref().map(|place| place.file.clone());
            let number = files.iter().position(|known| *known == file).unwrap_or_else(|| {
                files.push(file);
                files.len() - 1
            });
            problems.push((number, problem));
        }
        problems.sort_by_key(|(file, problem)| (*file, problem.place.as_ref().map(|place| (place.line, place.column))));
        Err(problems.into_iter().map(|(_, problem)| problem).collect())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The value of a result, its problem kept.
    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problem(problem)).ok()
    }

    /// The only document of a file; `None` for an empty one or after a problem.
    fn document(&mut self, path: &Path) -> Option<Arc<Node>> {
        let source = SourceFile::read(&*self.loader.files, path, &self.loader.vault);
        let source = self.keep(source)?;
        let document = source.document("a second document; a playbook file holds one");
        self.sources.insert(source.name.clone(), source);
        self.keep(document)?
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
            Some(document) => reading.steps(&document, "tasks", inherited, &folder),
            None => Vec::new(),
        })
        .unwrap_or_default()
    }

    /// Handlers are tasks; blocks and imports among them are opened.
    fn handlers(&mut self, node: &Node, inherited: &Settings, folder: &Arc<PathBuf>) -> Vec<Arc<Task>> {
        let keys = node.sequence().unwrap_or_default().iter().filter_map(Node::mapping).flatten().map(|(key, _)| key);
        let roles: Vec<Problem> = keys
            .filter_map(|key| Some((key, key.scalar_text()?)))
            .filter(|(_, name)| matches!(short_name(name), "include_role" | "import_role"))
            .map(|(key, name)| key.problem(format!("Using '{name}' as a handler is not supported.")))
            .collect();
        roles.into_iter().for_each(|problem| self.problem(problem));
        let mut handlers = Vec::new();
        for step in self.steps(node, "handlers", inherited, folder) {
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
