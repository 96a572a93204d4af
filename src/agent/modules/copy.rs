//! `copy`: writes a file: text, a file that the controller sends, or a file of the host.

mod tree;

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use pgfleet_protocol::modules::files::Copy;
use pgfleet_protocol::{FileAttributes, FileMode, Map, Outcome};

use crate::attributes::{Difference, attribute_diff, with_info, with_path_info};
use crate::digest::Summed;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::replacement::{SHOWN, Staged, back_up, content_diff};
use crate::sums::{Summing, Sums, Wanted};
use crate::system::{Metadata, Permissions};

/// Bytes of two files that are held against each other at a time.
const BLOCK: usize = 64 * 1024;

pub(crate) fn plan(arguments: &Copy, context: &Context) -> Planned {
    let source = Source::find(arguments, context)?;
    let written = arguments.dest.as_str();
    let mut dest = paths::expand(context.system, written)?;
    let looking = format!("cannot look at {}", dest.display());
    let into_folder = written.ends_with('/') || context.system.stat_if_there(&dest).context(&looking)?.is_some_and(|it| it.is_directory());
    if let Source::Tree(folder) = &source {
        let contents_only = arguments.src.as_deref().is_some_and(|src| src.ends_with('/'));
        if let Some(name) = folder.file_name().filter(|_| !contents_only) {
            dest.push(name);
        }
        return tree::plan(arguments, folder, &dest, context);
    }
    if into_folder {
        let Some(name) = source.name(arguments) else {
            return Err(Failure::new(format!("can not use content with a dir as dest: {}", dest.display())));
        };
        dest.push(name);
    }
    if arguments.follow
        && let Ok(real) = context.system.real_path(&dest)
    {
        dest = real;
    }
    FileCopy::new(arguments, source, dest, into_folder, context)?.plan(context)
}

/// Where content comes from.
#[derive(Clone, Debug)]
enum Source {
    Bytes(Vec<u8>),
    /// The controller sends it when asked; known by SHA-256.
    Controller {
        sha256: String,
        size: u64,
    },
    Host(PathBuf),
    /// A folder of the host.
    Tree(PathBuf),
}

impl Source {
    fn find(arguments: &Copy, context: &Context) -> Result<Self, Failure> {
        match (&arguments.content, &arguments.src, &arguments._sha256) {
            (Some(content), ..) => Ok(Self::Bytes(content.clone().into_bytes())),
            (None, Some(src), _) if arguments.remote_src => {
                let path = paths::expand(context.system, src)?;
                let found = context.system.stat_if_there(&path).context(format_args!("cannot look at {}", path.display()))?;
                match found {
                    None => Err(Failure::new(format!("Source {} not found", path.display()))),
                    Some(found) if found.is_directory() => Ok(Self::Tree(path)),
                    Some(_) => Ok(Self::Host(path)),
                }
            }
            (None, _, Some(sha256)) => Ok(Self::Controller { sha256: sha256.clone(), size: arguments._size.unwrap_or(0) }),
            (None, Some(src), None) => Err(Failure::new(format!("the controller did not say what is in {src}"))),
            (None, None, None) => Err(Failure::new("src (or content) is required")),
        }
    }

    /// The name that it gets in a folder; content has none.
    fn name(&self, arguments: &Copy) -> Option<PathBuf> {
        let of = |path: &str| Path::new(path).file_name().map(PathBuf::from);
        match self {
            Self::Bytes(_) => arguments._basename.as_deref().and_then(of),
            Self::Controller { .. } => arguments._basename.as_deref().or(arguments.src.as_deref()).and_then(of),
            Self::Host(path) | Self::Tree(path) => path.file_name().map(PathBuf::from),
        }
    }

    /// The sums of a file of the host that holds just this; `None` for one that holds something else.
    fn sums_in(&self, path: &Path, found: &Metadata, context: &Context) -> Result<Option<Sums>, Failure> {
        let same = match self {
            Self::Bytes(bytes) => {
                let same_size = found.size == bytes.len() as u64;
                let same = same_size && context.system.read_file(path).context(format_args!("cannot read {}", path.display()))? == *bytes;
                same.then(|| Sums::of_reader(&mut bytes.as_slice(), Wanted::by(context))).transpose()?
            }
            Self::Controller { sha256, size } if found.size == *size => Some(sums_of(path, context)?).filter(|sums| sums.sha256 == *sha256),
            Self::Controller { .. } => None,
            Self::Host(other) | Self::Tree(other) => {
                let size = context.system.stat(other).context(format_args!("cannot look at {}", other.display()))?.size;
                if size == found.size { sums_if_alike(path, other, context)? } else { None }
            }
        };
        Ok(same)
    }

