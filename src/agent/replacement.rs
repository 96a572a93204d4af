//! New content for a file: found out, checked, backed up and put in place at once. Shared by all modules that write text.

use std::io::Write;
use std::path::{Path, PathBuf};

use pgfleet_protocol::{Diff, FileAttributes, Map, Outcome};

use crate::attributes::{Difference, attribute_diff, with_info, with_path_info};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::{Program, Temporary};

/// The most content that a diff shows, in bytes.
pub(crate) const SHOWN: usize = 512 * 1024;

/// A file's wished content and attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replacement {
    /// The file; a link here is replaced, so callers that follow links resolve it first.
    pub(crate) path: PathBuf,
    /// What it holds now; `None` when it is not there.
    pub(crate) before: Option<Vec<u8>>,
    /// What it shall hold.
    pub(crate) after: Vec<u8>,
    /// Owner, group and mode as wished.
    pub(crate) attributes: FileAttributes,
    /// Keep a copy of what is replaced.
    pub(crate) backup: bool,
    /// Command that must accept the new file, `%s` in it.
    pub(crate) validate: Option<String>,
    /// Make missing folders above it.
    pub(crate) make_parents: bool,
    /// What the outcome says.
    pub(crate) message: String,
}

impl Replacement {
    /// Compares and says what is to be done. Results: those of the path (`owner`, `mode`, `size` ...) and `backup_file`.
    pub(crate) fn plan(self, context: &Context) -> Planned {
        let found = context.system.lstat_if_there(&self.path).context(format_args!("cannot look at {}", self.path.display()))?;
        let difference = Difference::find(context.system, &self.attributes, found.as_ref(), false)?;
        let content_differs = self.before.as_ref() != Some(&self.after);
        if !content_differs && difference.is_none() {
            let outcome = Outcome::unchanged().saying(self.message);
            return Ok(Plan::Done(found.map_or(outcome.clone(), |found| with_info(outcome, context.system, &found))));
        }
        let mut outcome = Outcome::changed().saying(self.message.as_str());
        if context.diff {
            if content_differs {
                outcome = outcome.showing(content_diff(&self.path, self.before.as_deref(), &self.after));
            }
            if found.is_some() && !difference.is_none() {
                let (mut before, mut after) = (Map::new(), Map::new());
                difference.describe(found.as_ref(), &mut before, &mut after);
                outcome = outcome.showing(attribute_diff(&self.path, &before, &after));
            }
        }
        Ok(Plan::change(outcome, move |context, mut outcome| {
            if content_differs {
                let permissions = difference.permissions().map_err(|failure| failure.with("path", self.path.to_string_lossy()))?;
                if let Some(folder) = self.path.parent().filter(|_| self.make_parents) {
                    context.system.make_dirs(folder).context(format_args!("cannot make {}", folder.display()))?;
                }
                let staged = Staged::new(context, &self.path, &self.after)?;
                staged.validate(context, self.validate.as_deref())?;
                if self.backup && found.is_some() {
                    // A module that names its copy otherwise has that name there already.
                    let name = if outcome.data.contains_key("backup") { "backup" } else { "backup_file" };
                    outcome = outcome.with(name, back_up(context, &self.path)?.to_string_lossy());
                }
                staged.install(context, &self.path, &permissions)?;
            } else {
                difference.apply(context.system, &self.path)?;
            }
            Ok(with_path_info(outcome, context, &self.path))
        }))
    }
}

/// A before-and-after of content; what no person would read is only named.
pub(crate) fn content_diff(path: &Path, before: Option<&[u8]>, after: &[u8]) -> Diff {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        _ if bytes.len() > SHOWN => format!("({} bytes)\n", bytes.len()),
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => format!("(binary, {} bytes)\n", bytes.len()),
    };
    let header = path.to_string_lossy().into_owned();
    Diff {
        before_header: if before.is_some() { header.clone() } else { "/dev/null".to_owned() },
        after_header: header,
        before: before.map(text).unwrap_or_default(),
        after: text(after),
        attributes: None,
    }
}

/// New content in a file beside its later place; gone again unless installed.
pub(crate) struct Staged<'a> {
    context: &'a Context<'a>,
    /// Where it is.
    pub(crate) path: PathBuf,
    installed: bool,
}

impl<'a> Staged<'a> {
    /// Stages bytes.
    pub(crate) fn new(context: &'a Context<'a>, path: &Path, content: &[u8]) -> Result<Self, Failure> {
        Self::with(context, path, |file| file.write_all(content).context(format_args!("cannot write {}", path.display())))
    }

    /// Stages what `write` writes.
    pub(crate) fn with(
        context: &'a Context<'a>,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let created = context.system.create_temporary(path);
        let Temporary { path: temporary, mut file } = created.context(format_args!("cannot write {}", path.display()))?;
        let staged = Self { context, path: temporary, installed: false };
        write(&mut *file)?;
        file.flush().context(format_args!("cannot write {}", path.display()))?;
        Ok(staged)
    }

    /// Runs the command that must accept the file.
    pub(crate) fn validate(&self, context: &Context, command: Option<&str>) -> Result<(), Failure> {
        let Some(command) = command else { return Ok(()) };
        if !command.contains("%s") {
            return Err(Failure::new(format!("validate must contain %s: {command}")));
        }
        let line = command.replace("%s", &self.path.to_string_lossy());
        let argv = crate::modules::command::split(&line)?;
        let finished = context.run(Program::new(argv)).context(format_args!("cannot run the validation '{line}'"))?;
        if finished.is_success() {
            return Ok(());
        }
        let said = if finished.stderr.is_empty() { finished.stdout_text() } else { finished.stderr_text() };
        Err(Failure::new(format!("failed to validate: {}", said.trim()))
            .with("exit_status", finished.status)
            .with("rc", finished.status)
            .with("stdout", finished.stdout_text())
            .with("stderr", finished.stderr_text()))
    }

    /// Puts it in its place.
    pub(crate) fn install(mut self, context: &Context, path: &Path, permissions: &crate::system::Permissions) -> Result<(), Failure> {
        self.installed = true;
        context.system.install_file(&self.path, path, permissions).context(format_args!("cannot write {}", path.display()))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.installed {
            // Nothing more can be done about a file that cannot be removed.
            let _ = self.context.system.remove_file(&self.path);
        }
    }
}

/// Keeps a copy beside the file, under Ansible's kind of name; answers where.
pub(crate) fn back_up(context: &Context, path: &Path) -> Result<PathBuf, Failure> {
    let seconds = context.system.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let moment = crate::moment::Moment::at(seconds.cast_signed());
    let name = format!(
        "{}.{}.{:04}-{:02}-{:02}@{:02}:{:02}:{:02}~",
        path.display(),
        std::process::id(),
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second
    );
    let copy = PathBuf::from(name);
    let doing = format!("cannot back up {}", path.display());
    let found = context.system.stat(path).context(&doing)?;
    let mut source = context.system.open_file(path).context(&doing)?;
    let staged = Staged::with(context, &copy, |file| std::io::copy(&mut source, file).map(drop).context(&doing))?;
    let permissions = crate::system::Permissions { uid: None, gid: None, mode: Some(found.mode) };
    staged.install(context, &copy, &permissions)?;
    if found.uid != context.system.effective_uid() || found.gid != context.system.effective_gid() {
        // An ordinary user's copy stays his own.
        let _ = context.system.chown(&copy, Some(found.uid), Some(found.gid));
    }
    context.system.set_times(&copy, None, Some(found.mtime)).context(&doing)?;
    Ok(copy)
}
