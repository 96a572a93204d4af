//! `apt`: packages of Debian and its kin. What is installed is read from dpkg's own file: apt runs only when something is to be done.

mod apt_get;
mod candidates;
mod lists;
mod policy;
mod wish;

use std::path::Path;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::packages::{Apt, PackageState, Upgrade};

use crate::dpkg::{self, Installed};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;
use apt_get::Step;
use candidates::Candidates;
use lists::Lists;
use policy::Policy;
use wish::{Comparison, Spec, Standing};

pub(crate) fn plan(arguments: &Apt, context: &Context) -> Planned {
    let lists = Lists::look(arguments, context.system);
    let steps = match decide(arguments, context) {
        Ok(steps) => steps,
        // What is unknown now may be in the lists that are about to be fetched.
        Err(failure) if lists.stale && context.mode.is_check() => {
            let message = format!("the package lists would be fetched first ({})", failure.message);
            return Ok(Plan::Done(told(Outcome::changed().saying(message), false, lists.time)));
        }
        Err(_) if lists.stale => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if steps.is_empty() && !lists.stale {
        return Ok(Plan::Done(told(Outcome::unchanged(), false, lists.time)));
    }
    if context.mode.is_check() {
        return foretell(arguments, context, &steps, &lists).map(Plan::Done);
    }
    let wish = arguments.clone();
    Ok(Plan::change(Outcome::changed(), move |context, _| {
        if !lists.stale {
            return apply(&wish, context, &steps, false, lists.time);
        }
        apt_get::update(&wish, context)?;
        let time = lists::touch(context)?;
        let steps = decide(&wish, context)?;
        apply(&wish, context, &steps, true, time)
    }))
}

fn told(outcome: Outcome, updated: bool, time: i64) -> Outcome {
    outcome.with("cache_updated", updated).with("cache_update_time", time)
}

/// True when the call is about the package lists alone.
fn is_update_only(wish: &Apt) -> bool {
    wish.name.is_empty() && wish.upgrade == Upgrade::No && wish.deb.is_none() && !wish.autoremove && !wish.autoclean && !wish.clean
}

/// The outcome in check mode, by apt's own simulation.
fn foretell(wish: &Apt, context: &Context, steps: &[Step], lists: &Lists) -> Result<Outcome, Failure> {
    if steps.is_empty() {
        return Ok(told(Outcome::changed_if(is_update_only(wish)), lists.stale, lists.time));
    }
    let mut report = Report::default();
    for step in steps {
        if *step == Step::Clean {
            report.changed = true;
            continue;
        }
        let line = apt_get::arguments(wish, step, true);
        let finished = apt_get::run(context, &line)?;
        if !finished.is_success() && lists.stale {
            let failure = apt_get::explain(&finished, &line, true);
            let message = format!("the package lists would be fetched first ({})", failure.message);
            return Ok(told(Outcome::changed().saying(message), true, lists.time));
        }
        if !finished.is_success() {
            return Err(apt_get::explain(&finished, &line, false));
        }
        report.add(step, &finished.stdout_text(), &finished.stderr_text());
    }
    Ok(told(report.outcome(), lists.stale, lists.time))
}

fn apply(wish: &Apt, context: &Context, steps: &[Step], updated: bool, time: i64) -> Result<Outcome, Failure> {
    if steps.is_empty() {
        return Ok(told(Outcome::changed_if(updated && is_update_only(wish)), updated, time));
    }
    let _policy = wish.policy_rc_d.map(|code| Policy::set(context, code)).transpose()?;
    let mut report = Report::default();
    for step in steps {
        let line = apt_get::arguments(wish, step, false);
        let finished = apt_get::run(context, &line)?;
        if !finished.is_success() {
            let fetched = updated || wish.update_cache;
            return Err(apt_get::explain(&finished, &line, fetched).with("cache_updated", updated).with("cache_update_time", time));
        }
        report.add(step, &finished.stdout_text(), &finished.stderr_text());
    }
    Ok(told(report.outcome(), updated, time))
}

/// What the runs of apt-get said.
#[derive(Default)]
struct Report {
    changed: bool,
    stdout: String,
    stderr: String,
    diff: Vec<pgfleet_protocol::Diff>,
}

impl Report {
    fn add(&mut self, step: &Step, stdout: &str, stderr: &str) {
        let changed = match step {
            Step::Autoclean => stdout.lines().any(|line| line.starts_with("Del ")),
            Step::Clean => true,
            _ => !apt_get::says_nothing_to_do(stdout),
        };
        self.changed |= changed;
        self.stdout.push_str(stdout);
        self.stderr.push_str(stderr);
        if changed && !matches!(step, Step::Autoclean | Step::Clean) {
            self.diff.push(apt_get::prepared(stdout));
        }
    }

    fn outcome(self) -> Outcome {
        let outcome = Outcome::changed_if(self.changed).with("stdout", self.stdout).with("stderr", self.stderr);
        self.diff.into_iter().fold(outcome, Outcome::showing)
    }
}

/// What has to be done, as far as dpkg's file and apt's lists tell. Only reads.
fn decide(wish: &Apt, context: &Context) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    if wish.clean && has_package_files(context) {
        steps.push(Step::Clean);
    }
    if wish.upgrade != Upgrade::No {
        steps.extend(when_it_does_something(wish, context, Step::Upgrade)?);
        return Ok(steps);
    }
    if let Some(deb) = &wish.deb {
        steps.extend(package_file(wish, context, deb)?);
        return Ok(steps);
    }
    if wish.name.is_empty() {
        if wish.state == PackageState::Fixed {
            steps.extend(when_it_does_something(wish, context, Step::Fix)?);
        }
        if wish.autoclean {
            steps.extend(when_it_does_something(wish, context, Step::Autoclean)?);
        }
        if wish.autoremove {
            steps.extend(when_it_does_something(wish, context, Step::Autoremove)?);
        }
        return Ok(steps);
    }
    let specs: Vec<Spec> = wish.name.iter().map(|name| Spec::parse(name)).collect();
    let status = database(context)?;
    let installed = Installed::parse(&status);
    let step = match wish.state {
        PackageState::Absent | PackageState::Removed => Step::Remove(wish::removals(&specs, &installed, wish.purge)),
        PackageState::BuildDep => {
            steps.extend(when_it_does_something(wish, context, Step::BuildDep(wish.name.clone()))?);
            return Ok(steps);
        }
        _ => Step::Install(installations(wish, context, &specs, &installed)?),
    };
    if !matches!(&step, Step::Remove(names) | Step::Install(names) if names.is_empty()) {
        steps.push(step);
    }
    Ok(steps)
}

