//! Who belongs where: hosts into groups, groups into groups, and the rules that hold after every change.

use std::borrow::Cow;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use pgfleet_template::{Problem, Raw, Value, Vars, Vault};

use crate::name::NameError;
use crate::{Group, GroupName, GroupNames, Host, HostName, Inventory, Origin, address};

/// The variable that orders groups of one depth.
const PRIORITY: &str = "ansible_group_priority";

impl Default for Inventory {
    /// No hosts; the groups `all` and `ungrouped`.
    fn default() -> Self {
        let (all, ungrouped) = (GroupName::known("all"), GroupName::known("ungrouped"));
        let mut groups = IndexMap::from([(all.clone(), Group::new(all.clone())), (ungrouped.clone(), Group::new(ungrouped.clone()))]);
        if let Some(group) = groups.get_mut("all") {
            group.children.insert(ungrouped);
        }
        if let Some(group) = groups.get_mut("ungrouped") {
            group.parents.insert(all);
            group.depth = 1;
        }
        Self {
            hosts: IndexMap::new(),
            groups,
            beside_sources: Vec::new(),
            beside_playbook: None,
            vault: Arc::new(Vault::none()),
            warnings: Vec::new(),
            merges: false,
            group_names: GroupNames::AsWritten,
            has_replaced_names: false,
        }
    }
}

impl Group {
    fn new(name: GroupName) -> Self {
        Self {
            name,
            vars: Arc::default(),
            hosts: IndexSet::new(),
            children: IndexSet::new(),
            parents: IndexSet::new(),
            priority: 1,
            depth: 0,
        }
    }
}

impl Inventory {
    /// Adds a host or changes its variables and groups while a playbook runs; true when that changes something.
    ///
    /// # Errors
    /// A name that is none.
    pub fn add_host(&mut self, name: &str, groups: &[String], vars: Vars) -> Result<bool, Problem> {
        let (name, port) = match address::parse(name) {
            Some(address) if !name.contains('[') || address.port.is_some() => (address.host, address.port),
            _ => (name.to_owned(), None),
        };
        let mut changed = self.host(&name).is_none();
        let invalid = |error: NameError| Problem::new(format!("'{name}' is no name for a host: {error}"));
        let name = self.ensure_host(&name, None, port, None).map_err(invalid)?;
        if let Some(host) = self.hosts.get_mut(&name) {
            for (key, value) in vars {
                if host.vars.get(&key).is_none_or(|old| old.as_written() != value.as_written()) {
                    Arc::make_mut(&mut host.vars).insert(key, value);
                    changed = true;
                }
            }
        }
        for group in groups {
            changed |= self.put(&name, group)?;
        }
        if changed {
            self.reconcile_groups().map_err(Problem::new)?;
            self.reconcile_host(&name);
        }
        Ok(changed)
    }

    /// Puts a host into a group, which is made if needed; true when that changes something.
    ///
    /// # Errors
    /// An unknown host, or a group's name that is none.
    pub fn add_to_group(&mut self, host: &str, group: &str) -> Result<bool, Problem> {
        let known = self.hosts.keys().map(HostName::as_str);
        let host = match self.host(host) {
            Some(host) => host.name.clone(),
            None => return Err(Problem::new(format!("the inventory has no host '{host}'")).did_you_mean(host, known)),
        };
        let changed = self.put(&host, group)?;
        if changed {
            self.reconcile_groups().map_err(Problem::new)?;
            self.reconcile_host(&host);
        }
        Ok(changed)
    }

    /// Puts a group below another one, which is made if needed; true when that changes something.
    ///
    /// # Errors
    /// A group's name that is none, or a circle.
    pub fn add_parent(&mut self, group: &str, parent: &str) -> Result<bool, Problem> {
        let named = |error: NameError| Problem::new(format!("'{parent}' is no name for a group: {error}"));
        let Some(group) = self.group(&self.called(group)).map(|group| group.name.clone()) else { return Ok(false) };
        let is_new = self.group(&self.called(parent)).is_none();
        let parent = self.ensure_group(parent).map_err(named)?;
        let is_below = self.ancestors(&group).contains(&parent);
        if !is_below {
            self.add_child(&parent, &group).map_err(Problem::new)?;
            self.reconcile_groups().map_err(Problem::new)?;
        }
        Ok(is_new || !is_below)
    }

