//! Something befalls every workflow at some step (`faults.rs`), and it is then asked again, while clients write: it must come to its end, or
//! refuse with the cause until it can; the cluster must be whole, no secret another one, and nothing that was acknowledged may be gone.
//!
//! `PGFLEET_LAB_SWEEP=all` tries every fault at every step of every workflow (days, so in parts: `sweep_record.rs`), a number so many steps of
//! each, with a fault each; otherwise one step of four of them, with four faults other than a host without power. A round whose fault did not
//! happen is missed: where steps are chosen, another one is. `PGFLEET_LAB_SEED` chooses them; `PGFLEET_LAB_WORKFLOW` names the only workflow to
//! try, `PGFLEET_LAB_FAULT` the only faults, `PGFLEET_LAB_HOST` the host that it happens to, or `leader`, `PGFLEET_LAB_STEP` the step,
//! `PGFLEET_LAB_MINUTES` after how long no round begins any more, `PGFLEET_LAB_RECORD` the file of what was tried.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::faults::{self, Befallen, FAULTS, Fault, Place};
use crate::members::{LOAD, begin_load, end_load, longest_gap};
use crate::rig::{HOSTS, Ran, Rig, leader, patroni};
use crate::sweep_record::{Cell, Ending, Record, Turn};

/// What is interrupted and asked again.
struct Workflow {
    name: &'static str,
    /// What makes it possible; not interrupted.
    before: fn(&Rig),
    /// The command.
    asked: fn(&Rig) -> Vec<String>,
    /// True when a refusal says that there is nothing left to do.
    over: fn(&Ran) -> bool,
    /// What leads back to where the next round begins; not interrupted.
    after: fn(&Rig),
}

impl Workflow {
    /// Whether there is a cluster that serves clients while it goes on.
    fn serves(&self) -> bool {
        self.name != "start" && !self.is_first_deploy()
    }

    /// The settings that all nodes share are afterwards what they were before.
    fn keeps_settings(&self) -> bool {
        self.name != CHANGING_DEPLOY && !self.is_first_deploy()
    }

    /// It begins with bare hosts and without state.
    fn is_first_deploy(&self) -> bool {
        self.name == FIRST_DEPLOY
    }
}

const WORKFLOWS: &[Workflow] = &[
    Workflow {
        name: "switchover",
        before: nothing,
        // Not to where the load comes from.
        asked: |rig| words(&["switchover", "--target", &a_replica(rig)]),
        over: |ran| ran.out.contains("leads already"),
        after: nothing,
    },
    Workflow { name: "rolling restart", before: nothing, asked: |_| words(&["restart", "--rolling"]), over: never, after: nothing },
    Workflow {
        name: "reinit",
        before: nothing,
        asked: |rig| words(&["reinit", &a_replica(rig), "--yes"]),
        over: leads_now,
        after: nothing,
    },
    Workflow { name: "stop", before: nothing, asked: |_| words(&["stop", "--yes"]), over: never, after: start },
    Workflow { name: "start", before: stop, asked: |_| words(&["start"]), over: never, after: nothing },
    Workflow { name: "rotation", before: nothing, asked: |_| words(&["secrets", "rotate"]), over: never, after: nothing },
    Workflow { name: "backup", before: nothing, asked: |_| words(&["backup"]), over: never, after: verified },
    Workflow {
        name: "restore",
        before: something_to_restore,
        asked: |_| words(&["restore", "--backup", "latest", "--database", SWEPT, "--yes"]),
        over: |ran| ran.out.contains("restore commit"),
        after: restored,
    },
    Workflow {
        name: "scale-in",
        before: nothing,
        asked: |rig| words(&["scale-in", &a_replica(rig), "--yes"]),
        over: |ran| ran.out.contains("is no member") || leads_now(ran),
        after: deploy,
    },
    Workflow {
        name: "scale-out",
        before: |rig| drop(rig.on_fleet("scale-in", &[&a_replica(rig), "--yes"]).expect(0)),
        asked: |_| words(&["deploy"]),
        over: never,
        after: nothing,
    },
    Workflow {
        name: CHANGING_DEPLOY,
        before: nothing,
        asked: |_| words(&["deploy", "-e", CHANGED, "-e", "postgresql_restart=true"]),
        over: never,
        after: deploy,
    },
    Workflow { name: "logins of etcd off", before: nothing, asked: |_| words(&["deploy", "-e", NO_LOGINS]), over: never, after: deploy },
    Workflow {
        name: "logins of etcd on",
        before: |rig| drop(rig.deploy(&["-e", NO_LOGINS]).expect(0)),
        asked: |_| words(&["deploy"]),
        over: never,
        after: nothing,
    },
    Workflow { name: "new certificates", before: nothing, asked: |_| words(&["certs", "rotate"]), over: never, after: nothing },
    Workflow {
        name: "new authority",
        before: nothing,
        asked: |_| words(&["certs", "rotate", "--authority", "--yes"]),
        over: never,
        after: nothing,
    },
    Workflow { name: FIRST_DEPLOY, before: bare, asked: |_| words(&["deploy"]), over: never, after: nothing },
];

