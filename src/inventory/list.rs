//! The inventory for a person's eyes, as `ansible-inventory` prints it.

use std::collections::{BTreeSet, HashSet};

use pgfleet_template::{Raw, Text, Value, ValueKind, Vars, in_python, is_unsafe, mapping, to_exact_json};
use serde_json::Value as Json;

use crate::{Group, GroupName, Host, HostName, Inventory};

/// What of an inventory is shown, and how.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Variables stand where they are written, those of groups with their groups.
    pub export: bool,
    /// Only these hosts; `None` for all.
    pub hosts: Option<BTreeSet<String>>,
    /// Variables stand in the tree as well.
    pub variables: bool,
}

impl Listing {
    fn shows(&self, host: &str) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.contains(host))
    }
}

impl Inventory {
    /// What `ansible-inventory --list` prints: templates as their text, names sorted.
    #[must_use]
    pub fn as_list(&self) -> Json {
        json(&self.list(&Listing::default()))
    }

    /// The same, as wished.
    #[must_use]
    pub fn list(&self, listing: &Listing) -> Value {
        let mut groups = Vec::new();
        for group in self.descendants("all") {
            let mut entry = Vec::new();
            push_unless_empty(&mut entry, "children", list(group.children.iter().map(GroupName::as_str)));
            if group.name.as_str() != "all" {
                push_unless_empty(&mut entry, "hosts", list(group.hosts.iter().map(HostName::as_str).filter(|host| listing.shows(host))));
            }
            if listing.export {
                push_unless_empty(&mut entry, "vars", marked(&self.group_variables(group)));
            }
            if !entry.is_empty() {
                groups.push((group.name.to_string(), mapping(entry)));
            }
        }
        let hosts =
            self.members("all").into_iter().filter_map(|name| self.hosts.get(name)).filter(|host| listing.shows(host.name.as_str()));
        let vars = hosts.map(|host| (host.name.to_string(), marked(&self.shown_variables(host, listing))));
        let vars = mapping(vars.filter(|(_, vars)| vars.len() != Some(0)));
        groups.push(("_meta".to_owned(), mapping([("hostvars", vars), ("profile", Value::from("inventory_legacy"))])));
        mapping(groups)
    }

    /// What `ansible-inventory --list --yaml` prints: groups in groups, each group's members and each host's variables where they are met first.
    #[must_use]
    pub fn nested(&self, listing: &Listing) -> Value {
        let mut seen = Seen::default();
        mapping(self.group("all").map(|all| ("all", self.nest(all, listing, &mut seen))))
    }

    fn nest<'i>(&'i self, group: &'i Group, listing: &Listing, seen: &mut Seen<'i>) -> Value {
        let mut entry = Vec::new();
        let mut children = Vec::new();
        for child in group.children.iter().filter_map(|child| self.groups.get(child)) {
            let name = child.name.as_str();
            if seen.groups.contains(name) {
                children.push((name, mapping::<&str>([])));
            } else {
                push_unless_empty(&mut children, name, self.nest(child, listing, seen));
                seen.groups.insert(name);
            }
        }
        push_unless_empty(&mut entry, "children", mapping(children));
        push_unless_empty(&mut entry, "hosts", self.hosts_of(group, listing, seen));
        if listing.export {
            push_unless_empty(&mut entry, "vars", self.group_variables(group));
        }
        mapping(entry)
    }

    /// What `ansible-inventory --list --toml` prints: all groups beside each other.
    #[must_use]
    pub fn tables(&self, listing: &Listing) -> Value {
        let mut tables = Vec::new();
        if let Some(all) = self.group("all") {
            self.tabulate(all, listing, &mut Seen::default(), &mut tables);
        }
        mapping(tables)
    }

    /// Puts a group behind those that are in it. One that is met again keeps its place and loses what was told of its hosts.
    fn tabulate<'i>(&'i self, group: &'i Group, listing: &Listing, seen: &mut Seen<'i>, tables: &mut Vec<(String, Value)>) {
        let is_empty = |child: &Group| child.name.as_str() == "ungrouped" && child.hosts.is_empty();
        let children: Vec<&Group> =
            group.children.iter().filter_map(|child| self.groups.get(child)).filter(|child| !is_empty(child)).collect();
        let mut inner = Vec::new();
        for child in &children {
            self.tabulate(child, listing, seen, &mut inner);
        }
        let mut entry = Vec::new();
        if group.name.as_str() != "all" {
            push_unless_empty(&mut entry, "children", list(children.iter().map(|child| child.name.as_str())));
        }
        push_unless_empty(&mut entry, "hosts", self.hosts_of(group, listing, seen));
        if listing.export {
            push_unless_empty(&mut entry, "vars", self.group_variables(group));
        }
        let own = (!entry.is_empty()).then(|| (group.name.to_string(), mapping(entry)));
        for (name, table) in own.into_iter().chain(inner) {
            match tables.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = table,
                None => tables.push((name, table)),
            }
        }
    }

    fn hosts_of<'i>(&'i self, group: &'i Group, listing: &Listing, seen: &mut Seen<'i>) -> Value {
        let hosts = group.hosts.iter().filter_map(|host| self.hosts.get(host)).filter(|host| listing.shows(host.name.as_str()));
        mapping(hosts.filter(|_| group.name.as_str() != "all").map(|host| {
            let first = seen.hosts.insert(host.name.as_str());
            (host.name.as_str(), if first { self.shown_variables(host, listing) } else { mapping::<&str>([]) })
        }))
    }

    /// What `ansible-inventory --host` prints as JSON; null for an unknown host.
    #[must_use]
    pub fn host_variables_as_written(&self, host: &str) -> Json {
        self.variables_as_written(host).map_or(Json::Null, |vars| json(&marked(&vars)))
    }

    /// The same as values.
    #[must_use]
    pub fn variables_as_written(&self, host: &str) -> Option<Value> {
        self.host(host).map(|host| self.vars_as_written(host))
    }

    fn shown_variables(&self, host: &Host, listing: &Listing) -> Value {
        if !listing.export {
            return self.vars_as_written(host);
        }
        let folders = self.beside_sources.iter().chain(&self.beside_playbook).filter_map(|folder| folder.host(host.name.as_str()));
        written(std::iter::once(&host.vars).chain(folders.filter_map(|entry| entry.as_ref().ok())).map(|vars| &**vars))
    }

    fn group_variables(&self, group: &Group) -> Value {
        let folders = self.beside_sources.iter().chain(&self.beside_playbook).filter_map(|folder| folder.group(group.name.as_str()));
        written(std::iter::once(&group.vars).chain(folders.filter_map(|entry| entry.as_ref().ok())).map(|vars| &**vars))
    }

    fn vars_as_written(&self, host: &Host) -> Value {
        let layers = self.layers(&host.name, None).unwrap_or_default();
        written(layers.iter().map(|layer| &**layer))
    }

    /// What `ansible-inventory --graph` prints.
    #[must_use]
    pub fn graph(&self) -> String {
        self.tree("all", &Listing::default())
    }

    /// The same from a group on, as wished; empty for an unknown group.
    #[must_use]
    pub fn tree(&self, group: &str, listing: &Listing) -> String {
        let mut lines = Vec::new();
        if let Some(group) = self.group(group) {
            self.draw(group, 0, listing, &mut HashSet::new(), &mut lines);
        }
        lines.join("\n")
    }

    fn draw<'i>(&'i self, group: &'i Group, depth: usize, listing: &Listing, above: &mut HashSet<&'i str>, lines: &mut Vec<String>) {
        if !above.insert(group.name.as_str()) {
            return;
        }
        lines.push(branch(depth, &format!("@{}:", group.name)));
        for child in group.children.iter().filter_map(|child| self.groups.get(child)) {
            self.draw(child, depth + 1, listing, above, lines);
        }
        if group.name.as_str() != "all" {
            for host in group.hosts.iter().filter(|host| listing.shows(host.as_str())).filter_map(|host| self.hosts.get(host)) {
                lines.push(branch(depth + 1, host.name.as_str()));
                if listing.variables {
                    draw_variables(&self.vars_as_written(host), depth + 2, lines);
                }
            }
        }
        if listing.variables {
            draw_variables(&self.group_variables(group), depth + 1, lines);
        }
        above.remove(group.name.as_str());
    }
}

