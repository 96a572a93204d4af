//! Reading a module's arguments and checking what can be checked before they are rendered.

use indexmap::IndexMap;
use pgfleet_protocol::{ArgumentProblem, Kind as ArgumentKind, ModuleSpec};
use pgfleet_template::{Node, Place, Problem, Raw, Text, Value, to_json};

use super::Reading;
use super::task::is_name;
use crate::catalog::{Engine, UNKNOWN};
use crate::split::{BESIDE_COMMANDS, parse_pairs};
use crate::{Arguments, Kind};

const NAMES: &str = "letters, digits and underscores, not beginning with a digit";

/// Arguments by name, each with its place.
pub(crate) type Named = IndexMap<String, (Place, Raw)>;

/// A task as written: the task, the key that names its module, and the value beside that.
pub(super) struct Written<'a> {
    pub(super) task: &'a Node,
    pub(super) name: &'a Node,
    pub(super) value: Option<&'a Node>,
}

impl Reading<'_> {
    /// The arguments of a task over those that `module_defaults` give; `None` after a problem.
    pub(super) fn arguments(&mut self, written: &Written<'_>, kind: Kind, module: &ModuleSpec, defaults: &Named) -> Option<Arguments> {
        let before = self.problems.len();
        let mut named = Named::new();
        let mut whole = None;
        if let Some(beside) = written.task.get("args").filter(|beside| !beside.is_null()) {
            match beside.scalar_text() {
                _ if beside.mapping().is_some() => self.named(beside, &mut named),
                Some(text) if is_one_template(text) => whole = self.raw(beside).map(|raw| (beside.place.clone(), raw)),
                _ => {
                    let problem = beside.problem("'args' is a mapping");
                    self.problem(problem);
                }
            }
        }
        let mut inner = Named::new();
        match written.value {
            None => {}
            Some(value) if value.is_null() => {}
            Some(value) if value.mapping().is_some() => self.named(value, &mut inner),
            Some(value) => match value.scalar_text() {
                Some(text) if module.free_form.is_none() && is_one_template(text) => {
                    whole = self.raw(value).map(|raw| (value.place.clone(), raw));
                }
                Some(text) => self.one_line(text, value, module, kind, &mut inner),
                None => {
                    let problem = value.problem(format!("the arguments of '{}' are a mapping, not {}", module.name, value.kind_name()));
                    self.problem(problem);
                }
            },
        }
        // What stands with the module is above what stands under 'args'.
        named.extend(inner);
        for (name, value) in defaults {
            let is_given = named.keys().any(|given| module.argument(given).map_or(given.as_str(), |spec| spec.name) == name);
            if !is_given {
                named.insert(name.clone(), value.clone());
            }
        }
        // Where a line could not be read, what it lacks is not known.
        let is_unread = self.problems.len() > before && named.is_empty();
        if kind == Kind::Engine(Engine::SetFact) {
            for (name, (place, _)) in named.iter().filter(|(name, _)| !is_name(name) && !Text::is_template(name)) {
                self.problem(Problem::new(format!("'{name}' is no name of a variable")).at(place).with_hint(NAMES));
            }
        } else if !is_unread && whole.is_none() && module.name != UNKNOWN.name {
            self.check(written.name, &mut named, module, kind == Kind::Engine(Engine::AddHost));
        }
        if let Some((place, raw)) = whole {
            return (self.problems.len() == before).then_some(Arguments::Whole(place, raw, named));
        }
        (self.problems.len() == before).then_some(Arguments::Named(named))
    }

    fn named(&mut self, mapping: &Node, named: &mut Named) {
        for (key, value) in mapping.mapping().unwrap_or_default() {
            let Some(key_text) = key.scalar_text() else { continue };
            if let Some(raw) = self.raw(value) {
                named.insert(key_text.to_owned(), (key.place.clone(), raw));
            }
        }
    }

    fn one_line(&mut self, text: &str, value: &Node, module: &ModuleSpec, kind: Kind, named: &mut Named) {
        let takes_command = kind == Kind::Raw || ["command", "shell", "script"].contains(&module.name);
        let known = takes_command.then_some(BESIDE_COMMANDS);
        let place = &value.place;
        let parsed = parse_pairs(text, known).map_err(|message| value.problem(message));
        let Some((pairs, free)) = self.keep(parsed) else { return };
        for (key, text) in pairs {
            if let Some(raw) = self.keep(Raw::from_text(&text, place)) {
                named.insert(key, (place.clone(), raw));
            }
        }
        match (free, module.free_form) {
            (Some(free), Some(argument)) => {
                if let Some(raw) = self.keep(Raw::from_text(&free, place)) {
                    named.insert(argument.to_owned(), (place.clone(), raw));
                }
            }
            (Some(free), None) => {
                let problem = value.problem(format!("'{}' takes key=value arguments, not '{free}'", module.name));
                self.problem(problem);
            }
            (None, _) => {}
        }
    }

    /// Brings names to their canonical form (others stay where the module takes any) and reports what is wrong with them and with literal values.
    fn check(&mut self, name: &Node, named: &mut Named, module: &ModuleSpec, takes_any: bool) {
        for problem in module.check_given(named.iter().map(|(name, (_, raw))| (name.as_str(), is_sure(raw)))) {
            if takes_any && matches!(problem, ArgumentProblem::Unknown { .. }) {
                continue;
            }
            let place = match &problem {
                ArgumentProblem::Unknown { name, .. } => named.get(name).map(|(place, _)| place.clone()),
                _ => None,
            };
            let shown = Problem::new(problem.to_string().replace("_raw_params", "cmd")).at(&place.unwrap_or_else(|| name.place.clone()));
            self.problem(match &problem {
                ArgumentProblem::Unknown { name, known, .. } => {
                    shown.did_you_mean(name, known.iter().copied().filter(|name| !name.starts_with('_')))
                }
                _ => shown,
            });
        }
        let given = std::mem::take(named);
        for (key, (place, raw)) in given {
            let Some(argument) = module.argument(&key) else {
                if takes_any {
                    named.insert(key, (place, raw));
                }
                continue;
            };
            if let Raw::Value(value) = &raw
                && let Some(reason) = misfit(argument.kind, value)
            {
                self.problem(Problem::new(format!("argument '{key}' of module '{}': {reason}", module.name)).at(&place));
            }
            named.insert(argument.name.to_owned(), (place, raw));
        }
    }
}

