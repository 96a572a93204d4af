//! `modprobe`: kernel modules that are loaded, now and at boot.

use std::path::{Path, PathBuf};

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::system::{Modprobe, Persistence};

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::{Permissions, Program};

const AT_BOOT: &str = "/etc/modules-load.d";
const OPTIONS: &str = "/etc/modprobe.d";

pub(crate) fn plan(arguments: &Modprobe, context: &Context) -> Planned {
    let name = arguments.name.as_str();
    if name.is_empty() || name.contains(['/', '\n', ' ']) {
        return Err(Failure::new(format!("'{name}' cannot be a kernel module's name")));
    }
    let load = arguments.state == Presence::Present;
    let outcome = Outcome::unchanged().with("name", name).with("params", arguments.params.as_str()).with("state", arguments.state.word());
    let program = (is_loaded(name, context) != load).then(|| {
        let mut argv = vec!["modprobe".to_owned()];
        argv.extend((!load).then(|| "-r".to_owned()));
        argv.push(name.to_owned());
        argv.extend(arguments.params.split_whitespace().filter(|_| load).map(str::to_owned));
        argv
    });
    let files = match arguments.persistent {
        Persistence::Disabled => Vec::new(),
        Persistence::Present => to_write(arguments, context),
        Persistence::Absent => to_silence(name, context)?,
    };
    if program.is_none() && files.is_empty() {
        return Ok(Plan::Done(outcome));
    }
    let outcome = Outcome { status: Outcome::changed().status, ..outcome };
    Ok(Plan::change(outcome, move |context, outcome| {
        if let Some(argv) = program {
            let finished = context.run(Program::new(argv)).context("cannot run modprobe")?;
            if !finished.is_success() {
                return Err(Failure::new(finished.stderr_text().trim().to_owned())
                    .with("rc", finished.status)
                    .with("stdout", finished.stdout_text())
                    .with("stderr", finished.stderr_text()));
            }
        }
        for (path, text) in files {
            let writing = format!("cannot write {}", path.display());
            if let Some(folder) = path.parent() {
                context.system.make_dirs(folder).context(&writing)?;
            }
            context.system.write_file_atomically(&path, text.as_bytes(), &Permissions::default()).context(&writing)?;
        }
        Ok(outcome)
    }))
}

/// Loaded, or part of the kernel. `-` and `_` are the same in names.
fn is_loaded(name: &str, context: &Context) -> bool {
    let name = name.replace('-', "_");
    let loaded = context.system.read_file(Path::new("/proc/modules")).unwrap_or_default();
    if String::from_utf8_lossy(&loaded).lines().any(|line| line.split(' ').next() == Some(&name)) {
        return true;
    }
    let builtin = Path::new("/lib/modules").join(context.system.uname().release).join("modules.builtin");
    let text = context.system.read_text(&builtin).unwrap_or_default();
    text.lines()
        .any(|line| line.rsplit('/').next().and_then(|file| file.strip_suffix(".ko")).is_some_and(|file| file.replace('-', "_") == name))
}

/// The files of a folder with their text.
fn files(folder: &str, context: &Context) -> Vec<(PathBuf, String)> {
    let names = context.system.list_dir(Path::new(folder)).unwrap_or_default();
    let paths = names.into_iter().filter(|name| name.extension().is_some_and(|end| end == "conf")).map(|name| Path::new(folder).join(name));
    paths.filter_map(|path| Some((path.clone(), context.system.read_text(&path).ok()?))).collect()
}

fn to_write(wish: &Modprobe, context: &Context) -> Vec<(PathBuf, String)> {
    let mut changes = Vec::new();
    let file = format!("{}.conf", wish.name);
    if !files(AT_BOOT, context).iter().any(|(_, text)| text.lines().any(|line| line.trim() == wish.name)) {
        changes.push((Path::new(AT_BOOT).join(&file), format!("{}\n", wish.name)));
    }
    let wished: Vec<&str> = wish.params.split_whitespace().collect();
    if !wished.is_empty() && options(&wish.name, context) != wished {
        changes.push((Path::new(OPTIONS).join(&file), format!("options {} {}\n", wish.name, wished.join(" "))));
    }
    changes
}

/// The options that the module's lines give it.
fn options(name: &str, context: &Context) -> Vec<String> {
    let own = |line: &str| line.trim().strip_prefix("options ")?.trim_start().strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
    let lines: Vec<String> = files(OPTIONS, context).iter().flat_map(|(_, text)| text.lines().filter_map(own)).collect();
    lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

/// The files that name the module, with those lines commented out.
fn to_silence(name: &str, context: &Context) -> Result<Vec<(PathBuf, String)>, Failure> {
    let is_load = |line: &str| line.trim() == name;
    let is_option = |line: &str| line.trim().strip_prefix("options ").is_some_and(|rest| rest.split_whitespace().next() == Some(name));
    let mut changes = Vec::new();
    for (folder, is_meant) in [(AT_BOOT, &is_load as &dyn Fn(&str) -> bool), (OPTIONS, &is_option)] {
        for (path, text) in files(folder, context) {
            let silenced: String =
                text.split_inclusive('\n').map(|line| if is_meant(line) { format!("#{line}") } else { line.to_owned() }).collect();
            if silenced != text {
                changes.push((path, silenced));
            }
        }
    }
    Ok(changes)
}
