//! The processes of one guest: started in a session, a mount namespace and a control group of their own, found again, and ended.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::command::{attempt, program, run, succeeds};
use crate::error::LabError;
use crate::guest::{Disk, package_cache};
use crate::hosts::Host;
use crate::network;
use crate::process::Process;
use crate::record::{GuestRecord, Open, Record};
use crate::settings::Settings;

/// Waits for the word that it is on record. Runs inside the guest's mount namespace, so that the overlay goes when the last process goes. systemd-nspawn ends
/// with 133 when the guest reboots. Supervisor and guest get groups of their own, since cgroup2 allows no process
/// beside a group's children.
const SCRIPT: &str = r#"
layers=$1 root=$2 groups=$3; shift 3
if [ "$groups" != unit ]; then read -r _ || exit 1; fi
exec < /dev/null
mount -t overlay -o "$layers" pgfleet-lab "$root" || exit 1
enter() {
    for group in $groups; do
        mkdir -p "$group/$1" && echo 0 > "$group/$1/cgroup.procs"
    done
}
if [ "$groups" = unit ]; then
    groups=
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then groups=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup); fi
fi
enter supervisor
for group in $groups; do
    if [ -e "$group/cgroup.subtree_control" ]; then
        for controller in $(cat "$group/cgroup.controllers"); do
            echo "+$controller" > "$group/cgroup.subtree_control"
        done
    fi
done
while :; do
    (enter guest; exec systemd-nspawn "$@")
    code=$?
    [ $code -eq 133 ] || exit $code
done
"#;

/// Where `down` looks for control groups, and where new ones are made.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Starts a guest whose disk is ready. Returns as soon as its first process runs.
pub(crate) fn start(settings: &Settings, open: &mut Open, host: &Host) -> Result<(), LabError> {
    let disk = Disk::new(settings, host);
    // What the kernel keeps in it belongs to the mount before.
    crate::record::remove_dir(&disk.work())?;
    disk.prepare()?;
    let cache = package_cache(settings, open.record.suite, host)?;
    let with_systemd = Path::new("/run/systemd/system").is_dir();
    let unit = with_systemd.then(|| format!("pgfleet-lab-{}.service", host.machine));
    let cgroups = if with_systemd { Vec::new() } else { cgroups(&host.machine) };
    let record = GuestRecord { cgroups: cgroups.clone(), unit: unit.clone(), cable: Some(host.cable()), ..GuestRecord::default() };
    *open.guest(&host.name) = record;
    open.save()?;

    let groups = if with_systemd { "unit".to_owned() } else { words(&cgroups) };
    let mut inner: Vec<String> =
        ["unshare", "--mount", "--propagation=slave", "sh", "-c", SCRIPT, "pgfleet-lab"].map(str::to_owned).to_vec();
    inner.extend([layers(&open.record, &disk)?, disk.root().to_string_lossy().into_owned(), groups]);
    inner.extend(nspawn_arguments(settings, host, &disk, &cache));
    let (pid, stdin) = match &unit {
        Some(unit) => (start_as_unit(unit, &inner, &disk)?, None),
        None => start_in_session(&inner, &disk)?,
    };
    open.guest(&host.name).processes = Process::of(pid).into_iter().collect();
    open.save()?;
    if let Some(mut stdin) = stdin {
        // Should it have ended already, its console tells why.
        let _ = stdin.write_all(b"on record\n");
    }
    Ok(())
}

fn nspawn_arguments(settings: &Settings, host: &Host, disk: &Disk, cache: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = ["--quiet", "--register=no", "--keep-unit", "--boot", "--console=read-only", "--settings=no"]
        .into_iter()
        .chain(["--link-journal=no", "--resolv-conf=off", "--timezone=off", "--private-users=no"])
        .map(str::to_owned)
        .collect();
    arguments.push(format!("--directory={}", disk.root().display()));
    arguments.push(format!("--machine={}", host.machine));
    arguments.push(format!("--hostname={}", host.short()));
    arguments.push(format!("--network-bridge={}", settings.name.bridge()));
    arguments.push(format!("--bind={}:/var/cache/apt/archives", cache.display()));
    if !unified() {
        arguments.push("--setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1".to_owned());
    }
    arguments
}

