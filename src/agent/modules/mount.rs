//! `mount`: file systems in fstab and in the tree.

use std::path::{Path, PathBuf};

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::system::{Mount, MountState};

use crate::facts::unescape;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::{back_up, content_diff};
use crate::system::{Permissions, Program};

/// What has to be done besides fstab, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    MakeFolder,
    Mount,
    Remount,
    Unmount,
    RemoveFolder,
}

pub(crate) fn plan(arguments: &Mount, context: &Context) -> Planned {
    let needs_source = matches!(arguments.state, MountState::Mounted | MountState::Present | MountState::Ephemeral);
    if needs_source && (arguments.src.is_none() || arguments.fstype.is_none()) {
        return Err(Failure::new(format!("state is {} but src or fstype is missing", arguments.state.word())));
    }
    let path = match arguments.path.as_str().trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let system = context.system;
    let fstab = PathBuf::from(arguments.fstab.as_str());
    let before = system.read_if_there(&fstab).context(format_args!("cannot read {}", fstab.display()))?;
    let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
    let after = match arguments.state {
        MountState::Mounted | MountState::Present => with_entry(&text, path, Some(&entry(arguments, path))),
        MountState::Absent | MountState::AbsentFromFstab => with_entry(&text, path, None),
        _ => text.clone(),
    };
    let table = system.read_text(Path::new("/proc/self/mounts")).unwrap_or_default();
    // The last one lies on top.
    let mounted = table.lines().rev().find_map(|line| {
        let fields: Vec<String> = line.split_ascii_whitespace().take(3).map(unescape).collect();
        (fields.get(1).map(String::as_str) == Some(path)).then(|| fields[0].clone())
    });
    let exists = system.exists(Path::new(path));
    let file_changes = after != text;
    let steps: &[Step] = match (arguments.state, mounted.as_deref()) {
        (MountState::Mounted, Some(_)) if file_changes => &[Step::Remount],
        (MountState::Mounted | MountState::Ephemeral, None) if !exists => &[Step::MakeFolder, Step::Mount],
        (MountState::Mounted | MountState::Ephemeral, None) => &[Step::Mount],
        (MountState::Ephemeral, Some(source)) if Some(source) != arguments.src.as_deref() => {
            return Err(Failure::new(format!("Ephemeral mount point {path} is already mounted with another source: {source}")));
        }
        (MountState::Unmounted, Some(_)) => &[Step::Unmount],
        (MountState::Absent, Some(_)) => &[Step::Unmount, Step::RemoveFolder],
        (MountState::Absent, None) if exists => &[Step::RemoveFolder],
        (MountState::Remounted, Some(_)) => &[Step::Remount],
        (MountState::Remounted, None) => return Err(Failure::new(format!("{path} is not mounted, so it cannot be mounted again"))),
        _ => &[],
    };
    let outcome = describe(arguments, path, Outcome::changed_if(file_changes || !steps.is_empty()));
    if !outcome.is_changed() {
        return Ok(Plan::Done(outcome));
    }
    let outcome = if file_changes { outcome.showing(content_diff(&fstab, before.as_deref(), after.as_bytes())) } else { outcome };
    let (wish, path) = (arguments.clone(), path.to_owned());
    Ok(Plan::change(outcome, move |context, mut outcome| {
        if file_changes {
            if wish.backup && before.is_some() {
                outcome = outcome.with("backup_file", back_up(context, &fstab)?.to_string_lossy());
            }
            let permissions = Permissions { mode: before.is_none().then_some(0o644), ..Permissions::default() };
            context
                .system
                .write_file_atomically(&fstab, after.as_bytes(), &permissions)
                .context(format_args!("cannot write {}", fstab.display()))?;
        }
        for step in steps {
            if let Err(failure) = apply(&wish, context, &path, *step) {
                if file_changes && matches!(step, Step::Mount) {
                    // An entry that cannot be mounted would stop the next boot.
                    let kept = before.as_deref().unwrap_or_default();
                    context.system.write_file_atomically(&fstab, kept, &Permissions::default())?;
                }
                return Err(failure);
            }
        }
        Ok(outcome)
    }))
}

