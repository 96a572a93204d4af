//! `filesystem`: makes a file system where there is none.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::settings::Filesystem;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::modules::command;
use crate::paths;
use crate::system::Program;

pub(crate) fn plan(arguments: &Filesystem, context: &Context) -> Planned {
    let device = paths::expand(context.system, arguments.dev.as_str())?;
    if !context.system.exists(&device) {
        if arguments.state == Presence::Absent {
            return Ok(Plan::Done(Outcome::unchanged().saying(format!("{} not found", device.display()))));
        }
        return Err(Failure::new(format!("{} not found", device.display())));
    }
    let name = device.to_string_lossy().into_owned();
    let found = context.run(Program::new(["blkid", "-c", "/dev/null", "-o", "value", "-s", "TYPE", &name])).context("cannot run blkid")?;
    let found = found.stdout_text().trim().to_owned();
    let argv = match (arguments.state, &arguments.fstype) {
        (Presence::Absent, _) if found.is_empty() => return Ok(Plan::Done(Outcome::unchanged())),
        (Presence::Absent, _) => vec!["wipefs".to_owned(), "--all".to_owned(), name],
        (Presence::Present, None) => return Err(Failure::new("fstype is needed where state is present")),
        (Presence::Present, Some(kind)) if found == *kind && !arguments.force => return Ok(Plan::Done(Outcome::unchanged())),
        (Presence::Present, Some(_)) if !found.is_empty() && !arguments.force => {
            return Err(Failure::new(format!("'{name}' is already used as {found}, use force=true to overwrite")).with("rc", 1));
        }
        (Presence::Present, Some(kind)) => {
            let force = match kind.as_str() {
                "ext2" | "ext3" | "ext4" => vec!["-F".to_owned()],
                "xfs" | "btrfs" if !found.is_empty() => vec!["-f".to_owned()],
                _ => Vec::new(),
            };
            let options = command::split(arguments.opts.as_deref().unwrap_or_default())?;
            [vec![format!("mkfs.{kind}")], force, options, vec![name]].concat()
        }
    };
    Ok(Plan::change(Outcome::changed(), move |context, outcome| {
        let finished = context.run(Program::new(argv.clone())).context(format_args!("cannot run {}", argv[0]))?;
        if finished.is_success() {
            return Ok(outcome);
        }
        Err(Failure::new(format!("{} failed: {}", argv.join(" "), finished.stderr_text().trim())).with("rc", finished.status))
    }))
}