    /// Writes the content; what the controller sends is checked.
    fn write(&self, context: &Context, wanted: Wanted, sink: &mut dyn Write) -> Result<Sums, Failure> {
        let mut sink = Summed::with(sink, Summing::new(wanted));
        match self {
            Self::Bytes(bytes) => sink.write_all(bytes)?,
            Self::Controller { sha256, .. } => {
                context.channel.receive(&mut sink)?;
                let (sums, announced) = (sink.sum.finish(), sha256);
                let received = &sums.sha256;
                if received != announced {
                    return Err(Failure::new(format!("the controller's content has SHA-256 {received}, not {announced} as announced")));
                }
                return Ok(sums);
            }
            Self::Host(path) | Self::Tree(path) => {
                let mut file = context.system.open_file(path).context(format_args!("cannot read {}", path.display()))?;
                std::io::copy(&mut file, &mut sink)?;
            }
        }
        Ok(sink.sum.finish())
    }

    /// The same as bytes, for a diff, unless there is too much to show.
    fn small(self, context: &Context) -> Result<Self, Failure> {
        let size = match &self {
            Self::Bytes(_) | Self::Tree(_) => return Ok(self),
            Self::Controller { size, .. } => *size,
            Self::Host(path) => context.system.stat(path).map_or(u64::MAX, |found| found.size),
        };
        if size > SHOWN as u64 {
            return Ok(self);
        }
        let mut bytes = Vec::new();
        self.write(context, Wanted::Sha256, &mut bytes)?;
        Ok(Self::Bytes(bytes))
    }
}

/// One file to be written.
struct FileCopy {
    source: Source,
    dest: PathBuf,
    found: Option<Metadata>,
    attributes: FileAttributes,
    /// Mode of folders that are made above it; `None` when none may be.
    folder_mode: Option<Option<FileMode>>,
    backup: bool,
    force: bool,
    validate: Option<String>,
    checksum: Option<String>,
    /// As the result's `src` tells it.
    shown: Option<String>,
}

impl FileCopy {
    fn new(arguments: &Copy, source: Source, dest: PathBuf, into_folder: bool, context: &Context) -> Result<Self, Failure> {
        let found = context.system.lstat_if_there(&dest).context(format_args!("cannot look at {}", dest.display()))?;
        let mut attributes = arguments.attributes();
        if attributes.mode == Some(FileMode::Preserve) {
            let preserved = match &source {
                Source::Host(path) => context.system.stat(path).ok().map(|found| found.mode),
                _ => arguments._mode,
            };
            attributes.mode = preserved.map(FileMode::Octal);
        }
        Ok(Self {
            source,
            dest,
            found,
            attributes,
            folder_mode: into_folder.then(|| arguments.directory_mode.clone()),
            backup: arguments.backup,
            force: arguments.force,
            validate: arguments.validate.clone(),
            checksum: arguments.checksum.clone(),
            shown: arguments.src.clone(),
        })
    }

    fn plan(mut self, context: &Context) -> Planned {
        if let Some(found) = self.found.as_ref().filter(|found| found.is_directory()) {
            return Err(Failure::new(format!("{} is a directory", self.dest.display())).with("mode", found.mode));
        }
        let base = Outcome::unchanged().with("dest", self.dest.to_string_lossy());
        let base = self.shown.iter().fold(base, |outcome, src| outcome.with("src", src.as_str()));
        if !self.force
            && let Some(found) = &self.found
        {
            return Ok(Plan::Done(with_info(base.saying("file already exists"), context.system, found)));
        }
        // A link is replaced by the file itself.
        let there = match &self.found {
            Some(found) if found.is_file() => self.source.sums_in(&self.dest, found, context)?,
            _ => None,
        };
        let difference = Difference::find(context.system, &self.attributes, self.found.as_ref().filter(|it| it.is_file()), false)?;
        if let (Some(sums), true) = (&there, difference.is_none()) {
            return Ok(Plan::Done(with_path_info(with_sums(base, sums), context, &self.dest)));
        }
        let mut outcome = Outcome { status: pgfleet_protocol::Status::Changed, ..base };
        if context.diff {
            if there.is_none() {
                self.source = self.source.small(context)?;
                let before = context.system.read_if_there(&self.dest).context(format_args!("cannot read {}", self.dest.display()))?;
                let named = match &self.source {
                    Source::Bytes(bytes) => bytes.clone(),
                    Source::Controller { size, .. } => format!("({size} bytes)\n").into_bytes(),
                    Source::Host(path) | Source::Tree(path) => format!("(the content of {})\n", path.display()).into_bytes(),
                };
                outcome = outcome.showing(content_diff(&self.dest, before.as_deref(), &named));
            }
            if self.found.is_some() && !difference.is_none() {
                let (mut before, mut after) = (Map::new(), Map::new());
                difference.describe(self.found.as_ref(), &mut before, &mut after);
                outcome = outcome.showing(attribute_diff(&self.dest, &before, &after));
            }
        }
        Ok(Plan::change(outcome, move |context, outcome| {
            let outcome = match there {
                Some(sums) => difference.apply(context.system, &self.dest).map(|()| with_sums(outcome, &sums))?,
                None => self.write(context, outcome, &difference)?,
            };
            Ok(with_path_info(outcome, context, &self.dest))
        }))
    }

