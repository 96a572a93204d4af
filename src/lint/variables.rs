//! Variables: where they are set, and what their values name.

use std::path::Path;

use pgfleet_template::{Node, NodeKind, Text};

use crate::Severity;
use crate::context::Context;
use crate::files::Found;
use crate::walk::Walk;

impl Walk<'_> {
    /// A mapping of variables. Values are rendered only when something asks for them.
    pub(crate) fn variables(&mut self, node: &Node, context: &Context) {
        let lazily = Context { in_loop: true, ..context.unsure() };
        match &node.kind {
            NodeKind::Mapping(entries) => {
                self.traps(node);
                for (key, value) in entries {
                    let Some(name) = key.scalar_text() else { continue };
                    self.declare(name);
                    self.value(value, &Context { owner: Some(name.into()), ..lazily.clone() });
                }
            }
            NodeKind::Scalar { .. } if node.is_null() => {}
            NodeKind::Scalar { .. } if node.as_text().is_some_and(Text::is_template) => {
                self.is_open = true;
                self.value(node, context);
            }
            NodeKind::Scalar { .. } | NodeKind::Sequence(_) => {
                let message = format!("variables are a mapping, not {}", node.kind_name());
                self.found(Severity::Error, "variables", &node.place, node.scalar_text().unwrap_or_default(), message);
                // What the list was meant to define is not missing besides.
                let meant = node.sequence().unwrap_or_default().iter().filter(|item| item.mapping().is_some());
                meant.for_each(|item| self.variables(item, context));
            }
        }
    }

    /// A file of variables.
    pub(crate) fn variables_file(&mut self, path: &Path, context: &Context) {
        if !self.visited.insert((path.to_owned(), 0)) {
            return;
        }
        if let Some(document) = self.document(path) {
            self.variables(&document, context);
        }
    }

    /// `vars_files` of a play: names, or lists of which the first that is there counts.
    pub(crate) fn vars_files(&mut self, node: &Node, context: &Context) {
        let single = std::slice::from_ref(node);
        for item in node.sequence().unwrap_or(single) {
            let choices = item.sequence().unwrap_or(std::slice::from_ref(item));
            let mut is_missing = true;
            for choice in choices {
                let Some(name) = choice.scalar_text() else { continue };
                self.value(choice, context);
                match self.find(name, "vars", context) {
                    Found::File(path) => {
                        is_missing = false;
                        self.variables_file(&path, context);
                        break;
                    }
                    Found::Some(paths) => {
                        is_missing = false;
                        paths.iter().for_each(|path| self.variables_file(path, context));
                    }
                    Found::Unknown => (self.is_open, is_missing) = (true, false),
                    Found::Missing => {}
                }
            }
            if is_missing && !choices.is_empty() {
                let names: Vec<&str> = choices.iter().filter_map(Node::scalar_text).collect();
                let message = format!("there is no file of variables '{}'", names.join("' or '"));
                let hint = "it is looked for beside the playbook, and in 'vars' there".to_owned();
                // An earlier play may make it.
                let severity = if self.writes_locally { Severity::Warning } else { Severity::Error };
                self.is_open = true;
                self.with_hint(severity, "file", &item.place, names.first().unwrap_or(&""), message, Some(hint));
            }
        }
    }

    /// Files of variables that a task may read, where their names come from a loop or a search.
    pub(crate) fn any_of(&mut self, task: &Node, context: &Context) {
        let mut names = Vec::new();
        texts(task, &mut names);
        let mut is_known = false;
        for name in names.iter().filter(|name| [".yml", ".yaml", ".json"].iter().any(|ending| name.trim().ends_with(ending))) {
            match self.find(name, "vars", context) {
                Found::File(path) => {
                    is_known = true;
                    self.variables_file(&path, context);
                }
                Found::Some(paths) => {
                    is_known = true;
                    paths.iter().for_each(|path| self.variables_file(path, context));
                }
                Found::Unknown | Found::Missing => {}
            }
        }
        self.is_open |= !is_known;
    }
}

fn texts(node: &Node, found: &mut Vec<String>) {
    match &node.kind {
        NodeKind::Scalar { text, .. } => found.push(text.clone()),
        NodeKind::Sequence(items) => items.iter().for_each(|item| texts(item, found)),
        NodeKind::Mapping(entries) => entries.iter().for_each(|(_, value)| texts(value, found)),
    }
}
