//! One play: its hosts, batches, facts and sections.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::future::BoxFuture;
use pgfleet_inventory::{Selection, read_variables};
use pgfleet_playbook::keywords::{ORDERS, STRATEGIES};
use pgfleet_playbook::{Arguments, Gather, Kind, Play, Role, Settings, Task, lookup_module};
use pgfleet_template::{Place, Problem, Raw, Scope, Text, Value, Vars, to_json};

use tokio::sync::Semaphore;

use crate::Event;
use crate::hosts::{Fate, HostState};
use crate::roles::Roles;
use crate::run::{Gathering, Run};
use crate::scopes::{Found, vars};
use crate::steps::Following;

/// A batch of a play while it runs.
pub(crate) struct Playing {
    pub(crate) play: Arc<Play>,
    /// Variables that the play gives to all its hosts.
    pub(crate) magic: Arc<Vars>,
    /// Hosts and the names that their tasks notified, until the handlers are found.
    pub(crate) pending: Mutex<BTreeSet<(String, String)>>,
    /// Hosts that each handler has been notified for, by the handler's number.
    pub(crate) notified: Mutex<BTreeMap<usize, BTreeSet<String>>>,
    /// The hosts of the play, whatever became of them.
    all: Vec<Arc<HostState>>,
    /// Those of this batch.
    pub(crate) batch: Vec<Arc<HostState>>,
    vars_files: Mutex<BTreeMap<String, Vec<Arc<Vars>>>>,
    still: Mutex<Option<(usize, Arc<Vars>)>>,
    /// Where the last task looked for files, and what that depends on: the role and the folder of a task.
    pub(crate) folders: Mutex<Option<(FoldersOf, Found)>>,
    /// Its roles and their handlers, those that were included meanwhile among them.
    pub(crate) roles: Roles,
    ended: AtomicBool,
    play_ended: AtomicBool,
    /// How many blocks with a rescue stand around the task that is running.
    rescues: AtomicIsize,
    pardons: AtomicUsize,
    /// How many hosts may be at a task at a time, for those tasks that say so, by where the task is in memory.
    gates: Mutex<HashMap<usize, Arc<Semaphore>>>,
}

type FoldersOf = (Option<Arc<Role>>, Option<Arc<PathBuf>>);

impl Playing {
    pub(crate) fn vars_files_of(&self, host: &HostState) -> Vec<Arc<Vars>> {
        self.vars_files.lock().unwrap_or_else(PoisonError::into_inner).get(&host.name).cloned().unwrap_or_default()
    }

    /// True once the batch, or the play with it, was ended by a task.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends the batch for all its hosts, and with the play those that follow.
    pub(crate) fn end(&self, with_play: bool) {
        self.ended.store(true, Ordering::SeqCst);
        self.play_ended.store(with_play, Ordering::SeqCst);
        active(&self.batch).iter().for_each(|host| host.meet(Fate::Ended));
    }

    /// True where hosts do not wait for each other.
    pub(crate) fn is_free(&self) -> bool {
        self.play.strategy.as_deref().is_some_and(|strategy| !strategy.ends_with("linear"))
    }

    /// Lets so many hosts at a time through to a task.
    pub(crate) fn gate(&self, task: &Arc<Task>, limit: usize) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(Arc::as_ptr(task) as usize).or_insert_with(|| Arc::new(Semaphore::new(limit))).clone()
    }

    /// The hosts of the play, whatever became of them.
    pub(crate) fn hosts(&self) -> &[Arc<HostState>] {
        &self.all
    }

    /// Lets all hosts go on that have failed or were lost.
    pub(crate) fn pardon(&self) {
        self.pardons.fetch_add(1, Ordering::SeqCst);
        // One that failed in the block around this, whose `always` this stands in, is active meanwhile.
        self.all.iter().filter(|host| host.is_lost() || host.counts().failed > 0).for_each(|host| host.pardon());
    }

    /// How often hosts were let go on.
    pub(crate) fn pardons(&self) -> usize {
        self.pardons.load(Ordering::SeqCst)
    }

    /// Notes that a block with a rescue begins or ends.
    pub(crate) fn rescuing(&self, rescued: bool, step: isize) {
        self.rescues.fetch_add(if rescued { step } else { 0 }, Ordering::SeqCst);
    }

    /// Variables about the play's hosts as they are now.
    pub(crate) fn still(&self, fates: usize) -> Arc<Vars> {
        let mut kept = self.still.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((known, vars)) if *known == fates => vars.clone(),
            _ => {
                let of = |hosts: &[Arc<HostState>]| {
                    Value::from(hosts.iter().filter(|host| !host.is_lost()).map(|host| host.name.clone()).collect::<Vec<_>>())
                };
                let (play, batch) = (of(&self.all), of(&self.batch));
                let made = Arc::new(vars([("ansible_play_hosts", play), ("play_hosts", batch.clone()), ("ansible_play_batch", batch)]));
                *kept = Some((fates, made.clone()));
                made
            }
        }
    }
}

