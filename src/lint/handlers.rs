//! Handlers: who is notified, and who answers.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_template::{Node, Place, Text};

use crate::Severity;
use crate::context::Context;
use crate::finding::did_you_mean;
use crate::walk::Walk;

/// Handlers of the play that is looked at, and of all plays before.
#[derive(Default)]
pub(crate) struct Handlers {
    notified: Vec<(Place, String, bool)>,
    known: Vec<String>,
    /// Names of handlers come from a run.
    names_open: bool,
    /// Names that are notified come from a run.
    notices_open: bool,
    all_notified: Vec<String>,
    all: Vec<(Place, Vec<String>)>,
    /// Of the role that is read, only a part of the tasks is looked at.
    pub(crate) is_partial: bool,
    pub(crate) is_reading: bool,
}

impl Walk<'_> {
    /// Tasks under `handlers`.
    pub(crate) fn handler_list(&mut self, node: &Node, context: &Context) {
        let outer = std::mem::replace(&mut self.handlers.is_reading, true);
        self.steps(node, &context.unsure());
        self.handlers.is_reading = outer;
    }

    pub(crate) fn handler_file(&mut self, path: &Path, context: &Context) {
        let outer = std::mem::replace(&mut self.handlers.is_reading, true);
        let folder = Rc::new(crate::sources::folder_of(path));
        // Handlers belong to each play anew, so that the file is read for each.
        if let Some(document) = self.document(path) {
            self.steps(&document, &Context { folder, ..context.unsure() });
        }
        self.handlers.is_reading = outer;
    }

    /// A task that is a handler.
    pub(crate) fn handler(&mut self, task: &Node) {
        let mut names = Vec::new();
        let listens = task.get("listen").map_or(&[][..], |listen| listen.sequence().unwrap_or(std::slice::from_ref(listen)));
        for name in task.get("name").into_iter().chain(listens).filter_map(Node::scalar_text) {
            self.handlers.names_open |= Text::is_template(name);
            names.push(name.to_owned());
        }
        self.handlers.names_open |= ["include_tasks", "ansible.builtin.include_tasks"].iter().any(|name| task.get(name).is_some());
        self.handlers.known.extend(names.iter().cloned());
        if !self.handlers.is_partial && !names.is_empty() && !self.handlers.all.iter().any(|(place, _)| *place == task.place) {
            self.handlers.all.push((task.place.clone(), names));
        }
    }

    /// `notify` of a task or block.
    pub(crate) fn notify(&mut self, node: &Node, context: &Context) {
        let single = std::slice::from_ref(node);
        for item in node.sequence().unwrap_or(single) {
            match item.scalar_text() {
                Some(name) if Text::is_template(name) => {
                    self.handlers.notices_open = true;
                    self.value(item, context);
                }
                Some(name) => self.handlers.notified.push((item.place.clone(), name.to_owned(), context.is_certain)),
                None => {}
            }
        }
    }

    /// At the end of a play.
    pub(crate) fn check_handlers(&mut self) {
        let notified = std::mem::take(&mut self.handlers.notified);
        let known = std::mem::take(&mut self.handlers.known);
        let is_open = std::mem::take(&mut self.handlers.names_open);
        for (place, name, is_certain) in notified {
            let short = name.rsplit_once(" : ").map_or(name.as_str(), |(_, short)| short);
            let is_known = known.iter().any(|known| *known == name || known == short);
            if !is_known && !is_open {
                let hint = did_you_mean(&name, known.iter().map(String::as_str));
                let severity = if is_certain { Severity::Error } else { Severity::Warning };
                self.with_hint(
                    severity,
                    "handler",
                    &place,
                    &name,
                    format!(
                        "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list"
                    ),
                    hint,
                );
            }
            self.handlers.all_notified.push(short.to_owned());
        }
    }

    /// At the end of all plays.
    pub(crate) fn check_idle_handlers(&mut self) {
        if self.handlers.notices_open {
            return;
        }
        let mut idle: IndexMap<Arc<str>, Vec<(Place, String)>> = IndexMap::new();
        for (place, mut names) in std::mem::take(&mut self.handlers.all) {
            if !names.iter().any(|name| self.handlers.all_notified.contains(name)) {
                idle.entry(place.file.clone()).or_default().push((place, names.swap_remove(0)));
            }
        }
        for (place, name, more) in idle.values().filter_map(|all| all.split_first().map(|((place, name), more)| (place, name, more))) {
            let more: String = more.iter().map(|(_, name)| format!(", '{name}'")).collect();
            let plural = if more.is_empty() { "" } else { "s" };
            self.found(Severity::Hint, "handler", place, name, format!("nothing notifies the handler{plural} '{name}'{more}"));
        }
    }
}
