//! One run of a playbook: what it needs, what it keeps, and its plays in order.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use indexmap::IndexMap;
use pgfleet_inventory::{GroupNames, Inventory};
use pgfleet_playbook::keywords::is_reserved;
use pgfleet_playbook::{Kind, Loader, Playbook, Step, TagSelection, Task};
use pgfleet_protocol::{Map, Mode, Secret};
use pgfleet_template::{Language, Place, Problem, Vars};

use crate::hosts::{Fate, HostState};
use crate::memory::Addition;
use crate::shipment::Shipments;
use crate::{Asker, Controller, Event, Fleet, Local, Recap, Redactor, Report, TaskResult};

/// Asks a run to end after the tasks that are running.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// True once asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// When plays gather facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gathering {
    /// Once a run of each host, unless a play says no.
    #[default]
    Smart,
    /// In each play, unless it says no.
    Implicit,
    /// In plays that say so.
    Explicit,
}

/// Facts of hosts that are kept from run to run.
pub trait FactCache: std::fmt::Debug + Send + Sync {
    /// Those of a host, by name; `None` where there are none, or none that count.
    fn read(&self, host: &str) -> Option<Map>;
    /// Keeps all facts of a host.
    ///
    /// # Errors
    /// Why it cannot be done, in a sentence.
    fn write(&self, host: &str, facts: &Map) -> Result<(), String>;
    /// Keeps them no longer.
    fn forget(&self, host: &str);
}

/// What a person may wish otherwise than playbooks and inventories say nothing of.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    /// Connection variables that hold where neither a variable nor a keyword says so: `ansible_connection`, `ansible_become_user` ...
    pub fallbacks: Map,
    /// Begin with the task of this name.
    pub start_at_task: Option<String>,
    /// Run notified handlers even on hosts that failed.
    pub force_handlers: bool,
    /// When facts are gathered.
    pub gathering: Gathering,
    /// Where facts are kept from run to run.
    pub fact_cache: Option<Arc<dyn FactCache>>,
    /// Merge mappings of one name over all places that give it one.
    pub merge_mappings: bool,
    /// What groups are called.
    pub group_names: GroupNames,
    /// Say so where a variable has a name that the language uses itself.
    pub warn_of_reserved: bool,
    /// Refuse keys that stand twice in one mapping.
    pub refuse_duplicates: bool,
    /// A handler that is not there is told, and no failure.
    pub forgive_missing_handlers: bool,
    /// Take the truth of a value for a condition that is neither true nor false.
    pub allow_broken_conditions: bool,
    /// Results that no task registers are not shown: hosts need not find out all that they tell.
    pub brief: bool,
}

/// What a run is given.
pub struct RunOptions {
    /// The hosts.
    pub inventory: Inventory,
    /// The sources of the inventory, as written.
    pub inventory_sources: Vec<String>,
    /// Reads files that are included on the way.
    pub loader: Loader,
    /// The template language.
    pub language: Arc<Language>,
    /// The project's folder, in which `templates/` and `files/` are looked for last.
    pub project: PathBuf,
    /// Variables below everything that the inventory says.
    pub defaults: Arc<Vars>,
    /// Variables above everything.
    pub extra: Arc<Vars>,
    /// Only these hosts.
    pub limit: Option<String>,
    /// Only these tasks.
    pub tags: TagSelection,
    /// Apply or check.
    pub mode: Mode,
    /// Show differences.
    pub diff: bool,
    /// Hosts at a time.
    pub forks: usize,
    /// Verbosity, for `debug: verbosity=`.
    pub verbosity: u8,
    /// Act as another user where the play does not say.
    pub r#become: bool,
    /// What sudo may ask for, where no variable says.
    pub become_password: Option<Secret>,
    /// User to log in as where nothing says.
    pub remote_user: Option<String>,
    /// Hides secrets.
    pub redactor: Redactor,
    /// Asks for an early end.
    pub stop: Stop,
    /// Does the modules of the controller.
    pub controller: Arc<dyn Controller>,
    /// Smaller wishes.
    pub habits: Habits,
    /// Asks a person; `None` where nobody can be asked.
    pub asker: Option<Arc<dyn Asker>>,
}

/// What a failure means beyond itself. A result says it under `verdict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would have been unsafe, and nothing was touched.
    Refused,
    /// It was done, but what came of it is not what it should be.
    Unverified,
    /// Another run is at it, and nothing was touched.
    Locked,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// By host.
    pub recap: Recap,
    /// What the first failure means, where it means more than a failure.
    pub verdict: Option<Verdict>,
    /// Hosts that failed or were not reached, and went on all the same: a task cleared their errors.
    pub pardoned: Vec<String>,
    /// It was asked to stop before its end.
    pub interrupted: bool,
}