/// The text of dpkg's database.
pub(crate) fn database(context: &Context) -> Result<String, Failure> {
    let bytes = context.system.read_file(Path::new(dpkg::STATUS_FILE)).context(format_args!("cannot read {}", dpkg::STATUS_FILE))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names to give to `apt-get install`.
fn installations(wish: &Apt, context: &Context, specs: &[Spec], installed: &Installed<'_>) -> Result<Vec<String>, Failure> {
    let latest = wish.state == PackageState::Latest;
    let mut names: Vec<String> = Vec::new();
    let (mut compared, mut virtuals) = (Vec::new(), Vec::new());
    for spec in candidates::expand(context, specs)? {
        match wish::standing(&spec, installed) {
            Standing::Satisfied { held: true, .. } if !wish.allow_change_held_packages => {}
            Standing::Satisfied { version, .. } if latest => compared.push((spec, version)),
            Standing::Satisfied { .. } => {}
            Standing::ProvidedBy(_) => virtuals.push(spec),
            Standing::Missing if wish.only_upgrade => {}
            Standing::Missing | Standing::OtherVersion(_) => names.push(candidates::resolve(context, &spec)?),
        }
    }
    let asked: Vec<&str> = compared.iter().map(|(spec, _)| spec).chain(&virtuals).map(|spec| spec.name.as_str()).collect();
    if !asked.is_empty() {
        let known = Candidates::ask(context, &asked, wish.default_release.as_deref())?;
        for (spec, version) in &compared {
            if spec.version.as_ref().is_some_and(|(comparison, wished)| *comparison == Comparison::Equal && !wished.contains('*')) {
                continue;
            }
            let newest = if spec.version.is_some() { candidates::best(context, spec)? } else { known.of(&spec.name).map(str::to_owned) };
            if newest.as_deref().is_some_and(|newest| dpkg::compare(newest, version).is_gt()) {
                names.push(candidates::resolve(context, spec)?);
            }
        }
        // A name that some installed package provides is satisfied, unless it is a package of its own too.
        names.extend(virtuals.iter().filter(|spec| known.of(&spec.name).is_some()).map(|spec| spec.name.clone()));
    }
    Ok(names)
}

/// The step, if apt's simulation says that it does something.
fn when_it_does_something(wish: &Apt, context: &Context, step: Step) -> Result<Option<Step>, Failure> {
    let line = apt_get::arguments(wish, &step, true);
    let finished = apt_get::run(context, &line)?;
    if !finished.is_success() {
        return Err(apt_get::explain(&finished, &line, false));
    }
    let mut report = Report::default();
    report.add(&step, &finished.stdout_text(), "");
    Ok(report.changed.then_some(step))
}

fn has_package_files(context: &Context) -> bool {
    let files = |folder: &str| context.system.list_dir(Path::new(folder)).unwrap_or_default();
    files("/var/cache/apt/archives").iter().any(|name| name.extension().is_some_and(|extension| extension == "deb"))
        || !files("/var/cache/apt/archives/partial").is_empty()
}

/// What to do for a package file.
fn package_file(wish: &Apt, context: &Context, path: &str) -> Result<Option<Step>, Failure> {
    if path.contains("://") {
        return Err(Failure::new(format!("'{path}' is an address; fetch it with get_url first and give the file's path as deb")));
    }
    let program = Program::new(["dpkg-deb", "--field", path, "Package", "Version"]).env("LC_ALL", "C.UTF-8");
    let finished = context.run(program).context("cannot run dpkg-deb")?;
    if !finished.is_success() {
        return Err(
            Failure::new(format!("Unable to install package {path}: {}", finished.stderr_text().trim())).with("rc", finished.status)
        );
    }
    let text = finished.stdout_text();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    let (name, version) = (field("Package:"), field("Version:"));
    let status = database(context)?;
    let installed = Installed::parse(&status);
    let wanted = match installed.installed(name) {
        Some(entry) => match dpkg::compare(entry.version, version) {
            std::cmp::Ordering::Equal => false,
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater if wish.allow_downgrade || wish.force => true,
            std::cmp::Ordering::Greater => {
                return Err(Failure::new(format!(
                    "A later version of {name} is installed ({} is newer than {version}); allow_downgrade: true accepts the older one",
                    entry.version
                )));
            }
        },
        None => true,
    };
    // Without a slash apt-get takes it for a package's name.
    let file = if path.starts_with('/') { path.to_owned() } else { format!("./{path}") };
    Ok(wanted.then(|| Step::Install(vec![file])))
}
