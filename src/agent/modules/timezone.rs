//! `timezone`: the host's time zone, by its link below `/etc`.

use std::path::Path;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::system::Timezone;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::content_diff;
use crate::system::{Permissions, Program};

const LINK: &str = "/etc/localtime";
const NAME: &str = "/etc/timezone";
const ZONES: &str = "/usr/share/zoneinfo";

pub(crate) fn plan(arguments: &Timezone, context: &Context) -> Planned {
    let (mut before, mut after) = (String::new(), String::new());
    let system = context.system;
    let found = system.read_link(Path::new(LINK)).ok().and_then(|target| {
        let target = target.to_string_lossy().into_owned();
        target.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned())
    });
    let named = system.read_text(Path::new(NAME)).ok().map(|text| text.trim().to_owned());
    let mut zone = None;
    if let Some(wished) = &arguments.name {
        let is_path = wished.starts_with('/') || wished.split('/').any(|part| matches!(part, "" | "." | ".."));
        if is_path || !system.stat_if_there(&Path::new(ZONES).join(wished))?.is_some_and(|file| file.is_file()) {
            return Err(Failure::new(format!("timezone {wished} is not available: there is no {ZONES}/{wished}")));
        }
        let now = found.clone().or_else(|| named.clone()).unwrap_or_else(|| "n/a".to_owned());
        if now != *wished || found.is_none() || named.as_ref().is_some_and(|named| named != wished) {
            before.push_str(&format!("name: {now}\n"));
            after.push_str(&format!("name: {wished}\n"));
            zone = Some(wished.clone());
        }
    }
    let clock = arguments.hwclock.as_deref().map(clock_of).transpose()?.filter(|local| *local != keeps_local_time(context));
    if let Some(local) = clock {
        before.push_str(if local { "hwclock: UTC\n" } else { "hwclock: local\n" });
        after.push_str(if local { "hwclock: local\n" } else { "hwclock: UTC\n" });
    }
    if before == after {
        return Ok(Plan::Done(Outcome::unchanged()));
    }
    let outcome = Outcome::changed().showing(content_diff(Path::new(LINK), Some(before.as_bytes()), after.as_bytes()));
    Ok(Plan::change(outcome, move |context, outcome| {
        if let Some(zone) = zone {
            set_zone(&zone, named.is_some(), context)?;
        }
        if let Some(local) = clock {
            let finished = context
                .run(Program::new(["timedatectl", "set-local-rtc", if local { "1" } else { "0" }]))
                .context("cannot run timedatectl")?;
            if !finished.is_success() {
                return Err(Failure::new(format!("timedatectl failed: {}", finished.stderr_text().trim())).with("rc", finished.status));
            }
        }
        Ok(outcome)
    }))
}

/// True for local time.
fn clock_of(word: &str) -> Result<bool, Failure> {
    match word {
        "local" => Ok(true),
        "UTC" => Ok(false),
        other => Err(Failure::new(format!("hwclock must be UTC or local, not '{other}'"))),
    }
}

fn keeps_local_time(context: &Context) -> bool {
    context.system.read_text(Path::new("/etc/adjtime")).is_ok_and(|text| text.lines().any(|line| line.trim() == "LOCAL"))
}

/// A link beside the old one takes its place at once.
fn set_zone(zone: &str, has_name: bool, context: &Context) -> Result<(), Failure> {
    let (link, new) = (Path::new(LINK), Path::new("/etc/.localtime.pgfleet-new"));
    let setting = format!("cannot set {LINK}");
    // A link that an interrupted run left.
    let _ = context.system.remove_file(new);
    context.system.symlink(&Path::new(ZONES).join(zone), new).context(&setting)?;
    context.system.rename(new, link).context(&setting)?;
    if has_name {
        let line = format!("{zone}\n");
        context
            .system
            .write_file_atomically(Path::new(NAME), line.as_bytes(), &Permissions::default())
            .context(format_args!("cannot write {NAME}"))?;
    }
    Ok(())
}
