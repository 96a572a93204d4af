//! Reading what a task is repeated over.

use pgfleet_template::Node;

use super::Reading;
use crate::{Loop, LoopKind};

/// What `with_` may stand before, with the number of values that it needs at least.
const LOOKUPS: &[&str] = &[
    "cartesian",
    "config",
    "csvfile",
    "dict",
    "env",
    "file",
    "fileglob",
    "first_found",
    "flattened",
    "indexed_items",
    "ini",
    "inventory_hostnames",
    "items",
    "lines",
    "list",
    "nested",
    "password",
    "pipe",
    "random_choice",
    "sequence",
    "subelements",
    "template",
    "together",
    "unvault",
    "url",
    "varnames",
    "vars",
];
const CONTROL: &[&str] = &["break_when", "extended", "extended_allitems", "index_var", "label", "loop_var", "pause"];

impl Reading<'_> {
    pub(super) fn repeat(&mut self, node: &Node) -> Option<Loop> {
        let is_loop = |key: &Node| key.scalar_text().is_some_and(|key| key == "loop" || key.starts_with("with_"));
        let mut loops = node.mapping()?.iter().filter(|(key, _)| is_loop(key));
        let (key, items) = loops.next()?;
        if let Some((second, _)) = loops.next() {
            let problem = second.problem("duplicate loop in task: a task has one");
            self.problem(problem.with_hint("loop over both with the filter 'product', or in a file for include_tasks"));
        }
        let name = key.scalar_text()?;
        let kind = match name.strip_prefix("with_").map(|lookup| lookup.strip_prefix("ansible.builtin.").unwrap_or(lookup)) {
            None => LoopKind::List,
            Some(lookup) if LOOKUPS.contains(&lookup) => LoopKind::Lookup(lookup.to_owned()),
            Some(_) => {
                let known: Vec<String> = LOOKUPS.iter().map(|lookup| format!("with_{lookup}")).collect();
                let problem = key.problem(format!("'{name}' is no loop that is known"));
                self.problem(problem.did_you_mean(name, known.iter().map(String::as_str)));
                return None;
            }
        };
        if items.is_null() {
            let problem = items.problem(format!("'{name}' is empty"));
            self.problem(problem);
            return None;
        }
        let control = node.get("loop_control").filter(|control| !control.is_null());
        if let Some(control) = control {
            self.refuse_unknown_keys(control, &[CONTROL], "valid part of loop_control");
        }
        let text = |key: &str| control.and_then(|control| control.get(key)).and_then(Node::scalar_text).map(str::to_owned);
        let variable = text("loop_var").unwrap_or_else(|| "item".to_owned());
        let index_variable = text("index_var");
        let mut optional = |key: &str| control.and_then(|control| self.optional(control, key));
        let (label, pause) = (optional("label"), optional("pause"));
        let (extended, extended_allitems) = (optional("extended"), optional("extended_allitems"));
        let break_when = control.and_then(|control| self.conditions(control, "break_when")).unwrap_or_default();
        let (items, place) = (self.raw(items)?, items.place.clone());
        Some(Loop { kind, items, place, variable, index_variable, label, pause, extended, extended_allitems, break_when })
    }
}