/// What a listing has told already.
#[derive(Default)]
struct Seen<'i> {
    groups: HashSet<&'i str>,
    hosts: HashSet<&'i str>,
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> Value {
    Value::from(names.map(Value::from).collect::<Vec<_>>())
}

fn push_unless_empty<'n>(entries: &mut Vec<(&'n str, Value)>, name: &'n str, value: Value) {
    if value.len() != Some(0) {
        entries.push((name, value));
    }
}

/// Values as JSON, names sorted.
fn json(value: &Value) -> Json {
    let mut json = to_exact_json(value).unwrap_or_default();
    json.sort_all_objects();
    json
}

/// Variables of several layers, the last of which wins.
fn written<'v>(layers: impl Iterator<Item = &'v Vars>) -> Value {
    let mut merged = Vars::new();
    for layer in layers {
        merged.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    mapping(merged.iter().map(|(name, value)| (name.clone(), as_written(value))))
}

fn draw_variables(vars: &Value, depth: usize, lines: &mut Vec<String>) {
    let mut entries: Vec<(String, Value)> = vars.try_iter().into_iter().flatten().map(|name| (name.to_string(), name)).collect();
    entries.sort();
    for (text, name) in entries {
        let shown = vars.get_item(&name).ok().and_then(|value| in_python(&value).ok()).unwrap_or_default();
        lines.push(branch(depth, &format!("{{{text} = {shown}}}")));
    }
}

fn branch(depth: usize, name: &str) -> String {
    if depth == 0 { name.to_owned() } else { format!("{}--{name}", "  |".repeat(depth)) }
}

/// A value as it is written. Text that looks like a template and is none can be told from one.
fn as_written(value: &Raw) -> Value {
    match value {
        Raw::Value(value) => changed(value, &|text| {
            text.as_str().filter(|text| Text::is_template(text)).map(|text| Value::from_safe_string(text.to_owned()))
        }),
        Raw::Text(_) | Raw::Late(_) => value.as_written(),
        Raw::List(items) => Value::from(items.iter().map(as_written).collect::<Vec<_>>()),
        Raw::Map(entries) => Value::from_pairs(entries.iter().map(|(key, value)| (key.as_written(), as_written(value)))),
    }
}

/// Variables as a listing in JSON has them: text that looks like a template and is none is marked as `!unsafe`.
fn marked(variables: &Value) -> Value {
    changed(variables, &|text| is_unsafe(text).then(|| mapping([("__ansible_unsafe", Value::from(text.to_string()))])))
}

/// A value with other texts in it.
fn changed(value: &Value, change: &dyn Fn(&Value) -> Option<Value>) -> Value {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::String => change(value).unwrap_or_else(|| value.clone()),
        ValueKind::Seq | ValueKind::Iterable => Value::from(items().map(|item| changed(&item, change)).collect::<Vec<_>>()),
        ValueKind::Map => Value::from_pairs(items().map(|key| {
            let item = value.get_item(&key).unwrap_or_default();
            (key, changed(&item, change))
        })),
        _ => value.clone(),
    }
}
