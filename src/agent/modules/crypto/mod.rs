//! The modules of `community.crypto`, by the host's own openssl: `docs/decisions/019-keys-by-openssl.md` says why.
//!
//! Keys and passphrases go to it over its standard input and environment, never as words of its command line.

pub(super) mod certificate;
pub(super) mod csr;
pub(super) mod dhparam;
pub(super) mod info;
pub(super) mod privatekey;
mod shape;
mod text;
mod times;

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::{FileAttributes, HostPath, Outcome, Secret};

use crate::attributes::Difference;
use crate::module::{Apply, Context, Failure, Plan, Planned, WithContext};
use crate::replacement::{Replacement, Staged, back_up};
use crate::system::{Finished, Program};

/// Long keys and parameters take their time.
const PATIENCE: Duration = Duration::from_secs(1800);
/// The variable that a passphrase goes over.
const PASSPHRASE: &str = "PGFLEET_PASSPHRASE";
const PASS_IN: [&str; 2] = ["-passin", "env:PGFLEET_PASSPHRASE"];

/// Runs openssl.
fn openssl(context: &Context, arguments: &[&str], stdin: &[u8], passphrase: Option<&Secret>) -> Result<Finished, Failure> {
    if context.system.find_program("openssl").is_none() {
        return Err(Failure::new(
            "the program openssl is not on this host: install it, or delegate the task to a host that has it (delegate_to: localhost)",
        ));
    }
    let program = Program::new(std::iter::once("openssl").chain(arguments.iter().copied()))
        .stdin(stdin)
        .env("LC_ALL", "C.UTF-8")
        .env(PASSPHRASE, passphrase.map_or("", |passphrase| passphrase.reveal()))
        .timeout(PATIENCE);
    context.run(program).context("cannot run openssl")
}

/// The same; what goes wrong is told behind `doing`.
fn must(context: &Context, arguments: &[&str], stdin: &[u8], passphrase: Option<&Secret>, doing: &str) -> Result<Vec<u8>, Failure> {
    let finished = openssl(context, arguments, stdin, passphrase)?;
    if finished.is_success() { Ok(finished.stdout) } else { Err(Failure::new(format!("{doing}: {}", complaint(&finished)))) }
}

/// What openssl complains of, without the lines that only say where in its source.
fn complaint(finished: &Finished) -> String {
    let said = finished.stderr_text();
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let told = lines.iter().find(|line| line.contains(":error:")).or(lines.first()).copied().unwrap_or("openssl failed without a word");
    told.split(":error:").last().unwrap_or(told).to_owned()
}

/// A key, request or certificate for openssl: a file of the host, or content put in one for the while.
struct Source<'a> {
    path: PathBuf,
    _staged: Option<Staged<'a>>,
}

impl<'a> Source<'a> {
    fn find(context: &'a Context<'a>, path: Option<&HostPath>, content: Option<&[u8]>, what: &str) -> Result<Option<Self>, Failure> {
        if let Some(content) = content {
            let staged = Staged::new(context, Path::new("/tmp/pgfleet"), content)?;
            return Ok(Some(Self { path: staged.path.clone(), _staged: Some(staged) }));
        }
        let Some(path) = path else { return Ok(None) };
        if !context.system.exists(path.as_ref()) {
            return Err(Failure::new(format!("The {what} {path} does not exist")));
        }
        Ok(Some(Self { path: PathBuf::from(path.as_str()), _staged: None }))
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }
}

/// A file that a module keeps.
struct Kept<'a> {
    path: &'a HostPath,
    attributes: FileAttributes,
    backup: bool,
}

impl Kept<'_> {
    fn content(&self, context: &Context) -> Result<Option<Vec<u8>>, Failure> {
        context.system.read_if_there(self.path.as_ref()).context(format_args!("cannot read {}", self.path))
    }

    /// The plan that gives it this content. Its results are these alone: a file's owner, mode and size are not told.
    fn plan(&self, before: Option<Vec<u8>>, after: Vec<u8>, context: &Context, results: Outcome) -> Planned {
        let folder = Path::new(self.path.as_str()).parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !context.system.exists(folder) && !context.mode.is_check()) {
            return Err(Failure::new(format!("The directory {} does not exist or the file is not a directory", folder.display())));
        }
        let replacement = Replacement {
            path: PathBuf::from(self.path.as_str()),
            before,
            after,
            attributes: self.attributes.clone(),
            backup: self.backup,
            ..Replacement::default()
        };
        let told = move |outcome: Outcome| {
            let backup = outcome.data.get("backup_file").cloned();
            let outcome = Outcome { data: results.data.clone(), ..outcome };
            backup.map_or(outcome.clone(), |backup| outcome.with("backup_file", backup))
        };
        Ok(match replacement.plan(context)? {
            Plan::Done(outcome) => Plan::Done(told(outcome)),
            Plan::Change(outcome, apply) => Plan::change(told(outcome), move |context, outcome| apply(context, outcome).map(told)),
        })
    }

    /// Owner, group and mode alone, of a file whose content stays.
    fn settle(&self, outcome: Outcome, context: &Context) -> Planned {
        let found = context.system.lstat_if_there(self.path.as_ref()).context(format_args!("cannot look at {}", self.path))?;
        let difference = Difference::find(context.system, &self.attributes, found.as_ref(), false)?;
        let path = PathBuf::from(self.path.as_str());
        if difference.is_none() {
            return Ok(Plan::Done(outcome));
        }
        let outcome = Outcome { status: pgfleet_protocol::Status::Changed, ..outcome };
        Ok(Plan::change(outcome, move |context, outcome| {
            difference.apply(context.system, &path)?;
            Ok(outcome)
        }))
    }

    /// The plan that takes it away.
    fn removal(&self, context: &Context) -> Planned {
        let outcome = named(self.path);
        let path = PathBuf::from(self.path.as_str());
        if context.system.lstat_if_there(&path)?.is_none() {
            return Ok(Plan::Done(outcome));
        }
        let backup = self.backup;
        let remove: Apply = Box::new(move |context, mut outcome| {
            if backup {
                outcome = outcome.with("backup_file", back_up(context, &path)?.to_string_lossy());
            }
            context.system.remove_file(&path).context(format_args!("cannot remove {}", path.display()))?;
            Ok(outcome)
        });
        Ok(Plan::Change(Outcome { status: pgfleet_protocol::Status::Changed, ..outcome }, remove))
    }
}

/// The beginning of results: the file's name.
fn named(path: &HostPath) -> Outcome {
    Outcome::unchanged().with("filename", path.as_str())
}

fn is_absent(state: Presence) -> bool {
    state == Presence::Absent
}
