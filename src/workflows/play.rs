//! Running a playbook: everything a person gave becomes a run, checked as a whole before anything connects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pgfleet_engine::{Event, Finished, Fleet, Habits, Redactor, Report, Run, RunOptions, Stop};
use pgfleet_inventory::{Inventory, Reading, read_variables};
use pgfleet_playbook::{Loader, Playbook, TagSelection, parse_pairs};
use pgfleet_protocol::{Mode, Secret};
use pgfleet_ssh::{Options, Passphrase};
use pgfleet_template::{Dialect, Files, Language, Place, Problem, Raw, SourceFile, Value, Vars, Vault, VaultPassword};

use crate::actions::Actions;
use crate::fleet::{SshFleet, SshHabits};
use crate::groups::{add_listed_nodes, global_variable};
use crate::local::Disk;
use crate::reach::{check_reach, explained, pattern, vars_files_problems};
use crate::settings::refuse_harmful;
use crate::{Project, WorkflowError};

/// What a person asks of a run, whatever the workflow.
pub struct Wish {
    /// The project.
    pub project: Project,
    /// Inventories, as written.
    pub inventories: Vec<String>,
    /// Only these hosts.
    pub limit: Option<String>,
    /// Only these tasks.
    pub tags: TagSelection,
    /// Extra variables, as written: `name=value`, `@file`, or a mapping.
    pub extra: Vec<String>,
    /// Apply or check.
    pub mode: Mode,
    /// Show differences.
    pub diff: bool,
    /// Hosts at a time.
    pub forks: usize,
    /// Verbosity.
    pub verbosity: u8,
    /// Act as another user.
    pub r#become: bool,
    /// What sudo may ask for.
    pub become_password: Option<Secret>,
    /// User to log in as.
    pub remote_user: Option<String>,
    /// What is asked of ssh.
    pub ssh: SshHabits,
    /// Passwords of vaults.
    pub vault_passwords: Vec<VaultPassword>,
    /// Folders in which roles are looked for, besides those of the playbook.
    pub roles_paths: Vec<PathBuf>,
    /// Folders in which collections are looked for.
    pub collections_paths: Vec<PathBuf>,
    /// Accept the key of a host that was never met, and keep it.
    pub accept_new_host_keys: bool,
    /// Limit for connecting.
    pub connect_timeout: Option<Duration>,
    /// Asks for the passphrase of a key.
    pub passphrase: Option<Passphrase>,
    /// Asks for an early end.
    pub stop: Stop,
    /// Smaller wishes.
    pub habits: Habits,
    /// What is done where nothing matches.
    pub strictness: Strictness,
    /// Asks a person; `None` where nobody can be asked.
    pub asker: Option<Arc<dyn pgfleet_engine::Asker>>,
}

/// What is done with inventories that cannot be read and plays that no host is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// They end the run before it begins.
    #[default]
    Strict,
    /// They are passed over with a word, as Ansible does.
    Lenient,
}

/// What a workflow adds to a person's wish.
#[derive(Default)]
pub struct Additions {
    /// Variables.
    pub vars: Vars,
    /// Texts that nothing may show.
    pub secrets: Vec<Secret>,
}

/// Everything of a run that was read and found right.
pub(crate) struct Prepared {
    pub(crate) inventory: Inventory,
    pub(crate) playbook: Playbook,
    pub(crate) loader: Loader,
    pub(crate) language: Arc<Language>,
    pub(crate) defaults: Arc<Vars>,
    pub(crate) extra: Vars,
}

impl Prepared {
    /// A variable that is the same for the whole cluster.
    pub(crate) fn global_value(&self, name: &str) -> Result<Option<Value>, WorkflowError> {
        let extra = Arc::new(self.extra.clone());
        Ok(global_variable(&self.inventory, &self.language, &self.defaults, &extra, name)?)
    }

    /// A variable that is the same for the whole cluster, as text.
    pub(crate) fn global_text(&self, name: &str) -> Result<Option<String>, WorkflowError> {
        let extra = Arc::new(self.extra.clone());
        Ok(global_variable(&self.inventory, &self.language, &self.defaults, &extra, name)?.map(|value| value.to_string()))
    }
}