const NEW_AUTHORITY: &str = "new authority";
const FIRST_DEPLOY: &str = "first deploy";
const CHANGING_DEPLOY: &str = "deploy of changed settings";

/// etcd asks nobody who he is.
const NO_LOGINS: &str = "etcd_users=false";

/// The database that is restored.
const SWEPT: &str = "swept";
/// Rewrites files of all nodes, and needs a restart of each.
const CHANGED: &str = r#"{"postgresql_parameters": {"max_connections": 130, "work_mem": "9MB"}, "haproxy_stats_user": "operator", "etcd_heartbeat_interval": 210}"#;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn leads(rig: &Rig) -> String {
    leader(&rig.status().1).expect("a leader")
}

fn nothing(_: &Rig) {}

fn never(_: &Ran) -> bool {
    false
}

/// The leader was lost, and the node that it is about has taken its place: of a leader this is refused, for good.
fn leads_now(ran: &Ran) -> bool {
    ran.out.contains("is the leader")
}

/// A voter that does not lead, and is not where the load comes from.
fn a_replica(rig: &Rig) -> String {
    let leads = leads(rig);
    HOSTS.iter().map(|(host, _)| *host).find(|host| *host != leads && *host != LOAD).expect("a replica").to_owned()
}

fn start(rig: &Rig) {
    rig.on_fleet("start", &[]).expect(0);
}

fn stop(rig: &Rig) {
    rig.on_fleet("stop", &["--yes"]).expect(0);
}

fn deploy(rig: &Rig) {
    rig.deploy(&["-e", "postgresql_restart=true"]).expect(0);
}

/// New guests, and nothing that is known of a cluster.
fn bare(rig: &Rig) {
    rig.lab(&["down"]).expect(0);
    std::fs::remove_dir_all(rig.project().join("state/postgresql")).expect("the cluster's state");
    rig.lab_up();
}

fn verified(rig: &Rig) {
    let inventory = rig.inventory();
    rig.pgfleet(&["backup", "verify", "latest", "-i", &inventory]).expect(0);
    rig.pgfleet(&["backup", "prune", "--keep", "1", "--yes", "-i", &inventory]).expect(0);
}

fn on_leader(rig: &Rig, database: &str, sql: &str) -> String {
    let leads = leads(rig);
    rig.on(&leads, &format!("runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 -d {database}"), sql)
        .expect(0)
        .out
        .trim()
        .to_owned()
}

fn something_to_restore(rig: &Rig) {
    if on_leader(rig, "postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{SWEPT}'")) == "0" {
        on_leader(rig, "postgres", &format!("CREATE DATABASE {SWEPT}"));
        on_leader(rig, SWEPT, "CREATE TABLE t AS SELECT n, md5(n::text) AS m FROM generate_series(1, 200000) AS n");
        rig.on_fleet("backup", &[]).expect(0);
    }
    on_leader(rig, SWEPT, "DELETE FROM t WHERE n > 5");
}