/// Nothing at all is no value, and a template may turn out to be `omit`.
fn is_sure(raw: &Raw) -> bool {
    match raw {
        Raw::Text(_) => false,
        Raw::Value(value) => !value.is_none(),
        Raw::List(_) | Raw::Map(_) | Raw::Late(_) => true,
    }
}

/// Why a literal value does not fit an argument, where that is certain.
#[must_use]
pub fn misfit(kind: ArgumentKind, value: &Value) -> Option<String> {
    use pgfleet_protocol::{Argument, FileMode};
    let json = to_json(value).ok()?;
    if json.is_null() {
        return None;
    }
    match kind {
        ArgumentKind::Bool => bool::read(&json).err(),
        ArgumentKind::Int => i64::read(&json).err(),
        ArgumentKind::Float => f64::read(&json).err(),
        ArgumentKind::Mode => FileMode::read(&json).err(),
        ArgumentKind::Map if !json.is_object() => Some("expected a mapping".to_owned()),
        ArgumentKind::Choice(words) => {
            let word = match &json {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Bool(flag) => (if *flag { "yes" } else { "no" }).to_owned(),
                other => other.to_string(),
            };
            (!words.contains(&word.as_str())).then(|| {
                let suggestion = pgfleet_template::closest(&word, words.iter().copied())
                    .map(|word| format!("; did you mean '{word}'?"))
                    .unwrap_or_default();
                format!("'{word}' is not one of {}{suggestion}", words.join(", "))
            })
        }
        _ => None,
    }
}

/// True for text that is one `{{ expression }}` and nothing else.
fn is_one_template(text: &str) -> bool {
    let text = text.trim();
    Text::is_template(text) && text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1
}
