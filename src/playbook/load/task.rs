//! Reading tasks and blocks.

use std::path::PathBuf;
use std::sync::Arc;

use pgfleet_template::{Node, NodeKind, Problem, Raw, Text, Value};

use super::arguments::Written;
use super::{Loader, Reading};
use crate::catalog::{Engine, UNKNOWN, lookup_module, module_names, short_name};
use crate::keywords::{BLOCK, OF_INCLUDES, SHARED, TASK};
use crate::split::{BESIDE_COMMANDS, parse_pairs};
use crate::{Arguments, Block, Kind, Late, Play, Repeat, Role, Settings, Step, Task};

impl Reading<'_> {
    /// The tasks and blocks of a list; `what` names it (`tasks`, `rescue`).
    pub(super) fn steps(&mut self, node: &Node, what: &str, inherited: &Settings, folder: &Arc<PathBuf>) -> Vec<Step> {
        let Some(items) = node.sequence() else {
            let written = node.scalar_text().unwrap_or(node.kind_name());
            let message = format!("A malformed block was encountered while loading {what}: {written} should be a list or None");
            self.problem(node.problem(message).with_hint("begin each task with '- name: ...'"));
            return Vec::new();
        };
        items.iter().flat_map(|item| self.step(item, inherited, folder)).collect()
    }

    fn step(&mut self, node: &Node, inherited: &Settings, folder: &Arc<PathBuf>) -> Vec<Step> {
        if node.mapping().is_none() {
            let problem = node.problem(format!("a task is a mapping, but this is {}", node.kind_name()));
            self.problem(problem);
            return Vec::new();
        }
        if ["block", "rescue", "always"].iter().any(|key| node.get(key).is_some()) {
            return self.block(node, inherited, folder).into_iter().collect();
        }
        self.task(node, inherited, folder)
    }

    fn block(&mut self, node: &Node, inherited: &Settings, folder: &Arc<PathBuf>) -> Option<Step> {
        self.refuse_unknown_keys(node, &[BLOCK, SHARED], "valid attribute for a Block");
        if node.get("block").is_none() {
            let key = if node.get("rescue").is_some() { "rescue" } else { "always" };
            let problem = node.problem(format!("'{key}' keyword cannot be used without 'block'"));
            self.problem(problem);
            return None;
        }
        self.note_notified(node);
        let mut own = self.settings(node);
        self.render_tags(&mut own, inherited, &node.place);
        let settings = inherited.around(own);
        let mut steps = |key: &str| match node.get(key).filter(|steps| !steps.is_null()) {
            Some(steps) => self.steps(steps, key, &settings, folder),
            None => Vec::new(),
        };
        let (block, rescue, always) = (steps("block"), steps("rescue"), steps("always"));
        Some(Step::Block(Arc::new(Block {
            name: self.optional(node, "name"),
            place: node.place.clone(),
            block,
            rescue,
            always,
            role: None,
        })))
    }

    fn task(&mut self, node: &Node, inherited: &Settings, folder: &Arc<PathBuf>) -> Vec<Step> {
        let before = self.problems.len();
        let Some((name, name_node, value)) = self.module_of(node) else { return Vec::new() };
        let late = Text::is_template(&name).then(|| self.keep(Text::parse(&name, &name_node.place))).flatten();
        let (kind, module) = match lookup_module(&name) {
            _ if late.is_some() => (Kind::Host, UNKNOWN),
            Ok(found) => found,
            Err((message, suggestion)) => {
                let problem = name_node.problem(message);
                self.problem(match suggestion {
                    Some(suggestion) => problem.with_hint(format!("did you mean '{suggestion}'?")),
                    None => problem,
                });
                (Kind::Host, UNKNOWN)
            }
        };
        let written = Written { task: node, name: &name_node, value: value.as_ref() };
        let nearest = self.module_defaults(node).get(module.name).cloned();
        let defaults = nearest.or_else(|| inherited.module_defaults.get(module.name).cloned()).unwrap_or_default();
        let arguments = if late.is_some() { None } else { self.arguments(&written, kind, &module, &defaults) };
        let repeat = self.repeat(node);
        self.refuse_wrong_literals(node);
        // What is wrong with the module and its arguments matters only where the task would run.
        let refused = self.set_aside(before);
        let mut own = self.own_settings(node);
        self.render_tags(&mut own, inherited, &node.place);
        if node.get("local_action").is_some() {
            own.delegate_to.get_or_insert_with(|| Raw::from(Value::from("localhost")));
        }
        self.note_notified(node);
        let includes = matches!(kind, Kind::Engine(Engine::IncludeTasks | Engine::IncludeRole));
        self.includes |= includes;
        let given = own.vars.last().cloned();
        let included = includes.then(|| {
            self.refuse_outer_keywords(node, module.name);
            let apply = value.as_ref().and_then(|value| value.get("apply")).or_else(|| node.get("args")?.get("apply"));
            let applied = apply.map(|apply| self.settings(apply)).unwrap_or_default();
            own.parameters = std::mem::take(&mut own.vars);
            let mut included = inherited.around(applied);
            included.parameters.extend(own.parameters.iter().cloned());
            if kind == Kind::Engine(Engine::IncludeRole) {
                // The role that is included has them as its own, too.
                included.vars.extend(own.parameters.iter().cloned());
            }
            Arc::new(included)
        });
        let late = late.map(|name| Arc::new(Late { name, node: node.clone(), inherited: inherited.clone(), folder: folder.clone() }));
        let settings = inherited.around(own);
        if let Kind::Engine(action @ (Engine::ImportTasks | Engine::ImportRole)) = kind {
            let Some(Arguments::Named(arguments)) = arguments else {
                self.problems.extend(refused.map(|problem| *problem));
                return Vec::new();
            };
            return match action {
                Engine::ImportRole => self.import_role(&arguments, given.unwrap_or_default(), &settings),
                _ => self.import_tasks(&arguments, &settings, folder),
            };
        }
        let task = Task {
            name: self.optional(node, "name"),
            place: node.place.clone(),
            kind,
            module,
            module_name: name,
            settings,
            repeat,
            until: self.until(node),
            detached: self.optional(node, "async"),
            poll: self.optional(node, "poll"),
            register: self.register(node),
            listen: self.texts(node, "listen"),
            changed_when: self.conditions(node, "changed_when"),
            failed_when: self.conditions(node, "failed_when"),
            included,
            folder: folder.clone(),
            refused,
            late,
            arguments: arguments.unwrap_or_else(|| Arguments::Named(indexmap::IndexMap::new())),
        };
        vec![Step::Task(Arc::new(task))]
    }

    /// Takes the problems found since then as those of one task; the first of them stands for all.
    fn set_aside(&mut self, before: usize) -> Option<Box<Problem>> {
        let found = self.problems.split_off(before);
        let first = found.first().cloned().map(Box::new);
        self.deferred.extend(found);
        first
    }

    /// Keywords that an include takes for itself would look as if they held for the tasks of its file.
    fn refuse_outer_keywords(&mut self, node: &Node, module: &str) {
        for (key, _) in node.mapping().unwrap_or_default() {
            let Some(name) = key.scalar_text() else { continue };
            if (SHARED.contains(&name) || TASK.contains(&name)) && !OF_INCLUDES.contains(&name) {
                let problem = key.problem(format!("'{name}' does nothing on {module}"));
                self.problem(problem.with_hint("write it under 'apply', so that it holds for the tasks that are included"));
            }
        }
    }

    /// Keeps the handlers that a task names, where that is no template.
    fn note_notified(&mut self, node: &Node) {
        let Some(value) = node.get("notify") else { return };
        let single = std::slice::from_ref(value);
        for item in value.sequence().unwrap_or(single) {
            if let Some(name) = item.as_text().filter(|name| !Text::is_template(name)) {
                self.notified.push((item.place.clone(), name.to_owned()));
            }
        }
    }

    /// The module's name as written, the node that names it, and its arguments.
    fn module_of(&mut self, node: &Node) -> Option<(String, Node, Option<Node>)> {
        let is_keyword = |name: &str| SHARED.contains(&name) || TASK.contains(&name) || name.starts_with("with_");
        let mut candidates = Vec::new();
        for (key, value) in node.mapping().unwrap_or_default() {
            match key.scalar_text() {
                Some(name) if is_keyword(name) => {}
                Some(name) => candidates.push((name.to_owned(), key.clone(), Some(value.clone()))),
                None => {
                    let problem = key.problem("a task's keys are text");
                    self.problem(problem);
                }
            }
        }
        for key in ["action", "local_action"] {
            if let Some((key_node, value)) = node.mapping().unwrap_or_default().iter().find(|(name, _)| name.scalar_text() == Some(key)) {
                candidates.extend(self.old_action(key_node, value));
            }
        }
        match candidates.len() {
            1 => candidates.pop(),
            0 => {
                let problem = node
                    .problem("no module/action detected in task.")
                    .with_hint("write the module's name as a key, 'ansible.builtin.copy:' say");
                self.problem(problem);
                None
            }
            _ => {
                let (known, unknown): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|(name, ..)| lookup_module(name).is_ok());
                if known.len() > 1 {
                    let names: Vec<_> = known.iter().map(|(name, ..)| name.as_str()).collect();
                    let problem = node.problem(format!("conflicting action statements: {}", names.join(", ")));
                    self.problem(problem.with_hint("one task, one module"));
                }
                for (name, key, _) in &unknown {
                    let words = SHARED.iter().chain(TASK).copied().chain(module_names());
                    let problem = key.problem(format!("'{name}' is neither a keyword of a task nor a module")).did_you_mean(name, words);
                    self.problem(problem);
                }
                None
            }
        }
    }

    /// `action: module arguments` or `action: {module: name, ...}`, whose name may have arguments behind it, too.
    fn old_action(&mut self, key: &Node, value: &Node) -> Option<(String, Node, Option<Node>)> {
        let line = |text: &str| {
            let (name, rest) = first_word(text);
            (name.to_owned(), rest.to_owned())
        };
        let scalar = |text: &str| Node {
            place: value.place.clone(),
            tag: None,
            kind: pgfleet_template::NodeKind::Scalar { text: text.to_owned(), value: Value::from(text) },
        };
        if let Some(text) = value.as_text() {
            let (name, rest) = line(text);
            return Some((name, key.clone(), Some(scalar(&rest))));
        }
        let Some(module) = value.get("module").and_then(Node::as_text) else {
            let problem = key.problem("'action' names a module");
            self.problem(problem);
            return None;
        };
        let (name, rest) = line(module);
        let takes_command = ["command", "shell", "script", "raw"].contains(&short_name(&name));
        let parsed = parse_pairs(&rest, takes_command.then_some(BESIDE_COMMANDS)).map_err(|message| value.problem(message));
        let (pairs, free) = self.keep(parsed)?;
        let mut entries: Vec<(Node, Node)> = Vec::new();
        for (key, value) in value.mapping()?.iter().filter(|(key, _)| !matches!(key.scalar_text(), Some("module" | "args"))) {
            entries.push((key.clone(), value.clone()));
        }
        for (key, value) in value.get("args").and_then(Node::mapping).unwrap_or_default() {
            entries.push((key.clone(), value.clone()));
        }
        let free = free.map(|free| ("_raw_params".to_owned(), free));
        entries.extend(pairs.into_iter().chain(free).map(|(key, value)| (scalar(&key), scalar(&value))));
        Some((name, key.clone(), Some(Node { place: value.place.clone(), tag: None, kind: pgfleet_template::NodeKind::Mapping(entries) })))
    }

    fn import_tasks(
        &mut self,
        arguments: &indexmap::IndexMap<String, (pgfleet_template::Place, Raw)>,
        settings: &Settings,
        folder: &Arc<PathBuf>,
    ) -> Vec<Step> {
        let Some((place, raw)) = arguments.get("file") else { return Vec::new() };
        let Some(name) = self.fixed_value(place, raw, settings, "the name of an imported file") else { return Vec::new() };
        match self.loader.find_tasks(&name, folder, settings.role.as_deref().map(Role::folder), &self.playbook_folder.clone()) {
            Some(path) => self.task_file(&path, settings),
            None => {
                let problem = pgfleet_template::Problem::new(format!(
                    "there is no file of tasks '{name}' in {} or in the playbook's tasks",
                    folder.display()
                ));
                self.problem(problem.at(place));
                Vec::new()
            }
        }
    }

    fn until(&mut self, node: &Node) -> Option<Repeat> {
        let until = node.get("until").filter(|until| !until.is_null()).and_then(|_| self.conditions(node, "until"));
        let retries = self.optional(node, "retries");
        if until.is_none() && retries.is_none() {
            return None;
        }
        Some(Repeat { until: until.unwrap_or_default(), retries, delay: self.optional(node, "delay") })
    }

    fn register(&mut self, node: &Node) -> Option<String> {
        let value = node.get("register").filter(|value| !value.is_null())?;
        match value.as_text() {
            Some(name) if is_name(name) => Some(name.to_owned()),
            _ => {
                let problem =
                    value.problem(format!("Invalid variable name '{}' for 'register'", value.scalar_text().unwrap_or(value.kind_name())));
                self.problem(problem);
                None
            }
        }
    }
}