fn restored(rig: &Rig) {
    assert_eq!(on_leader(rig, SWEPT, "SELECT count(*) FROM t"), "200000");
    let inventory = rig.inventory();
    rig.pgfleet(&["restore", "commit", "--yes", "-i", &inventory]).expect(0);
    assert_eq!(on_leader(rig, "postgres", &format!("SELECT count(*) FROM pg_database WHERE datname LIKE '%{SWEPT}%'")), "1");
}

/// True for a line with which a step begins or ends. Of a step that goes on, what is seen meanwhile stands behind a colon.
fn is_step(line: &str) -> bool {
    let begins = || line.contains("\"event\":\"progress\"") && line.ends_with("\"done\":0,\"total\":null}") && !line.contains(": ");
    line.contains("\"event\":\"task_started\"") || line.contains("\"event\":\"said\"") || begins()
}

fn ask(rig: &Rig, arguments: &[String]) -> Ran {
    let inventory = rig.inventory();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["-i", &inventory, "-o", "json"]).collect();
    rig.pgfleet(&arguments)
}

/// What a refusal may name beside a host: what a run that was cut short may have left behind for a while.
const CAUSES: [&str; 4] = ["etcd", "quorum", "leader", "Patroni"];

/// The cause that a refusal names: one that the run before may have left behind, and that goes by itself.
fn cause(ran: &Ran) -> Option<String> {
    let is_cause = |error: &String| HOSTS.iter().map(|(host, _)| *host).chain(CAUSES).any(|word| error.contains(word));
    faults::last_errors(ran).into_iter().find(is_cause)
}