    fn write(&self, context: &Context, outcome: Outcome, difference: &Difference) -> Result<Outcome, Failure> {
        let permissions = difference.permissions().map_err(|failure| failure.with("path", self.dest.to_string_lossy()))?;
        self.make_folder(context)?;
        let mut sums = Sums::default();
        // A checksum that was given is held against what was written.
        let wanted = if self.checksum.is_some() { Wanted::All } else { Wanted::by(context) };
        let staged = Staged::with(context, &self.dest, |file| {
            sums = self
                .source
                .write(context, wanted, file)
                .map_err(|failure| Failure { message: format!("cannot write {}: {}", self.dest.display(), failure.message), ..failure })?;
            Ok(())
        })?;
        if let Some((expected, told)) = self.checksum.as_ref().zip(sums.told.as_ref()) {
            let found = &told.sha1;
            if found != expected {
                return Err(Failure::new("Copied file does not match the expected checksum. Transfer failed.")
                    .with("checksum", found.as_str())
                    .with("expected_checksum", expected.as_str()));
            }
        }
        // The command may look at owner and mode too.
        context.system.set_permissions(&staged.path, &Permissions { mode: None, ..permissions })?;
        staged.validate(context, self.validate.as_deref())?;
        let outcome = match self.backup && self.found.is_some() {
            true => outcome.with("backup_file", back_up(context, &self.dest)?.to_string_lossy()),
            false => outcome,
        };
        staged.install(context, &self.dest, &permissions)?;
        Ok(with_sums(outcome, &sums))
    }

    fn make_folder(&self, context: &Context) -> Result<(), Failure> {
        let folder = self.dest.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Some(folder) = folder.filter(|folder| !context.system.exists(folder)) else { return Ok(()) };
        let Some(mode) = &self.folder_mode else {
            return Err(Failure::new(format!("Destination directory {} does not exist", folder.display())));
        };
        let wish = FileAttributes { mode: mode.clone(), ..self.attributes.clone() };
        for made in context.system.make_dirs(folder).context(format_args!("cannot make {}", folder.display()))? {
            let found = context.system.lstat(&made).context(format_args!("cannot look at {}", made.display()))?;
            Difference::find(context.system, &wish, Some(&found), true)?.apply(context.system, &made)?;
        }
        Ok(())
    }
}

/// Adds the content's checksums.
fn with_sums(outcome: Outcome, sums: &Sums) -> Outcome {
    let told = sums.told.iter();
    told.fold(outcome, |outcome, told| outcome.with("checksum", told.sha1.as_str()).with("md5sum", told.md5.as_str()))
}

/// The sums of a file of the host, where another one holds the same; both are read once.
fn sums_if_alike(path: &Path, other: &Path, context: &Context) -> Result<Option<Sums>, Failure> {
    let open = |path: &Path| context.system.open_file(path).context(format_args!("cannot read {}", path.display()));
    let mut one = BufReader::with_capacity(BLOCK, Summed::with(open(path)?, Summing::new(Wanted::by(context))));
    let mut other_one = BufReader::with_capacity(BLOCK, open(other)?);
    let alike = are_alike(&mut one, &mut other_one);
    let alike = alike.context(format_args!("cannot compare {} with {}", path.display(), other.display()))?;
    Ok(alike.then(|| one.into_inner().sum.finish()))
}

fn are_alike(one: &mut impl BufRead, other: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let both = left.len().min(right.len());
        if both == 0 {
            return Ok(left.len() == right.len());
        }
        if left[..both] != right[..both] {
            return Ok(false);
        }
        one.consume(both);
        other.consume(both);
    }
}

fn sums_of(path: &Path, context: &Context) -> Result<Sums, Failure> {
    let sums = context.system.open_file(path).and_then(|mut file| Sums::of_reader(&mut file, Wanted::by(context)));
    sums.context(format_args!("cannot read {}", path.display()))
}
