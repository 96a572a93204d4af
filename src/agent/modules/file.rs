//! `file`: manages files, directories and links, and their attributes.

mod link;
mod times;

use std::path::{Path, PathBuf};

use pgfleet_protocol::modules::files::{File, FileState};
use pgfleet_protocol::{FileAttributes, Map, Outcome};

use self::times::Times;
use crate::attributes::{Difference, attribute_diff, state_word, with_info, with_path_info};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::system::{Metadata, Permissions, System};

pub(crate) fn plan(arguments: &File, context: &Context) -> Planned {
    let path = paths::expand(context.system, arguments.path.as_str())?;
    let found = look(context.system, &path)?;
    let state = arguments.state.unwrap_or_else(|| match &found {
        Some(found) if found.is_directory() => FileState::Directory,
        Some(found) if found.is_link() => FileState::Link,
        None if arguments.recurse => FileState::Directory,
        _ => FileState::File,
    });
    if arguments.recurse && state != FileState::Directory {
        return Err(Failure::new("recurse option requires state to be 'directory'").with("path", path.to_string_lossy()));
    }
    match state {
        FileState::Absent => Ok(absent(path, found.as_ref(), context)),
        FileState::Link => link::symbolic(arguments, path, found.as_ref(), context),
        FileState::Hard => link::hard(arguments, path, found.as_ref(), context),
        FileState::Directory | FileState::File | FileState::Touch => {
            let (path, found) = followed(arguments, path, found, context)?;
            match state {
                FileState::Directory => directory(arguments, path, found, context),
                FileState::Touch => touch(arguments, path, found, context),
                _ => file(arguments, path, found, context),
            }
        }
    }
}

fn look(system: &dyn System, path: &Path) -> Result<Option<Metadata>, Failure> {
    system.lstat_if_there(path).context(format_args!("cannot look at {}", path.display()))
}

/// The target of a link, where links shall be followed and it is there.
fn followed(arguments: &File, path: PathBuf, found: Option<Metadata>, context: &Context) -> Result<(PathBuf, Option<Metadata>), Failure> {
    if arguments.follow && found.as_ref().is_some_and(Metadata::is_link) {
        let real = context.system.real_path(&path).context(format_args!("cannot follow the link {}", path.display()))?;
        let found = look(context.system, &real)?;
        return Ok((real, found));
    }
    Ok((path, found))
}

/// One diff of state and attributes.
fn state_diff(outcome: Outcome, path: &Path, found: Option<&Metadata>, state: &str, difference: &Difference) -> Outcome {
    let (mut before, mut after) = (Map::new(), Map::new());
    let word = state_word(found);
    if word != state {
        before.insert("state".to_owned(), word.into());
        after.insert("state".to_owned(), state.into());
    }
    difference.describe(found, &mut before, &mut after);
    if before == after { outcome } else { outcome.showing(attribute_diff(path, &before, &after)) }
}

fn absent(path: PathBuf, found: Option<&Metadata>, context: &Context) -> Plan {
    let named = |outcome: Outcome| outcome.with("path", path.to_string_lossy()).with("state", "absent");
    if found.is_none() {
        return Plan::Done(named(Outcome::unchanged()));
    }
    let mut outcome = named(Outcome::changed());
    if context.diff {
        outcome = state_diff(outcome, &path, found, "absent", &Difference::default());
    }
    Plan::change(outcome, move |context, outcome| {
        context.system.remove_tree(&path).context(format_args!("cannot remove {}", path.display())).map(|()| outcome)
    })
}

fn file(arguments: &File, path: PathBuf, found: Option<Metadata>, context: &Context) -> Planned {
    match &found {
        Some(found) if !found.is_directory() && !found.is_link() => {}
        other => {
            let state = state_word(other.as_ref());
            let message = format!("file ({}) is {state}, cannot continue", path.display());
            return Err(Failure::new(message).with("path", path.to_string_lossy()).with("state", state));
        }
    }
    let times = Times::read(arguments, "preserve")?;
    attributes_only(arguments.attributes(), path, found, times, "path", context)
}

/// What is there stays; its attributes and times become as wished.
fn attributes_only(
    wish: FileAttributes,
    path: PathBuf,
    found: Option<Metadata>,
    times: Times,
    key: &'static str,
    context: &Context,
) -> Planned {
    let directory = found.as_ref().is_some_and(Metadata::is_directory);
    let difference = Difference::find(context.system, &wish, found.as_ref(), directory)?;
    let Some(found) = found else { return Err(Failure::new(format!("{} is not there", path.display()))) };
    let named = |outcome: Outcome| outcome.with(key, path.to_string_lossy());
    if difference.is_none() && times.are_met(&found) {
        return Ok(Plan::Done(with_info(named(Outcome::unchanged()), context.system, &found)));
    }
    let mut outcome = named(Outcome::changed());
    if context.diff {
        outcome = state_diff(outcome, &path, Some(&found), state_word(Some(&found)), &difference);
    }
    Ok(Plan::change(outcome, move |context, outcome| {
        difference.apply(context.system, &path)?;
        times.apply(context.system, &path)?;
        Ok(with_path_info(outcome, context, &path))
    }))
}

