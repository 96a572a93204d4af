//! Tasks: their loops, their results, their modules.

use pgfleet_playbook::lookup_module;
use pgfleet_template::{Node, Text, UseKind, closest, is_known, known_names};

use crate::Severity;
use crate::called::Called;
use crate::context::Context;
use crate::names::is_reserved;
use crate::walk::Walk;

const LOOP_CONTROL: &[&str] = &["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"];

impl Walk<'_> {
    pub(crate) fn task(&mut self, node: &Node, outside: &Context) {
        if self.handlers.is_reading {
            self.handler(node);
        }
        let called = self.called(node);
        let mut context = self.inner(node, outside);
        context.is_certain &= self.request.tags.selects(&context.tags);
        let looped = self.repetition(node, &context);
        self.results(node, &looped);
        self.shared_values(node, &looped);
        for key in ["async", "poll"] {
            node.get(key).into_iter().for_each(|value| self.value(value, &looped));
        }
        if let Some(args) = node.get("args") {
            self.value(args, &looped);
        }
        if let Some(called) = called {
            self.call(node, &called, &looped);
        }
    }

    /// Loops, `until` and their kind; what holds inside of them.
    fn repetition(&mut self, node: &Node, context: &Context) -> Context {
        let mut looped = context.clone();
        let is_loop = |(key, _): &&(Node, Node)| key.scalar_text().is_some_and(|key| key == "loop" || key.starts_with("with_"));
        for (number, (key, items)) in node.mapping().unwrap_or_default().iter().filter(is_loop).enumerate() {
            let name = key.scalar_text().unwrap_or_default();
            if number > 0 {
                self.found(Severity::Error, "task", &key.place, name, "a second loop; a task has one");
            }
            self.loop_kind(key, name, context);
            // Files that are looked for may have names that no variable gives.
            let surely = if name == "with_first_found" { context.unsure() } else { context.clone() };
            self.value(items, &surely);
            looped.in_loop = true;
            looped.is_certain &= items.sequence().is_some_and(|items| !items.is_empty());
        }
        if let Some(control) = node.get("loop_control") {
            self.keywords(control, &[LOOP_CONTROL], "part of loop_control");
            for key in ["loop_var", "index_var"] {
                control.get(key).and_then(Node::scalar_text).into_iter().for_each(|name| self.define(name));
            }
            for key in ["label", "pause"] {
                control.get(key).into_iter().for_each(|value| self.value(value, &looped));
            }
            control.get("break_when").into_iter().for_each(|value| self.conditions(value, &looped));
        }
        for key in ["retries", "delay"] {
            node.get(key).into_iter().for_each(|value| self.value(value, context));
        }
        looped
    }

    /// `with_` goes with the name of a lookup.
    fn loop_kind(&mut self, key: &Node, name: &str, context: &Context) {
        let Some(lookup) = name.strip_prefix("with_").filter(|lookup| !is_known(UseKind::Lookup, lookup)) else { return };
        match closest(lookup, known_names(UseKind::Lookup)) {
            Some(known) => {
                let hint = Some(format!("did you mean 'with_{known}'?"));
                self.with_hint(Severity::Error, "keyword", &key.place, name, format!("there is no loop '{name}'"), hint);
            }
            None => self.lacking("lookup", lookup, &key.place, context, None),
        }
    }

    /// What is done with the result, and who is told.
    fn results(&mut self, node: &Node, context: &Context) {
        if let Some(register) = node.get("register").filter(|register| !register.is_null())
            && let Some(name) = register.scalar_text()
        {
            self.define(name);
            if is_reserved(name) {
                let message = format!("'register: {name}' hides the variable of that name that every run has");
                self.found(Severity::Warning, "register", &register.place, name, message);
            } else {
                self.registered.entry(name.to_owned()).or_insert_with(|| register.place.clone());
            }
        }
        for key in ["changed_when", "failed_when", "until"] {
            if let Some(condition) = node.get(key) {
                let tested = self.tested_in(condition);
                self.conditions(condition, &context.guarded(&tested));
            }
        }
        node.get("notify").into_iter().for_each(|notify| self.notify(notify, context));
    }

    /// The module, its arguments, and what it reaches.
    fn call(&mut self, task: &Node, called: &Called<'_>, context: &Context) {
        if Text::is_template(called.name) {
            return called.value.iter().for_each(|value| self.value(value, context));
        }
        self.module_values(called, context);
        match lookup_module(called.name) {
            Ok((kind, module)) => {
                let given = self.given(task, called, &module);
                self.check_arguments(called, kind, &given, context);
                self.reach(task, kind, &given, context);
            }
            Err((message, suggestion)) => self.unknown_module(called, context, &message, suggestion),
        }
    }

    /// Templates in the arguments.
    fn module_values(&mut self, called: &Called<'_>, context: &Context) {
        let Some(value) = &called.value else { return };
        match lookup_module(called.name).map_or("", |(_, module)| module.name) {
            "debug" if value.mapping().is_some() => {
                value.get("var").into_iter().for_each(|var| self.bare_expression(var, &context.unsure()));
                value.get("msg").into_iter().for_each(|msg| self.value(msg, context));
            }
            "assert" if value.mapping().is_some() => {
                if let Some(that) = value.get("that") {
                    let tested = self.tested_in(that);
                    self.conditions(that, &context.guarded(&tested));
                }
                for key in ["fail_msg", "msg", "success_msg"] {
                    value.get(key).into_iter().for_each(|text| self.value(text, &context.unsure()));
                }
            }
            _ => self.value(value, context),
        }
    }
}
