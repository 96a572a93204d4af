//! Inventories in YAML or JSON: groups with `hosts`, `vars` and `children`.

use std::sync::Arc;

use pgfleet_template::{Node, NodeKind, Problem, SourceFile};

use crate::load::Loader;
use crate::variables::vars_of;
use crate::{GroupName, Origin};

const SECTIONS: [&str; 3] = ["vars", "children", "hosts"];

impl Loader<'_> {
    /// Reads a document.
    pub(crate) fn yaml(&mut self, source: &SourceFile, document: &Node, origin: &Arc<Origin>) {
        let Some(groups) = document.mapping() else {
            let problem = document.problem(format!("an inventory is a mapping of groups, not {}", document.kind_name()));
            return self.problems.push(source.explain(problem));
        };
        if let Some(plugin) = document.get("plugin") {
            let name = plugin.scalar_text().unwrap_or_default();
            if self.plugin(name, source, document, origin) {
                return;
            }
            let problem = plugin.problem(format!("the inventory plugin '{name}' is not supported"));
            let hint = "write its result into a file: ansible-inventory --list --yaml > hosts.yml";
            return self.problems.push(source.explain(problem.with_hint(hint)));
        }
        let mut reader = Reader { loader: self, source, origin };
        for (name, body) in groups {
            reader.group(name, body);
        }
    }
}

struct Reader<'r, 'l> {
    loader: &'r mut Loader<'l>,
    source: &'r SourceFile,
    origin: &'r Arc<Origin>,
}

impl Reader<'_, '_> {
    fn problem(&mut self, problem: Problem) {
        self.loader.problems.push(self.source.explain(problem));
    }

    fn warn(&mut self, problem: Problem) {
        self.loader.inventory.warnings.push(self.source.explain(problem));
    }

    fn group(&mut self, name: &Node, body: &Node) -> Option<GroupName> {
        let Some(text) = name.as_text() else {
            self.problem(name.problem("a group's name is text; write it in quotes"));
            return None;
        };
        let sections = match &body.kind {
            NodeKind::Mapping(sections) => sections.as_slice(),
            _ if body.is_null() => &[],
            _ => {
                self.warn(body.problem(format!("group '{text}' is left out, for it is {} and no mapping", body.kind_name())));
                return None;
            }
        };
        let group = match self.loader.inventory.ensure_group(text) {
            Ok(group) => group,
            Err(error) => {
                self.problem(name.problem(format!("'{text}' is no name for a group: {error}")));
                return None;
            }
        };
        for (key, section) in sections {
            let word = key.scalar_text().unwrap_or_default();
            match word {
                "vars" => self.group_vars(&group, section),
                "children" => self.children(&group, section),
                "hosts" => self.hosts(&group, section),
                _ => {
                    let message = format!("'{word}' in group '{group}' is left out; a group has hosts, vars and children");
                    self.warn(key.problem(message).did_you_mean(word, SECTIONS));
                }
            }
        }
        Some(group)
    }

    fn group_vars(&mut self, group: &GroupName, section: &Node) {
        let vars = vars_of(section, self.source, self.loader.vault, &mut self.loader.problems);
        for (name, value) in vars {
            if let Err(message) = self.loader.inventory.set_group_variable(group, &name, value) {
                let place = section.get(&name).unwrap_or(section);
                self.problem(place.problem(message));
            }
        }
    }

    fn children(&mut self, group: &GroupName, section: &Node) {
        for (name, body) in self.entries("children", group, section) {
            let Some(child) = self.group(&name, &body) else { continue };
            if let Err(message) = self.loader.inventory.add_child(group, &child) {
                self.problem(name.problem(message));
            }
        }
    }

    fn hosts(&mut self, group: &GroupName, section: &Node) {
        for (name, body) in self.entries("hosts", group, section) {
            let Some(entry) = name.as_text() else {
                let message = format!("Host pattern {} must be a string", name.scalar_text().unwrap_or_default());
                self.problem(name.problem(message).with_hint("write it in quotes"));
                continue;
            };
            let vars = vars_of(&body, self.source, self.loader.vault, &mut self.loader.problems);
            match self.loader.add_hosts(entry, group, self.origin) {
                Ok(hosts) => {
                    for host in hosts {
                        vars.iter().for_each(|(key, value)| self.loader.inventory.set_host_variable(&host, key, value.clone()));
                    }
                }
                Err(message) => self.problem(name.problem(message)),
            }
        }
    }

    /// Names with bodies; a single name may stand alone.
    fn entries(&mut self, section: &str, group: &GroupName, node: &Node) -> Vec<(Node, Node)> {
        match &node.kind {
            NodeKind::Mapping(entries) => entries.clone(),
            _ if node.is_null() => Vec::new(),
            NodeKind::Scalar { .. } if node.as_text().is_some() => {
                let null = NodeKind::Scalar { text: String::new(), value: ().into() };
                vec![(node.clone(), Node { place: node.place.clone(), tag: None, kind: null })]
            }
            _ => {
                let message = format!("'{section}' of group '{group}' is a mapping of names, not {}", node.kind_name());
                self.problem(node.problem(message).with_hint("write each name with a colon behind it: 'name:'"));
                Vec::new()
            }
        }
    }
}
