//! Playbooks and plays.

use std::path::Path;
use std::rc::Rc;

use pgfleet_playbook::keywords::{PLAY, SHARED};
use pgfleet_template::{Node, Place, Text, closest, tidy};

use crate::Severity;
use crate::context::Context;
use crate::finding::did_you_mean;
use crate::hosts::is_controller;
use crate::sources::folder_of;
use crate::walk::Walk;

const IMPORT: [&str; 4] = ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook", "include"];

impl Walk<'_> {
    /// A playbook that was asked for.
    pub(crate) fn start(&mut self, path: &Path) {
        let path = tidy(path);
        let context = Context::of_playbook(folder_of(&path));
        self.playbook(&path, &context);
        self.check_idle_handlers();
    }

    fn playbook(&mut self, path: &Path, context: &Context) {
        if context.depth > 20 {
            return;
        }
        if !self.request.files().is_file(path) {
            let place = Place::new(path.to_string_lossy(), 0, 0);
            return self.found(Severity::Error, "file", &place, "", "there is no such playbook");
        }
        let folder = Rc::new(folder_of(path));
        // Variables beside a playbook that another one imports are read for it, too.
        self.variable_folders(&folder);
        let context = Context { folder: folder.clone(), playbook: folder, ..context.clone() };
        let Some(document) = self.document(path) else { return };
        let Some(plays) = document.sequence() else {
            let message = format!("a playbook is a list of plays, but this is {}", document.kind_name());
            let hint = "begin each play with '- hosts: ...'".to_owned();
            return self.with_hint(Severity::Error, "play", &document.place, "", message, Some(hint));
        };
        for play in plays {
            let import = play.mapping().unwrap_or_default().iter().find(|(key, _)| key.as_text().is_some_and(|key| IMPORT.contains(&key)));
            match import {
                Some((_, name)) => self.import(play, name, &context),
                None => self.play(play, &context),
            }
        }
    }

    fn import(&mut self, node: &Node, name: &Node, context: &Context) {
        self.keywords(node, &[SHARED, &["when"], &IMPORT], "keyword of import_playbook");
        let inner = self.inner(node, context);
        let Some(file) = name.as_text() else {
            return self.found(Severity::Error, "file", &name.place, "", "import_playbook takes the name of a file");
        };
        if Text::is_template(file) {
            self.value(name, context);
            (self.is_open, self.tags_open) = (true, true);
            return;
        }
        let path = tidy(&context.folder.join(file.split_whitespace().next().unwrap_or(file)));
        if !self.request.files().is_file(&path) {
            let beside = self.request.files().list(&folder_of(&path)).unwrap_or_default();
            let known: Vec<&str> = beside.iter().filter_map(|path| path.file_name()?.to_str()).collect();
            let base = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or(file);
            let hint = did_you_mean(base, known);
            return self.with_hint(Severity::Error, "file", &name.place, file, format!("there is no playbook {}", path.display()), hint);
        }
        self.playbook(&path, &Context { depth: context.depth + 1, ..inner });
    }

    fn play(&mut self, node: &Node, context: &Context) {
        let Some(entries) = node.mapping() else {
            return self.found(Severity::Error, "play", &node.place, "", format!("a play is a mapping, but this is {}", node.kind_name()));
        };
        self.keywords(node, &[PLAY, SHARED], "keyword of a play");
        let Some(hosts) = node.get("hosts").filter(|hosts| !hosts.is_null()) else {
            let hint = closest("hosts", entries.iter().filter_map(|(key, _)| key.as_text()))
                .map(|key| format!("did you mean 'hosts' by '{key}'?"));
            return self.with_hint(Severity::Error, "play", &node.place, "", "a play needs 'hosts'", hint);
        };
        self.pause_play();
        let inner = self.inside_play(node, hosts, context);
        self.value(hosts, &inner);
        for key in ["name", "gather_facts", "gather_subset", "serial", "max_fail_percentage", "force_handlers"] {
            node.get(key).into_iter().for_each(|value| self.value(value, &inner));
        }
        if let Some(prompts) = node.get("vars_prompt").and_then(Node::sequence) {
            prompts.iter().filter_map(|prompt| prompt.get("name")?.scalar_text()).for_each(|name| self.declare(name));
        }
        let list = |key: &str| node.get(key).filter(|list| !list.is_null());
        list("vars_files").into_iter().for_each(|files| self.vars_files(files, &inner));
        list("handlers").into_iter().for_each(|handlers| self.handler_list(handlers, &inner));
        list("pre_tasks").into_iter().for_each(|steps| self.steps(steps, &inner));
        if let Some(roles) = list("roles") {
            let outside = self.carry_on(&inner);
            match roles.sequence() {
                Some(entries) => entries.iter().for_each(|entry| self.role_entry(entry, &outside)),
                None => self.found(Severity::Error, "role", &roles.place, "", format!("'roles' is a list, not {}", roles.kind_name())),
            }
        }
        list("tasks").into_iter().for_each(|steps| self.steps(steps, &inner));
        list("post_tasks").into_iter().for_each(|steps| self.steps(steps, &inner));
        self.check_handlers();
    }

    /// What holds inside of a play.
    fn inside_play(&mut self, node: &Node, hosts: &Node, context: &Context) -> Context {
        let collections = node.get("collections").and_then(Node::sequence).unwrap_or_default();
        let around = Context {
            is_certain: self.reaches(hosts) && context.is_certain,
            is_local: hosts.as_text().is_some_and(is_controller),
            collections: Rc::new(collections.iter().filter_map(Node::scalar_text).map(str::to_owned).collect()),
            ..context.clone()
        };
        self.inner(node, &around)
    }

    /// Reports keys that are no keywords.
    pub(crate) fn keywords(&mut self, node: &Node, known: &[&[&str]], what: &str) {
        for (key, _) in node.mapping().unwrap_or_default() {
            match key.scalar_text() {
                None => self.found(Severity::Error, "keyword", &key.place, "", format!("{} is no {what}", key.kind_name())),
                Some(name) if known.iter().any(|list| list.contains(&name)) => {}
                Some(name) => {
                    let known = known.iter().copied().flatten().copied();
                    self.unknown(Severity::Error, "keyword", key, format!("'{name}' is no {what}"), known);
                }
            }
        }
    }
}
