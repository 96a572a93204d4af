//! One run of `apt-get`: its command line, its lock, what it says it does, and why it failed.

use std::time::Duration;

use pgfleet_protocol::Diff;
use pgfleet_protocol::modules::packages::{Apt, PackageState, Upgrade};

use crate::module::{Context, Failure, WithContext};
use crate::system::{Finished, Program};

/// What one run shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Install these (`name`, `name=version`, a path).
    Install(Vec<String>),
    /// Remove these.
    Remove(Vec<String>),
    /// Install what these need to be built.
    BuildDep(Vec<String>),
    /// Mend broken dependencies.
    Fix,
    /// Upgrade everything.
    Upgrade,
    /// Remove what nothing needs.
    Autoremove,
    /// Remove old package files.
    Autoclean,
    /// Remove all package files.
    Clean,
}

/// The command line of a step.
pub(super) fn arguments(wish: &Apt, step: &Step, simulate: bool) -> Vec<String> {
    let mut line: Vec<String> = vec!["apt-get".into(), "-y".into()];
    let mut option = |text: String| line.extend(["-o".to_owned(), text]);
    for name in wish.dpkg_options.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        option(format!("Dpkg::Options::=--{}", name.trim_start_matches('-')));
    }
    option(format!("DPkg::Lock::Timeout={}", wish.lock_timeout));
    option("Dpkg::Use-Pty=0".to_owned());
    if let Some(recommended) = wish.install_recommends {
        option(format!("APT::Install-Recommends={}", if recommended { "yes" } else { "no" }));
    }
    let mut flag = |wanted: bool, text: &str| {
        if wanted {
            line.push(text.to_owned());
        }
    };
    flag(simulate, "--simulate");
    flag(wish.force, "--allow-remove-essential");
    flag(wish.force || wish.allow_unauthenticated, "--allow-unauthenticated");
    flag(wish.force || wish.allow_downgrade, "--allow-downgrades");
    flag(wish.force || wish.allow_change_held_packages, "--allow-change-held-packages");
    flag(wish.purge && matches!(step, Step::Remove(_) | Step::Autoremove), "--purge");
    flag(wish.autoremove && matches!(step, Step::Install(_) | Step::Remove(_) | Step::Upgrade), "--auto-remove");
    flag(wish.only_upgrade && matches!(step, Step::Install(_)), "--only-upgrade");
    flag(wish.state == PackageState::Fixed && matches!(step, Step::Install(_)), "--fix-broken");
    if let Some(release) = &wish.default_release {
        line.extend(["-t".to_owned(), release.clone()]);
    }
    let (words, names): (&[&str], &[String]) = match step {
        Step::Install(names) => (&["install"], names),
        Step::Remove(names) => (&["remove"], names),
        Step::BuildDep(names) => (&["build-dep"], names),
        Step::Fix => (&["install", "--fix-broken"], &[]),
        Step::Upgrade if matches!(wish.upgrade, Upgrade::Full | Upgrade::Dist) => (&["dist-upgrade"], &[]),
        Step::Upgrade => (&["upgrade", "--with-new-pkgs"], &[]),
        Step::Autoremove => (&["autoremove"], &[]),
        Step::Autoclean => (&["autoclean"], &[]),
        Step::Clean => (&["clean"], &[]),
    };
    line.extend((wish.fail_on_autoremove && matches!(step, Step::Install(_) | Step::Upgrade)).then(|| "--no-remove".to_owned()));
    line.extend(words.iter().map(|&word| word.to_owned()));
    line.extend(names.iter().cloned());
    line
}

/// Runs apt-get, asking nothing.
pub(super) fn run(context: &Context, line: &[String]) -> Result<Finished, Failure> {
    let program = Program::new(line.iter().cloned())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("DEBIAN_PRIORITY", "critical")
        .env("APT_LISTCHANGES_FRONTEND", "none")
        .env("NEEDRESTART_SUSPEND", "1")
        .env("LC_ALL", "C.UTF-8");
    context.run(program).context("cannot run apt-get; is this a Debian system?")
}

/// Fetches the package lists, waiting for another apt and trying again where a server fails.
pub(super) fn update(wish: &Apt, context: &Context) -> Result<(), Failure> {
    let line = ["apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"].map(str::to_owned);
    let (mut tries, mut waited) = (0, 0);
    loop {
        let finished = run(context, &line)?;
        if finished.is_success() {
            return Ok(());
        }
        let said = finished.stderr_text();
        if is_locked(&said) && waited < wish.lock_timeout {
            waited += 1;
            context.system.sleep(Duration::from_secs(1));
            continue;
        }
        tries += 1;
        if tries > wish.update_cache_retries || !is_passing(&said) {
            return Err(Failure::new(format!("Failed to update apt cache: {}", errors(&said)))
                .with("rc", finished.status)
                .with("stderr", said));
        }
        context.system.sleep(Duration::from_secs(u64::from(tries)));
    }
}

/// The lists' own lock has no time limit of apt's own.
fn is_locked(said: &str) -> bool {
    said.contains("Could not get lock") || said.contains("Unable to lock directory")
}