fn console(disk: &Disk) -> Result<File, LabError> {
    let path = disk.console();
    OpenOptions::new().create(true).append(true).open(&path).map_err(LabError::file("write", path))
}

fn start_in_session(inner: &[String], disk: &Disk) -> Result<(i32, Option<ChildStdin>), LabError> {
    let start = |source| LabError::Start { command: "setsid unshare systemd-nspawn".to_owned(), source };
    let log = console(disk)?;
    let mut command = program("setsid");
    command.args(inner).stdin(Stdio::piped()).stdout(log.try_clone().map_err(start)?).stderr(log);
    if !unified() {
        command.env("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE", "1");
    }
    let mut child = command.current_dir("/").spawn().map_err(start)?;
    let pid = i32::try_from(child.id()).unwrap_or_default();
    let stdin = child.stdin.take();
    // The guest outlives this program; while both live, somebody must take note of its end.
    std::thread::spawn(move || child.wait());
    Ok((pid, stdin))
}

/// A transient unit of this machine's systemd survives the session that started it.
fn start_as_unit(unit: &str, inner: &[String], disk: &Disk) -> Result<i32, LabError> {
    console(disk)?;
    let log = disk.console();
    let output = format!("append:{}", log.display());
    let mut arguments: Vec<String> = ["--quiet", "--collect", "--service-type=exec", "--property=Delegate=yes"].map(str::to_owned).to_vec();
    arguments.extend([
        "--description=A guest of a pgfleet lab".to_owned(),
        format!("--unit={unit}"),
        format!("--property=StandardOutput={output}"),
        format!("--property=StandardError={output}"),
    ]);
    arguments.extend(["--property=KillMode=mixed", "--property=TasksMax=infinity", "--property=TimeoutStopSec=10"].map(str::to_owned));
    if !unified() {
        arguments.push("--setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1".to_owned());
    }
    arguments.push("--".to_owned());
    // systemd would expand `$` in the script.
    arguments.extend(inner.iter().map(|word| word.replace('$', "$$")));
    run("systemd-run", &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let pid = run("systemctl", &["show", "--property=MainPID", "--value", unit])?;
    Ok(pid.trim().parse().unwrap_or_default())
}

/// overlayfs options, uppermost layer first.
fn layers(record: &Record, disk: &Disk) -> Result<String, LabError> {
    let mut lower: Vec<PathBuf> = record.layers.iter().rev().map(|name| disk.layer(name)).collect();
    lower.push(record.base.clone());
    for path in lower.iter().chain([&disk.upper()]) {
        if path.to_string_lossy().contains([',', ':', '\\']) {
            return Err(LabError::BadPath { path: path.clone() });
        }
    }
    let lower: Vec<_> = lower.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    Ok(format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), disk.upper().display(), disk.work().display()))
}

/// Whether this machine has cgroup2 only.
fn unified() -> bool {
    Path::new(CGROUPS).join("cgroup.controllers").exists()
}

/// The hierarchies that systemd in a guest writes to; without a group a guest would share its tree with the others.
fn cgroups(machine: &str) -> Vec<PathBuf> {
    let hierarchies: &[&str] = if unified() { &["."] } else { &["systemd", "unified", "memory", "pids", "cpu", "cpuacct", "blkio"] };
    let folder = format!("pgfleet-lab-{machine}");
    let usable = |name: &&&str| Path::new(CGROUPS).join(name).join("cgroup.procs").exists();
    hierarchies.iter().filter(usable).map(|name| Path::new(CGROUPS).join(name).join(&folder)).collect()
}

fn words(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// All processes that the lab has recorded of a guest and those below them that still run.
pub(crate) fn processes(guest: &GuestRecord) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    for process in guest.processes.iter().filter(|process| process.alive()) {
        for one in [vec![process.clone()], process.descendants()].concat() {
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    // An orphan of a supervisor that somebody killed is still in the group that the lab made.
    let members = guest.cgroups.first().map(|cgroup| members(cgroup)).unwrap_or_default();
    for process in members {
        if !found.contains(&process) {
            found.push(process);
        }
    }
    found
}

/// The processes in a control group and those below it.
fn members(cgroup: &Path) -> Vec<Process> {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    // A process of another pid namespace shows as 0.
    let mut found: Vec<Process> = own.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).filter_map(Process::of).collect();
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        found.extend(members(&entry.path()));
    }
    found
}