/// Asks until it is done; meanwhile it may refuse with a cause, while the cluster recovers by itself, and little longer. Tells the last one.
fn asked_again(rig: &Rig, workflow: &Workflow, arguments: &[String]) -> String {
    let end = Instant::now() + Duration::from_secs(240);
    let (mut refused, mut well_since) = (String::new(), Instant::now());
    loop {
        let ran = ask(rig, arguments);
        if ran.code == Some(0) || (workflow.over)(&ran) {
            return refused;
        }
        let told = format!("{}\n--- standard output\n{}\n--- standard error\n{}", workflow.name, ran.out, ran.err);
        assert_eq!(ran.code, Some(6), "neither done nor refused: {told}");
        let Some(cause) = cause(&ran) else { panic!("refused for no cause that the run before may have left: {told}") };
        refused = format!("; refused meanwhile: {}", cause.trim().chars().take(160).collect::<String>());
        assert!(Instant::now() < end, "after 240 s it still refuses: {told}");
        if rig.on_fleet("status", &[]).code != Some(0) {
            well_since = Instant::now();
        }
        assert!(well_since.elapsed() < Duration::from_secs(60), "the cluster has been whole for a minute, and it still refuses: {told}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The cluster is whole, and nothing is held or left over.
fn whole(rig: &Rig) {
    rig.status_becomes("the cluster is whole, and no run has it", 180, |code, view| code == Some(0) && view["lease"].is_null());
    let paused =
        "cd /; sudo -u postgres psql -X -A -t -c 'SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END'";
    for (host, _) in HOSTS {
        let held =
            "for unit in patroni haproxy etcd; do ps -o stat= -p $(systemctl show -p MainPID --value $unit); done | grep -c T || true";
        assert_eq!(rig.said(host, held), "0", "a service on {host} is held");
        assert_eq!(rig.said(host, paused), "f", "the replay on {host} is held");
    }
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// What is below a folder of state, but for other folders, by its path.
fn kept(folder: &Path, but: &[PathBuf], files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()).filter(|path| !but.contains(path)) {
        if path.is_dir() {
            kept(&path, but, files);
        } else {
            files.push(path);
        }
    }
}

/// The secrets, and the keys and certificates of the authority; backups and reports of drills are no secrets of the cluster's.
fn secrets(rig: &Rig) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, state) = (Vec::new(), rig.project().join("state/postgresql"));
    kept(&state, &[state.join("backups"), state.join("drills")], &mut files);
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("a file of state");
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

/// What is half written anywhere in state. A backup that was cut off is not whole as a folder, and says so by its name.
fn half_written(rig: &Rig) -> Vec<PathBuf> {
    let (mut files, state) = (Vec::new(), rig.project().join("state"));
    // The lab's own disks, where the lab lies in the project.
    kept(&state, &[state.join("lab")], &mut files);
    let is_cut_off = |folder: &Path| folder.extension().is_some_and(|end| end == "partial" || end == "failed");
    files.retain(|path| path.extension().is_some_and(|end| end == "tmp") && !path.ancestors().any(is_cut_off));
    files
}

/// Nothing is half written, and no secret is another one than before, unless that was asked for.
fn kept_its_secrets(rig: &Rig, workflow: &Workflow, before: &BTreeMap<PathBuf, Vec<u8>>) {
    let after = secrets(rig);
    assert!(after.keys().any(|path| path.ends_with("secrets/superuser")), "{:?}", after.keys());
    let half = half_written(rig);
    assert!(half.is_empty(), "{}: half written: {half:?}", workflow.name);
    let is_renewed = |path: &Path| match workflow.name {
        "rotation" => !path.ends_with("pki/ca.crt") && !path.ends_with("pki/ca.key"),
        NEW_AUTHORITY => path.ends_with("pki/ca.crt") || path.ends_with("pki/ca.key"),
        _ => false,
    };
    let other = |path: &&PathBuf| before.get(*path) != after.get(*path) && !is_renewed(path);
    if workflow.is_first_deploy() {
        let others: Vec<&PathBuf> = before.keys().filter(other).collect();
        return assert!(others.is_empty(), "{}: made twice: {others:?}", workflow.name);
    }
    let others: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(other).collect();
    assert!(others.is_empty(), "{}: not as before: {others:?}", workflow.name);
    assert!(before.keys().eq(after.keys()), "{}: files of secrets came or went: {others:?}", workflow.name);
}

/// The settings that all nodes share, as some Patroni tells them.
fn settings() -> Value {
    HOSTS.iter().find_map(|(host, _)| patroni(host, "/config")).expect("a Patroni that answers")
}

/// One round: this happens at this step, counted from 1, and the same is asked again. Tells how the first one ended.
fn interrupted_at(rig: &Rig, workflow: &Workflow, step: usize, fault: Fault, host: &str) -> (Ending, String) {
    let shared = settings();
    (workflow.before)(rig);
    let arguments = (workflow.asked)(rig);
    let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if workflow.serves() {
        begin_load(rig);
    }
    let mut before = secrets(rig);
    let Befallen { mut told, ran, missed } = fault.befalls(rig, &Place { arguments: &borrowed, step, is_step, host });
    if workflow.is_first_deploy() {
        // What is half written is swept, and made anew.
        before = secrets(rig).into_iter().filter(|(path, _)| !path.to_string_lossy().ends_with(".tmp")).collect();
    }
    if ran.out.contains(&format!("'pgfleet reinit {host}' copies them anew")) {
        rig.awaited("the node is copied anew, as the run said", 120, || rig.on_fleet("reinit", &[host, "--yes"]).code == Some(0));
    }
    told += &asked_again(rig, workflow, &arguments);
    faults::end(rig, host);
    (workflow.after)(rig);
    if workflow.serves() {
        rig.status_becomes("the cluster is whole", 180, |code, _| code == Some(0));
        told += &format!("; no row for at most {:.1} s", longest_gap(rig));
        end_load(rig);
    }
    whole(rig);
    kept_its_secrets(rig, workflow, &before);
    assert!(!workflow.keeps_settings() || settings() == shared, "{}: other settings than before: {:?}", workflow.name, settings());
    (if missed.is_some() { Ending::Missed } else { Ending::Survived }, told)
}

/// How many steps the workflow has when nothing befalls it.
fn steps_of(rig: &Rig, workflow: &Workflow) -> usize {
    (workflow.before)(rig);
    let complete = ask(rig, &(workflow.asked)(rig)).expect(0);
    (workflow.after)(rig);
    whole(rig);
    complete.out.lines().filter(|line| is_step(line)).collect::<BTreeSet<_>>().len()
}

/// A number from 1 to `steps`.
pub(crate) fn chosen(seed: u64, workflow: &str, round: usize, steps: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (seed, workflow, round).hash(&mut hasher);
    1 + usize::try_from(hasher.finish() % steps as u64).expect("small")
}

/// Where steps are chosen by chance: so many others are tried where the run missed what should have happened to it.
const OTHERS: usize = 4;

/// The step of a round, or another one in its place, from an ever shorter beginning of the run: its last ones are over before much can happen.
fn another(seed: u64, workflow: &str, round: usize, other: usize, steps: usize) -> usize {
    let beginning = steps * (1 + OTHERS).saturating_sub(other) / (1 + OTHERS);
    // Far from those of other rounds.
    chosen(seed, workflow, round + 1000 * other, beginning.max(1))
}

/// What is tried, and how far it has come.
struct Sweep<'a> {
    rig: &'a Rig,
    seed: u64,
    faults: Vec<&'static (&'static str, Fault)>,
    /// The host that everything happens to, or `leader`; otherwise a voter that chance chooses.
    host: Option<String>,
    record: Record,
    /// When no round begins any more.
    end: Option<Instant>,
}

