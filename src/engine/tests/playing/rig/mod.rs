//! Runs playbooks with the real agent in this process: a thread for each contact, a pair of sockets between it and the engine.

mod fleet;
mod transcript;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pgfleet_engine::{Event, Finished, Redactor, Run, RunOptions, Stop};
use pgfleet_inventory::Inventory;
use pgfleet_playbook::{Loader, TagSelection};
use pgfleet_protocol::{Mode, Secret};
use pgfleet_template::{Disk, Language, Place, Problem, Raw, Value, Vars, Vault};
use tempfile::TempDir;

pub(crate) use fleet::AgentFleet;
pub(crate) use transcript::{recap, transcript};

/// Three hosts, `a` and `b` in `db`, `c` in `web`; each may use its own folder, `{{ dir }}`.
const INVENTORY: &str = "[db]\na\nb\n[web]\nc\n";

/// A project in a temporary folder, and how its playbook is run.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) mode: Mode,
    pub(crate) diff: bool,
    pub(crate) tags: TagSelection,
    pub(crate) limit: Option<String>,
    pub(crate) extra: Vec<(String, serde_json::Value)>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) forks: usize,
    pub(crate) verbosity: u8,
    pub(crate) stop: Stop,
    pub(crate) habits: pgfleet_engine::Habits,
    pub(crate) fleet: Arc<AgentFleet>,
    /// Asks the run to stop when this task begins.
    pub(crate) stop_at: Option<String>,
}

/// What a run did.
pub(crate) struct Played {
    pub(crate) finished: Result<Finished, Problem>,
    pub(crate) events: Vec<Event>,
    root: String,
}

impl Played {
    /// The run as lines of text, one a task; the project's folder is left out of paths.
    pub(crate) fn text(&self) -> String {
        transcript(&self.events).replace(&format!("{}/", self.root), "")
    }

    /// One line a host.
    pub(crate) fn recap(&self) -> String {
        recap(&self.finished.as_ref().expect("a run that finished").recap)
    }

    /// All events as stored, for looking whether something is in none of them.
    pub(crate) fn journal(&self) -> String {
        self.events.iter().map(|event| serde_json::to_string(event).expect("an event")).collect::<Vec<_>>().join("\n")
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        let rig = Self {
            folder: TempDir::new().expect("a temporary folder"),
            mode: Mode::Apply,
            diff: false,
            tags: TagSelection::default(),
            limit: None,
            extra: Vec::new(),
            secrets: Vec::new(),
            forks: 5,
            verbosity: 0,
            stop: Stop::default(),
            habits: pgfleet_engine::Habits::default(),
            fleet: Arc::default(),
            stop_at: None,
        };
        rig.write("hosts.ini", INVENTORY);
        rig
    }

    pub(crate) fn check() -> Self {
        Self { mode: Mode::Check, ..Self::new() }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("written");
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// Runs a playbook given as text.
    pub(crate) fn play(&self, playbook: &str) -> Played {
        self.write("play.yml", playbook);
        self.play_file("play.yml")
    }

    /// The run of the tasks on one play of all hosts.
    pub(crate) fn tasks(&self, hosts: &str, tasks: &str) -> Played {
        let indented: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
        self.play(&format!("- hosts: {hosts}\n  gather_facts: false\n  tasks:\n{indented}"))
    }

    pub(crate) fn play_file(&self, name: &str) -> Played {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.run(name))
    }

    async fn run(&self, name: &str) -> Played {
        self.fleet.hang_up();
        let root = self.root();
        let files = Arc::new(Disk);
        let vault = Arc::new(Vault::none());
        let loader = Loader::new(files.clone(), vault.clone());
        let sources = vec![self.path("hosts.ini").display().to_string()];
        let inventory = Inventory::load(&*files, &sources, Some(&root), &vault).expect("an inventory");
        let playbook = loader.playbook(&self.path(name)).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        });
        for host in inventory.hosts() {
            std::fs::create_dir_all(self.path(host.name.as_str())).expect("a folder");
        }
        let place = Place::new("defaults", 1, 1);
        let defaults = Vars::from_iter([
            ("root".to_owned(), Raw::from(Value::from(root.display().to_string()))),
            ("dir".to_owned(), Raw::from_text("{{ root }}/{{ inventory_hostname }}", &place).expect("a template")),
        ]);
        let extra = self.extra.iter().map(|(name, value)| (name.clone(), Raw::from(pgfleet_template::from_json(value)))).collect();
        let options = RunOptions {
            inventory,
            inventory_sources: sources,
            loader,
            language: Language::new(files),
            project: root.clone(),
            defaults: Arc::new(defaults),
            extra: Arc::new(extra),
            limit: self.limit.clone(),
            tags: self.tags.clone(),
            mode: self.mode,
            diff: self.diff,
            forks: self.forks,
            verbosity: self.verbosity,
            r#become: false,
            become_password: None,
            remote_user: None,
            redactor: Redactor::new(self.secrets.clone()),
            stop: self.stop.clone(),
            habits: self.habits.clone(),
            controller: Arc::new(NoController),
            asker: None,
        };
        let events = Arc::new(Mutex::new(Vec::new()));
        let report = {
            let (events, stop, stop_at) = (events.clone(), self.stop.clone(), self.stop_at.clone());
            Arc::new(move |event: &Event| {
                if matches!((event, &stop_at), (Event::TaskStarted { name, .. }, Some(wanted)) if name == wanted) {
                    stop.ask();
                }
                events.lock().expect("events").push(event.clone());
            })
        };
        let run = Run::new(options, self.fleet.clone(), Arc::new(fleet::Folder), report);
        let finished = run.play_all(&playbook).await;
        let events = events.lock().expect("events").clone();
        Played { finished, events, root: root.display().to_string() }
    }
}

/// Runs each playbook of a table on a fresh rig and compares its lines.
pub(crate) fn check_tasks(table: &[(&str, &str, &str)]) {
    for (what, tasks, expect) in table {
        let rig = Rig::new();
        assert_lines(what, &rig.tasks("db", tasks).text(), expect);
    }
}

/// Compares texts line by line, white space around lines left out.
pub(crate) fn assert_lines(what: &str, found: &str, expect: &str) {
    let trimmed = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let (found, expect) = (trimmed(found), trimmed(expect));
    assert!(found == expect, "{what}\n--- found\n{found}\n--- expected\n{expect}\n");
}

/// The engine's own tests have no cluster.
struct NoController;

impl pgfleet_engine::Controller for NoController {
    fn act(&self, action: pgfleet_engine::Action) -> futures::future::BoxFuture<'_, pgfleet_engine::TaskResult> {
        Box::pin(async move { pgfleet_engine::TaskResult::failed(format!("nobody does '{}' here", action.module)) })
    }
}
