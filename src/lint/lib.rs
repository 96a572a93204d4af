//! Everything that can be known to be wrong with playbooks, roles, templates and inventories before anything connects.
//!
//! Nothing is rendered and nothing runs. What cannot be known is passed over in silence.

mod arguments;
mod called;
mod context;
mod expression;
mod files;
mod finding;
mod handlers;
mod hosts;
mod inventory;
mod names;
mod play;
mod reach;
mod roles;
mod sources;
mod step;
mod task;
mod traps;
mod variables;
mod walk;

use std::collections::BTreeSet;
use std::path::PathBuf;

use pgfleet_inventory::Inventory;
use pgfleet_playbook::{Loader, TagSelection};
use pgfleet_template::Files;

pub use finding::{Finding, Report, Severity, Unsupported};

/// What shall be looked at.
pub struct Request<'r> {
    /// Where files come from, and where roles are found.
    pub loader: &'r Loader,
    /// The playbooks.
    pub playbooks: Vec<PathBuf>,
    /// The inventory as read, where there is one; without it names of variables are not checked.
    pub inventory: Option<&'r Inventory>,
    /// The inventory's files and folders.
    pub sources: Vec<PathBuf>,
    /// Names of variables that come from elsewhere, from the command line say.
    pub defined: BTreeSet<String>,
    /// Names may come from elsewhere, too: those that nothing defines are not told.
    pub names_are_open: bool,
    /// The project's folder, in which `templates` and `files` are looked for last.
    pub project: PathBuf,
    /// Which tasks would run.
    pub tags: TagSelection,
    /// Which hosts would be reached, where that is limited.
    pub limit: Option<String>,
}

impl Request<'_> {
    pub(crate) fn files(&self) -> &dyn Files {
        &**self.loader.files()
    }
}

/// Looks at everything that the playbooks reach.
#[must_use]
pub fn lint(request: &Request<'_>) -> Report {
    let mut walk = walk::Walk::new(request);
    walk.inventory();
    for playbook in &request.playbooks {
        walk.start(playbook);
    }
    walk.finish()
}
