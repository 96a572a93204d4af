//! Booting guests together and waiting, by state, until each answers on SSH and its systemd has settled.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::guest::Disk;
use crate::hosts::Host;
use crate::record::Open;
use crate::settings::Settings;
use crate::step::{Step, step};
use crate::{fault, snapshot, supervisor};

/// Until the first process of a guest runs.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Until sshd answers and systemd has settled. A loaded machine needs more than an idle one, which takes three seconds.
const BOOT_LIMIT: Duration = Duration::from_secs(180);

/// Boots those of the hosts that do not run, all at once, and waits for all of them.
pub(crate) fn boot(settings: &Settings, open: &mut Open, hosts: &[&Host], progress: &dyn Fn(Step)) -> Result<(), LabError> {
    if hosts.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = hosts.iter().map(|host| host.short()).collect();
    step(progress, &format!("booting {}", names.join(", ")), || {
        snapshot::finish_revert(settings, open)?;
        let down: Vec<&Host> = hosts.iter().copied().filter(|host| !open.runs(&host.name)).collect();
        for host in &down {
            // What is left of a guest that died by itself.
            supervisor::end(open, &host.name)?;
            snapshot::mend(settings, open, host)?;
            supervisor::start(settings, open, host)?;
        }
        for host in &down {
            supervisor::wait_init(settings, open, host, START_LIMIT)?;
        }
        // Cuts between guests outlive a boot, as a switch's configuration does.
        fault::restore_cuts(settings, open)?;
        wait_ready(settings, open, hosts, progress)?;
        hosts.iter().for_each(|host| open.guest(&host.name).ready = true);
        open.save()
    })
}

/// The command that logs in on a host.
pub(crate) fn ssh_command(settings: &Settings, host: &Host) -> Vec<String> {
    let state = settings.state_dir.display();
    let mut command: Vec<String> = vec!["ssh".to_owned(), "-F".to_owned(), "none".to_owned()];
    command.extend(["-i".to_owned(), format!("{state}/id_ed25519")]);
    for option in [
        format!("UserKnownHostsFile={state}/known_hosts"),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "IdentitiesOnly=yes".to_owned(),
        "ConnectTimeout=10".to_owned(),
        "LogLevel=ERROR".to_owned(),
    ] {
        command.extend(["-o".to_owned(), option]);
    }
    command.push(format!("root@{}", host.address));
    command
}

fn wait_ready(settings: &Settings, open: &Open, hosts: &[&Host], progress: &dyn Fn(Step)) -> Result<(), LabError> {
    let until = Instant::now() + BOOT_LIMIT;
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for host in hosts {
            let sender = sender.clone();
            let processes = open.record.guests.get(&host.name).cloned().unwrap_or_default();
            let runs = move || supervisor::init(&processes).is_some();
            // The receiver lives until all senders are gone.
            scope.spawn(move || sender.send((*host, wait_one(settings, host, until, runs))));
        }
        drop(sender);
        let mut first = Ok(());
        for (host, result) in results {
            if result.is_ok() {
                progress(Step::Detail(format!("{} is up", host.name)));
            }
            first = first.and(result);
        }
        first
    })
}

fn wait_one(settings: &Settings, host: &Host, until: Instant, runs: impl Fn() -> bool) -> Result<(), LabError> {
    let failed = |missing: String| LabError::Boot {
        host: host.name.clone(),
        missing,
        waited: BOOT_LIMIT,
        console: Disk::new(settings, host).console_tail(15),
    };
    let address = SocketAddr::from((host.address, 22));
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        if !runs() {
            return Err(failed("stay up (its systemd ended)".to_owned()));
        }
        if Instant::now() >= until {
            return Err(failed("answer on port 22".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut state = String::new();
    while Instant::now() < until {
        // `--wait` blocks until systemd has settled. While PAM still finds the system booting, ssh is refused.
        state = ask(settings, host, &["systemctl", "is-system-running", "--wait"]).unwrap_or_else(|said| said);
        if matches!(state.as_str(), "running" | "degraded") {
            return Ok(());
        }
        if !runs() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(failed(format!("settle (state: {state})")))
}

/// What a command on a guest prints; what ssh said when there was no answer.
pub(crate) fn ask(settings: &Settings, host: &Host, arguments: &[&str]) -> Result<String, String> {
    let words = ssh_command(settings, host);
    let (program, options) = words.split_first().ok_or_else(String::new)?;
    let mut command = Command::new(program);
    command.args(["-o", "BatchMode=yes"]).args(options).args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.stdout.is_empty() && !output.status.success() { Err(text(&output.stderr)) } else { Ok(text(&output.stdout)) }
}