/// The same with a playbook of pgfleet's own: the project's copy of it, or else the one that the program carries, wherever the person stands.
pub(crate) fn prepare_own(wish: &Wish, playbook: &str) -> Result<Prepared, WorkflowError> {
    let prepared = prepare_unchecked(wish, playbook)?;
    refuse_harmful(&prepared)?;
    Ok(prepared)
}

/// The same for a workflow that checks all settings itself.
pub(crate) fn prepare_unchecked(wish: &Wish, playbook: &str) -> Result<Prepared, WorkflowError> {
    let root = wish.project.root();
    let is_here = std::env::current_dir().is_ok_and(|here| here == root);
    prepare(wish, &if is_here { PathBuf::from(playbook) } else { root.join(playbook) })
}

/// What a playbook is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run it: what would fail for certain is refused.
    Run,
    /// To list what is in it.
    List,
}

/// Reads inventory, playbook and variables.
pub(crate) fn prepare(wish: &Wish, playbook: &Path) -> Result<Prepared, WorkflowError> {
    prepare_for(wish, playbook, Purpose::Run)
}

/// The same, for a run or for a list.
pub(crate) fn prepare_for(wish: &Wish, playbook: &Path, purpose: Purpose) -> Result<Prepared, WorkflowError> {
    let carried = wish.project.files();
    let path = find_playbook(wish, &*carried, &loader(wish, carried.clone()), playbook);
    prepare_with(wish, wish.project.files_for(&path), playbook, purpose)
}

/// The same through these files.
pub(crate) fn prepare_with(wish: &Wish, files: Arc<dyn Files>, playbook: &Path, purpose: Purpose) -> Result<Prepared, WorkflowError> {
    let loader = loader(wish, files.clone());
    let vault = loader.vault().clone();
    let playbook_path = find_playbook(wish, &*files, &loader, playbook);
    if !files.is_file(&playbook_path) {
        return Err(no_playbook(&*files, playbook, &playbook_path).into());
    }
    let folder = playbook_path.parent().unwrap_or(Path::new(".")).to_owned();
    let mut problems = Vec::new();
    let inventory = read_inventory(wish, &*files, Some(&folder), &vault).unwrap_or_else(|found| {
        problems.extend(found);
        Inventory::default()
    });
    let extra = extra_variables(wish, &*files, &vault).unwrap_or_else(|found| {
        problems.extend(found);
        Vars::new()
    });
    let loader = loader.with_extra(Arc::new(extra.clone()));
    let playbook = loader.playbook(&playbook_path).map_err(|found| problems.extend(found)).ok();
    let defaults_path = folder.join("vars/defaults.yml");
    let defaults = match wish.project.is_own(&playbook_path) && files.is_file(&defaults_path) {
        true => read_variables(&*files, &defaults_path, &vault).unwrap_or_else(|problem| {
            problems.push(problem);
            Vars::new()
        }),
        false => Vars::new(),
    };
    if let Some(playbook) = &playbook {
        if playbook.plays.is_empty() && problems.is_empty() {
            problems.push(Problem::new(format!("A playbook must contain at least one play: {}", playbook_path.display())));
        }
        problems.extend(vars_files_problems(playbook, &*files, &vault));
        if purpose == Purpose::Run && fails_for_certain(playbook, &inventory, wish) {
            problems.extend(playbook.deferred.iter().cloned());
        }
    }
    if wish.habits.refuse_duplicates {
        let found = files.shelf().into_iter().flat_map(|shelf| shelf.take_duplicates());
        problems.extend(found.map(|found| Problem::new(format!("Found duplicate mapping key {}", found.key)).at(&found.place)));
    }
    let (Some(playbook), true) = (playbook, problems.is_empty()) else { return Err(problems.into()) };
    let opened = Arc::new(pgfleet_template::Opened::new(files, loader.vault().clone()));
    let dialect = Dialect { merges: wish.habits.merge_mappings, allows_broken_conditions: wish.habits.allow_broken_conditions };
    let mut prepared =
        Prepared { inventory, playbook, loader, language: Language::speaking(opened, dialect), defaults: Arc::new(defaults), extra };
    if prepared.inventory.members("postgresql").is_empty() {
        let extra = Arc::new(prepared.extra.clone());
        if let Some(list) = global_variable(&prepared.inventory, &prepared.language, &prepared.defaults, &extra, "postgresql_nodes")? {
            add_listed_nodes(&mut prepared.inventory, &list)?;
        }
    }
    Ok(prepared)
}

