//! `assemble`: one file made of the files of a folder.

use std::path::Path;

use pgfleet_protocol::joined;
use pgfleet_protocol::modules::files::Assemble;

use crate::digest::Algorithm;
use crate::module::{Context, Failure, Planned, WithContext};
use crate::replacement::Replacement;
use crate::{paths, python_regex};

pub(crate) fn plan(arguments: &Assemble, context: &Context) -> Planned {
    let source = paths::expand(context.system, arguments.src.as_str())?;
    let shown = source.display();
    let found = context.system.stat_if_there(&source).context(format_args!("cannot look at {shown}"))?;
    match found {
        None => return Err(Failure::new(format!("Source ({shown}) does not exist"))),
        Some(found) if !found.is_directory() => return Err(Failure::new(format!("Source ({shown}) is not a directory"))),
        Some(_) => {}
    }
    let after = joined(&fragments(&source, arguments, context)?, arguments.delimiter.as_deref());
    let dest = paths::expand(context.system, arguments.dest.as_str())?;
    let dest = context.system.real_path(&dest).unwrap_or(dest);
    let before = context.system.read_if_there(&dest).context(format_args!("cannot read {}", dest.display()))?;
    let checksum = Algorithm::Sha1.of_reader(&mut after.as_slice()).context("cannot sum up the content")?;
    let replacement = Replacement {
        path: dest.clone(),
        before,
        after,
        attributes: arguments.attributes(),
        backup: arguments.backup,
        validate: arguments.validate.clone(),
        message: "OK".to_owned(),
        ..Replacement::default()
    };
    let plan = replacement.plan(context)?;
    Ok(plan.with("src", shown.to_string()).with("dest", dest.display().to_string()).with("checksum", checksum))
}

/// The contents of the chosen files, in the order of their names.
fn fragments(source: &Path, arguments: &Assemble, context: &Context) -> Result<Vec<Vec<u8>>, Failure> {
    let chosen = arguments.regexp.as_deref().map(|pattern| python_regex::compile(pattern, false, false)).transpose()?;
    let mut paths = context.system.list_dir(source).context(format_args!("cannot read {}", source.display()))?;
    paths.sort();
    let mut fragments = Vec::new();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = source.join(&name);
        let is_hidden = arguments.ignore_hidden && name.starts_with('.');
        let is_chosen = chosen.as_ref().map_or(Ok(true), |pattern| python_regex::is_match(pattern, &name))?;
        if is_hidden || !is_chosen || !context.system.stat(&path).is_ok_and(|found| found.is_file()) {
            continue;
        }
        fragments.push(context.system.read_file(&path).context(format_args!("cannot read {}", path.display()))?);
    }
    Ok(fragments)
}
