//! The inventory for a person's eyes, as `ansible-inventory` prints it.

use std::collections::{BTreeSet, HashSet};

use pgfleet_template::{Raw, Text, Vars, to_json};
use serde_json::{Map, Value as Json};

use crate::{Group, Host, Inventory};

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
    /// What `ansible-inventory --list` prints: templates as their text, names sorted. What JSON cannot hold
    /// (`.inf`) is text.
    #[must_use]
    pub fn as_list(&self) -> Json {
        self.list(&Listing::default())
    }

    /// The same, as wished.
    #[must_use]
    pub fn list(&self, listing: &Listing) -> Json {
        let mut list = Map::new();
        for group in self.descendants("all") {
            let mut entry = Map::new();
            if !group.children.is_empty() {
                entry.insert("children".to_owned(), group.children.iter().map(|child| Json::from(child.as_str())).collect());
            }
            let hosts: Vec<Json> =
                group.hosts.iter().filter(|host| listing.shows(host.as_str())).map(|host| Json::from(host.as_str())).collect();
            if !hosts.is_empty() && group.name.as_str() != "all" {
                entry.insert("hosts".to_owned(), hosts.into());
            }
            if listing.export {
                insert_unless_empty(&mut entry, "vars", self.group_variables(group));
            }
            if !entry.is_empty() {
                list.insert(group.name.to_string(), Json::Object(entry));
            }
        }
        let hosts =
            self.members("all").into_iter().filter_map(|name| self.hosts.get(name)).filter(|host| listing.shows(host.name.as_str()));
        let vars: Map<String, Json> = hosts
            .map(|host| (host.name.to_string(), self.shown_variables(host, listing)))
            .filter(|(_, vars)| vars.as_object().is_some_and(|vars| !vars.is_empty()))
            .collect();
        let meta = Map::from_iter([("hostvars".to_owned(), Json::Object(vars)), ("profile".to_owned(), Json::from("inventory_legacy"))]);
        list.insert("_meta".to_owned(), Json::Object(meta));
        let mut list = Json::Object(list);
        list.sort_all_objects();
        list
    }

    /// What `ansible-inventory --list --yaml` prints: groups in groups, each host's variables where it is met first.
    #[must_use]
    pub fn nested(&self, listing: &Listing) -> Json {
        let mut seen = HashSet::new();
        let all = self.group("all").map(|all| self.nest(all, listing, &mut seen)).unwrap_or_default();
        let mut nested = Json::Object(Map::from_iter([("all".to_owned(), Json::Object(all))]));
        nested.sort_all_objects();
        nested
    }

    fn nest<'i>(&'i self, group: &'i Group, listing: &Listing, seen: &mut HashSet<&'i str>) -> Map<String, Json> {
        let mut entry = Map::new();
        let mut children = Map::new();
        for child in group.children.iter().filter_map(|child| self.groups.get(child)) {
            insert_unless_empty(&mut children, child.name.as_str(), Json::Object(self.nest(child, listing, seen)));
        }
        insert_unless_empty(&mut entry, "children", Json::Object(children));
        let mut hosts = Map::new();
        if group.name.as_str() != "all" {
            for host in group.hosts.iter().filter_map(|host| self.hosts.get(host)).filter(|host| listing.shows(host.name.as_str())) {
                let first = seen.insert(host.name.as_str());
                let vars = if first { self.shown_variables(host, listing) } else { Json::Object(Map::new()) };
                hosts.insert(host.name.to_string(), vars);
            }
        }
        insert_unless_empty(&mut entry, "hosts", Json::Object(hosts));
        if listing.export {
            insert_unless_empty(&mut entry, "vars", self.group_variables(group));
        }
        entry
    }

    /// What `ansible-inventory --host` prints; null for an unknown host.
    #[must_use]
    pub fn host_variables_as_written(&self, host: &str) -> Json {
        let Some(host) = self.host(host) else { return Json::Null };
        let mut vars = self.vars_as_written(host);
        vars.sort_all_objects();
        vars
    }

    fn shown_variables(&self, host: &Host, listing: &Listing) -> Json {
        if !listing.export {
            return self.vars_as_written(host);
        }
        let folders = self.beside_sources.iter().chain(&self.beside_playbook).filter_map(|folder| folder.host(host.name.as_str()));
        written(std::iter::once(&host.vars).chain(folders.filter_map(|entry| entry.as_ref().ok())).map(|vars| &**vars))
    }

    fn group_variables(&self, group: &Group) -> Json {
        let folders = self.beside_sources.iter().chain(&self.beside_playbook).filter_map(|folder| folder.group(group.name.as_str()));
        written(std::iter::once(&group.vars).chain(folders.filter_map(|entry| entry.as_ref().ok())).map(|vars| &**vars))
    }

    fn vars_as_written(&self, host: &Host) -> Json {
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

fn insert_unless_empty(map: &mut Map<String, Json>, name: &str, value: Json) {
    if value.as_object().is_some_and(|entries| !entries.is_empty()) {
        map.insert(name.to_owned(), value);
    }
}

/// Variables of several layers, the last of which wins.
fn written<'v>(layers: impl Iterator<Item = &'v Vars>) -> Json {
    let mut merged = Vars::new();
    for layer in layers {
        merged.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    merged.iter().map(|(name, value)| (name.clone(), as_written(value))).collect::<Map<_, _>>().into()
}

fn draw_variables(vars: &Json, depth: usize, lines: &mut Vec<String>) {
    let mut entries: Vec<(&String, &Json)> = vars.as_object().into_iter().flatten().collect();
    entries.sort_by_key(|(name, _)| *name);
    for (name, value) in entries {
        let shown = value.as_str().map_or_else(|| python(value), str::to_owned);
        lines.push(branch(depth, &format!("{{{name} = {shown}}}")));
    }
}

/// A value as Python prints it.
fn python(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::String(text) if text.contains('\'') && !text.contains('"') => format!("\"{text}\""),
        Json::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n")),
        Json::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let entry = |(name, value): (&String, &Json)| format!("{}: {}", python(&Json::from(name.as_str())), python(value));
            format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        number => number.to_string(),
    }
}

fn branch(depth: usize, name: &str) -> String {
    if depth == 0 { name.to_owned() } else { format!("{}--{name}", "  |".repeat(depth)) }
}

fn as_written(value: &Raw) -> Json {
    match value {
        Raw::Value(value) => to_json(value).map_or(Json::Null, mark_unsafe),
        Raw::Text(_) | Raw::Late(_) => to_json(&value.as_written()).unwrap_or(Json::Null),
        Raw::List(items) => items.iter().map(as_written).collect(),
        Raw::Map(entries) => {
            let key = |key: &Raw| key.as_written().as_str().map_or_else(|| key.as_written().to_string(), str::to_owned);
            entries.iter().map(|(name, value)| (key(name), as_written(value))).collect::<Map<_, _>>().into()
        }
    }
}

/// Text that looks like a template and yet is a plain value was marked `!unsafe`.
fn mark_unsafe(value: Json) -> Json {
    match value {
        Json::String(text) if Text::is_template(&text) => Map::from_iter([("__ansible_unsafe".to_owned(), Json::String(text))]).into(),
        Json::Array(items) => items.into_iter().map(mark_unsafe).collect(),
        Json::Object(entries) => entries.into_iter().map(|(key, value)| (key, mark_unsafe(value))).collect::<Map<_, _>>().into(),
        other => other,
    }
}