fn touch(arguments: &File, path: PathBuf, found: Option<Metadata>, context: &Context) -> Planned {
    let times = Times::read(arguments, "now")?;
    if found.is_some() {
        return attributes_only(arguments.attributes(), path, found, times, "dest", context);
    }
    let difference = Difference::find(context.system, &arguments.attributes(), None, false)?;
    let mut outcome = Outcome::changed().with("dest", path.to_string_lossy());
    if context.diff {
        outcome = state_diff(outcome, &path, None, "file", &difference);
    }
    Ok(Plan::change(outcome, move |context, outcome| {
        let permissions: Permissions = difference.permissions()?;
        let made = context.system.write_file_atomically(&path, b"", &permissions);
        made.context(format_args!("Error, could not touch target {}", path.display()))?;
        times.apply(context.system, &path)?;
        Ok(with_path_info(outcome, context, &path))
    }))
}

fn directory(arguments: &File, path: PathBuf, found: Option<Metadata>, context: &Context) -> Planned {
    let wish = arguments.attributes();
    let times = Times::read(arguments, "preserve")?;
    let Some(found) = found else { return make_directory(wish, path, times, context) };
    if !found.is_directory() {
        let state = state_word(Some(&found));
        let message = format!("{} already exists as a {state}", path.display());
        return Err(Failure::new(message).with("path", path.to_string_lossy()).with("state", state));
    }
    if !arguments.recurse {
        return attributes_only(wish, path, Some(found), times, "path", context);
    }
    let mut differences = Vec::new();
    collect(&wish, &path, &found, arguments.follow, context.system, &mut differences)?;
    let named = |outcome: Outcome| outcome.with("path", path.to_string_lossy());
    if differences.is_empty() && times.are_met(&found) {
        return Ok(Plan::Done(with_info(named(Outcome::unchanged()), context.system, &found)));
    }
    let mut outcome = named(Outcome::changed());
    if context.diff {
        for (path, found, difference) in &differences {
            outcome = state_diff(outcome, path, Some(found), state_word(Some(found)), difference);
        }
    }
    Ok(Plan::change(outcome, move |context, outcome| {
        for (path, _, difference) in &differences {
            difference.apply(context.system, path)?;
        }
        times.apply(context.system, &path)?;
        Ok(with_path_info(outcome, context, &path))
    }))
}

fn make_directory(wish: FileAttributes, path: PathBuf, times: Times, context: &Context) -> Planned {
    let difference = Difference::find(context.system, &wish, None, true)?;
    let mut outcome = Outcome::changed().with("path", path.to_string_lossy());
    if context.diff {
        outcome = state_diff(outcome, &path, None, "directory", &difference);
    }
    Ok(Plan::change(outcome, move |context, outcome| {
        let made = context.system.make_dirs(&path);
        let made = made.context(format_args!("There was an issue creating {} as requested", path.display()))?;
        // Every folder made gets the attributes, as Ansible does it.
        for folder in made {
            let found = look(context.system, &folder)?;
            Difference::find(context.system, &wish, found.as_ref(), true)?.apply(context.system, &folder)?;
        }
        times.apply(context.system, &path)?;
        Ok(with_path_info(outcome, context, &path))
    }))
}

/// What differs in a folder and all below it. A link's own target counts when links are followed, but nothing below that.
fn collect(
    wish: &FileAttributes,
    path: &Path,
    found: &Metadata,
    follow: bool,
    system: &dyn System,
    differences: &mut Vec<(PathBuf, Metadata, Difference)>,
) -> Result<(), Failure> {
    let difference = Difference::find(system, wish, Some(found), found.is_directory())?;
    if !difference.is_none() {
        differences.push((path.to_path_buf(), found.clone(), difference));
    }
    if found.is_link() && follow {
        if let Ok(target) = system.real_path(path)
            && let Some(found) = look(system, &target)?
        {
            let difference = Difference::find(system, wish, Some(&found), found.is_directory())?;
            let seen = differences.iter().any(|(other, ..)| *other == target);
            if !difference.is_none() && !seen {
                differences.push((target, found, difference));
            }
        }
    } else if found.is_directory() {
        for name in system.list_dir(path).context(format_args!("cannot list {}", path.display()))? {
            let below = path.join(name);
            // What disappears meanwhile needs no attributes.
            if let Some(found) = look(system, &below)? {
                collect(wish, &below, &found, follow, system, differences)?;
            }
        }
    }
    Ok(())
}
