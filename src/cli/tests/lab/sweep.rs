//! Every workflow loses its controller at some step, or a host its last byte of room, and is then asked again, while clients write: it must
//! come to its end, or refuse with the cause until it can; the cluster must be whole, and nothing that was acknowledged may be gone.
//!
//! `PGFLEET_LAB_SWEEP=all` tries every step of every workflow (hours), a number so many steps of each; otherwise one step of four of them.
//! `PGFLEET_LAB_SEED` chooses them; `PGFLEET_LAB_WORKFLOW` names the only workflow to try, `PGFLEET_LAB_FAULT` the only fault.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::members::{LOAD, begin_load, end_load};
use crate::rig::{HOSTS, Ran, Rig, leader};

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

const WORKFLOWS: &[Workflow] = &[
    Workflow { name: "switchover", before: nothing, asked: |_| words(&["switchover"]), over: never, after: nothing },
    Workflow { name: "rolling restart", before: nothing, asked: |_| words(&["restart", "--rolling"]), over: never, after: nothing },
    Workflow { name: "reinit", before: nothing, asked: |rig| words(&["reinit", &a_replica(rig), "--yes"]), over: never, after: nothing },
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
        over: |ran| ran.out.contains("is no member"),
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
        name: "deploy of changed settings",
        before: nothing,
        asked: |_| words(&["deploy", "-e", CHANGED, "-e", "postgresql_restart=true"]),
        over: never,
        after: deploy,
    },
];

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The controller gets a signal.
    Signal(&'static str),
    /// Where a host has its configuration and temporary files nothing can be written any more.
    FullDisk,
}

const FAULTS: [(&str, Fault); 3] = [("kill", Fault::Signal("-KILL")), ("interrupt", Fault::Signal("-INT")), ("full-disk", Fault::FullDisk)];

/// The database that is restored.
const SWEPT: &str = "swept";
/// Rewrites files of all nodes, and needs a restart of each.
const CHANGED: &str = r#"{"postgresql_parameters": {"max_connections": 130, "work_mem": "9MB"}, "haproxy_stats_user": "operator", "etcd_heartbeat_interval": 210}"#;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn nothing(_: &Rig) {}

fn never(_: &Ran) -> bool {
    false
}