    fn put(&mut self, host: &HostName, group: &str) -> Result<bool, Problem> {
        let is_new = self.group(&self.called(group)).is_none();
        let group = self.ensure_group(group).map_err(|error| Problem::new(format!("'{group}' is no name for a group: {error}")))?;
        Ok(self.join(host, &group) || is_new)
    }

    /// Adds a group without hosts, unless there is one of that name.
    ///
    /// # Errors
    /// When that is no name for a group.
    pub fn add_group(&mut self, name: &str) -> Result<(), Problem> {
        let added = self.ensure_group(name).map_err(|error| Problem::new(format!("'{name}' is no name for a group: {error}")));
        added.map(drop)
    }

    /// What a group of this name is called.
    pub(crate) fn called<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let fits = |(at, sign): (usize, char)| sign == '_' || (sign.is_alphanumeric() && !(at == 0 && sign.is_ascii_digit()));
        if self.group_names == GroupNames::AsWritten || name.char_indices().all(fits) {
            return Cow::Borrowed(name);
        }
        name.char_indices().map(|(at, sign)| if fits((at, sign)) { sign } else { '_' }).collect()
    }

    pub(crate) fn ensure_group(&mut self, name: &str) -> Result<GroupName, NameError> {
        let called = self.called(name);
        self.has_replaced_names |= called != name;
        if let Some(group) = self.group(&called) {
            return Ok(group.name.clone());
        }
        let name = GroupName::new(&*called)?;
        self.groups.insert(name.clone(), Group::new(name.clone()));
        Ok(name)
    }

    /// The port counts only where the host is new, as with Ansible.
    pub(crate) fn ensure_host(
        &mut self,
        name: &str,
        group: Option<&GroupName>,
        port: Option<u32>,
        origin: Option<&Arc<Origin>>,
    ) -> Result<HostName, NameError> {
        let name = HostName::new(name)?;
        self.hosts.entry(name.clone()).or_insert_with(|| {
            let mut vars = Vars::new();
            if let Some(port) = port.filter(|port| *port > 0) {
                vars.insert("ansible_port".to_owned(), Raw::Value(Value::from(i64::from(port))));
            }
            Host { name: name.clone(), vars: Arc::new(vars), groups: IndexSet::new(), origin: origin.cloned() }
        });
        if let Some(group) = group {
            self.join(&name, group);
        }
        Ok(name)
    }

    fn join(&mut self, host: &HostName, group: &GroupName) -> bool {
        if let Some(host) = self.hosts.get_mut(host) {
            host.groups.insert(group.clone());
        }
        self.groups.get_mut(group).is_some_and(|group| group.hosts.insert(host.clone()))
    }

    fn leave(&mut self, host: &HostName, group: &str) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.groups.shift_remove(group);
        }
        if let Some(group) = self.groups.get_mut(group) {
            group.hosts.shift_remove(host);
        }
    }

    /// Makes a group a child of another.
    ///
    /// # Errors
    /// When that closes a circle.
    pub(crate) fn add_child(&mut self, parent: &GroupName, child: &GroupName) -> Result<(), String> {
        if parent == child {
            return Err(format!("group '{parent}' cannot be its own child"));
        }
        if self.ancestors(parent).contains(child) {
            return Err(format!("groups '{parent}' and '{child}' contain each other"));
        }
        if let Some(group) = self.groups.get_mut(parent) {
            group.children.insert(child.clone());
        }
        if let Some(group) = self.groups.get_mut(child) {
            group.parents.insert(parent.clone());
        }
        Ok(())
    }

    /// Sets a variable of a host. Where a group has the host's name, Ansible takes it for the group's, and so it is of all of its hosts.
    pub(crate) fn set_host_variable(&mut self, host: &HostName, name: &str, value: Raw) {
        if let Some(group) = self.groups.get_mut(host.as_str()) {
            put(&mut group.vars, name, value, self.merges);
        } else if let Some(host) = self.hosts.get_mut(host) {
            put(&mut host.vars, name, value, self.merges);
        }
    }

    /// Sets a variable of a group.
    ///
    /// # Errors
    /// A priority that is no whole number.
    pub(crate) fn set_group_variable(&mut self, group: &GroupName, name: &str, value: Raw) -> Result<(), String> {
        let Some(group) = self.groups.get_mut(group) else { return Ok(()) };
        if name == PRIORITY {
            let value = value.as_written();
            let number = i64::try_from(value.clone()).ok().or_else(|| value.as_str()?.trim().parse().ok());
            group.priority = number.ok_or_else(|| format!("{PRIORITY} is a whole number, not '{value}'"))?;
        } else {
            put(&mut group.vars, name, value, self.merges);
        }
        Ok(())
    }

    /// Every group hangs below `all`, every host is in some group, and `ungrouped` holds only those in no other.
    ///
    /// # Errors
    /// When `all` stands below another group.
    pub(crate) fn reconcile(&mut self) -> Result<(), String> {
        self.reconcile_groups()?;
        let hosts: Vec<HostName> = self.hosts.keys().cloned().collect();
        hosts.iter().for_each(|host| self.reconcile_host(host));
        Ok(())
    }

    fn reconcile_groups(&mut self) -> Result<(), String> {
        let all = GroupName::known("all");
        let orphans: Vec<GroupName> =
            self.groups.values().filter(|group| group.parents.is_empty() && group.name != all).map(|group| group.name.clone()).collect();
        for orphan in orphans {
            self.add_child(&all, &orphan)?;
        }
        self.measure_depths();
        Ok(())
    }

    fn reconcile_host(&mut self, name: &HostName) {
        let (all, ungrouped) = (GroupName::known("all"), GroupName::known("ungrouped"));
        let Some(host) = self.hosts.get(name) else { return };
        let is_grouped = host.groups.iter().any(|group| *group != all && *group != ungrouped);
        let is_ungrouped = host.groups.contains(&ungrouped);
        if is_grouped && is_ungrouped {
            self.leave(name, "ungrouped");
        } else if !is_grouped && !is_ungrouped {
            self.join(name, &ungrouped);
        }
    }

    fn measure_depths(&mut self) {
        let mut settled = false;
        while !settled {
            settled = true;
            for index in 0..self.groups.len() {
                let group = &self.groups[index];
                let above =
                    group.parents.iter().filter_map(|parent| self.groups.get(parent)).map(|parent| parent.depth + 1).max().unwrap_or(0);
                if above != group.depth {
                    self.groups[index].depth = above;
                    settled = false;
                }
            }
        }
    }

    /// The groups above a group.
    pub(crate) fn ancestors(&self, group: &GroupName) -> IndexSet<GroupName> {
        let mut found: IndexSet<GroupName> = self.groups.get(group).map(|group| group.parents.clone()).unwrap_or_default();
        let mut next = 0;
        while let Some(name) = found.get_index(next).cloned() {
            found.extend(self.groups.get(&name).into_iter().flat_map(|group| group.parents.iter().cloned()));
            next += 1;
        }
        found
    }

    /// A group and all below it, nearest first.
    pub(crate) fn descendants(&self, group: &str) -> Vec<&Group> {
        let mut found: IndexSet<&GroupName> = self.group(group).map(|group| &group.name).into_iter().collect();
        let mut next = 0;
        while let Some(name) = found.get_index(next).copied() {
            found.extend(self.groups.get(name).into_iter().flat_map(|group| &group.children));
            next += 1;
        }
        found.into_iter().filter_map(|name| self.groups.get(name)).collect()
    }

    /// The groups of a host and those above them, in the order in which their variables count: by depth,
    /// priority and name, the last wins.
    pub(crate) fn groups_with(&self, host: &Host) -> Vec<&Group> {
        let mut names: IndexSet<GroupName> = IndexSet::from([GroupName::known("all")]);
        for group in &host.groups {
            names.insert(group.clone());
            names.extend(self.ancestors(group));
        }
        let mut groups: Vec<&Group> = names.iter().filter_map(|name| self.groups.get(name)).collect();
        groups.sort_by(|left, right| (left.depth, left.priority, &left.name).cmp(&(right.depth, right.priority, &right.name)));
        groups
    }
}

/// Sets a variable; a mapping goes over the one that is there where mappings are merged.
fn put(vars: &mut Arc<Vars>, name: &str, value: Raw, merges: bool) {
    let merged = vars.get(name).filter(|_| merges).and_then(|below| below.merged_with(&value));
    Arc::make_mut(vars).insert(name.to_owned(), merged.unwrap_or(value));
}