/// The name of a module, which may be a template, and what stands behind it.
#[must_use]
pub fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let code = if text.starts_with("{{") { text.find("}}").map_or(0, |end| end + 2) } else { 0 };
    let end = text[code..].find(char::is_whitespace).map_or(text.len(), |end| code + end);
    (&text[..end], text[end..].trim_start())
}

/// A task's node with the module's name in the place of the template that gave it.
fn with_module(node: &Node, name: &str) -> Node {
    let renamed = |value: &Node| -> Node {
        let Some(text) = value.as_text() else { return value.clone() };
        let text = format!("{name} {}", first_word(text).1);
        Node { kind: NodeKind::Scalar { value: Value::from(text.as_str()), text }, ..value.clone() }
    };
    let entries = node.mapping().unwrap_or_default().iter().map(|(key, value)| {
        let is_action = matches!(key.scalar_text(), Some("action" | "local_action"));
        let value = match value.mapping() {
            _ if !is_action => value.clone(),
            None => renamed(value),
            Some(entries) => {
                let is_module = |key: &Node| key.scalar_text() == Some("module");
                let inner = entries.iter().map(|(key, value)| (key.clone(), if is_module(key) { renamed(value) } else { value.clone() }));
                Node { kind: NodeKind::Mapping(inner.collect()), ..value.clone() }
            }
        };
        (key.clone(), value)
    });
    Node { kind: NodeKind::Mapping(entries.collect()), ..node.clone() }
}

impl Loader {
    /// The task of a module whose name was a template, now that the name is known.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn named(&self, late: &Late, name: &str, play: &Play) -> Result<Arc<Task>, Vec<Problem>> {
        let mut reading = Reading::within(self, play);
        let steps = reading.task(&with_module(&late.node, name), &late.inherited, &late.folder);
        match (reading.finish(steps)?.into_iter().next(), lookup_module(name)) {
            (Some(Step::Task(task)), Ok((kind, _)))
                if !matches!(kind, Kind::Engine(Engine::IncludeTasks | Engine::IncludeRole | Engine::Meta)) =>
            {
                Ok(task)
            }
            (Some(Step::Task(task)), Err(_)) => Ok(task),
            _ => Err(vec![Problem::new(format!("'{name}' cannot be the value of a template: it must be written")).at(&late.node.place)]),
        }
    }
}

/// Letters, digits and underscores, not beginning with a digit.
pub(super) fn is_name(text: &str) -> bool {
    text.chars().all(|character| character.is_alphanumeric() || character == '_')
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
}