impl Finished {
    /// Hosts that failed in the end.
    pub fn failed_hosts(&self) -> impl Iterator<Item = &str> {
        self.recap.failed_hosts().filter(|host| !self.pardoned.iter().any(|name| name == host))
    }

    /// Hosts that could not be reached in the end.
    pub fn unreachable_hosts(&self) -> impl Iterator<Item = &str> {
        self.recap.unreachable_hosts().filter(|host| !self.pardoned.iter().any(|name| name == host))
    }
}

/// A run.
pub struct Run {
    pub(crate) options: RunOptions,
    pub(crate) inventory: RwLock<Inventory>,
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) local: Arc<dyn Local>,
    pub(crate) hosts: RwLock<IndexMap<String, Arc<HostState>>>,
    /// The name of the controller where the inventory does not give it one.
    controller: OnceLock<String>,
    /// What tasks have added to the inventory.
    pub(crate) additions: Mutex<Vec<Addition>>,
    pub(crate) numbers: AtomicUsize,
    /// Values computed once a run: the inventory's groups, say.
    pub(crate) constants: Mutex<Option<Arc<Vars>>>,
    /// Counts changes of any host's fate.
    fates: Arc<AtomicUsize>,
    /// Counts whatever may have changed something somewhere.
    effects: AtomicUsize,
    /// A job was begun that goes on beside the run.
    company: AtomicBool,
    /// Files that are sent to hosts.
    pub(crate) shipments: Shipments,
    verdict: Mutex<Option<Verdict>>,
    /// Names that the language uses itself and variables have; each was told.
    told: Mutex<BTreeSet<String>>,
    /// The task that the run begins with was met.
    begun: AtomicBool,
    /// The task after which a host has nothing more to do, where that is plain.
    last: OnceLock<Arc<Task>>,
    report: Report,
}

impl Run {
    /// Prepares a run. Nothing connects before [`Self::play_all`].
    #[must_use]
    pub fn new(mut options: RunOptions, fleet: Arc<dyn Fleet>, local: Arc<dyn Local>, report: Report) -> Arc<Self> {
        let inventory = std::mem::take(&mut options.inventory);
        let begun = AtomicBool::new(options.habits.start_at_task.is_none());
        Arc::new(Self {
            options,
            inventory: RwLock::new(inventory),
            fleet,
            local,
            hosts: RwLock::default(),
            controller: OnceLock::new(),
            additions: Mutex::default(),
            numbers: AtomicUsize::new(0),
            constants: Mutex::default(),
            fates: Arc::default(),
            effects: AtomicUsize::new(0),
            company: AtomicBool::new(false),
            shipments: Shipments::default(),
            verdict: Mutex::default(),
            told: Mutex::default(),
            begun,
            last: OnceLock::new(),
            report,
        })
    }

    /// Runs all plays.
    ///
    /// # Errors
    /// What is wrong with a play and shows only now: a pattern that matches nothing it may, a file of variables.
    pub async fn play_all(self: &Arc<Self>, playbook: &Playbook) -> Result<Finished, Problem> {
        let begin = Instant::now();
        if let Some(task) = only_task(playbook) {
            self.last.get_or_init(|| task.clone());
        }
        for play in &playbook.plays {
            if self.options.stop.is_asked() {
                break;
            }
            let all_lost = self.play(play).await?;
            if all_lost {
                self.tell(&Event::NoHostsLeft);
                break;
            }
        }
        let interrupted = self.options.stop.is_asked();
        if interrupted {
            self.tell(&Event::Interrupted);
        }
        let recap = self.recap();
        self.tell(&Event::Finished { recap: recap.clone(), milliseconds: milliseconds(begin) });
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        let pardoned = hosts.values().filter(|host| host.was_pardoned() && !host.is_lost()).map(|host| host.name.clone()).collect();
        Ok(Finished { recap, pardoned, verdict: *self.verdict.lock().unwrap_or_else(PoisonError::into_inner), interrupted })
    }

    /// Whether a host has nothing more to do after this task.
    pub(crate) fn is_last(&self, task: &Arc<Task>) -> bool {
        self.last.get().is_some_and(|last| Arc::ptr_eq(last, task))
    }

    /// What was done so far.
    #[must_use]
    pub fn recap(&self) -> Recap {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        let touched = hosts.iter().filter(|(_, host)| host.counts() != crate::Counts::default() || host.fate() == Fate::Unreachable);
        Recap { hosts: touched.map(|(name, host)| (name.clone(), host.counts())).collect() }
    }

    pub(crate) fn tell(&self, event: &Event) {
        for found in self.options.loader.files().shelf().iter().flat_map(|shelf| shelf.take_duplicates()) {
            (self.report)(&Event::DuplicateKey { key: found.key, place: found.place.to_string(), first: found.first });
        }
        (self.report)(event);
    }

    pub(crate) fn report(&self) -> Report {
        self.report.clone()
    }

