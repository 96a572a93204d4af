//! Looking at playbooks before anything connects.

use std::path::{Path, PathBuf};

use pgfleet_inventory::{Inventory, read_variables};
use pgfleet_lint::{Finding, Report, Request, Severity};
use pgfleet_template::{Place, Problem};

use crate::play::{Wish, extra_variables, find_playbook, loader, read_inventory};

/// Everything that can be known to be wrong with playbooks on an inventory.
#[must_use]
pub fn lint_playbooks(wish: &Wish, playbooks: &[PathBuf]) -> Report {
    let carried = wish.project.files();
    let finder = loader(wish, carried.clone());
    let playbooks: Vec<PathBuf> = playbooks.iter().map(|path| find_playbook(wish, &*carried, &finder, path)).collect();
    let own = playbooks.iter().find(|path| wish.project.is_own(path));
    let files = own.or(playbooks.first()).map_or(carried, |path| wish.project.files_for(path));
    let loader = loader(wish, files.clone());
    let vault = loader.vault();
    let folder = playbooks.first().and_then(|path| path.parent()).unwrap_or(Path::new(".")).to_owned();
    let mut problems: Vec<Problem> = Vec::new();
    let inventory: Option<Inventory> = match wish.inventories.is_empty() {
        true => None,
        false => read_inventory(wish, &*files, Some(&folder), vault).map_err(|found| problems.extend(found)).ok(),
    };
    let mut defined = std::collections::BTreeSet::new();
    match extra_variables(wish, &*files, vault) {
        Ok(extra) => defined.extend(extra.into_keys()),
        Err(found) => problems.extend(found),
    }
    let defaults = folder.join("vars/defaults.yml");
    if own.is_some() && files.is_file(&defaults) {
        // A problem with the file itself is told where it is read.
        defined.extend(read_variables(&*files, &defaults, vault).map(|vars| vars.into_keys().collect::<Vec<_>>()).unwrap_or_default());
    }
    // Workflows give their own playbooks passwords and what a person asked for.
    let names_are_open = own.is_some();
    let is_file = |source: &&String| !source.contains(',');
    let request = Request {
        loader: &loader,
        playbooks,
        inventory: inventory.as_ref(),
        sources: wish.inventories.iter().filter(is_file).map(|source| wish.project.resolve(Path::new(source))).collect(),
        defined,
        names_are_open,
        project: wish.project.root().to_owned(),
        tags: wish.tags.clone(),
        limit: wish.limit.clone(),
    };
    let mut report = pgfleet_lint::lint(&request);
    // What hides the inventory stands above all else.
    report.findings.splice(0..0, problems.into_iter().map(finding));
    report
}

fn finding(problem: Problem) -> Finding {
    Finding {
        severity: Severity::Error,
        rule: "inventory",
        place: problem.place.unwrap_or_else(|| Place::new("", 0, 0)),
        piece: String::new(),
        message: problem.message,
        hint: problem.hint,
        excerpt: problem.excerpt.map(String::from),
    }
}
