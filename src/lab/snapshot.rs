//! Snapshots without copying: the writable layers are frozen below new, empty ones, and a snapshot is a list of layers.

use std::fs;
use std::time::Duration;

use crate::boot::boot;
use crate::error::LabError;
use crate::guest::Disk;
use crate::hosts::{Host, lan};
use crate::record::{Open, remove_dir};
use crate::settings::Settings;
use crate::step::{Step, step};
use crate::{fault, supervisor};

/// A database may take its time to write everything; then the guest is ended like in a power cut.
const SHUT_DOWN_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn take(settings: &Settings, open: &mut Open, hosts: &[Host], name: &str, progress: &dyn Fn(Step)) -> Result<(), LabError> {
    check_name(name)?;
    if open.record.snapshots.contains_key(name) {
        return Err(LabError::SnapshotExists { name: name.to_owned() });
    }
    let running: Vec<&Host> = hosts.iter().filter(|host| open.runs(&host.name)).collect();
    step(progress, "shutting the guests down", || {
        for host in &running {
            let guest = open.guest(&host.name).clone();
            supervisor::ask_power_off(&guest)?;
        }
        running.iter().try_for_each(|host| supervisor::shut_down(open, &host.name, SHUT_DOWN_LIMIT))
    })?;
    step(progress, &format!("freezing the disks as '{name}'"), || freeze(settings, open, hosts, name))?;
    boot(settings, open, &running, progress)
}

/// The record comes first; [`mend`] completes what is interrupted after it.
fn freeze(settings: &Settings, open: &mut Open, hosts: &[Host], name: &str) -> Result<(), LabError> {
    let layer = open.next_layer();
    open.record.layers.push(layer);
    open.record.snapshots.insert(name.to_owned(), open.record.layers.clone());
    open.save()?;
    hosts.iter().try_for_each(|host| mend(settings, open, host))
}

/// A layer that the record names and the disk lacks is the writable one that was not moved yet. The host must not run.
pub(crate) fn mend(settings: &Settings, open: &Open, host: &Host) -> Result<(), LabError> {
    let disk = Disk::new(settings, host);
    if let Some(layer) = open.record.layers.last().map(|newest| disk.layer(newest)).filter(|layer| !layer.exists()) {
        fs::rename(disk.upper(), &layer).map_err(LabError::file("keep", disk.upper()))?;
    }
    disk.prepare()
}

pub(crate) fn revert(settings: &Settings, open: &mut Open, hosts: &[Host], name: &str, progress: &dyn Fn(Step)) -> Result<(), LabError> {
    let known = || open.record.snapshots.keys().cloned().collect();
    let layers = open.record.snapshots.get(name).cloned().ok_or_else(|| LabError::NoSnapshot { name: name.to_owned(), known: known() })?;
    step(progress, &format!("giving the guests the disks of '{name}'"), || {
        // What they hold is thrown away, so nothing needs to be written in good order.
        fault::kill(open, &hosts.iter().collect::<Vec<_>>())?;
        open.record.layers = layers;
        open.record.cuts.clear();
        open.record.reverting = true;
        open.save()?;
        finish_revert(settings, open)
    })?;
    boot(settings, open, &hosts.iter().collect::<Vec<_>>(), progress)
}

/// Throws away the disks of a revert that has begun; nothing runs then.
pub(crate) fn finish_revert(settings: &Settings, open: &mut Open) -> Result<(), LabError> {
    if open.record.reverting {
        for host in lan(&settings.name, settings.subnet) {
            let disk = Disk::new(settings, &host);
            remove_dir(&disk.upper())?;
            disk.prepare()?;
        }
        open.record.reverting = false;
        open.save()?;
    }
    Ok(())
}

/// A name is shown and typed, never a path.
fn check_name(name: &str) -> Result<(), LabError> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if plain && !name.is_empty() && name.len() <= 64 {
        return Ok(());
    }
    Err(LabError::BadValue { what: "snapshot name", value: name.to_owned(), example: "deployed" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert!(check_name("after-deploy_1.0").is_ok());
        for bad in ["", "a b", "a/b", "ä"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
