//! A deploy after a total loss: a backup is looked at before anything is touched, and restored into the new cluster.

use std::path::PathBuf;

use pgfleet_state::Backups;
use pgfleet_template::{Problem, Raw, Value, Vars};

use crate::WorkflowError;
use crate::deploy::state_folder;
use crate::play::{Prepared, Wish};
use crate::restoring::{Source, find};

/// The variables of the playbook for a restore, where a person asked for one: `-e restore_from_backup=true -e backup_file=...`.
///
/// # Errors
/// A backup that is not there, not whole, or of a newer PostgreSQL.
pub(crate) fn restore_variables(wish: &Wish, prepared: &Prepared) -> Result<Vars, WorkflowError> {
    let mut vars = Vars::new();
    let text = |name: &str| prepared.global_text(name);
    match text("restore_from_backup")?.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "false" | "no" | "off" | "0") => return Ok(vars),
        Some("true" | "yes" | "on" | "1") => {}
        Some(other) => return Err(Problem::new(format!("restore_from_backup is '{other}', and must be true or false")).into()),
    }
    let Some(wanted) = text("backup_file")?.filter(|wanted| !wanted.is_empty()) else {
        let problem = Problem::new("restore_from_backup is set, and backup_file is not");
        return Err(problem
            .with_hint("name a backup: -e backup_file=latest, the id of one ('pgfleet backup list'), or a file .sql.gz")
            .into());
    };
    let folder = match text("backup_folder")? {
        Some(folder) => PathBuf::from(folder),
        None => state_folder(wish, prepared)?.join("backups"),
    };
    let hint = "'pgfleet backup list' shows the backups; nothing was touched";
    let found = find(&Backups::in_folder(&folder), wish.project.root(), &wanted);
    let found = found.map_err(|reason| Problem::new(format!("backup_file: {reason}")).with_hint(hint))?;
    if let (Some(backup), Some(target)) = (found.major(), text("postgresql_version")?.and_then(|version| version.parse::<u32>().ok()))
        && backup > target
    {
        let problem = Problem::new(format!("backup_file: {} is of PostgreSQL {backup}, the cluster would be of {target}", found.title()));
        return Err(problem.with_hint("set postgresql_version to that of the backup, or a newer one").into());
    }
    let only = text("postgresql_database")?.unwrap_or_default();
    Source::read(&found, &only).map_err(|reason| Problem::new(format!("backup_file: {reason}")).with_hint(hint))?;
    let mut give = |name: &str, value: String| vars.insert(name.to_owned(), Raw::from(Value::from(value)));
    give("restore_backup", wanted);
    give("restore_folder", folder.display().to_string());
    give("restore_project", wish.project.root().display().to_string());
    Ok(vars)
}
