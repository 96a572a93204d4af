//! Symbolic and hard links.

use std::path::{Path, PathBuf};

use pgfleet_protocol::modules::files::File;
use pgfleet_protocol::{FileAttributes, Map, Outcome};

use super::look;
use crate::attributes::{Difference, attribute_diff, state_word, with_path_info};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Metadata;

pub(super) fn symbolic(arguments: &File, path: PathBuf, found: Option<&Metadata>, context: &Context) -> Planned {
    let system = context.system;
    let old = match found {
        Some(found) if found.is_link() => Some(system.read_link(&path).context(format_args!("cannot read the link {}", path.display()))?),
        _ => None,
    };
    let target = match (&arguments.src, &old) {
        (Some(src), _) => PathBuf::from(src),
        (None, Some(old)) => old.clone(),
        (None, None) => return Err(Failure::new("src is required for creating new links").with("path", path.to_string_lossy())),
    };
    let full = path.parent().unwrap_or(Path::new("/")).join(&target);
    if arguments.src.is_some() && !arguments.force && !system.exists(&full) {
        let message = format!("src file does not exist, use \"force=yes\" if you really want to create the link: {}", full.display());
        return Err(Failure::new(message).with("path", path.to_string_lossy()).with("src", target.to_string_lossy()));
    }
    if let Some(found) = found {
        may_replace(found, &path, arguments.force, "symlink", context)?;
    }
    // Attributes are those of the target when links are followed, as with chown; a target to come has none yet.
    let subject = if arguments.follow { system.real_path(&full).ok() } else { Some(path.clone()) };
    let subject_found = match &subject {
        Some(subject) => look(system, subject)?,
        None => None,
    };
    let wish = FileAttributes { mode: arguments.mode.clone().filter(|_| arguments.follow), ..arguments.attributes() };
    let difference = match &subject_found {
        None if arguments.follow => Difference::default(),
        // What is to become a link is made anew.
        Some(found) if !arguments.follow && !found.is_link() => Difference::find(system, &wish, None, false)?,
        found => Difference::find(system, &wish, found.as_ref(), found.as_ref().is_some_and(Metadata::is_directory))?,
    };
    let named = |outcome: Outcome| outcome.with("dest", path.to_string_lossy()).with("src", target.to_string_lossy());
    let link_differs = old.as_ref() != Some(&target);
    if !link_differs && difference.is_none() {
        return Ok(Plan::Done(with_path_info(named(Outcome::unchanged()), context, &path)));
    }
    let mut outcome = named(Outcome::changed());
    if context.diff {
        let (mut before, mut after) = (Map::new(), Map::new());
        if link_differs {
            before.insert("state".to_owned(), state_word(found).into());
            if let Some(old) = &old {
                before.insert("src".to_owned(), old.to_string_lossy().into());
            }
            after.insert("state".to_owned(), "link".into());
            after.insert("src".to_owned(), target.to_string_lossy().into());
        }
        difference.describe(subject_found.as_ref(), &mut before, &mut after);
        outcome = outcome.showing(attribute_diff(&path, &before, &after));
    }
    let found = found.cloned();
    Ok(Plan::change(outcome, move |context, outcome| {
        if link_differs {
            let doing = format!("Error while linking {}", path.display());
            put(&path, found.as_ref(), context, |new| context.system.symlink(&target, new)).context(doing)?;
        }
        if let Some(subject) = &subject {
            difference.apply(context.system, subject)?;
        }
        Ok(with_path_info(outcome, context, &path))
    }))
}

pub(super) fn hard(arguments: &File, path: PathBuf, found: Option<&Metadata>, context: &Context) -> Planned {
    let system = context.system;
    let Some(src) = &arguments.src else {
        return match found {
            Some(_) => super::attributes_only(
                arguments.attributes(),
                path,
                found.cloned(),
                super::Times::read(arguments, "preserve")?,
                "path",
                context,
            ),
            None => Err(Failure::new("src is required for creating new hardlinks").with("path", path.to_string_lossy())),
        };
    };
    let target = crate::paths::expand(system, src)?;
    if !target.is_absolute() {
        return Err(Failure::new("src must be an absolute path").with("src", src.as_str()));
    }
    let Some(other) = look(system, &target)? else {
        return Err(Failure::new("src does not exist").with("dest", path.to_string_lossy()).with("src", src.as_str()));
    };
    let same = found.is_some_and(|found| (found.ino, found.dev) == (other.ino, other.dev));
    if let Some(found) = found.filter(|_| !same) {
        if found.is_file() && found.nlink > 1 && !arguments.force {
            return Err(Failure::new("Cannot link, different hard link exists at destination").with("dest", path.to_string_lossy()));
        }
        may_replace(found, &path, arguments.force, "hard link", context)?;
    }
    let difference = Difference::find(system, &arguments.attributes(), Some(&other), false)?;
    let named = |outcome: Outcome| outcome.with("dest", path.to_string_lossy()).with("src", target.to_string_lossy());
    if same && difference.is_none() {
        return Ok(Plan::Done(with_path_info(named(Outcome::unchanged()), context, &path)));
    }
    let mut outcome = named(Outcome::changed());
    if context.diff {
        let (mut before, mut after) = (Map::new(), Map::new());
        if !same {
            before.insert("state".to_owned(), state_word(found).into());
            after.insert("state".to_owned(), "hard".into());
            after.insert("src".to_owned(), target.to_string_lossy().into());
        }
        difference.describe(Some(&other), &mut before, &mut after);
        outcome = outcome.showing(attribute_diff(&path, &before, &after));
    }
    let found = found.cloned();
    Ok(Plan::change(outcome, move |context, outcome| {
        if !same {
            let doing = format!("Error while linking {}", path.display());
            put(&path, found.as_ref(), context, |new| context.system.hard_link(&target, new)).context(doing)?;
        }
        difference.apply(context.system, &path)?;
        Ok(with_path_info(outcome, context, &path))
    }))
}

/// Whether a link may take the place of what is there: only by force, and never of a folder with something in it.
fn may_replace(found: &Metadata, path: &Path, force: bool, what: &str, context: &Context) -> Result<(), Failure> {
    if found.is_link() {
        return Ok(());
    }
    let refuse = |message: String| Err(Failure::new(message).with("path", path.to_string_lossy()));
    if !force {
        return refuse(format!("refusing to convert from {} to {what} for {}", state_word(Some(found)), path.display()));
    }
    if found.is_directory() && context.system.list_dir(path).is_ok_and(|names| !names.is_empty()) {
        return refuse(format!("the directory {} is not empty, refusing to convert it", path.display()));
    }
    Ok(())
}

/// Makes something new under another name first, so that the path is never without.
fn put(path: &Path, found: Option<&Metadata>, context: &Context, make: impl Fn(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let Some(found) = found else { return make(path) };
    if found.is_directory() {
        context.system.remove_tree(path)?;
        return make(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.pgfleet-link-{}", std::process::id()));
    make(&new)?;
    context.system.rename(&new, path).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = context.system.remove_file(&new);
    })
}
