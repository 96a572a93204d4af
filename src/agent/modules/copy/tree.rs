//! A folder of the host copied to another place of the host.

use std::path::{Path, PathBuf};

use pgfleet_protocol::modules::files::Copy;
use pgfleet_protocol::{FileAttributes, FileMode, Outcome, Status};
use serde_json::Value;

use super::{FileCopy, Source};
use crate::attributes::{Difference, with_path_info};
use crate::module::{Apply, Context, Failure, Plan, Planned, WithContext};

/// One thing to do, and the outcome as it would be.
type Step = (Outcome, Apply);

pub(super) fn plan(arguments: &Copy, source: &Path, dest: &Path, context: &Context) -> Planned {
    if dest.starts_with(source) {
        return Err(Failure::new(format!("cannot copy {} into itself", source.display())));
    }
    let mut steps = Vec::new();
    walk(arguments, source, dest, context, &mut steps)?;
    // Both as they were written where it is the folder's content that is copied; a folder that is there is told with a slash.
    let contents_only = arguments.src.as_deref().filter(|src| src.ends_with('/'));
    let is_there = context.system.stat_if_there(dest).ok().flatten().is_some_and(|found| found.is_directory());
    let slash = if is_there && !arguments.dest.as_str().ends_with('/') { "/" } else { "" };
    let (told_source, told_dest) = match contents_only {
        Some(src) => (src.into(), format!("{}{slash}", arguments.dest.as_str()).into()),
        None => (source.to_string_lossy(), dest.to_string_lossy()),
    };
    let base = Outcome::changed_if(!steps.is_empty())
        .with("src", told_source)
        .with("dest", told_dest)
        .with("checksum", Value::Null)
        .with("md5sum", Value::Null);
    if steps.is_empty() {
        return Ok(Plan::Done(with_path_info(base, context, dest)));
    }
    let diff = steps.iter().flat_map(|(outcome, _)| outcome.diff.clone()).collect();
    let dest = dest.to_path_buf();
    Ok(Plan::change(Outcome { diff, ..base }, move |context, outcome| {
        for (foretold, apply) in steps {
            apply(context, foretold)?;
        }
        Ok(with_path_info(outcome, context, &dest))
    }))
}

fn walk(arguments: &Copy, source: &Path, dest: &Path, context: &Context, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let looking = |path: &Path| format!("cannot look at {}", path.display());
    let system = context.system;
    steps.extend(folder_step(arguments, source, dest, context)?);
    for name in system.list_dir(source).context(format_args!("cannot list {}", source.display()))? {
        let (from, to) = (source.join(&name), dest.join(&name));
        let found = system.lstat(&from).context(looking(&from))?;
        if found.is_directory() {
            walk(arguments, &from, &to, context, steps)?;
        } else if found.is_link() {
            let target = system.read_link(&from).context(looking(&from))?;
            let there = system.lstat_if_there(&to).context(looking(&to))?;
            let same = there.as_ref().is_some_and(|there| there.is_link()) && system.read_link(&to).ok().as_ref() == Some(&target);
            if !same && (there.is_none() || arguments.force) {
                steps.push(link_step(target, to, there.is_some()));
            }
        } else if found.is_file() {
            let mut copy = FileCopy::new(arguments, Source::Host(from), to, true, context)?;
            // What is new keeps its permissions unless others are wished.
            if copy.found.is_none() && copy.attributes.mode.is_none() {
                copy.attributes.mode = Some(FileMode::Octal(found.mode));
            }
            if let Plan::Change(outcome, apply) = copy.plan(context)? {
                steps.push((outcome, apply));
            }
        }
    }
    Ok(())
}

fn folder_step(arguments: &Copy, source: &Path, dest: &Path, context: &Context) -> Result<Option<Step>, Failure> {
    let there = context.system.stat_if_there(dest).context(format_args!("cannot look at {}", dest.display()))?;
    if there.as_ref().is_some_and(|there| !there.is_directory()) {
        return Err(Failure::new(format!("{} is there and is not a directory", dest.display())));
    }
    // What is new is as its original, and what is there stays as it is.
    let mode = match &there {
        Some(_) => None,
        None => context.system.stat(source).ok().map(|found| FileMode::Octal(found.mode)),
    };
    let wish = FileAttributes { mode, ..arguments.attributes() };
    let difference = Difference::find(context.system, &wish, there.as_ref(), true)?;
    if there.is_some() && difference.is_none() {
        return Ok(None);
    }
    let dest = dest.to_path_buf();
    let apply: Apply = Box::new(move |context, outcome| {
        context.system.make_dirs(&dest).context(format_args!("cannot make {}", dest.display()))?;
        difference.apply(context.system, &dest).map(|()| outcome)
    });
    Ok(Some((Outcome { status: Status::Changed, ..Outcome::default() }, apply)))
}

fn link_step(target: PathBuf, path: PathBuf, replaces: bool) -> Step {
    let apply: Apply = Box::new(move |context, outcome| {
        let doing = format!("cannot make the link {}", path.display());
        if replaces {
            context.system.remove_file(&path).context(&doing)?;
        }
        context.system.symlink(&target, &path).context(&doing).map(|()| outcome)
    });
    (Outcome::changed(), apply)
}