fn describe(wish: &Mount, path: &str, outcome: Outcome) -> Outcome {
    let mut outcome = outcome
        .with("name", path)
        .with("fstab", wish.fstab.as_str())
        .with("opts", options(wish))
        .with("dump", wish.dump.as_str())
        .with("passno", wish.passno.as_str())
        .with("boot", if wish.boot { "yes" } else { "no" });
    if let Some(source) = &wish.src {
        outcome = outcome.with("src", source.as_str());
    }
    if let Some(kind) = &wish.fstype {
        outcome = outcome.with("fstype", kind.as_str());
    }
    outcome
}

fn options(wish: &Mount) -> String {
    let mut options = wish.opts.clone().unwrap_or_else(|| "defaults".to_owned());
    if !wish.boot && !options.split(',').any(|option| option == "noauto") {
        options.push_str(",noauto");
    }
    options
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011")
}

fn entry(wish: &Mount, path: &str) -> [String; 6] {
    [
        escape(wish.src.as_deref().unwrap_or_default()),
        escape(path),
        escape(wish.fstype.as_deref().unwrap_or_default()),
        escape(&options(wish)),
        wish.dump.clone(),
        wish.passno.clone(),
    ]
}

/// fstab with that entry, or without any for the path. An entry that says the same stays as it is written.
fn with_entry(text: &str, path: &str, wished: Option<&[String; 6]>) -> String {
    let mut after = String::with_capacity(text.len() + 80);
    let mut open = wished;
    for line in text.lines() {
        let mut fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_entry = !line.trim_start().starts_with('#')
            && fields.len() >= 4
            && unescape(fields[1]).trim_end_matches('/') == path.trim_end_matches('/');
        // Swap has no path: `none` stands for many.
        if !is_entry || (fields[1] == "none" && wished.is_some_and(|wished| wished[0] != fields[0])) {
            after.push_str(line);
            after.push('\n');
            continue;
        }
        if let Some(wished) = open.take() {
            fields.resize(6, "0");
            if fields == *wished {
                after.push_str(line)
            } else {
                after.push_str(&wished.join(" "))
            }
            after.push('\n');
        }
    }
    if let Some(wished) = open {
        after.push_str(&wished.join(" "));
        after.push('\n');
    }
    if after.trim_end_matches('\n') == text.trim_end_matches('\n') { text.to_owned() } else { after }
}

fn apply(wish: &Mount, context: &Context, path: &str, step: Step) -> Result<(), Failure> {
    let argv: Vec<String> = match step {
        Step::MakeFolder => {
            context.system.make_dirs(Path::new(path)).context(format_args!("cannot make {path}"))?;
            return Ok(());
        }
        Step::RemoveFolder => {
            let left = context.system.list_dir(Path::new(path)).unwrap_or_default();
            if !left.is_empty() {
                return Err(Failure::new(format!("Error rmdir {path}: it is not empty")));
            }
            return context.system.remove_tree(Path::new(path)).context(format_args!("cannot remove {path}"));
        }
        Step::Mount if wish.state == MountState::Ephemeral => {
            let (kind, source) = (wish.fstype.clone().unwrap_or_default(), wish.src.clone().unwrap_or_default());
            ["mount", "-t", &kind, "-o", &options(wish), &source, path].map(str::to_owned).to_vec()
        }
        Step::Mount if wish.fstab.as_str() != "/etc/fstab" => ["mount", "-T", wish.fstab.as_str(), path].map(str::to_owned).to_vec(),
        Step::Mount => ["mount", path].map(str::to_owned).to_vec(),
        Step::Remount => ["mount", "-o", "remount", path].map(str::to_owned).to_vec(),
        Step::Unmount => ["umount", path].map(str::to_owned).to_vec(),
    };
    let finished = context.run(Program::new(argv).env("LC_ALL", "C.UTF-8")).context("cannot run mount")?;
    if finished.is_success() {
        return Ok(());
    }
    let word = if step == Step::Unmount { "unmounting" } else { "mounting" };
    Err(Failure::new(format!("Error {word} {path}: {}", finished.stderr_text().trim())).with("rc", finished.status))
}
