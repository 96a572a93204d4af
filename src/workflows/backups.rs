//! The catalogue of backups as a person asks for it: no host is needed for that.

use std::path::PathBuf;

use pgfleet_state::{Backups, Entry};

use crate::WorkflowError;
use crate::deploy::state_folder;
use crate::play::{Wish, prepare_own};
use crate::streams::sum_of;

/// The backups of the inventory's cluster: where its variables say, otherwise in its folder of `state/`.
///
/// # Errors
/// Wrong input.
pub fn backups(wish: &Wish) -> Result<Backups, WorkflowError> {
    let prepared = prepare_own(wish, "playbooks/postgresql/backup.yml")?;
    let given = prepared.global_text("backup_folder")?.map(PathBuf::from);
    Ok(Backups::in_folder(given.map_or_else(|| state_folder(wish, &prepared).map(|folder| folder.join("backups")), Ok)?))
}

/// Reads every file of a backup and tells what is not as the manifest says. `tell` is told each file before it is read.
#[must_use]
pub fn verify_files(entry: &Entry, mut tell: impl FnMut(&str, u64)) -> Vec<String> {
    let manifest = match &entry.manifest {
        Ok(manifest) => manifest,
        Err(reason) => return vec![reason.clone()],
    };
    let mut problems = Vec::new();
    if manifest.id != entry.id {
        problems.push(format!("the manifest is that of {}", manifest.id));
    }
    for file in manifest.files() {
        tell(&file.file, file.bytes);
        match sum_of(&entry.folder.join(&file.file)) {
            Err(error) => problems.push(format!("{} cannot be read: {error}", file.file)),
            Ok(found) if found.bytes != file.bytes => {
                problems.push(format!("{} has {} bytes, {} were written", file.file, found.bytes, file.bytes));
            }
            Ok(found) if found.sha256 != file.sha256 => problems.push(format!("{} is damaged: its checksum is another", file.file)),
            Ok(_) => {}
        }
    }
    problems
}
