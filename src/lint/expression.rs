//! Expressions and templated text: what they name, and whether they can be read.

use std::collections::BTreeSet;
use std::rc::Rc;

use pgfleet_template::{
    Inspection, Malformed, Node, NodeKind, Place, Text, Use, UseKind, Value, ValueKind, closest, is_known, known_names,
};

use crate::Severity;
use crate::context::Context;
use crate::walk::{NameUse, Walk};

impl Walk<'_> {
    /// Everything in a value that is a template.
    pub(crate) fn value(&mut self, node: &Node, context: &Context) {
        if matches!(node.tag.as_deref(), Some("!unsafe" | "!vault")) {
            return;
        }
        match &node.kind {
            NodeKind::Scalar { text, value } => {
                if value.as_str().is_some() && Text::is_template(text) {
                    let inspected = self.inspect(text, false);
                    self.inspected(&inspected, text, &node.place, context);
                }
            }
            NodeKind::Sequence(items) => items.iter().for_each(|item| self.value(item, context)),
            NodeKind::Mapping(entries) => {
                for (key, value) in entries {
                    self.value(key, context);
                    self.value(value, context);
                }
            }
        }
    }

    /// A condition, or several that must all hold. The later ones are asked only where the earlier ones hold.
    pub(crate) fn conditions(&mut self, node: &Node, context: &Context) {
        let single = std::slice::from_ref(node);
        for (number, item) in node.sequence().unwrap_or(single).iter().enumerate() {
            match number {
                0 => self.condition(item, context),
                _ => self.condition(item, &context.unsure()),
            }
        }
    }

    fn condition(&mut self, node: &Node, context: &Context) {
        let Some(text) = node.as_text().filter(|text| !text.trim().is_empty()) else { return self.no_condition(node, context) };
        if Text::is_template(text) {
            return self.value(node, context);
        }
        let inspected = self.inspect(text, true);
        self.inspected(&inspected, text, &node.place, context);
    }

    /// What stands for a condition and is none. A mapping hides a slip; of a value or of nothing a run says when it is reached.
    fn no_condition(&mut self, node: &Node, context: &Context) {
        let certain = if context.is_certain { Severity::Error } else { Severity::Warning };
        let (severity, message, hint) = match node.scalar().map(Value::kind) {
            None => {
                let hint = "a condition that begins with '{{' must be quoted; conditions need no braces at all";
                (Severity::Error, format!("a condition is an expression, not {}", node.kind_name()), hint)
            }
            Some(ValueKind::Bool | ValueKind::None) => return,
            Some(ValueKind::String) => (certain, "an empty condition is refused".to_owned(), "leave it out, or write 'true'"),
            Some(_) => (certain, "a condition is an expression, not a number".to_owned(), "write 'true' or 'false'"),
        };
        self.with_hint(severity, "condition", &node.place, "", message, Some(hint.to_owned()));
    }

    /// A text that is an expression without braces.
    pub(crate) fn bare_expression(&mut self, node: &Node, context: &Context) {
        match node.as_text() {
            Some(text) if !Text::is_template(text) && !text.trim().is_empty() => {
                let inspected = self.inspect(text, true);
                self.inspected(&inspected, text, &node.place, context);
            }
            _ => self.value(node, context),
        }
    }

    /// The variables that a condition asks about.
    pub(crate) fn tested_in(&mut self, node: &Node) -> BTreeSet<String> {
        let single = std::slice::from_ref(node);
        let mut names = BTreeSet::new();
        for item in node.sequence().unwrap_or(single) {
            let Some(text) = item.as_text() else { continue };
            let inspected = self.inspect(text, !Text::is_template(text));
            if let Ok(inspection) = inspected.as_ref() {
                names.extend(inspection.tested.iter().cloned());
            }
        }
        names
    }

    pub(crate) fn inspect(&mut self, text: &str, is_bare: bool) -> Rc<Result<Inspection, Malformed>> {
        let key = (is_bare, text.to_owned());
        if let Some(known) = self.inspected.get(&key) {
            return known.clone();
        }
        let inspected = Rc::new(if is_bare { Inspection::of_expression(text) } else { Inspection::of_text(text) });
        self.inspected.insert(key, inspected.clone());
        inspected
    }

    fn inspected(&mut self, inspected: &Result<Inspection, Malformed>, text: &str, place: &Place, context: &Context) {
        match inspected {
            Ok(inspection) => {
                for found in &inspection.uses {
                    let is_guarded = inspection.tested.contains(&found.name);
                    self.used(found, is_guarded, context, |walk, found| walk.sources.within(place, text, found.offset, found.name.len()));
                }
            }
            Err(malformed) => {
                let exact = self.sources.within(place, text, malformed.offset, malformed.length);
                let piece = text.get(malformed.offset..malformed.offset + malformed.length).unwrap_or_default();
                self.malformed(Severity::Error, malformed, &exact, piece);
            }
        }
    }

    pub(crate) fn malformed(&mut self, severity: Severity, malformed: &Malformed, place: &Place, piece: &str) {
        let message = format!("malformed expression: {}", malformed.message);
        self.found(severity, "expression", place, piece, message);
    }

    /// One name in a source.
    pub(crate) fn used(&mut self, found: &Use, is_guarded: bool, context: &Context, place: impl Fn(&Self, &Use) -> Place) {
        let context = if found.conditional { &context.unsure() } else { context };
        match found.kind {
            UseKind::Name => {
                let owner = context.owner.clone();
                let mentioned = self.mentions.entry(owner.clone().unwrap_or_default()).or_default();
                if !mentioned.contains(&found.name) {
                    mentioned.insert(found.name.clone());
                }
                let is_item = found.name == "item" && context.in_loop;
                let is_optional = is_guarded || is_item || context.guards.contains(&found.name);
                if !is_optional && !crate::names::is_magic(&found.name) && !self.defined.contains(&found.name) {
                    let place = place(self, found);
                    self.uses.push(NameUse { name: found.name.clone(), place, is_certain: context.is_certain, owner });
                }
            }
            UseKind::Filter | UseKind::Test | UseKind::Lookup | UseKind::Function => {
                if !is_known(found.kind, &found.name) {
                    let place = place(self, found);
                    self.unknown_plugin(found, &place, context);
                }
            }
            UseKind::File | UseKind::OptionalFile => {}
        }
    }

    fn unknown_plugin(&mut self, found: &Use, place: &Place, context: &Context) {
        let kind = match found.kind {
            UseKind::Filter => "filter",
            UseKind::Test => "test",
            UseKind::Lookup => "lookup",
            _ => "function",
        };
        // Of a name with a collection in front, only what follows can be a slip.
        let short = found.name.rsplit('.').next().unwrap_or(&found.name);
        let known = known_names(found.kind).into_iter().filter(|known| found.name.contains('.') == known.contains('.'));
        let close = closest(&found.name, known).filter(|known| closest(short, known.rsplit('.').next()).is_some());
        match close {
            Some(known) => {
                let severity = if context.is_certain { Severity::Error } else { Severity::Warning };
                let hint = Some(format!("did you mean '{known}'?"));
                self.with_hint(severity, kind, place, &found.name, format!("there is no {kind} '{}'", found.name), hint);
            }
            None => self.lacking(kind, &found.name, place, context, None),
        }
    }
}

/// Whether a value is written as true.
pub(crate) fn is_true(node: Option<&Node>) -> bool {
    node.and_then(Node::scalar)
        .is_some_and(|value: &Value| value.is_true() && value.as_str().is_none_or(|text| matches!(text, "yes" | "true" | "True" | "on")))
}