impl Sweep<'_> {
    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() > end)
    }

    /// How many steps a workflow has: as it was counted before, or by a run of it.
    fn steps(&mut self, workflow: &Workflow) -> usize {
        self.record.steps(workflow.name).unwrap_or_else(|| {
            let steps = steps_of(self.rig, workflow);
            self.record.counted(workflow.name, steps);
            steps
        })
    }

    /// One round, told and kept.
    #[expect(clippy::print_stderr, reason = "whoever wants to see it again needs the step")]
    fn round(&mut self, workflow: &Workflow, step: usize, (name, fault): &(&str, Fault)) -> Ending {
        if self.host.as_deref() == Some("leader") && leads(self.rig) == LOAD {
            // What the load was told would be lost with its host.
            self.rig.on_fleet("switchover", &[]).expect(0);
        }
        let (begin, leads) = (Instant::now(), leads(self.rig));
        let voters: Vec<&str> = HOSTS.iter().map(|(host, _)| *host).filter(|host| *host != LOAD).collect();
        let host = match &self.host {
            Some(wanted) if wanted == "leader" => leads.as_str(),
            Some(wanted) => wanted,
            None => voters[chosen(self.seed, name, step, voters.len()) - 1],
        };
        let who = if leads == host { "which leads" } else { "which does not lead" };
        eprintln!("  {}: {name} at step {step} ({host}, {who})", workflow.name);
        let cell = Cell { workflow: workflow.name.to_owned(), step, fault: (*name).to_owned() };
        let ended = catch_unwind(AssertUnwindSafe(|| interrupted_at(self.rig, workflow, step, *fault, host)));
        let (ending, told) = ended.unwrap_or_else(|cause| {
            self.record.note(&cell, Ending::Failed, host, "");
            resume_unwind(cause)
        });
        self.record.note(&cell, ending, host, &told);
        eprintln!("    {ending:?}: {told}; asked again and whole after {:.0} s", begin.elapsed().as_secs_f64());
        ending
    }

    /// Every fault at every step, but for what the record has; what was missed or failed comes last.
    #[expect(clippy::print_stderr, reason = "hours pass; whoever waits sees where it is")]
    fn all(&mut self, workflows: &[&Workflow]) {
        for turn in [Turn::New, Turn::Again] {
            for workflow in workflows {
                if self.is_over() {
                    break;
                }
                for step in 1..=self.steps(workflow) {
                    for fault in self.faults.clone() {
                        let cell = Cell { workflow: workflow.name.to_owned(), step, fault: fault.0.to_owned() };
                        if self.record.turn(&cell) == turn && !self.is_over() {
                            self.round(workflow, step, fault);
                        }
                    }
                }
            }
        }
        let counted: Vec<(&&Workflow, usize)> =
            workflows.iter().filter_map(|workflow| Some((workflow, self.record.steps(workflow.name)?))).collect();
        let cells: usize = counted.iter().map(|(_, steps)| steps * self.faults.len()).sum();
        let others = workflows.len() - counted.len();
        eprintln!("  of {cells} cells (and those of {others} workflows that were not counted yet): {}", self.record.summary());
    }

    /// A step of a workflow, and others while it is missed: it must happen in the end.
    fn some(&mut self, workflow: &Workflow, fault: &(&str, Fault), steps: impl Iterator<Item = usize>) {
        let survived = steps.take(1 + OTHERS).any(|step| self.round(workflow, step, fault) == Ending::Survived);
        assert!(survived, "{}: {} was missed each time, so nothing is known of it", workflow.name, fault.0);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// What chance chooses by, another one each second.
pub(crate) fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    number("PGFLEET_LAB_SEED").unwrap_or_else(now)
}

