//! Hosts, groups, variables and patterns, as Ansible reads them from inventories.

mod address;
mod constructed;
mod directory;
mod ini;
mod list;
mod literal;
mod load;
mod members;
mod name;
mod pattern;
mod precedence;
mod range;
mod script;
mod variables;
mod words;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use pgfleet_template::{Files, Problem, Vars, Vault};

pub use list::Listing;
pub use load::expand_list;
pub use name::{GroupName, HostName, NameError};
pub use pattern::Selection;
pub use variables::read_variables;

use variables::VariableFolder;

/// One machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name in the inventory.
    pub name: HostName,
    /// Variables that stand beside its name.
    vars: Arc<Vars>,
    /// Groups that name it themselves.
    groups: IndexSet<GroupName>,
    /// Where it was first met.
    origin: Option<Arc<Origin>>,
}

/// A group of hosts.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Variables that the inventory gives it.
    vars: Arc<Vars>,
    hosts: IndexSet<HostName>,
    children: IndexSet<GroupName>,
    parents: IndexSet<GroupName>,
    /// `ansible_group_priority`: the higher wins among groups of one depth.
    priority: i64,
    /// Length of the longest way from `all`.
    depth: usize,
}

/// The file of an inventory and its folder, both absolute.
#[derive(Debug)]
struct Origin {
    file: PathBuf,
    folder: PathBuf,
}

/// All hosts and groups with the variables that stand in the inventory and beside it.
#[derive(Clone, Debug)]
pub struct Inventory {
    hosts: IndexMap<HostName, Host>,
    groups: IndexMap<GroupName, Group>,
    /// `group_vars` and `host_vars` beside the sources, in the order of the sources.
    beside_sources: Vec<Arc<VariableFolder>>,
    /// Those beside the playbook.
    beside_playbook: Option<Arc<VariableFolder>>,
    vault: Arc<Vault>,
    warnings: Vec<Problem>,
    /// A mapping that several sources give a variable is merged of theirs.
    merges: bool,
    group_names: GroupNames,
    /// A group has another name than the one that was written.
    has_replaced_names: bool,
}

/// What becomes of groups' names that could be no variables' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupNames {
    /// They stay.
    #[default]
    AsWritten,
    /// `_` stands where something else than a letter, a digit or `_` stood, and where a digit stood at the beginning.
    Replaced,
}

/// How an inventory is read where that is not as usual.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Mappings that several sources give one variable are merged (`hash_behaviour = merge`).
    pub merges: bool,
    /// What groups are called.
    pub group_names: GroupNames,
    /// The variables of the command line, for files of the plugin `constructed` that ask for them.
    pub extra: Arc<Vars>,
}

impl Inventory {
    /// Reads sources (files, folders, scripts, lists of hosts), later ones over earlier ones, and the
    /// `group_vars` and `host_vars` beside each and beside the playbook.
    ///
    /// # Errors
    /// Every problem found, with its place.
    pub fn load(files: &dyn Files, sources: &[String], playbook_folder: Option<&Path>, vault: &Arc<Vault>) -> Result<Self, Vec<Problem>> {
        Self::load_with(files, sources, playbook_folder, vault, &Reading::default())
    }

    /// The same where something is not as usual.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(
        files: &dyn Files,
        sources: &[String],
        playbook_folder: Option<&Path>,
        vault: &Arc<Vault>,
        reading: &Reading,
    ) -> Result<Self, Vec<Problem>> {
        load::load(files, sources, playbook_folder, vault, reading)
    }

    /// What deserves a word but is no mistake.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Whether a group is called otherwise than written ([`GroupNames::Replaced`]).
    #[must_use]
    pub fn has_replaced_names(&self) -> bool {
        self.has_replaced_names
    }

    /// All hosts in the order in which they were met.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// The host of a name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// All groups, `all` and `ungrouped` first.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group of a name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The groups that a host belongs to, sorted, without `all` (`group_names`).
    #[must_use]
    pub fn groups_of(&self, host: &str) -> Vec<&str> {
        let Some(host) = self.host(host) else { return Vec::new() };
        let mut names: Vec<&str> = self.groups_with(host).iter().map(|group| group.name.as_str()).filter(|name| *name != "all").collect();
        names.sort_unstable();
        names
    }

    /// The hosts of a group and of those below it, nearest first (`groups['g']`).
    #[must_use]
    pub fn members(&self, group: &str) -> Vec<&HostName> {
        let mut members: IndexSet<&HostName> = IndexSet::new();
        for group in self.descendants(group) {
            members.extend(&group.hosts);
        }
        members.into_iter().collect()
    }

    /// The file that first named a host, and its folder (`inventory_file`, `inventory_dir`).
    #[must_use]
    pub fn origin_of(&self, host: &str) -> Option<(PathBuf, PathBuf)> {
        let origin = self.host(host)?.origin.as_ref()?;
        Some((origin.file.clone(), origin.folder.clone()))
    }
}