/// The guest's first process, its systemd.
pub(crate) fn init(guest: &GuestRecord) -> Option<Process> {
    processes(guest).into_iter().find(Process::is_init)
}

/// Waits for the guest's first process.
pub(crate) fn wait_init(settings: &Settings, open: &mut Open, host: &Host, limit: Duration) -> Result<Process, LabError> {
    let until = Instant::now() + limit;
    let disk = Disk::new(settings, host);
    loop {
        let guest = open.guest(&host.name);
        let processes = processes(guest);
        if let Some(init) = processes.iter().find(|process| process.is_init()).cloned() {
            // Everything down to the guest's init: should the supervisor be killed, these can still be found.
            let known = processes.iter().position(|process| *process == init).unwrap_or_default();
            guest.processes = processes.into_iter().take(known + 1).collect();
            open.save()?;
            return Ok(init);
        }
        if processes.is_empty() || Instant::now() >= until {
            return Err(LabError::Boot {
                host: host.name.clone(),
                missing: "start".to_owned(),
                waited: limit,
                console: disk.console_tail(12),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends the guest at once, as a host crash does.
pub(crate) fn end(open: &mut Open, host: &str) -> Result<(), LabError> {
    let guest = open.guest(host).clone();
    let all = processes(&guest);
    let booted = guest.processes.len() > 1 || all.iter().any(Process::is_init);
    all.iter().filter(|process| process.is_init()).for_each(|init| init.signal(Signal::KILL));
    // Once it had booted, its end makes systemd-nspawn take the cable and its lock away and end too.
    wait_all(&guest, if booted { Duration::from_secs(5) } else { Duration::ZERO });
    // Parents first, so that nobody starts a killed child anew.
    processes(&guest).iter().for_each(|process| process.signal(Signal::KILL));
    if let Some(process) = all.iter().find(|process| !process.wait_end(Duration::from_secs(10))) {
        return Err(LabError::Stubborn { host: host.to_owned(), pid: process.pid });
    }
    clear(open, host)
}

/// Shuts the guest down in good order: units stop, and disks are written.
pub(crate) fn shut_down(open: &mut Open, host: &str, limit: Duration) -> Result<(), LabError> {
    let guest = open.guest(host).clone();
    let limit = if init(&guest).is_some() { limit } else { Duration::ZERO };
    if !wait_all(&guest, limit) {
        return end(open, host);
    }
    clear(open, host)
}

/// Asks the guest's systemd to power off; [`shut_down`] waits for it.
pub(crate) fn ask_power_off(guest: &GuestRecord) -> Result<(), LabError> {
    // SIGRTMIN+4 is systemd's own word for it, and needs no message bus in the guest.
    match init(guest) {
        Some(init) => run("sh", &["-c", "kill -s RTMIN+4 \"$1\"", "sh", &init.pid.to_string()]).map(drop),
        None => Ok(()),
    }
}

fn wait_all(guest: &GuestRecord, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    guest.processes.iter().all(|process| process.wait_end(until.saturating_duration_since(Instant::now())))
}

/// Takes the guest's unit, cable and control groups away once its processes are gone.
fn clear(open: &mut Open, host: &str) -> Result<(), LabError> {
    let guest = open.guest(host).clone();
    if let Some(unit) = &guest.unit {
        // Mostly gone by itself, since it was started with --collect.
        succeeds("systemctl", &["stop", unit])?;
        succeeds("systemctl", &["reset-failed", unit])?;
    }
    if let Some(cable) = guest.cable.as_deref().filter(|cable| network::exists(cable)) {
        // The kernel may take it away with the guest's network in this very moment.
        attempt("ip", &["link", "delete", cable])?;
    }
    for cgroup in &guest.cgroups {
        remove_cgroup(cgroup)?;
    }
    *open.guest(host) = GuestRecord::default();
    open.save()
}

/// Control groups are removed from the leaves up. The kernel keeps one busy for a moment after its last process.
fn remove_cgroup(path: &Path) -> Result<(), LabError> {
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
            remove_cgroup(&entry.path())?;
        }
    }
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(LabError::file("remove", path)(error)),
        }
    }
}