impl Run {
    /// Runs one play; true when all its hosts are lost, which ends the run.
    pub(crate) async fn play(self: &Arc<Self>, play: &Play) -> Result<bool, Problem> {
        let mut prompted = self.prompted(play).await?;
        if self.options.stop.is_asked() {
            return Ok(false);
        }
        self.warn_of_reserved(prompted.vars.keys().map(String::as_str), &prompted.place);
        let scope = self.play_scope(&prompted.folder, &prompted.vars);
        prompted.strategy = word(prompted.strategy, "strategy", STRATEGIES, &scope).map_err(|problem| problem.at(&prompted.place))?;
        prompted.order = word(prompted.order, "order", ORDERS, &scope).map_err(|problem| problem.at(&prompted.place))?;
        let play = &prompted;
        let in_order = self.select(play, &scope)?;
        let names = ordered(play, in_order.clone());
        let title = match &play.name {
            Some(name) => text_of(name, &scope).unwrap_or_else(|| String::from("play")),
            None => self.pattern(play, &scope)?,
        };
        if names.is_empty() {
            self.tell(&Event::PlayEmpty { name: title });
            return Ok(false);
        }
        let mut hosts = Vec::new();
        for name in &names {
            if let Some(host) = self.host(name)? {
                if host.fate() == Fate::Ended {
                    host.meet(Fate::Active);
                }
                hosts.push(host);
            }
        }
        hosts.retain(|host| host.is_active());
        if hosts.is_empty() {
            // They were lost in an earlier play, whose other hosts may have more to do.
            self.tell(&Event::PlayEmpty { name: title });
            return Ok(false);
        }
        let play = Arc::new(play.clone());
        let sizes = batch_sizes(&play, &scope, hosts.len())?;
        // Whatever order the play has, its hosts are named in the inventory's.
        let mut all = hosts.clone();
        let ranks: HashMap<&str, usize> = in_order.iter().enumerate().map(|(rank, name)| (name.as_str(), rank)).collect();
        all.sort_by_key(|host| ranks.get(host.name.as_str()));
        let mut rest = hosts.as_slice();
        for size in sizes {
            let (batch, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            if batch.is_empty() || self.options.stop.is_asked() {
                break;
            }
            self.tell(&Event::PlayStarted { name: title.clone(), hosts: batch.iter().map(|host| host.name.clone()).collect() });
            let playing = self.begin_batch(&play, &all, batch)?;
            self.batch(&playing, batch).await?;
            if batch.iter().all(|host| host.is_lost()) {
                return Ok(true);
            }
            if playing.play_ended.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(false)
    }

    async fn batch(self: &Arc<Self>, playing: &Playing, hosts: &[Arc<HostState>]) -> Result<(), Problem> {
        self.gather(playing, hosts).await?;
        self.read_all_vars_files(playing, true)?;
        if playing.is_free() {
            return self.freely(playing, hosts).await;
        }
        self.sections(playing, hosts).await
    }

    /// Each host goes on as fast as it can.
    async fn freely(self: &Arc<Self>, playing: &Playing, hosts: &[Arc<HostState>]) -> Result<(), Problem> {
        let mut waiting: Vec<BoxFuture<'_, Result<(), Problem>>> = Vec::new();
        for host in hosts {
            waiting.push(Box::pin(async move { self.sections(playing, std::slice::from_ref(host)).await }));
        }
        let mut running = futures::stream::iter(waiting).buffer_unordered(self.options.forks.max(1));
        while let Some(done) = running.next().await {
            done?;
        }
        Ok(())
    }

    async fn sections(self: &Arc<Self>, playing: &Playing, hosts: &[Arc<HostState>]) -> Result<(), Problem> {
        let play = &playing.play;
        for section in [[&play.pre_tasks, &Vec::new()], [&play.roles, &play.tasks], [&play.post_tasks, &Vec::new()]] {
            if active(hosts).is_empty() && !self.forces_handlers(playing)? {
                break;
            }
            for steps in section {
                self.steps(playing, steps, active(hosts), Following::default()).await?;
            }
            self.flush_handlers(playing, hosts).await?;
            if playing.is_ended() || self.options.stop.is_asked() {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn forces_handlers(self: &Arc<Self>, playing: &Playing) -> Result<bool, Problem> {
        let scope = self.play_scope(&playing.play.folder, &playing.play.vars);
        playing.play.force_handlers.as_ref().map_or(Ok(self.options.habits.force_handlers), |raw| truth(raw, &scope))
    }

    async fn gather(self: &Arc<Self>, playing: &Playing, hosts: &[Arc<HostState>]) -> Result<(), Problem> {
        let play = &playing.play;
        let scope = self.play_scope(&play.folder, &play.vars);
        let gathering = self.options.habits.gathering;
        let wanted = match &play.gather_facts {
            Gather::Default => gathering != Gathering::Explicit,
            Gather::Written(raw) => truth(raw, &scope)?,
        };
        let lacking: Vec<_> =
            hosts.iter().filter(|host| host.is_active() && !(gathering == Gathering::Smart && host.has_gathered())).cloned().collect();
        if !wanted || lacking.is_empty() || !self.has_begun(None) {
            return Ok(());
        }
        let Ok((_, module)) = lookup_module("setup") else { return Ok(()) };
        let mut arguments = indexmap::IndexMap::new();
        let given = [("gather_subset", &play.gather_subset), ("gather_timeout", &play.gather_timeout), ("fact_path", &play.fact_path)];
        for (name, raw) in given {
            if let (Some(raw), Some(_)) = (raw, module.argument(name)) {
                arguments.insert(name.to_owned(), (play.place.clone(), raw.clone()));
            }
        }
        if let Some(defaults) = play.settings.module_defaults.get("setup") {
            for (name, value) in defaults {
                arguments.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let task = Task {
            name: Some(Raw::from(Value::from("Gathering Facts"))),
            place: play.place.clone(),
            kind: Kind::Host,
            module,
            module_name: "setup".to_owned(),
            arguments: Arguments::Named(arguments),
            settings: Settings {
                tags: vec!["always".to_owned()],
                when: Vec::new(),
                check_mode: Some(Raw::from(Value::from(false))),
                ..play.settings.clone()
            },
            repeat: None,
            until: None,
            detached: None,
            poll: None,
            register: None,
            listen: Vec::new(),
            changed_when: None,
            failed_when: None,
            refused: None,
            late: None,
            included: None,
            folder: play.folder.clone(),
        };
        self.task(playing, &Arc::new(task), lacking, Following::default(), false).await.map(drop)
    }

    fn begin_batch(self: &Arc<Self>, play: &Arc<Play>, all: &[Arc<HostState>], batch: &[Arc<HostState>]) -> Result<Playing, Problem> {
        let scope = self.play_scope(&play.folder, &play.vars);
        let folder = std::path::absolute(play.folder.as_path()).unwrap_or_else(|_| play.folder.to_path_buf());
        let magic = vars([
            ("ansible_play_hosts_all", names(all)),
            ("ansible_play_name", Value::from(text_of(play.name.as_ref().unwrap_or(&play.hosts), &scope).unwrap_or_default())),
            ("environment", Value::from(Vec::<String>::new())),
            ("playbook_dir", Value::from(folder.display().to_string())),
        ]);
        let playing = Playing {
            play: play.clone(),
            magic: Arc::new(magic),
            pending: Mutex::default(),
            notified: Mutex::default(),
            all: all.to_vec(),
            batch: batch.to_vec(),
            vars_files: Mutex::default(),
            still: Mutex::default(),
            folders: Mutex::default(),
            roles: Roles::of(play),
            ended: AtomicBool::new(false),
            play_ended: AtomicBool::new(false),
            rescues: AtomicIsize::new(0),
            pardons: AtomicUsize::new(0),
            gates: Mutex::default(),
        };
        self.read_all_vars_files(&playing, false)?;
        Ok(playing)
    }

    /// Reads the play's files of variables. Before facts are known, a file that is named by facts is left out.
    fn read_all_vars_files(self: &Arc<Self>, playing: &Playing, facts_known: bool) -> Result<(), Problem> {
        if playing.play.vars_files.is_empty() {
            return Ok(());
        }
        for host in active(&playing.batch) {
            let files = self.read_vars_files(playing, &host, facts_known)?;
            playing.vars_files.lock().unwrap_or_else(PoisonError::into_inner).insert(host.name.clone(), files);
        }
        Ok(())
    }

    fn read_vars_files(self: &Arc<Self>, playing: &Playing, host: &HostState, facts_known: bool) -> Result<Vec<Arc<Vars>>, Problem> {
        let scope = self.scope(playing, host, None)?;
        let mut layers: Vec<Arc<Vars>> = Vec::new();
        for (place, raw) in &playing.play.vars_files {
            let scope = scope.over_all(layers.iter().cloned());
            let name = match raw.evaluate(&scope) {
                Ok(name) => name,
                Err(_) if !facts_known => continue,
                Err(problem) => return Err(problem.at(place)),
            };
            let names = match to_json(&name)? {
                serde_json::Value::String(name) => vec![name],
                serde_json::Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
                other => return Err(Problem::new(format!("'vars_files' names files, not {other}")).at(place)),
            };
            let candidates = names.iter().flat_map(|name| [playing.play.folder.join("vars").join(name), playing.play.folder.join(name)]);
            let Some(path) = candidates.into_iter().find(|path| self.options.loader.files().is_file(path)) else {
                return Err(Problem::new(format!(
                    "there is no file of variables '{}' in {}",
                    names.join("' or '"),
                    playing.play.folder.display()
                ))
                .at(place));
            };
            layers.push(Arc::new(read_variables(&**self.options.loader.files(), &path, self.options.loader.vault())?));
        }
        Ok(layers)
    }

    fn pattern(&self, play: &Play, scope: &Scope) -> Result<String, Problem> {
        match to_json(&play.hosts.evaluate(scope).map_err(|problem| problem.at(&play.place))?)? {
            serde_json::Value::String(pattern) => Ok(pattern),
            serde_json::Value::Array(parts) => Ok(parts.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(",")),
            other => Err(Problem::new(format!("'hosts' is a pattern, not {other}")).at(&play.place)),
        }
    }

    fn select(self: &Arc<Self>, play: &Play, scope: &Scope) -> Result<Vec<String>, Problem> {
        let pattern = self.pattern(play, scope)?;
        let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
        let selection = inventory.select(&pattern).map_err(|problem| problem.at(&play.place))?;
        let limited = self.options.limit.as_ref().map(|limit| inventory.select(limit)).transpose()?;
        drop(inventory);
        selection.warnings.iter().for_each(|warning| self.warn(warning.as_str()));
        let named = |selection: &Selection| -> Vec<String> {
            selection.hosts.iter().map(|host| self.known_as(host.as_str()).into_owned()).collect()
        };
        let mut names = named(&selection);
        if let Some(limited) = limited {
            let limited: HashSet<String> = named(&limited).into_iter().collect();
            names.retain(|name| limited.contains(name));
        }
        Ok(names)
    }

    /// Ends the batch when more of its hosts have failed than the play may bear.
    pub(crate) fn end_if_too_many_failed(self: &Arc<Self>, playing: &Playing) -> Result<(), Problem> {
        let Some(raw) = &playing.play.max_fail_percentage else { return Ok(()) };
        if playing.rescues.load(Ordering::SeqCst) > 0 {
            return Ok(());
        }
        let scope = self.play_scope(&playing.play.folder, &playing.play.vars);
        let limit = number(raw, &scope).map_err(|problem| problem.at(&playing.play.place))?.unwrap_or(100.0);
        let failed = playing.batch.iter().filter(|host| host.fate() == Fate::Failed).count();
        if failed as f64 * 100.0 / playing.batch.len() as f64 > limit {
            active(&playing.batch).iter().for_each(|host| host.meet(Fate::Failed));
        }
        Ok(())
    }
}

fn names(hosts: &[Arc<HostState>]) -> Value {
    Value::from(hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>())
}

/// A keyword of a play that takes one of several words, or a template for one.
fn word(written: Option<String>, key: &str, known: &[&str], scope: &Scope) -> Result<Option<String>, Problem> {
    let Some(template) = written.as_deref().filter(|word| Text::is_template(word)) else { return Ok(written) };
    let value = Raw::from_text(template, &Place::new("", 0, 0))?.evaluate(scope)?;
    match value.as_str().filter(|word| known.contains(word)) {
        Some(word) => Ok(Some(word.to_owned())),
        None => Err(Problem::new(format!("'{key}' is one of {}, not '{value}'", known.join(", ")))),
    }
}

/// Hosts in the order that the play wishes.
fn ordered(play: &Play, mut names: Vec<String>) -> Vec<String> {
    match play.order.as_deref() {
        Some("sorted") => names.sort(),
        Some("reverse_sorted") => names.sort_by(|left, right| right.cmp(left)),
        Some("reverse_inventory") => names.reverse(),
        Some("shuffle") => shuffle(&mut names),
        _ => {}
    }
    names
}

/// Another order each time: names by what a hasher with a random key makes of them.
fn shuffle(names: &mut [String]) {
    let hasher = std::collections::hash_map::RandomState::new();
    names.sort_by_cached_key(|name| std::hash::BuildHasher::hash_one(&hasher, name));
}

/// Hosts that go on.
pub(crate) fn active(hosts: &[Arc<HostState>]) -> Vec<Arc<HostState>> {
    hosts.iter().filter(|host| host.is_active()).cloned().collect()
}

/// The sizes of a play's batches; the last one repeats until all hosts are in one.
fn batch_sizes(play: &Play, scope: &Scope, total: usize) -> Result<Vec<usize>, Problem> {
    let mut written = Vec::new();
    for raw in &play.serial {
        let value = to_json(&raw.evaluate(scope)?)?;
        let items = value.as_array().cloned().unwrap_or_else(|| vec![value]);
        for item in items {
            written.push(
                batch_size(&item, total)
                    .ok_or_else(|| Problem::new(format!("'serial' is a number or a percentage, not {item}")).at(&play.place))?,
            );
        }
    }
    let Some(&last) = written.last() else { return Ok(vec![total]) };
    let mut covered: usize = written.iter().sum();
    while covered < total {
        written.push(last);
        covered += last;
    }
    Ok(written)
}

fn batch_size(value: &serde_json::Value, total: usize) -> Option<usize> {
    let text = value.as_str().map(str::trim);
    if let Some(percent) = text.and_then(|text| text.strip_suffix('%')) {
        let percent: usize = percent.trim().parse().ok()?;
        return Some((total * percent / 100).max(1));
    }
    let size = value.as_u64().or_else(|| text?.parse().ok())?;
    let size = usize::try_from(size).ok()?;
    Some(if size == 0 { total } else { size })
}

/// The text of a name; `None` where it cannot be rendered, in which case the name shows as written.
pub(crate) fn text_of(raw: &Raw, scope: &Scope) -> Option<String> {
    match raw.evaluate(scope) {
        Ok(value) => Some(value.to_string()),
        Err(_) => Some(raw.as_written().to_string()),
    }
}

/// The truth of a keyword's value: booleans, numbers, and the words that people write for them.
pub(crate) fn truth(raw: &Raw, scope: &Scope) -> Result<bool, Problem> {
    use pgfleet_protocol::Argument;
    let value = to_json(&raw.evaluate(scope)?)?;
    if value.is_null() {
        return Ok(false);
    }
    bool::read(&value).map_err(Problem::new)
}

/// A keyword's value as a number; a percent sign is left off.
pub(crate) fn number(raw: &Raw, scope: &Scope) -> Result<Option<f64>, Problem> {
    let value = to_json(&raw.evaluate(scope)?)?;
    match &value {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::Number(number) => Ok(number.as_f64()),
        serde_json::Value::String(text) if text.trim().is_empty() => Ok(None),
        serde_json::Value::String(text) => {
            text.trim().trim_end_matches('%').parse().map(Some).map_err(|_| Problem::new(format!("expected a number, found '{text}'")))
        }
        other => Err(Problem::new(format!("expected a number, found {other}"))),
    }
}
