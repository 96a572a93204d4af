//! Lists of tasks, blocks, and the keywords that all of them share.

use std::path::Path;
use std::rc::Rc;

use pgfleet_playbook::keywords::{BLOCK, SHARED, TASK, templated};
use pgfleet_template::{Node, NodeKind, Text};

use crate::Severity;
use crate::context::Context;
use crate::sources::folder_of;
use crate::walk::Walk;

/// True for a keyword of tasks.
pub(crate) fn is_keyword(name: &str) -> bool {
    SHARED.contains(&name) || TASK.contains(&name) || name.starts_with("with_")
}

fn is_loop(name: &str) -> bool {
    name == "loop" || name.starts_with("with_")
}

impl Walk<'_> {
    /// A file of tasks.
    pub(crate) fn task_file(&mut self, path: &Path, context: &Context) {
        if context.depth > 40 || self.is_visited(path, context) {
            return;
        }
        let folder = Rc::new(folder_of(path));
        if let Some(document) = self.document(path) {
            self.steps(&document, &Context { folder, depth: context.depth + 1, ..context.clone() });
        }
    }

    /// A list of tasks and blocks.
    pub(crate) fn steps(&mut self, node: &Node, context: &Context) {
        let Some(items) = node.sequence() else {
            let message = format!("tasks are a list, but this is {}", node.kind_name());
            return self.with_hint(
                Severity::Error,
                "task",
                &node.place,
                "",
                message,
                Some("begin each task with '- name: ...'".to_owned()),
            );
        };
        for item in items {
            let context = self.carry_on(context);
            match &item.kind {
                NodeKind::Mapping(_) if ["block", "rescue", "always"].iter().any(|key| item.get(key).is_some()) => {
                    self.block(item, &context)
                }
                NodeKind::Mapping(_) => self.task(item, &context),
                _ => {
                    let message = format!("a task is a mapping, but this is {}", item.kind_name());
                    self.found(Severity::Error, "task", &item.place, item.scalar_text().unwrap_or_default(), message);
                }
            }
        }
    }

    fn block(&mut self, node: &Node, context: &Context) {
        self.keywords(node, &[BLOCK, SHARED], "keyword of a block");
        if node.get("block").is_none() {
            return self.found(Severity::Error, "task", &node.place, "", "'rescue' and 'always' stand beside a 'block'");
        }
        let inner = self.inner(node, context);
        node.get("notify").into_iter().for_each(|notify| self.notify(notify, &inner));
        let steps = |key: &str| node.get(key).filter(|steps| !steps.is_null());
        let guarded = if steps("rescue").is_some() { inner.unsure() } else { inner.clone() };
        steps("block").into_iter().for_each(|steps| self.steps(steps, &guarded));
        steps("rescue").into_iter().for_each(|steps| self.steps(steps, &inner.unsure()));
        steps("always").into_iter().for_each(|steps| self.steps(steps, &inner));
    }

    /// What holds inside something with keywords of its own; the keywords' values are looked at.
    pub(crate) fn inner(&mut self, node: &Node, context: &Context) -> Context {
        let mut inner = context.clone();
        inner.in_loop |= node.mapping().unwrap_or_default().iter().any(|(key, _)| key.scalar_text().is_some_and(is_loop));
        if let Some(when) = node.get("when").filter(|when| !when.is_null()) {
            let tested = self.tested_in(when);
            inner = inner.guarded(&tested);
            self.conditions(when, &inner);
            if when.scalar().is_none_or(|value| !matches!(value.to_string().as_str(), "true" | "True")) {
                inner.is_certain = false;
                inner.when = Some(written(when).into());
            }
        }
        if let Some(tags) = node.get("tags") {
            let mut all = (*inner.tags).clone();
            let single = std::slice::from_ref(tags);
            for tag in tags.sequence().unwrap_or(single).iter().filter_map(Node::scalar_text) {
                self.tags_open |= Text::is_template(tag);
                all.extend(tag.split(',').map(|tag| tag.trim().to_owned()));
            }
            self.tags_met.extend(all.iter().cloned());
            inner.tags = Rc::new(all);
        }
        if let Some(vars) = node.get("vars") {
            self.variables(vars, &inner);
        }
        if ["connection", "local_action"]
            .iter()
            .any(|key| node.get(key).is_some_and(|value| *key == "local_action" || value.as_text() == Some("local")))
            || node.get("delegate_to").and_then(Node::as_text).is_some_and(|host| ["localhost", "127.0.0.1"].contains(&host))
        {
            inner.is_local = true;
        }
        inner.has_defaults |= node.get("module_defaults").is_some();
        if crate::expression::is_true(node.get("ignore_errors")) {
            inner.is_certain = false;
        }
        inner
    }

    /// The values of shared keywords; a loop's variable is known in them.
    pub(crate) fn shared_values(&mut self, node: &Node, context: &Context) {
        for key in templated().chain(["name", "timeout"]) {
            if let Some(value) = node.get(key) {
                // A name that cannot be rendered is shown as written.
                match key {
                    "name" => self.value(value, &context.unsure()),
                    _ => self.value(value, context),
                }
            }
        }
    }

    /// Forgets what the tasks of the play before did.
    pub(crate) fn pause_play(&mut self) {
        self.may_have_ended = false;
        self.assured.clear();
    }

    /// What holds after the tasks before.
    pub(crate) fn carry_on(&self, context: &Context) -> Context {
        let context = if self.assured.is_empty() { context.clone() } else { context.guarded(&self.assured) };
        if self.may_have_ended { context.unsure() } else { context }
    }
}

/// Conditions as one line.
fn written(node: &Node) -> String {
    let single = std::slice::from_ref(node);
    let texts: Vec<String> = node
        .sequence()
        .unwrap_or(single)
        .iter()
        .filter_map(Node::scalar_text)
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    texts.join(" and ")
}