#[expect(clippy::print_stderr, reason = "whoever wants to see it again needs the seed")]
pub(crate) fn interrupted_anywhere(rig: &Rig) {
    let variable = |name: &str| std::env::var(name).ok();
    let seed = seed();
    let sweep = variable("PGFLEET_LAB_SWEEP");
    let mut workflows: Vec<&Workflow> = match variable("PGFLEET_LAB_WORKFLOW") {
        Some(only) => WORKFLOWS.iter().filter(|workflow| only == workflow.name).collect(),
        None => WORKFLOWS.iter().collect(),
    };
    let only = variable("PGFLEET_LAB_FAULT");
    let mut faults: Vec<&(&str, Fault)> =
        FAULTS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only.split(',').any(|only| only == *name))).collect();
    assert!(!workflows.is_empty() && !faults.is_empty(), "PGFLEET_LAB_WORKFLOW or PGFLEET_LAB_FAULT names none");
    faults.sort_by_key(|(name, _)| chosen(seed, name, 0, usize::MAX));
    if sweep.is_none() {
        // New guests and two deploys of them take minutes as well.
        workflows.retain(|workflow| !workflow.is_first_deploy() || variable("PGFLEET_LAB_WORKFLOW").is_some());
        workflows.sort_by_key(|workflow| chosen(seed, workflow.name, 0, usize::MAX));
        workflows.truncate(4);
    }
    // A host without power costs minutes a round: who sweeps, or asks for it, has them.
    if sweep.is_none() && only.is_none() {
        faults.retain(|(_, fault)| *fault != Fault::PowerOff);
    }
    eprintln!("  PGFLEET_LAB_SEED={seed}");
    let record = Record::of(variable("PGFLEET_LAB_RECORD").map_or_else(|| rig.project().join("sweep.tsv"), PathBuf::from));
    let end = number("PGFLEET_LAB_MINUTES").map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let step = number("PGFLEET_LAB_STEP").map(|step| usize::try_from(step).expect("a step"));
    let mut sweep_of = Sweep { rig, seed, faults, host: variable("PGFLEET_LAB_HOST"), record, end };
    if sweep.as_deref() == Some("all") && step.is_none() {
        return sweep_of.all(&workflows);
    }
    let rounds: usize = sweep.filter(|_| step.is_none()).map_or(1, |number| number.parse().expect("a number or 'all'"));
    for (place, workflow) in workflows.into_iter().enumerate() {
        let steps = step.unwrap_or_else(|| steps_of(rig, workflow));
        for round in (0..rounds).take_while(|_| end.is_none_or(|end| Instant::now() < end)) {
            // In turn, so that the short form has none twice: a host without power costs the most.
            let fault = sweep_of.faults[(place + round) % sweep_of.faults.len()];
            match step {
                Some(step) => sweep_of.some(workflow, fault, std::iter::once(step)),
                None => sweep_of.some(workflow, fault, (0..).map(|other| another(seed, workflow.name, round, other, steps))),
            }
        }
    }
}
