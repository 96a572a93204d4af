//! The module that a task names, in one of the ways in which that is done.

use std::borrow::Cow;

use pgfleet_playbook::keywords::{SHARED, TASK};
use pgfleet_playbook::{first_word, lookup_module, module_names, parse_pairs};
use pgfleet_template::{Node, NodeKind, Place, Value};

use crate::Severity;
use crate::context::Context;
use crate::step::is_keyword;
use crate::walk::Walk;

/// Modules of `ansible.builtin` that pgfleet does not have: one of these is no slip of the pen for another.
const ELSEWHERE: [&str; 4] = ["expect", "mount_facts", "subversion", "sysvinit"];

/// A module as a task names it.
pub(crate) struct Called<'n> {
    pub(crate) name: &'n str,
    /// The node that names it.
    pub(crate) key: &'n Node,
    pub(crate) value: Option<Cow<'n, Node>>,
}

impl Walk<'_> {
    /// The module of a task; what is wrong with its keys is told.
    pub(crate) fn called<'n>(&mut self, node: &'n Node) -> Option<Called<'n>> {
        let mut candidates = Vec::new();
        for (key, value) in node.mapping()? {
            match key.scalar_text() {
                Some("action" | "local_action") => candidates.extend(old_action(key, value)),
                Some(name) if is_keyword(name) => {}
                Some(name) => candidates.push(Called { name, key, value: Some(Cow::Borrowed(value)) }),
                None => self.found(Severity::Error, "keyword", &key.place, "", "a task's keys are text"),
            }
        }
        match candidates.len() {
            0 => {
                let hint = "write the module's name as a key, 'ansible.builtin.copy:' say".to_owned();
                self.with_hint(Severity::Error, "module", &node.place, "", "this task has no module", Some(hint));
                None
            }
            1 => candidates.pop(),
            _ => self.one_of(candidates),
        }
    }

    /// Of several keys that are no keywords, the one that is a module.
    fn one_of<'n>(&mut self, candidates: Vec<Called<'n>>) -> Option<Called<'n>> {
        let (known, unknown): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|called| is_module(called.name));
        if let Some(second) = known.get(1) {
            let names: Vec<String> = known.iter().map(|called| format!("'{}'", called.name)).collect();
            let message = format!("this task has {} modules: {}", names.len(), names.join(", "));
            self.with_hint(Severity::Error, "module", &second.key.place, second.name, message, Some("one task, one module".to_owned()));
        }
        for called in &unknown {
            let message = format!("'{}' is neither a keyword of a task nor a module", called.name);
            let words = SHARED.iter().chain(TASK).copied().chain(module_names());
            self.unknown(Severity::Error, "keyword", called.key, message, words);
        }
        known.into_iter().next()
    }

    /// A module that is not known: a slip, or one that pgfleet does not have.
    pub(crate) fn unknown_module(&mut self, called: &Called<'_>, context: &Context, message: &str, suggestion: Option<&'static str>) {
        let name = called.name;
        let is_foreign = name.matches('.').count() >= 2 && !name.starts_with("ansible.");
        // What it would find becomes variables.
        self.is_open |= name.ends_with("_facts") && is_foreign;
        match suggestion.filter(|_| !is_foreign && !ELSEWHERE.contains(&short(name))) {
            Some(known) => {
                let hint = Some(format!("did you mean '{known}'?"));
                self.with_hint(context.severity(), "module", &called.key.place, name, message, hint);
            }
            None => {
                let reason = message.split_once("': ").map(|(_, reason)| reason.to_owned());
                self.lacking("module", name, &called.key.place, context, reason);
            }
        }
    }
}

/// Whether it is the name of a module, of ours or of Ansible's.
fn is_module(name: &str) -> bool {
    lookup_module(name).is_ok() || ELSEWHERE.contains(&short(name)) || name.matches('.').count() >= 2
}

/// The name without a collection that is built in.
fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name)
}

/// Text as a node of its own.
pub(crate) fn scalar(place: &Place, text: &str) -> Node {
    Node { place: place.clone(), tag: None, kind: NodeKind::Scalar { text: text.to_owned(), value: Value::from(text) } }
}

/// `action: module arguments` or `action: {module: name, ...}`.
fn old_action<'n>(key: &'n Node, value: &'n Node) -> Option<Called<'n>> {
    let words = |text: &'n str| first_word(text);
    if let Some(text) = value.as_text() {
        let (name, rest) = words(text);
        return Some(Called { name, key, value: Some(Cow::Owned(scalar(&value.place, rest))) });
    }
    let (name, rest) = words(value.get("module").and_then(Node::as_text)?);
    let is_argument = |(key, _): &&(Node, Node)| !matches!(key.scalar_text(), Some("module" | "args"));
    let mut entries: Vec<(Node, Node)> = value.mapping()?.iter().filter(is_argument).cloned().collect();
    entries.extend_from_slice(value.get("args").and_then(Node::mapping).unwrap_or_default());
    let (pairs, _) = parse_pairs(rest, None).unwrap_or_default();
    entries.extend(pairs.iter().map(|(key, text)| (scalar(&value.place, key), scalar(&value.place, text))));
    Some(Called { name, key, value: Some(Cow::Owned(Node { place: value.place.clone(), tag: None, kind: NodeKind::Mapping(entries) })) })
}
