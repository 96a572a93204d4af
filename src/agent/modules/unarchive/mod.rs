//! `unarchive`: unpacks an archive with the host's own tar or unzip, unless all of it is there already.

mod tar;
mod zip;

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgfleet_protocol::modules::sources::Unarchive;
use pgfleet_protocol::{FileAttributes, Outcome};
use serde_json::json;

use crate::attributes::{Difference, with_path_info};
use crate::http::{Request, Tls, Url};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::system::{Finished, Program, Temporary};

pub(crate) fn plan(arguments: &Unarchive, context: &Context) -> Planned {
    if let Some(pattern) = &arguments.creates {
        let path = paths::expand(context.system, pattern)?;
        if !context.system.glob(&path.to_string_lossy()).is_empty() {
            return Ok(Plan::Done(Outcome::skipped(format!("skipped, since {pattern} exists"))));
        }
    }
    let dest = paths::expand(context.system, arguments.dest.as_str())?;
    if !context.system.stat_if_there(&dest)?.is_some_and(|found| found.is_directory()) {
        return Err(Failure::new(format!("dest '{}' must be an existing dir", dest.display())));
    }
    let archive = Archive::find(arguments, context)?;
    let planned = decide(arguments, &archive, dest, context);
    match planned {
        Ok(Plan::Change(outcome, apply)) if !context.mode.is_check() => Ok(Plan::change(outcome, move |context, outcome| {
            let applied = apply(context, outcome);
            archive.discard(context);
            applied
        })),
        other => {
            archive.discard(context);
            other
        }
    }
}

/// The file to unpack.
#[derive(Clone)]
struct Archive {
    path: PathBuf,
    /// It was brought here for this and goes afterwards.
    is_brought: bool,
}

impl Archive {
    fn find(arguments: &Unarchive, context: &Context) -> Result<Self, Failure> {
        if arguments._sha256.is_some() {
            return Self::bring(context, |file| {
                let length = context.channel.receive(file).context("cannot receive the archive from the controller")?;
                match arguments._size {
                    Some(size) if size != length => Err(Failure::new(format!("{length} bytes of the archive came, not {size}"))),
                    _ => Ok(()),
                }
            });
        }
        if arguments.src.contains("://") {
            let request = request(arguments, context)?;
            return Self::bring(context, |file| match request.send(context.system, file) {
                Ok(response) if response.status == 200 => Ok(()),
                Ok(response) => {
                    Err(Failure::new(format!("Failure downloading {}, HTTP Error {}: {}", arguments.src, response.status, response.reason)))
                }
                Err(error) => Err(Failure::new(format!("Failure downloading {}, {error}", arguments.src))),
            });
        }
        let path = paths::expand(context.system, &arguments.src)?;
        match context.system.stat_if_there(&path)? {
            None => Err(Failure::new(format!("Source '{}' does not exist", path.display()))),
            Some(found) if found.size == 0 => Err(Failure::new(format!("Invalid archive '{}', the file is 0 bytes", path.display()))),
            Some(_) => Ok(Self { path, is_brought: false }),
        }
    }

    fn bring(context: &Context, fill: impl FnOnce(&mut dyn std::io::Write) -> Result<(), Failure>) -> Result<Self, Failure> {
        let folder = ["/var/tmp", "/tmp"].into_iter().map(Path::new).find(|folder| context.system.exists(folder)).unwrap_or(Path::new("/"));
        let created = context.system.create_temporary(&folder.join("archive"));
        let Temporary { path, mut file } = created.context(format_args!("cannot make a file in {}", folder.display()))?;
        let archive = Self { path, is_brought: true };
        let filled = fill(&mut *file).and_then(|()| file.flush().context("cannot write the archive"));
        if filled.is_err() {
            archive.discard(context);
        }
        filled.map(|()| archive)
    }

    fn discard(&self, context: &Context) {
        if self.is_brought {
            // What cannot be removed is left in a folder for such files.
            let _ = context.system.remove_file(&self.path);
        }
    }
}

fn request(arguments: &Unarchive, context: &Context) -> Result<Request, Failure> {
    let mut request = Request::get(Url::parse(&arguments.src).map_err(Failure::new)?, Duration::from_secs(60));
    request.environment = context.environment.to_vec();
    request.tls = Tls { is_unchecked: !arguments.validate_certs, ..Tls::default() };
    Ok(request)
}

/// What is in an archive, and whether the host has it.
struct Content {
    handler: &'static str,
    /// Below `dest`.
    files: Vec<String>,
    is_there: bool,
    /// The line that unpacks it.
    extract: Vec<String>,
}

fn decide(arguments: &Unarchive, archive: &Archive, dest: PathBuf, context: &Context) -> Planned {
    let mut magic = [0; 6];
    let read = context.system.open_file(&archive.path).and_then(|mut file| std::io::Read::read(&mut file, &mut magic));
    read.context(format_args!("cannot read {}", archive.path.display()))?;
    let content = if magic.starts_with(b"PK") {
        zip::look(arguments, &archive.path, &dest, context)?
    } else {
        tar::look(arguments, &archive.path, &dest, tar::handler(&magic), context)?
    };
    let attributes = arguments.attributes();
    let differs = differing(&attributes, &content.files, &dest, context)?;
    let mut outcome = Outcome::changed_if(!content.is_there || !differs.is_empty())
        .with("src", arguments.src.as_str())
        .with("dest", dest.to_string_lossy())
        .with("handler", content.handler);
    if arguments.list_files {
        outcome = outcome.with("files", content.files.clone());
    }
    if !outcome.is_changed() {
        return Ok(Plan::Done(with_path_info(outcome, context, &dest)));
    }
    Ok(Plan::change(outcome, move |context, mut outcome| {
        if !content.is_there {
            let finished = start(&content.extract, context)?;
            if !finished.is_success() {
                let said = finished.stderr_text();
                return Err(Failure::new(format!("failed to unpack {} to {}: {}", outcome.data["src"], dest.display(), said.trim()))
                    .with("rc", finished.status)
                    .with("stderr", said));
            }
            let results = json!({"cmd": content.extract, "rc": 0, "out": finished.stdout_text(), "err": finished.stderr_text()});
            outcome = outcome.with("extract_results", results);
        }
        for (path, difference) in differing(&attributes, &content.files, &dest, context)? {
            difference.apply(context.system, &path)?;
        }
        Ok(with_path_info(outcome, context, &dest))
    }))
}

/// The files that have another owner, group or mode than wished. What is not there yet is not among them.
fn differing(wish: &FileAttributes, files: &[String], dest: &Path, context: &Context) -> Result<Vec<(PathBuf, Difference)>, Failure> {
    let mut differing = Vec::new();
    if *wish == FileAttributes::default() {
        return Ok(differing);
    }
    for name in files {
        let path = dest.join(name.trim_end_matches('/'));
        if let Some(found) = context.system.lstat_if_there(&path)? {
            let difference = Difference::find(context.system, wish, Some(&found), found.is_directory())?;
            if !difference.is_none() {
                differing.push((path, difference));
            }
        }
    }
    Ok(differing)
}

fn start(argv: &[String], context: &Context) -> Result<Finished, Failure> {
    let missing =
        || format!("cannot run {}; install it on the host to unpack this kind of archive", argv.first().map_or("", String::as_str));
    context.run(Program::new(argv.to_vec()).env("LC_ALL", "C.UTF-8")).context(missing())
}
