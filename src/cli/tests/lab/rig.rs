//! A project in a temporary folder, the lab's four hosts, and the program as a person runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::running::run;

/// Within this time every command ends, whatever is wrong: a deploy waits for up to 15 minutes for a node that does not come.
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// The same of a shell command on a guest.
const SHELL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The lab's name; another one lets two stories be told side by side.
static NAME: LazyLock<String> = LazyLock::new(|| std::env::var("PGFLEET_LAB_NAME").unwrap_or_else(|_| "test".to_owned()));
/// The first three numbers of its addresses.
static SUBNET: LazyLock<String> = LazyLock::new(|| std::env::var("PGFLEET_LAB_SUBNET").unwrap_or_else(|_| "172.28.9".to_owned()));

/// The lab's hosts, with the last number of their addresses.
pub(crate) const HOSTS: [(&str, u8); 4] = [("controller.lan", 10), ("app-server-1.lan", 20), ("app-server-2.lan", 21), ("builder.lan", 30)];

/// Takes the lab down however the test ends.
pub(crate) struct Rig {
    project: PathBuf,
    lab: PathBuf,
    /// Takes the project away; nobody does where the lab is kept for a look.
    temporary: Option<TempDir>,
}

/// What a run of the program has printed.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    /// It was killed when this time was over.
    pub(crate) overdue: Option<Duration>,
}

impl Ran {
    /// The same, where it ended by itself.
    fn in_time(self, command: &Command) -> Self {
        let Some(limit) = self.overdue else { return self };
        panic!("not done within {limit:?}: {command:?}\n--- standard output\n{}\n--- standard error\n{}", self.out, self.err);
    }

    /// The same, where it ended with this code.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n--- standard output\n{}\n--- standard error\n{}", self.out, self.err);
        self
    }

    /// How many tasks changed something, host by host, from the recap of `-o json`.
    pub(crate) fn recap(&self, word: &str) -> Vec<(String, i64)> {
        let last = self.out.lines().rfind(|line| line.contains("\"finished\"")).expect("a recap");
        let event: Value = serde_json::from_str(last).expect("JSON");
        let hosts = event["recap"]["hosts"].as_object().expect("hosts");
        hosts.iter().map(|(host, counts)| (host.clone(), counts[word].as_i64().expect("a number"))).collect()
    }

    /// Fails the test, naming the tasks, when any task changed something.
    pub(crate) fn expect_unchanged(self) -> Self {
        let done = self.out.lines().filter(|line| line.contains("\"ending\":\"changed\""));
        let changed: Vec<&str> = done.map(|line| line.get(..400).unwrap_or(line)).collect();
        assert!(changed.is_empty() && self.recap("changed").iter().all(|(_, count)| *count == 0), "changed: {changed:#?}");
        self
    }
}

impl Rig {
    /// `PGFLEET_LAB_KEEP` names a folder in which the project and its lab stay when the test has ended, for a look or for going on.
    pub(crate) fn new() -> Self {
        let kept = std::env::var_os("PGFLEET_LAB_KEEP").map(PathBuf::from);
        let temporary = kept.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
        let project = kept.or_else(|| temporary.as_ref().map(|folder| folder.path().to_owned())).expect("one of them");
        let lab = std::env::var_os("PGFLEET_LAB_STATE").map_or_else(|| project.join("state/lab").join(&*NAME), PathBuf::from);
        std::fs::create_dir_all(project.join("inventory")).expect("the project's inventory");
        let rig = Self { project, lab, temporary };
        rig.lab_up();
        rig
    }

    /// Boots what does not run.
    pub(crate) fn lab_up(&self) {
        self.lab(&["up", "--subnet", &format!("{}.0/24", *SUBNET)]).expect(0);
    }

    /// The same lab from another project's folder.
    pub(crate) fn elsewhere(&self, project: PathBuf) -> Self {
        Self { project, lab: self.lab.clone(), temporary: None }
    }

    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    pub(crate) fn inventory(&self) -> String {
        self.lab.join("inventory").display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgfleet"));
        command.arg("--project").arg(self.project()).args(arguments);
        command
    }

    /// Runs the program to its end.
    pub(crate) fn pgfleet(&self, arguments: &[&str]) -> Ran {
        self.pgfleet_with(arguments, &[])
    }

