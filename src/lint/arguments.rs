//! Arguments of modules: names, what is missing, what does not go together, and literal values.

use std::borrow::Cow;

use indexmap::IndexMap;
use pgfleet_playbook::{BESIDE_COMMANDS, Engine, Kind, misfit, parse_pairs};
use pgfleet_protocol::{ArgumentProblem, ModuleSpec};
use pgfleet_template::{Node, Place, Text, closest};

use crate::Severity;
use crate::called::{Called, scalar};
use crate::context::Context;
use crate::walk::Walk;

/// The arguments of a task, wherever they stand: in a mapping, in a line, under `args`.
pub(crate) struct Given<'n> {
    pub(crate) module: ModuleSpec,
    named: IndexMap<String, (Place, Cow<'n, Node>)>,
    /// There may be more: a template gives them, or the line could not be read.
    pub(crate) is_open: bool,
}

impl<'n> Given<'n> {
    /// The value under a name or one of its other names.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        let is_it = |key: &str| key == name || self.module.argument(key).is_some_and(|argument| argument.name == name);
        self.named.iter().find(|(key, _)| is_it(key)).map(|(_, (_, value))| &**value)
    }

    /// The text under a name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.scalar_text()
    }

    /// All names, as written.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    fn collect(&mut self, entries: &'n [(Node, Node)]) {
        for (key, value) in entries {
            if let Some(name) = key.scalar_text() {
                self.named.insert(name.to_owned(), (key.place.clone(), Cow::Borrowed(value)));
            }
        }
    }
}

impl Walk<'_> {
    /// The arguments of a task, what cannot be read of them told.
    pub(crate) fn given<'n>(&mut self, task: &'n Node, called: &'n Called<'n>, module: &ModuleSpec) -> Given<'n> {
        let mut given = Given { module: *module, named: IndexMap::new(), is_open: false };
        if let Some(args) = task.get("args").filter(|args| !args.is_null()) {
            match args.mapping() {
                Some(entries) => given.collect(entries),
                None if args.as_text().is_some_and(Text::is_template) => given.is_open = true,
                None => self.found(Severity::Error, "argument", &args.place, "", "'args' is a mapping"),
            }
        }
        let Some(value) = called.value.as_deref().filter(|value| !value.is_null()) else { return given };
        match (value.mapping(), value.scalar_text()) {
            (Some(entries), _) => given.collect(entries),
            (None, Some(text)) if module.free_form.is_none() && is_one_template(text) => given.is_open = true,
            (None, Some(text)) => self.one_line(text, value, &mut given),
            (None, None) => {
                let message = format!("the arguments of '{}' are a mapping, not {}", module.name, value.kind_name());
                self.found(Severity::Error, "argument", &value.place, "", message);
                given.is_open = true;
            }
        }
        given
    }

    /// `name=value` and the like.
    fn one_line(&mut self, text: &str, value: &Node, given: &mut Given<'_>) {
        let takes_command = ["command", "shell", "script", "raw"].contains(&given.module.name);
        let (pairs, free) = match parse_pairs(text, takes_command.then_some(BESIDE_COMMANDS)) {
            Ok(parsed) => parsed,
            Err(message) => {
                given.is_open = true;
                return self.found(Severity::Error, "argument", &value.place, "", message);
            }
        };
        for (key, pair) in pairs {
            let offset = text.find(&format!("{key}=")).unwrap_or(0);
            let place = self.sources.within(&value.place, text, offset, key.len());
            let node = scalar(&place, &pair);
            given.named.insert(key, (place, Cow::Owned(node)));
        }
        match (free, given.module.free_form) {
            (Some(free), Some(argument)) => {
                given.named.insert(argument.to_owned(), (value.place.clone(), Cow::Owned(scalar(&value.place, &free))));
            }
            (Some(free), None) => {
                let message = format!("'{}' takes key=value arguments, not '{free}'", given.module.name);
                self.found(Severity::Error, "argument", &value.place, &free, message);
                given.is_open = true;
            }
            (None, _) => {}
        }
    }

    /// Everything that can be said of a task's arguments before they are rendered.
    pub(crate) fn check_arguments(&mut self, called: &Called<'_>, kind: Kind, given: &Given<'_>, context: &Context) {
        if given.is_open || kind == Kind::Engine(Engine::SetFact) {
            return;
        }
        let takes_any = kind == Kind::Engine(Engine::AddHost);
        let module = &given.module;
        for problem in module.check_given(given.named.iter().map(|(name, (_, value))| (name.as_str(), is_sure(value)))) {
            match &problem {
                ArgumentProblem::Unknown { .. } if takes_any => {}
                ArgumentProblem::Missing { .. } if context.has_defaults => {}
                ArgumentProblem::Unknown { name, known, .. } => self.unknown_argument(name, known, &problem, given, context),
                _ => {
                    let message = problem.to_string().replace("_raw_params", "cmd");
                    self.found(context.severity(), "argument", &called.key.place, called.name, message);
                }
            }
        }
        for (key, (_, value)) in &given.named {
            self.literal(key, value, module, context);
        }
    }

    fn unknown_argument(&mut self, name: &str, known: &[&str], problem: &ArgumentProblem, given: &Given<'_>, context: &Context) {
        let Some((place, _)) = given.named.get(name) else { return };
        match closest(name, known.iter().copied().filter(|name| !name.starts_with('_'))) {
            Some(known) => {
                let hint = Some(format!("did you mean '{known}'?"));
                self.with_hint(context.severity(), "argument", place, name, problem.to_string(), hint);
            }
            None => self.lacking("argument", &format!("{}.{name}", given.module.name), place, context, None),
        }
    }

    /// A value that is no template.
    fn literal(&mut self, key: &str, value: &Node, module: &ModuleSpec, context: &Context) {
        let Some(argument) = module.argument(key) else { return };
        let Some(literal) = value.scalar().filter(|_| is_sure(value)) else { return };
        let piece = value.scalar_text().unwrap_or_default();
        if let Some(reason) = misfit(argument.kind, literal) {
            let message = format!("argument '{key}' of module '{}': {reason}", module.name);
            self.found(context.severity(), "argument", &value.place, piece, message);
        }
        if argument.kind == pgfleet_protocol::Kind::Mode && literal.is_number() && !piece.starts_with('0') {
            let message = format!("'{key}: {piece}' is the number {piece}, not the permissions that it looks like");
            let hint = Some(format!("write '{key}: \"0{piece}\"'"));
            self.with_hint(Severity::Warning, "mode", &value.place, piece, message, hint);
        }
    }
}

/// A template may turn out to be `omit`.
fn is_sure(value: &Node) -> bool {
    !value.scalar_text().is_some_and(Text::is_template)
}

fn is_one_template(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1
}