    /// Keeps what the first failure says of itself.
    pub(crate) fn judge(&self, result: &TaskResult) {
        let verdict = match result.data.get("verdict").and_then(serde_json::Value::as_str) {
            Some("refused") => Verdict::Refused,
            Some("unverified") => Verdict::Unverified,
            Some("locked") => Verdict::Locked,
            _ => return,
        };
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(verdict);
    }

    /// False until the task that the run shall begin with is met, by its name or a pattern with `*`.
    pub(crate) fn has_begun(&self, task: Option<&Task>) -> bool {
        let Some(wanted) = self.options.habits.start_at_task.as_deref().filter(|_| !self.begun.load(Ordering::SeqCst)) else { return true };
        let Some(name) = task.map(|task| task.name.as_ref().map_or_else(|| task.module_name.clone(), |name| name.as_written().to_string()))
        else {
            return false;
        };
        let found = crate::items::wildcard(wanted, &name);
        self.begun.fetch_or(found, Ordering::SeqCst);
        found
    }

    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.tell(&Event::Warning { message: message.into() });
    }

    /// Says that something deserves attention, once.
    pub(crate) fn warn_once(&self, message: String) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(message.clone()) {
            self.warn(message);
        }
    }

    /// Says which variables have names that the language uses itself, where that is wished; each once.
    pub(crate) fn warn_of_reserved<'n>(&self, names: impl Iterator<Item = &'n str>, place: &Place) {
        if !self.options.habits.warn_of_reserved {
            return;
        }
        for name in names.filter(|name| is_reserved(name)) {
            if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
                self.warn(format!("Found variable using reserved name '{name}'.\nOrigin: {place}\n"));
            }
        }
    }

    /// Another number after each change of any host's fate.
    pub(crate) fn fates(&self) -> usize {
        self.fates.load(Ordering::SeqCst)
    }

    /// Another number after whatever may have changed something somewhere.
    pub(crate) fn effects(&self) -> usize {
        self.effects.load(Ordering::SeqCst)
    }

    /// Something may have been changed.
    pub(crate) fn had_effect(&self) {
        self.effects.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on things may change while no task does anything.
    pub(crate) fn has_company(&self) {
        self.company.store(true, Ordering::SeqCst);
        self.had_effect();
    }

    /// True until a job was begun that goes on beside the run.
    pub(crate) fn is_alone(&self) -> bool {
        !self.company.load(Ordering::SeqCst)
    }

    pub(crate) fn next_number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The state of a host, made when first asked for; `None` for a name that the inventory does not know.
    pub(crate) fn host(&self, name: &str) -> Result<Option<Arc<HostState>>, Problem> {
        let known_as = self.known_as(name);
        let name = known_as.as_ref();
        if let Some(host) = self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Some(host.clone()));
        }
        let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
        let Some(layers) = crate::scopes::inventory_layers(&inventory, name)? else { return Ok(None) };
        drop(inventory);
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(self.new_host(name, layers))).clone()))
    }
}

impl Run {
    /// The name under which a host counts: the controller has one, however it is called. It is that of the inventory,
    /// or else the one that was used first.
    pub(crate) fn known_as<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if !crate::scopes::is_controller(name) {
            return name.into();
        }
        let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
        match (inventory.host(name), inventory.controller()) {
            (Some(_), _) => name.into(),
            (None, Some(named)) => named.to_string().into(),
            (None, None) => self.controller.get_or_init(|| name.to_owned()).clone().into(),
        }
    }

    fn new_host(&self, name: &str, layers: Vec<Arc<Vars>>) -> HostState {
        HostState::new(name, layers, self.fates.clone(), self.options.habits.fact_cache.clone())
    }

    /// Stores facts of a host; that they cannot be kept is told, and harms nothing.
    pub(crate) fn learn(&self, host: &HostState, facts: &Map) {
        if let Err(problem) = host.learn(facts) {
            self.warn(problem);
        }
    }

    /// The state of a host that the inventory does not know.
    pub(crate) fn stranger(&self, name: &str) -> Arc<HostState> {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(self.new_host(name, Vec::new()))).clone()
    }
}

/// The task of a playbook that has no other, as one has that was asked for without a playbook.
fn only_task(playbook: &Playbook) -> Option<&Arc<Task>> {
    let [play] = playbook.plays.as_slice() else { return None };
    let others = [&play.pre_tasks, &play.roles, &play.post_tasks];
    match play.tasks.as_slice() {
        [Step::Task(task)] if play.handlers.is_empty() && others.into_iter().all(Vec::is_empty) => {
            let is_its_own = matches!(task.kind, Kind::Host | Kind::Transfer(_) | Kind::Raw) && task.detached.is_none();
            (is_its_own && task.settings.delegate_to.is_none()).then_some(task)
        }
        _ => None,
    }
}

/// Milliseconds since a moment.
pub(crate) fn milliseconds(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
