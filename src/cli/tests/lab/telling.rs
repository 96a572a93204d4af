//! Nothing that a run leaves or shows has a secret in it: output at each verbosity, journals, lists of processes, files, PostgreSQL's log.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::rig::{HOSTS, Rig};

/// Between two looks at all processes. Guests' processes are this machine's too.
const LOOK: Duration = Duration::from_millis(20);

/// Where a host may have secrets: what their users read. All are root's or PostgreSQL's alone.
const ALLOWED: [&str; 5] = [
    "/etc/patroni/config.yml",
    "/etc/haproxy/haproxy.cfg",
    "/var/lib/postgresql/.patroni.pgpass",
    "/etc/pgfleet/tls/node.key",
    "/etc/pgfleet/etcd-admin",
];

/// The command lines of all processes that are met until it is ended.
struct Sampler {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Sampler {
    fn begin() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = ends.clone();
        let thread = std::thread::spawn(move || {
            let mut met = BTreeSet::new();
            while !told.load(Ordering::Relaxed) {
                let processes = fs::read_dir("/proc").expect("lists").flatten();
                let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
                met.extend(lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")));
                std::thread::sleep(LOOK);
            }
            met
        });
        Self { ends, thread }
    }

    fn end(self) -> BTreeSet<String> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("it looked")
    }
}

/// All secrets by the name of their file: passwords, verifiers, and a line of the authority's key.
fn secrets(rig: &Rig) -> Vec<(String, String)> {
    let state = rig.project().join("state/postgresql");
    let mut found: Vec<(String, String)> = files(&state.join("secrets"))
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a secret").trim().to_owned()))
        .collect();
    let key = fs::read_to_string(state.join("pki/ca.key")).expect("the authority's key");
    found.push(("pki/ca.key".to_owned(), key.lines().nth(1).expect("a line of it").to_owned()));
    found
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("lists").flatten() {
        let kind = entry.file_type().expect("its kind");
        match kind.is_dir() {
            true => found.extend(files(&entry.path())),
            false if kind.is_file() => found.push(entry.path()),
            false => {}
        }
    }
    found
}

/// Whatever touches secrets is done at each verbosity and in each format; then each secret, old or new, is looked for everywhere.
pub(crate) fn no_secret_is_told(rig: &Rig) {
    let mut needles = secrets(rig);
    let temporary = rig.project().join("temporary");
    fs::create_dir_all(&temporary).expect("a folder");
    let (inventory, folder) = (rig.inventory(), temporary.display().to_string());
    let sampler = Sampler::begin();
    let mut shown = String::new();
    let mut run = |words: &[&str]| {
        let ran = rig.pgfleet_with(&[words, &["-i", &inventory]].concat(), &[("TMPDIR", &folder)]).expect(0);
        shown += &format!("{words:?}\n{}{}", ran.out, ran.err);
    };
    for verbosity in
        [&["-o", "lines"][..], &["-v", "-o", "lines"], &["-vv", "-o", "lines"], &["-vvv", "--diff", "-o", "lines"], &["-vvv", "-o", "json"]]
    {
        run(&[&["deploy"], verbosity].concat());
    }
    run(&[
        "secrets",
        "rotate",
        "superuser",
        "replication",
        "rewind",
        "app",
        "readonly",
        "patroni_rest",
        "haproxy_stats",
        "etcd",
        "etcd_admin",
        "-vvv",
        "--diff",
    ]);
    run(&["connection", "--test", "--format", "all"]);
    run(&["connect", "-c", "SELECT 1"]);
    run(&["doctor", "--all"]);
    run(&["secrets", "list"]);
    let processes = sampler.end();
    assert!(processes.iter().any(|line| line.contains("psql")), "the lists of processes have nothing of the runs");
    needles.extend(secrets(rig));

    let nowhere = |text: &str, place: &str| {
        let found: Vec<&str> = needles.iter().filter(|(_, secret)| text.contains(secret.as_str())).map(|(name, _)| name.as_str()).collect();
        assert!(found.is_empty(), "{place} tells {}", found.join(", "));
    };
    nowhere(&shown, "what was printed");
    processes.iter().for_each(|line| nowhere(line, "a list of processes"));
    let state = rig.project().join("state");
    let keepers = ["postgresql/secrets", "postgresql/pki/ca.key", "postgresql/app_password.txt", "lab"].map(|name| state.join(name));
    let others = files(&state).into_iter().filter(|path| !keepers.iter().any(|keeper| path.starts_with(keeper)));
    for path in others.chain(files(&temporary)) {
        nowhere(&String::from_utf8_lossy(&fs::read(&path).expect("reads")), &path.display().to_string());
    }
    for path in files(&keepers[0]).into_iter().chain([keepers[1].clone(), keepers[2].clone()]) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("its mode").permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    on_hosts(rig, &needles);
    fs::remove_dir_all(temporary).expect("cleans up");
}

/// The hosts' journals, which have PostgreSQL's log too, and every file but those that the secrets' users read and PostgreSQL's own tables.
fn on_hosts(rig: &Rig, needles: &[(String, String)]) {
    let list: Vec<&str> = needles.iter().map(|(_, secret)| secret.as_str()).collect();
    let list = list.join("\n") + "\n";
    // The secrets come by the standard input and stay in the shell's own memory.
    let look = "needles=$(cat); \
        journalctl --no-pager -a -o export > /run/told.journal; \
        printf '%s\\n' \"$needles\" | grep -aqF -f - /run/told.journal && echo journal; rm /run/told.journal; \
        printf '%s\\n' \"$needles\" | grep -rslaF -D skip -f - --exclude-dir=base --exclude-dir=global --exclude-dir=pg_wal \
            /dev/shm /etc /home /opt /root /run /srv /tmp /usr/local /var; true";
    let told = std::thread::scope(|scope| {
        let asked = HOSTS.map(|(host, _)| (host, scope.spawn(|| rig.on(host, look, &list))));
        asked.map(|(host, answer)| (host, answer.join().expect("it looked").expect(0).out))
    });
    for (host, found) in told {
        let wrong: Vec<&str> = found.lines().filter(|line| !ALLOWED.contains(line)).collect();
        assert!(wrong.is_empty(), "{host}: a secret is in {}", wrong.join(", "));
        assert!(found.lines().any(|line| line == ALLOWED[0]), "{host}: nothing was looked for: {found}");
    }
    let modes = rig.said("builder.lan", &format!("stat -c '%A %n' {}", ALLOWED[..3].join(" ")));
    assert!(modes.lines().all(|line| line.get(7..10) == Some("---")), "others may read a secret: {modes}");
}
