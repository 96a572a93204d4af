//! Playbooks and plays.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use pgfleet_playbook::keywords::{PLAY, SHARED, not_yet};
use pgfleet_template::{Node, Place, Text, closest};

use crate::Severity;
use crate::context::Context;
use crate::sources::{folder_of, tidy};
use crate::walk::Walk;

const IMPORT: [&str; 4] = ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook", "include"];
const CONTROLLER: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl Walk<'_> {
    /// A playbook that was asked for.
    pub(crate) fn start(&mut self, path: &Path) {
        let path = tidy(path);
        let context = Context {
            folder: Rc::new(folder_of(&path)),
            playbook: Rc::new(folder_of(&path)),
            role: None,
            outer_roles: Rc::default(),
            guards: Rc::default(),
            is_certain: true,
            is_chosen: true,
            in_loop: false,
            has_defaults: false,
            when: None,
            tags: Rc::default(),
            depth: 0,
            is_local: false,
            owner: None,
        };
        self.playbook(&path, &context);
        self.check_idle_handlers();
    }

    fn playbook(&mut self, path: &Path, context: &Context) {
        if context.depth > 20 {
            return;
        }
        if !self.request.files.is_file(path) {
            let place = Place::new(path.to_string_lossy(), 0, 0);
            return self.found(Severity::Error, "file", &place, "", format!("there is no playbook {}", path.display()));
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
        self.keywords(node, &[SHARED, &["when"], &IMPORT], "keyword of import_playbook", context);
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
        if !self.request.files.is_file(&path) {
            let known: Vec<String> = self
                .request
                .files
                .list(&folder_of(&path))
                .unwrap_or_default()
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
                .collect();
            let base = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or(file);
            let hint = closest(base, known.iter().map(String::as_str)).map(|known| format!("did you mean '{known}'?"));
            return self.with_hint(Severity::Error, "file", &name.place, file, format!("there is no playbook {}", path.display()), hint);
        }
        self.playbook(&path, &Context { depth: context.depth + 1, ..inner });
    }

    fn play(&mut self, node: &Node, context: &Context) {
        let Some(entries) = node.mapping() else {
            return self.found(Severity::Error, "play", &node.place, "", format!("a play is a mapping, but this is {}", node.kind_name()));
        };
        self.keywords(node, &[PLAY, SHARED], "keyword of a play", context);
        let Some(hosts) = node.get("hosts").filter(|hosts| !hosts.is_null()) else {
            let hint = closest("hosts", entries.iter().filter_map(|(key, _)| key.as_text()))
                .map(|key| format!("did you mean 'hosts' by '{key}'?"));
            return self.with_hint(Severity::Error, "play", &node.place, "", "a play needs 'hosts'", hint);
        };
        self.pause_play();
        let is_certain = context.is_certain && self.reaches(hosts, context);
        let is_local = hosts.as_text().is_some_and(|hosts| CONTROLLER.contains(&hosts.trim()));
        let inner =
            self.inner(node, &Context { is_certain, is_local, has_defaults: node.get("module_defaults").is_some(), ..context.clone() });
        self.value(hosts, &inner);
        for key in ["name", "gather_facts", "gather_subset", "serial", "max_fail_percentage", "force_handlers"] {
            node.get(key).into_iter().for_each(|value| self.value(value, &inner));
        }
        if let Some(prompts) = node.get("vars_prompt").and_then(Node::sequence) {
            prompts.iter().filter_map(|prompt| prompt.get("name")?.scalar_text()).for_each(|name| self.declare(name));
        }
        if let Some(files) = node.get("vars_files").filter(|files| !files.is_null()) {
            self.vars_files(files, &inner);
        }
        let list = |key: &str| node.get(key).filter(|list| !list.is_null());
        if let Some(handlers) = list("handlers") {
            self.handler_list(handlers, &inner);
        }
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

    /// Whether the play reaches a host for certain; a word of its pattern that is nobody's name is told.
    fn reaches(&mut self, hosts: &Node, _context: &Context) -> bool {
        let Some(inventory) = self.request.inventory else { return true };
        let single = std::slice::from_ref(hosts);
        let parts: Vec<&str> = hosts.sequence().unwrap_or(single).iter().filter_map(Node::scalar_text).collect();
        if parts.iter().any(|part| Text::is_template(part)) {
            return false;
        }
        let words: Vec<String> = parts
            .iter()
            .flat_map(|part| part.split([',', ':']))
            .map(|word| word.trim().trim_start_matches(['!', '&']).to_owned())
            .collect();
        for word in words.iter().filter(|word| !word.is_empty() && !word.contains(['*', '?', '[', '~', '.', '/'])) {
            let is_made = self.made_groups.contains(&None) || self.made_groups.contains(&Some(word.clone()));
            if inventory.group(word).is_none() && inventory.host(word).is_none() && !CONTROLLER.contains(&word.as_str()) && !is_made {
                let known: BTreeSet<String> = inventory
                    .groups()
                    .map(|group| group.name.to_string())
                    .chain(inventory.hosts().map(|host| host.name.to_string()))
                    .collect();
                let hint = closest(word, known.iter().map(String::as_str)).map(|known| format!("did you mean '{known}'?"));
                let place = self.sources.within(
                    &hosts.place,
                    hosts.scalar_text().unwrap_or_default(),
                    hosts.scalar_text().and_then(|text| text.find(word.as_str())).unwrap_or(0),
                    word.len(),
                );
                self.with_hint(Severity::Warning, "hosts", &place, word, format!("the inventory has no group or host '{word}'"), hint);
            }
        }
        if words.iter().any(|word| CONTROLLER.contains(&word.as_str())) {
            return true;
        }
        let Ok(mut chosen) = inventory.select(&parts.join(",")).map(|selection| selection.hosts) else { return false };
        if let Some(limit) = &self.request.limit
            && let Ok(limited) = inventory.select(limit)
        {
            chosen.retain(|host| limited.hosts.contains(host));
        }
        !chosen.is_empty()
    }

    /// Reports keys that are no keywords.
    pub(crate) fn keywords(&mut self, node: &Node, known: &[&[&str]], what: &str, context: &Context) {
        for (key, value) in node.mapping().unwrap_or_default() {
            let Some(name) = key.scalar_text() else {
                self.found(Severity::Error, "keyword", &key.place, "", format!("{} is no {what}", key.kind_name()));
                continue;
            };
            if !known.iter().any(|list| list.contains(&name)) {
                self.unknown(Severity::Error, "keyword", key, format!("'{name}' is no {what}"), known.iter().copied().flatten().copied());
            } else if let Some(reason) = not_yet(name)
                && !(name == "async" && value.scalar_text() == Some("0"))
            {
                self.lacking("keyword", name, &key.place, context, Some(reason.to_owned()));
            }
        }
    }
}
