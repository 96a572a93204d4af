//! Arguments of modules: names, what is missing, what does not go together, and literal values.

use indexmap::IndexMap;
use pgfleet_playbook::{Engine, Kind, misfit, parse_pairs};
use pgfleet_protocol::{ArgumentProblem, ModuleSpec};
use pgfleet_template::{Node, Place, Text, closest};

use crate::Severity;
use crate::context::Context;
use crate::task::{Called, scalar};
use crate::walk::Walk;

/// Arguments that may stand in a line of free text.
const INLINE: [&str; 12] = [
    "chdir",
    "creates",
    "removes",
    "executable",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
    "warn",
    "apply",
    "name",
    "argv",
    "expand_argument_vars",
];

type Named = IndexMap<String, (Place, Node)>;

impl Walk<'_> {
    /// Everything that can be said of a task's arguments before they are rendered.
    pub(crate) fn check_arguments(&mut self, task: &Node, called: &Called, kind: Kind, module: &ModuleSpec, context: &Context) {
        let mut named = Named::new();
        let takes_any = matches!(kind, Kind::Engine(Engine::SetFact | Engine::AddHost));
        if let Some(value) = called.value.as_ref().filter(|value| !value.is_null()) {
            match (value.mapping(), value.scalar_text()) {
                (Some(entries), _) => collect(entries, &mut named),
                (None, Some(text)) if module.free_form.is_none() && text.trim().starts_with("{{") && text.matches("{{").count() == 1 => {
                    return;
                }
                (None, Some(text)) => {
                    if !self.one_line(text, value, module, &mut named) {
                        return;
                    }
                }
                (None, None) => {
                    let message = format!("the arguments of '{}' are a mapping, not {}", module.name, value.kind_name());
                    return self.found(Severity::Error, "argument", &value.place, "", message);
                }
            }
        }
        if let Some(args) = task.get("args").filter(|args| !args.is_null()) {
            match args.mapping() {
                Some(entries) => collect(entries, &mut named),
                None if args.as_text().is_some_and(Text::is_template) => return,
                None => return self.found(Severity::Error, "argument", &args.place, "", "'args' is a mapping"),
            }
        }
        if takes_any && kind == Kind::Engine(Engine::SetFact) {
            return;
        }
        self.names(called, module, &named, takes_any, context);
        self.literals(module, &named, context);
    }

    fn one_line(&mut self, text: &str, value: &Node, module: &ModuleSpec, named: &mut Named) -> bool {
        let known = module.free_form.map(|_| &INLINE[..]);
        let (pairs, free) = match parse_pairs(text, known) {
            Ok(parsed) => parsed,
            Err(message) => {
                self.found(Severity::Error, "argument", &value.place, "", message);
                return false;
            }
        };
        for (key, pair) in pairs {
            let offset = text.find(&format!("{key}=")).unwrap_or(0);
            let place = self.sources.within(&value.place, text, offset, key.len());
            let node = scalar(&place, &pair);
            named.insert(key, (place, node));
        }
        match (free, module.free_form) {
            (Some(free), Some(argument)) => drop(named.insert(argument.to_owned(), (value.place.clone(), scalar(&value.place, &free)))),
            (Some(free), None) => {
                let message = format!("'{}' takes key=value arguments, not '{free}'", module.name);
                self.found(Severity::Error, "argument", &value.place, &free, message);
                return false;
            }
            (None, _) => {}
        }
        true
    }

    fn names(&mut self, called: &Called, module: &ModuleSpec, named: &Named, takes_any: bool, context: &Context) {
        let severity = if context.is_certain { Severity::Error } else { Severity::Warning };
        for problem in module.check_names(named.keys().map(String::as_str)) {
            match &problem {
                ArgumentProblem::Unknown { .. } if takes_any => {}
                ArgumentProblem::Unknown { name, known, .. } => {
                    let place = named.get(name).map_or(&called.key.place, |(place, _)| place);
                    match closest(name, known.iter().copied().filter(|name| !name.starts_with('_'))) {
                        Some(known) => {
                            let hint = Some(format!("did you mean '{known}'?"));
                            self.with_hint(severity, "argument", place, name, problem.to_string(), hint);
                        }
                        None => self.lacking("argument", &format!("{}.{name}", module.name), place, context, None),
                    }
                }
                ArgumentProblem::Missing { .. } if context.has_defaults => {}
                _ => {
                    let message = problem.to_string().replace("_raw_params", "cmd");
                    self.found(severity, "argument", &called.key.place, &called.name, message);
                }
            }
        }
    }

    fn literals(&mut self, module: &ModuleSpec, named: &Named, context: &Context) {
        let severity = if context.is_certain { Severity::Error } else { Severity::Warning };
        for (key, (_, value)) in named {
            let Some(argument) = module.argument(key) else { continue };
            let Some(literal) = value.scalar().filter(|_| !value.scalar_text().is_some_and(Text::is_template)) else { continue };
            let piece = value.scalar_text().unwrap_or_default();
            if let Some(reason) = misfit(argument.kind, literal) {
                self.found(severity, "argument", &value.place, piece, format!("argument '{key}' of module '{}': {reason}", module.name));
            }
            if argument.kind == pgfleet_protocol::Kind::Mode && literal.is_number() && !piece.starts_with('0') {
                let message = format!("'{key}: {piece}' is the number {piece}, not the permissions that it looks like");
                let hint = Some(format!("write '{key}: \"0{piece}\"'"));
                self.with_hint(Severity::Error, "mode", &value.place, piece, message, hint);
            }
        }
    }
}

fn collect(entries: &[(Node, Node)], named: &mut Named) {
    for (key, value) in entries {
        if let Some(name) = key.scalar_text() {
            named.insert(name.to_owned(), (key.place.clone(), value.clone()));
        }
    }
}