    /// The same with variables of the environment.
    pub(crate) fn pgfleet_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command(arguments);
        run(command.envs(environment.iter().copied()), "", LIMIT, |_, _| None).in_time(&command)
    }

    /// A command on the lab's inventory.
    pub(crate) fn on_fleet(&self, word: &str, arguments: &[&str]) -> Ran {
        let inventory = self.inventory();
        self.pgfleet(&[&[word, "-i", &inventory], arguments].concat())
    }

    pub(crate) fn deploy(&self, arguments: &[&str]) -> Ran {
        self.on_fleet("deploy", &[&["-o", "json"], arguments].concat())
    }

    /// Starts a deploy, sends it a signal when this task begins, and waits for its end.
    pub(crate) fn deploy_interrupted(&self, task: &str, signal: &str) -> Ran {
        self.interrupted(&["deploy"], task, signal)
    }

    /// The same with any command on the fleet.
    pub(crate) fn interrupted(&self, arguments: &[&str], task: &str, signal: &str) -> Ran {
        let begins = |line: &str| line.contains("\"task_started\"") && line.contains(task);
        self.during(arguments, begins, |id| {
            let status = Command::new("kill").args([signal, &id.to_string()]).status().expect("kill runs");
            assert!(status.success(), "it has ended before it could be interrupted");
        })
    }

    /// Runs a command on the fleet, and acts when a step begins, by its number; the command may have ended before. A line that is repeated
    /// begins nothing. `act` gets the process, and says how long it has from then on: whether it was killed for that is left to the caller.
    pub(crate) fn at_step(
        &self,
        arguments: &[&str],
        step: usize,
        is_step: impl Fn(&str) -> bool,
        act: impl FnOnce(u32) -> Duration,
    ) -> Ran {
        let mut seen = std::collections::BTreeSet::new();
        let mut act = Some(act);
        run(&mut self.shown(arguments), "", LIMIT, |line, process| {
            let begins = is_step(line) && seen.insert(line.to_owned()) && seen.len() == step;
            Some(act.take_if(|_| begins)?(process))
        })
    }

    /// Runs a command on the fleet, and does something when it prints a line.
    pub(crate) fn meanwhile(&self, arguments: &[&str], when: impl Fn(&str) -> bool, act: impl FnOnce()) -> Ran {
        self.during(arguments, when, |_| act())
    }

    /// The same, with the number of its process.
    pub(crate) fn during(&self, arguments: &[&str], when: impl Fn(&str) -> bool, act: impl FnOnce(u32)) -> Ran {
        let (mut command, mut act) = (self.shown(arguments), Some(act));
        let ran = run(&mut command, "", LIMIT, |line, process| {
            if let Some(act) = act.take_if(|_| when(line)) {
                act(process);
            }
            None
        });
        let ran = ran.in_time(&command);
        assert!(act.is_none(), "the line never came:\n{}", ran.out);
        ran
    }

    /// A command on the fleet that prints an event a line.
    fn shown(&self, arguments: &[&str]) -> Command {
        self.command(&[arguments, &["-i", &self.inventory(), "-o", "json"]].concat())
    }

    /// What `pgfleet status -o json` says, whatever its exit code.
    pub(crate) fn status(&self) -> (Option<i32>, Value) {
        let ran = self.on_fleet("status", &["-o", "json"]);
        let view = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out, ran.err));
        (ran.code, view)
    }

    /// Looks at the status until it is as wanted.
    pub(crate) fn status_becomes(&self, wish: &str, seconds: u64, wanted: impl Fn(Option<i32>, &Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            let (code, view) = self.status();
            if wanted(code, &view) {
                return view;
            }
            assert!(Instant::now() < end, "after {seconds} s still not: {wish}\n{view:#}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Looks at something until it is so.
    pub(crate) fn awaited(&self, wish: &str, seconds: u64, is_so: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !is_so() {
            assert!(Instant::now() < end, "after {seconds} s still not: {wish}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    pub(crate) fn lab(&self, arguments: &[&str]) -> Ran {
        let lab = self.lab.display().to_string();
        self.pgfleet(&[&["lab", "--name", &NAME, "--state", &lab], arguments].concat())
    }

    /// The words of a command that switches hosts of the lab off (`kill HOST`) and on (`start HOST`).
    pub(crate) fn power(&self) -> Vec<String> {
        let (project, lab) = (self.project().display().to_string(), self.lab.display().to_string());
        [env!("CARGO_BIN_EXE_pgfleet"), "--project", &project, "lab", "--name", &NAME, "--state", &lab].map(str::to_owned).into()
    }

    /// Runs a shell command on a guest, with text on its standard input.
    pub(crate) fn on(&self, host: &str, script: &str, stdin: &str) -> Ran {
        let lab = self.lab.display().to_string();
        let mut command = self.command(&["lab", "--name", &NAME, "--state", &lab, "ssh", host, script]);
        run(&mut command, stdin, SHELL_LIMIT, |_, _| None).in_time(&command)
    }

    /// What a shell command on a guest prints.
    pub(crate) fn said(&self, host: &str, script: &str) -> String {
        self.on(host, script, "").expect(0).out.trim().to_owned()
    }

    /// A secret of the state folder.
    pub(crate) fn secret(&self, name: &str) -> String {
        let path = self.project().join("state/postgresql").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    /// The answer of a query on a guest, logged in over TCP with a password of the state folder.
    pub(crate) fn query(&self, host: &str, to: &str, user: (&str, &str), sql: &str) -> Ran {
        let (name, secret) = user;
        let script = format!(
            "read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=5; psql -X -A -t -h {} -p {} -U {name} -d application",
            to.split(':').next().unwrap_or_default(),
            to.split(':').nth(1).unwrap_or_default()
        );
        self.on(host, &script, &format!("{}\n{sql};\n", self.secret(secret)))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.temporary.is_none() {
            return;
        }
        let lab = self.lab.display().to_string();
        run(&mut self.command(&["lab", "--name", &NAME, "--state", &lab, "down"]), "", SHELL_LIMIT, |_, _| None);
    }
}

pub(crate) fn address(host: &str) -> String {
    let (_, number) = HOSTS.iter().find(|(name, _)| *name == host).expect("a host of the lab");
    format!("{}.{number}", *SUBNET)
}

/// Patroni's answer on a host, in the clear or over TLS; `None` when nothing answers there.
pub(crate) fn patroni(host: &str, path: &str) -> Option<Value> {
    // In the clear first: who speaks TLS refuses that at once.
    ["http", "https"].iter().find_map(|scheme| {
        let url = format!("{scheme}://{}:8008{path}", address(host));
        let answer = Command::new("curl").args(["--silent", "--insecure", "--max-time", "5", &url]).output().ok()?;
        serde_json::from_slice(&answer.stdout).ok()
    })
}

/// The members that have a role of these.
pub(crate) fn members_as(view: &Value, roles: &[&str]) -> Vec<String> {
    let members = view["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let chosen = members.iter().filter(|member| roles.contains(&member["role"].as_str().unwrap_or_default()));
    chosen.map(|member| member["name"].as_str().unwrap_or_default().to_owned()).collect()
}

pub(crate) fn leader(view: &Value) -> Option<String> {
    members_as(view, &["leader"]).pop()
}