/// A voter that does not lead, and is not where the load comes from.
fn a_replica(rig: &Rig) -> String {
    let leads = leader(&rig.status().1).expect("a leader");
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

fn verified(rig: &Rig) {
    let inventory = rig.inventory();
    rig.pgfleet(&["backup", "verify", "latest", "-i", &inventory]).expect(0);
    rig.pgfleet(&["backup", "prune", "--keep", "1", "--yes", "-i", &inventory]).expect(0);
}

fn on_leader(rig: &Rig, database: &str, sql: &str) -> String {
    let leads = leader(&rig.status().1).expect("a leader");
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

/// True for a line with which a step begins.
fn is_step(line: &str) -> bool {
    line.contains("\"event\":\"task_started\"") || line.contains("\"event\":\"said\"")
}

fn ask(rig: &Rig, arguments: &[String]) -> Ran {
    let inventory = rig.inventory();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["-i", &inventory, "-o", "json"]).collect();
    rig.pgfleet(&arguments)
}

/// Asks until it is done; meanwhile it may refuse with a cause, while the cluster recovers by itself.
fn asked_again(rig: &Rig, workflow: &Workflow, arguments: &[String]) {
    let end = Instant::now() + Duration::from_secs(240);
    loop {
        let ran = ask(rig, arguments);
        if ran.code == Some(0) || (workflow.over)(&ran) {
            return;
        }
        let told = format!("{}\n--- standard output\n{}\n--- standard error\n{}", workflow.name, ran.out, ran.err);
        assert_eq!(ran.code, Some(6), "neither done nor refused: {told}");
        assert!(Instant::now() < end, "after 240 s it still refuses: {told}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The cluster is whole, and nothing is held or left over.
fn whole(rig: &Rig) {
    rig.status_becomes("the cluster is whole", 180, |code, _| code == Some(0));
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

/// One round: this happens at this step, counted from 1, and the same is asked again.
fn interrupted_at(rig: &Rig, workflow: &Workflow, step: usize, fault: Fault) {
    (workflow.before)(rig);
    let arguments = (workflow.asked)(rig);
    let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if workflow.name != "start" {
        begin_load(rig);
    }
    match fault {
        Fault::Signal(signal) => {
            rig.at_step(&borrowed, step, is_step, |process| {
                let _ = Command::new("kill").args([signal, &process.to_string()]).stderr(Stdio::null()).status();
            });
        }
        Fault::FullDisk => {
            let ran = rig.at_step(&borrowed, step, is_step, |_| drop(rig.on(LOAD, FILL, "").expect(0)));
            rig.on(LOAD, FREE, "").expect(0);
            let told = ran.out.contains("No space left on device") && ran.out.contains(LOAD);
            assert!(ran.code == Some(0) || told, "{}: neither done nor the cause told:\n{}{}", workflow.name, ran.out, ran.err);
        }
    }
    asked_again(rig, workflow, &arguments);
    (workflow.after)(rig);
    if workflow.name != "start" {
        rig.status_becomes("the cluster is whole", 180, |code, _| code == Some(0));
        end_load(rig);
    }
    whole(rig);
}

/// Covers each folder with a small disk that has the same files and no room; the data and its log are PostgreSQL's own business.
const FILL: &str = "for folder in /etc/default /etc/haproxy /etc/patroni /etc/pgfleet /etc/systemd/system /tmp /usr/local/lib/pgfleet; do \
        [ -d $folder ] || continue; \
        mkdir -p /run/full$folder && mount -t tmpfs -o size=$(( $(du -sk $folder | cut -f1) + 64 ))k,mode=$(stat -c %a $folder) full /run/full$folder && \
        cp -a $folder/. /run/full$folder && { cat /dev/zero > /run/full$folder/.filler 2> /dev/null || true; } && mount --bind /run/full$folder $folder || exit 1; \
    done";
const FREE: &str = "for folder in /etc/default /etc/haproxy /etc/patroni /etc/pgfleet /etc/systemd/system /tmp /usr/local/lib/pgfleet; do \
        ! mountpoint -q /run/full$folder || { umount -l $folder; umount -l /run/full$folder; }; \
    done; systemctl daemon-reload";

fn chosen(seed: u64, workflow: &str, round: usize, steps: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (seed, workflow, round).hash(&mut hasher);
    1 + usize::try_from(hasher.finish() % steps as u64).expect("small")
}

#[expect(clippy::print_stderr, reason = "whoever wants to see it again needs the seed and the step")]
pub(crate) fn interrupted_anywhere(rig: &Rig) {
    let variable = |name: &str| std::env::var(name).ok();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = variable("PGFLEET_LAB_SEED").map_or_else(now, |seed| seed.parse().expect("PGFLEET_LAB_SEED is a number"));
    let sweep = variable("PGFLEET_LAB_SWEEP");
    let mut workflows: Vec<&Workflow> = match variable("PGFLEET_LAB_WORKFLOW") {
        Some(only) => WORKFLOWS.iter().filter(|workflow| only == workflow.name).collect(),
        None => WORKFLOWS.iter().collect(),
    };
    let only = variable("PGFLEET_LAB_FAULT");
    let faults: Vec<&(&str, Fault)> = FAULTS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)).collect();
    if sweep.is_none() {
        workflows.sort_by_key(|workflow| chosen(seed, workflow.name, 0, usize::MAX));
        workflows.truncate(4);
    }
    eprintln!("  PGFLEET_LAB_SEED={seed}");
    for workflow in workflows {
        (workflow.before)(rig);
        let complete = ask(rig, &(workflow.asked)(rig)).expect(0);
        let steps = complete.out.lines().filter(|line| is_step(line)).count();
        (workflow.after)(rig);
        whole(rig);
        let rounds: Vec<usize> = match sweep.as_deref() {
            Some("all") => (1..=steps).collect(),
            number => (0..number.unwrap_or("1").parse().expect("a number or 'all'"))
                .map(|round| chosen(seed, workflow.name, round, steps))
                .collect(),
        };
        for step in rounds {
            let (name, fault) = faults[chosen(seed, workflow.name, step, faults.len()) - 1];
            eprintln!("  {}: {name} at step {step} of {steps}", workflow.name);
            interrupted_at(rig, workflow, step, *fault);
        }
    }
}
