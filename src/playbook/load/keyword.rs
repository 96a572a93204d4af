//! Reading the keywords that plays, blocks and tasks share.

use std::sync::Arc;

use pgfleet_template::{Condition, Node, Raw};

use super::Reading;
use crate::Settings;
use crate::catalog::{lookup_module, short_name};
use crate::settings::ModuleDefaults;

impl Reading<'_> {
    pub(super) fn raw(&mut self, node: &Node) -> Option<Raw> {
        let raw = Raw::from_node(node, &self.loader.vault);
        self.keep(raw)
    }

    /// The value of a keyword, if it is there.
    pub(super) fn optional(&mut self, node: &Node, key: &str) -> Option<Raw> {
        let value = node.get(key).filter(|value| !value.is_null())?;
        self.raw(value)
    }

    /// The values of a keyword that takes one or a list.
    pub(super) fn one_or_more(&mut self, node: &Node, key: &str) -> Vec<Raw> {
        let Some(value) = node.get(key).filter(|value| !value.is_null()) else { return Vec::new() };
        let single = std::slice::from_ref(value);
        value.sequence().unwrap_or(single).iter().filter_map(|item| self.raw(item)).collect()
    }

    /// The conditions of `when`, all of which must hold; what is empty asks for nothing.
    pub(super) fn when(&mut self, node: &Node) -> Vec<Condition> {
        let Some(value) = node.get("when") else { return Vec::new() };
        let single = std::slice::from_ref(value);
        let items = value.sequence().unwrap_or(single).iter();
        items.filter(|item| !item.is_null()).filter_map(|item| self.keep(Condition::read(item))).collect()
    }

    /// The conditions of a keyword that takes one or a list, all of which must hold; an empty list says nothing.
    pub(super) fn conditions(&mut self, node: &Node, key: &str) -> Option<Vec<Condition>> {
        let value = node.get(key)?;
        let single = std::slice::from_ref(value);
        let items = value.sequence().unwrap_or(single);
        let conditions: Vec<Condition> = items.iter().filter_map(|item| self.keep(Condition::read(item))).collect();
        (!conditions.is_empty()).then_some(conditions)
    }

    /// Plain texts of a keyword that takes one, a comma-separated text or a list.
    pub(super) fn texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        let Some(value) = node.get(key).filter(|value| !value.is_null()) else { return Vec::new() };
        let single = std::slice::from_ref(value);
        let mut texts = Vec::new();
        for item in value.sequence().unwrap_or(single) {
            match item.scalar_text() {
                Some(text) => texts.extend(text.split(',').map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())),
                None => {
                    let problem = item.problem(format!("'{key}' takes text, not {}", item.kind_name()));
                    self.problem(problem);
                }
            }
        }
        texts
    }

    /// What a play, block, task or import says itself.
    pub(super) fn settings(&mut self, node: &Node) -> Settings {
        self.refuse_wrong_literals(node);
        self.own_settings(node)
    }

    /// The same where somebody else has looked at the values.
    pub(super) fn own_settings(&mut self, node: &Node) -> Settings {
        let vars = node.get("vars").filter(|vars| !vars.is_null()).and_then(|vars| {
            let vars = Raw::vars_from_node(vars, &self.loader.vault);
            self.keep(vars)
        });
        Settings {
            when: self.when(node),
            vars: vars.map(Arc::new).into_iter().collect(),
            parameters: Vec::new(),
            role: None,
            notify: self.one_or_more(node, "notify"),
            environment: self.one_or_more(node, "environment"),
            tags: self.texts(node, "tags"),
            module_defaults: Arc::new(self.module_defaults(node)),
            r#become: self.optional(node, "become"),
            become_user: self.optional(node, "become_user"),
            become_method: self.optional(node, "become_method"),
            ignore_errors: self.optional(node, "ignore_errors"),
            ignore_unreachable: self.optional(node, "ignore_unreachable"),
            check_mode: self.optional(node, "check_mode"),
            diff: self.optional(node, "diff"),
            no_log: self.optional(node, "no_log"),
            delegate_to: self.optional(node, "delegate_to"),
            delegate_facts: self.optional(node, "delegate_facts"),
            run_once: self.optional(node, "run_once"),
            any_errors_fatal: self.optional(node, "any_errors_fatal"),
            connection: self.optional(node, "connection"),
            remote_user: self.optional(node, "remote_user"),
            port: self.optional(node, "port"),
            throttle: self.optional(node, "throttle"),
            timeout: self.optional(node, "timeout"),
        }
    }

    /// Arguments that modules take where a task does not give them. Groups of modules are of collections that nothing here has.
    pub(super) fn module_defaults(&mut self, node: &Node) -> ModuleDefaults {
        let mut defaults = ModuleDefaults::new();
        let Some(value) = node.get("module_defaults").filter(|value| !value.is_null()) else { return defaults };
        let single = std::slice::from_ref(value);
        for item in value.sequence().unwrap_or(single) {
            let Some(entries) = item.mapping() else {
                let problem = item.problem(format!("'module_defaults' is a mapping of modules, not {}", item.kind_name()));
                self.problem(problem);
                continue;
            };
            for (key, arguments) in entries {
                let Some(name) = key.scalar_text().filter(|name| !name.starts_with("group/")) else { continue };
                let mut named = crate::load::arguments::Named::new();
                for (key, value) in arguments.mapping().unwrap_or_default() {
                    if let (Some(argument), Some(raw)) = (key.scalar_text(), self.raw(value)) {
                        let canonical = lookup_module(name).ok().and_then(|(_, spec)| Some(spec.argument(argument)?.name));
                        named.insert(canonical.unwrap_or(argument).to_owned(), (key.place.clone(), raw));
                    }
                }
                defaults.insert(short_name(name).to_owned(), named);
            }
        }
        defaults
    }
}
