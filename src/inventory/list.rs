//! The inventory for a person's eyes, as `ansible-inventory` prints it.

use std::collections::HashSet;

use pgfleet_template::{Raw, Text, Vars, to_json};
use serde_json::{Map, Value as Json};

use crate::{Group, Host, Inventory};

impl Inventory {
    /// What `ansible-inventory --list` prints: templates as their text, names sorted. What JSON cannot hold
    /// (`.inf`) is text.
    #[must_use]
    pub fn as_list(&self) -> Json {
        let mut list = Map::new();
        for group in self.descendants("all") {
            let mut entry = Map::new();
            if !group.children.is_empty() {
                entry.insert("children".to_owned(), group.children.iter().map(|child| Json::from(child.as_str())).collect());
            }
            if !group.hosts.is_empty() && group.name.as_str() != "all" {
                entry.insert("hosts".to_owned(), group.hosts.iter().map(|host| Json::from(host.as_str())).collect());
            }
            if !entry.is_empty() {
                list.insert(group.name.to_string(), Json::Object(entry));
            }
        }
        let hosts = self.members("all").into_iter().filter_map(|name| self.hosts.get(name));
        let vars: Map<String, Json> = hosts
            .map(|host| (host.name.to_string(), self.vars_as_written(host)))
            .filter(|(_, vars)| vars.as_object().is_some_and(|vars| !vars.is_empty()))
            .collect();
        let meta = Map::from_iter([("hostvars".to_owned(), Json::Object(vars)), ("profile".to_owned(), Json::from("inventory_legacy"))]);
        list.insert("_meta".to_owned(), Json::Object(meta));
        let mut list = Json::Object(list);
        list.sort_all_objects();
        list
    }

    /// What `ansible-inventory --host` prints; null for an unknown host.
    #[must_use]
    pub fn host_variables_as_written(&self, host: &str) -> Json {
        let Some(host) = self.host(host) else { return Json::Null };
        let mut vars = self.vars_as_written(host);
        vars.sort_all_objects();
        vars
    }

    fn vars_as_written(&self, host: &Host) -> Json {
        let mut merged = Vars::new();
        for layer in self.layers(&host.name, None).unwrap_or_default() {
            merged.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        merged.iter().map(|(name, value)| (name.clone(), as_written(value))).collect::<Map<_, _>>().into()
    }

    /// What `ansible-inventory --graph` prints.
    #[must_use]
    pub fn graph(&self) -> String {
        let mut lines = Vec::new();
        if let Some(all) = self.group("all") {
            self.draw(all, 0, &mut HashSet::new(), &mut lines);
        }
        lines.join("\n")
    }

    fn draw<'i>(&'i self, group: &'i Group, depth: usize, above: &mut HashSet<&'i str>, lines: &mut Vec<String>) {
        if !above.insert(group.name.as_str()) {
            return;
        }
        lines.push(branch(depth, &format!("@{}:", group.name)));
        for child in group.children.iter().filter_map(|child| self.groups.get(child)) {
            self.draw(child, depth + 1, above, lines);
        }
        if group.name.as_str() != "all" {
            lines.extend(group.hosts.iter().map(|host| branch(depth + 1, host.as_str())));
        }
        above.remove(group.name.as_str());
    }
}

fn branch(depth: usize, name: &str) -> String {
    if depth == 0 { name.to_owned() } else { format!("{}--{name}", "  |".repeat(depth)) }
}

fn as_written(value: &Raw) -> Json {
    match value {
        Raw::Value(value) => to_json(value).map_or(Json::Null, mark_unsafe),
        Raw::Text(_) => to_json(&value.as_written()).unwrap_or(Json::Null),
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