/// True for failures that may be gone at the next try.
fn is_passing(said: &str) -> bool {
    ["Failed to fetch", "Temporary failure", "Could not connect", "timed out", "Hash Sum mismatch", "File has unexpected size"]
        .iter()
        .any(|sign| said.contains(sign))
}

/// What apt-get says in its errors, without the warnings.
fn errors(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("E: ")).collect();
    if lines.is_empty() { said.trim().to_owned() } else { lines.join("; ") }
}

/// True when apt-get said that nothing is to be done.
pub(super) fn says_nothing_to_do(stdout: &str) -> bool {
    stdout.lines().any(|line| line.starts_with("0 upgraded, 0 newly installed, 0 to remove"))
}

/// The part of the output that says what is done, as Ansible shows it.
pub(super) fn prepared(stdout: &str) -> Diff {
    let lines: Vec<&str> = stdout.lines().collect();
    let begin = lines.iter().position(|line| *line == "Reading state information...").map_or(0, |at| at + 1);
    let end = lines.iter().position(|line| line.contains(" upgraded, ") && line.starts_with(|first: char| first.is_ascii_digit()));
    let shown = &lines[begin.min(lines.len())..end.map_or(lines.len(), |at| at + 1).max(begin)];
    Diff { after: shown.iter().flat_map(|line| [line, "\n"]).collect(), ..Diff::default() }
}

/// Why apt-get failed, with what to do about it.
pub(super) fn explain(finished: &Finished, line: &[String], fetched: bool) -> Failure {
    let said = finished.stderr_text();
    let unknown = said.lines().find_map(|text| {
        text.strip_prefix("E: Unable to locate package ")
            .or_else(|| text.strip_prefix("E: Package '").and_then(|rest| rest.strip_suffix("' has no installation candidate")))
            .or_else(|| text.strip_prefix("E: Couldn't find any package by glob '").and_then(|rest| rest.strip_suffix('\'')))
    });
    let version = said.lines().find_map(|text| text.strip_prefix("E: Version '")?.strip_suffix("' was not found")?.split_once("' for '"));
    let message = match unknown {
        None if version.is_some() => version.map(|(version, name)| no_package(&format!("{name}={version}"))).unwrap_or_default(),
        Some(name) if fetched => format!("No package matching '{name}' is available"),
        Some(name) => no_package(name),
        None => format!("'{}' failed: {}", line.join(" "), errors(&said)),
    };
    Failure::new(message).with("rc", finished.status).with("stdout", finished.stdout_text()).with("stderr", said)
}

/// The sentence about a package that no list names.
pub(super) fn no_package(name: &str) -> String {
    format!(
        "No package matching '{name}' is available; if the package lists of this host are old or a repository was just added, set update_cache: true"
    )
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::Arguments;
    use pgfleet_protocol::modules::packages::Apt;
    use serde_json::json;

    use super::{Step, arguments, explain, prepared, says_nothing_to_do};
    use crate::system::Finished;

    fn apt(arguments: serde_json::Value) -> Apt {
        Apt::read(arguments.as_object().expect("a mapping")).expect("arguments")
    }

    #[test]
    fn the_command_line_has_what_was_asked_for() {
        let wish = apt(json!({"name": "a", "install_recommends": false, "default_release": "trixie-backports"}));
        let line = arguments(&wish, &Step::Install(vec!["a".into()]), true).join(" ");
        assert_eq!(
            line,
            "apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=60 -o Dpkg::Use-Pty=0 \
             -o APT::Install-Recommends=no --simulate -t trixie-backports install a"
        );
        let line = arguments(&apt(json!({"name": "a", "purge": true})), &Step::Remove(vec!["a".into()]), false).join(" ");
        assert!(line.ends_with("--purge remove a"), "{line}");
    }

    #[test]
    fn the_output_tells_what_is_done() {
        let stdout = "Reading package lists...\nBuilding dependency tree...\nReading state information...\nThe following NEW packages will be installed:\n  hello\n\
            0 upgraded, 1 newly installed, 0 to remove and 3 not upgraded.\nInst hello\n";
        assert_eq!(
            prepared(stdout).after,
            "The following NEW packages will be installed:\n  hello\n0 upgraded, 1 newly installed, 0 to remove and 3 not upgraded.\n"
        );
        assert!(!says_nothing_to_do(stdout));
        assert!(says_nothing_to_do("0 upgraded, 0 newly installed, 0 to remove and 3 not upgraded.\n"));
    }

    #[test]
    fn an_unknown_package_is_named() {
        let finished = Finished { status: 100, stderr: b"E: Unable to locate package patrony\n".to_vec(), ..Finished::default() };
        let message = explain(&finished, &["apt-get".to_owned()], false).message;
        assert!(message.starts_with("No package matching 'patrony' is available") && message.contains("update_cache"), "{message}");
        let finished = Finished { status: 100, stderr: b"E: Version '9' for 'bash' was not found\n".to_vec(), ..Finished::default() };
        let message = explain(&finished, &["apt-get".to_owned()], false).message;
        assert!(message.starts_with("No package matching 'bash=9' is available"), "{message}");
    }
}