/// Reads playbooks with the passwords and search paths that were wished for.
pub(crate) fn loader(wish: &Wish, files: Arc<dyn Files>) -> Loader {
    let vault = Arc::new(Vault::new(wish.vault_passwords.clone()));
    Loader::new(files, vault)
        .with_paths(wish.roles_paths.clone(), wish.collections_paths.clone())
        .forgiving_missing_handlers(wish.habits.forgive_missing_handlers)
}

/// The playbook of that path, or of a collection.
pub(crate) fn find_playbook(wish: &Wish, files: &dyn Files, loader: &Loader, playbook: &Path) -> PathBuf {
    if files.is_file(playbook) {
        return playbook.to_owned();
    }
    let path = wish.project.resolve(playbook);
    let of_collection = || loader.find_playbook(playbook.to_str()?, &std::env::current_dir().ok()?);
    if files.is_file(&path) { path } else { of_collection().unwrap_or(path) }
}

fn no_playbook(files: &dyn Files, written: &Path, path: &Path) -> Problem {
    if files.is_folder(path) {
        return Problem::new(format!("{} is a folder, not a playbook", written.display()));
    }
    let problem = Problem::new(format!("there is no playbook {}", written.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = files.list(folder).unwrap_or_default();
    let names: Vec<String> = beside.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    problem.did_you_mean(&written.file_name().unwrap_or_default().to_string_lossy(), names.iter().map(String::as_str))
}

pub(crate) fn read_inventory(
    wish: &Wish,
    files: &dyn Files,
    playbook_folder: Option<&Path>,
    vault: &Arc<Vault>,
) -> Result<Inventory, Vec<Problem>> {
    if wish.inventories.is_empty() && wish.strictness == Strictness::Strict {
        let problem = Problem::new("no inventory was given, and the project has none at 'inventory'");
        return Err(vec![problem.with_hint("give one with -i, or begin a project with 'pgfleet init DIR'")]);
    }
    let resolved =
        |source: &String| if source.contains(',') { source.clone() } else { wish.project.resolve(Path::new(source)).display().to_string() };
    let sources: Vec<String> = wish.inventories.iter().map(resolved).collect();
    // What is wrong with them is told where they are read for the run.
    let extra = extra_variables(wish, files, vault).unwrap_or_default();
    let reading = Reading { merges: wish.habits.merge_mappings, group_names: wish.habits.group_names, extra: Arc::new(extra) };
    Inventory::load_with(files, &sources, playbook_folder, vault, &reading)
}

/// Reads the inventory alone, for listings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_inventory(wish: &Wish) -> Result<Inventory, WorkflowError> {
    // Values of a vault stay closed: a listing shows what is written.
    read_inventory(wish, &*wish.project.files(), None, &Arc::new(Vault::none())).map_err(WorkflowError::Input)
}

pub(crate) fn extra_variables(wish: &Wish, files: &dyn Files, vault: &Arc<Vault>) -> Result<Vars, Vec<Problem>> {
    let mut vars = Vars::new();
    let mut problems = Vec::new();
    for written in &wish.extra {
        match extra_variable(written, wish, files, vault) {
            Ok(more) => vars.extend(more),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(vars) } else { Err(problems) }
}

fn extra_variable(written: &str, wish: &Wish, files: &dyn Files, vault: &Arc<Vault>) -> Result<Vars, Problem> {
    if let Some(file) = written.strip_prefix('@') {
        return read_variables(files, &wish.project.resolve(Path::new(file)), vault);
    }
    if written.trim_start().starts_with(['{', '[']) {
        let source = SourceFile::from_text("-e", written);
        let documents = source.documents().map_err(|problem| source.explain(problem))?;
        return documents.first().map_or_else(|| Ok(Vars::new()), |node| Raw::vars_from_node(node, vault));
    }
    let (pairs, free) = parse_pairs(written, None).map_err(|message| Problem::new(format!("-e: {message}")))?;
    if let Some(free) = free {
        return Err(Problem::new(format!("-e takes name=value, @file or a mapping, not '{free}'")));
    }
    let place = Place::new("-e", 1, 1);
    pairs.into_iter().map(|(name, value)| Ok((name, Raw::from_text(&value, &place)?))).collect()
}

/// Checks a playbook with its inventory and variables; nothing connects.
///
/// # Errors
/// Every problem found.
pub fn check_playbook(wish: &Wish, playbook: &Path) -> Result<(Playbook, Inventory), WorkflowError> {
    let prepared = prepare(wish, playbook)?;
    check_reach(wish, &prepared)?;
    Ok((prepared.playbook, prepared.inventory))
}

/// Reads, checks and runs a playbook.
///
/// # Errors
/// What is wrong before the first task; what fails later is in the recap.
pub async fn run_playbook(wish: &Wish, playbook: &Path, additions: Additions, report: Report) -> Result<Finished, WorkflowError> {
    let prepared = prepare(wish, playbook)?;
    if wish.project.is_own(playbook) {
        refuse_harmful(&prepared)?;
    }
    run(wish, prepared, additions, report).await
}

pub(crate) async fn run(wish: &Wish, prepared: Prepared, additions: Additions, report: Report) -> Result<Finished, WorkflowError> {
    let fleet = fleet(wish)?;
    let fleet = if wish.verbosity > 0 { fleet.telling(report.clone()) } else { fleet };
    run_on(Arc::new(fleet), wish, prepared, additions, report).await
}

/// The way to the hosts that a person wishes.
pub(crate) fn fleet(wish: &Wish) -> Result<SshFleet, WorkflowError> {
    let mut options = Options::new(wish.project.state().join("known_hosts"));
    options.accept_new_host_keys = wish.accept_new_host_keys;
    if let Some(limit) = wish.connect_timeout {
        options.connect_timeout = limit;
    }
    if let Some(passphrase) = &wish.passphrase {
        options.passphrase = passphrase.clone();
    }
    SshFleet::new(options, wish.ssh.clone())
}

/// Runs over a way to the hosts that is there already.
pub(crate) async fn run_on(
    fleet: Arc<dyn Fleet>,
    wish: &Wish,
    prepared: Prepared,
    additions: Additions,
    report: Report,
) -> Result<Finished, WorkflowError> {
    check_reach(wish, &prepared)?;
    let files = wish.project.files();
    for problem in &prepared.playbook.deferred {
        report(&Event::Warning { message: format!("{problem}; a task that needs it fails") });
    }
    let given = given_secrets(&prepared.extra);
    let mut extra = additions.vars;
    extra.extend(prepared.extra);
    let secrets = additions.secrets.into_iter().chain(wish.become_password.clone()).chain(given);
    let options = RunOptions {
        inventory: prepared.inventory,
        inventory_sources: wish.inventories.clone(),
        loader: prepared.loader,
        language: prepared.language,
        project: wish.project.root().to_owned(),
        defaults: prepared.defaults,
        extra: Arc::new(extra),
        limit: wish.limit.clone(),
        tags: wish.tags.clone(),
        mode: wish.mode,
        diff: wish.diff,
        forks: wish.forks,
        verbosity: wish.verbosity,
        r#become: wish.r#become,
        become_password: wish.become_password.clone(),
        remote_user: wish.remote_user.clone(),
        redactor: Redactor::new(secrets),
        stop: wish.stop.clone(),
        controller: Arc::new(Actions),
        habits: wish.habits.clone(),
        asker: wish.asker.clone(),
    };
    let run = Run::new(options, fleet, Arc::new(Disk), report);
    run.play_all(&prepared.playbook).await.map_err(|problem| explained(problem, &*files).into())
}

/// Whether a task that cannot be done would run for certain.
fn fails_for_certain(playbook: &Playbook, inventory: &Inventory, wish: &Wish) -> bool {
    let has_hosts = |play: &&pgfleet_playbook::Play| {
        let selection = pattern(play).map(|pattern| inventory.select(&pattern));
        selection.is_none_or(|selection| selection.is_ok_and(|selection| !selection.hosts.is_empty()) || inventory.hosts().next().is_none())
    };
    !playbook.deferred.is_empty()
        && playbook.plays.iter().filter(has_hosts).any(|play| play.fails_for_certain(&wish.tags, wish.strictness == Strictness::Lenient))
}

/// Passwords and the like that came with `-e`.
fn given_secrets(extra: &Vars) -> Vec<Secret> {
    let secret = |name: &str| ["password", "passphrase", "secret", "token"].iter().any(|word| name.ends_with(word));
    let chosen = extra.iter().filter(|(name, _)| secret(name));
    chosen.filter_map(|(_, raw)| raw.as_written().as_str().map(Secret::new)).collect()
}
