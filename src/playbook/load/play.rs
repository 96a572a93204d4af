//! Reading plays and imports of playbooks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Condition, Node, Problem, Raw, Text};

use super::{Reading, parent};
use crate::keywords::{ORDERS, PLAY, SHARED, STRATEGIES};
use crate::{Gather, Play, Settings, Step, Task};

/// What `remote_user` was called once; plays still may.
const OLD_REMOTE_USER: &str = "user";

const IMPORT: &[&str] = &["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook", "include"];

impl Reading<'_> {
    pub(super) fn playbook(&mut self, path: &Path, imported_with: &Settings) -> Vec<Play> {
        let folder = Arc::new(parent(path));
        let outer = std::mem::replace(&mut self.playbook_folder, folder.clone());
        let outer_collection = std::mem::replace(&mut self.default_collection, self.loader.collection_around(&folder));
        let plays = self.inside(path, |reading| {
            let Some(document) = reading.document(path) else { return Vec::new() };
            let Some(items) = document.sequence() else {
                let problem = document.problem(format!("A playbook must be a list of plays, got {} instead", document.kind_name()));
                reading.problem(problem.with_hint("begin each play with '- hosts: ...'"));
                return Vec::new();
            };
            items.iter().flat_map(|item| reading.play_or_import(item, imported_with, &folder)).collect()
        });
        self.playbook_folder = outer;
        self.default_collection = outer_collection;
        plays.unwrap_or_default()
    }

    fn play_or_import(&mut self, node: &Node, imported_with: &Settings, folder: &Arc<PathBuf>) -> Vec<Play> {
        let Some(entries) = node.mapping() else {
            let problem = node.problem("playbook entries must be either valid plays or 'import_playbook' statements");
            self.problem(problem.with_hint(format!("a play is a mapping, but this is {}", node.kind_name())));
            return Vec::new();
        };
        match entries.iter().find(|(key, _)| key.as_text().is_some_and(|key| IMPORT.contains(&key))) {
            Some((_, name)) => self.import(node, name, imported_with, folder),
            None => self.play(node, entries, imported_with, folder).into_iter().collect(),
        }
    }

    fn import(&mut self, node: &Node, name: &Node, imported_with: &Settings, folder: &Path) -> Vec<Play> {
        self.refuse_unknown_keys(node, &[&["when"], SHARED, IMPORT], "valid attribute for a PlaybookInclude");
        let own = self.settings(node);
        self.play_vars = Arc::default();
        self.used_roles.clear();
        let Some(file) = self.fixed_name(name, &imported_with.around(own.clone()), "the name of a playbook") else { return Vec::new() };
        let beside = folder.join(&file);
        let path = match self.loader.files.is_file(&beside) {
            true => beside,
            false => self.loader.find_playbook(&file, folder).unwrap_or(beside),
        };
        if !self.loader.files.is_file(&path) {
            let problem = name.problem(format!("there is no playbook {}", path.display()));
            self.problem(problem);
            return Vec::new();
        }
        self.playbook(&path, &imported_with.around(own))
    }

    fn play(&mut self, node: &Node, entries: &[(Node, Node)], imported_with: &Settings, folder: &Arc<PathBuf>) -> Option<Play> {
        self.refuse_unknown_keys(node, &[PLAY, SHARED, &[OLD_REMOTE_USER]], "valid attribute for a Play");
        let hosts = match node.get("hosts") {
            Some(hosts) => match refused_hosts(hosts) {
                Some(why) => {
                    let problem = hosts.problem(why).with_hint("name hosts, groups or a pattern");
                    self.problem(problem);
                    None
                }
                None => self.raw(hosts),
            },
            None => {
                let problem = node.problem("The field 'hosts' is required but was not set.");
                self.problem(problem.did_you_mean("hosts", entries.iter().filter_map(|(key, _)| key.as_text())));
                None
            }
        };
        let mut settings = self.settings(node);
        if let Some(user) = node.get(OLD_REMOTE_USER) {
            if settings.remote_user.is_some() {
                let problem = user.problem("both 'user' and 'remote_user' are set for this play. 'user' is the old name of the other");
                self.problem(problem);
            }
            settings.remote_user = self.optional(node, OLD_REMOTE_USER);
        }
        let vars = settings.vars.pop().unwrap_or_default();
        let import_when: Vec<Condition> = imported_with.when.clone();
        let mut settings = Settings { when: Vec::new(), ..imported_with.clone() }.around(settings);
        settings.when.clone_from(&import_when);
        let inherited = settings.clone();
        self.play_vars = inherited.vars.iter().fold(vars.clone(), |below, above| {
            let mut all = (*below).clone();
            all.extend(above.iter().map(|(name, raw)| (name.clone(), raw.clone())));
            Arc::new(all)
        });
        let mut own = Settings { tags: std::mem::take(&mut settings.tags), ..Settings::default() };
        self.render_tags(&mut own, &settings, &node.place);
        settings.tags = own.tags;
        let inherited = Settings { tags: settings.tags.clone(), ..inherited };
        self.collections = self.texts(node, "collections");
        self.includes = false;
        for list in [&mut self.role_handlers, &mut self.imported_handlers] {
            list.clear();
        }
        self.used_roles.clear();
        let roles = node.get("roles").filter(|list| !list.is_null()).map(|list| self.play_roles(list, &inherited)).unwrap_or_default();
        let steps = |reading: &mut Self, key: &str| -> Vec<Step> {
            node.get(key).filter(|list| !list.is_null()).map(|list| reading.steps(list, key, &inherited, folder)).unwrap_or_default()
        };
        let pre_tasks = steps(self, "pre_tasks");
        let tasks = steps(self, "tasks");
        let post_tasks = steps(self, "post_tasks");
        let own = node.get("handlers").filter(|list| !list.is_null()).map(|list| self.handlers(list, &inherited, folder));
        // Of two with one name the later counts: the play's own go before those of its roles.
        let mut handlers = std::mem::take(&mut self.role_handlers);
        handlers.extend(own.unwrap_or_default());
        handlers.append(&mut self.imported_handlers);
        self.check_notified(&handlers);
        let play = Play {
            name: self.optional(node, "name"),
            place: node.place.clone(),
            hosts: hosts?,
            gather_facts: self.optional(node, "gather_facts").map_or(Gather::Default, Gather::Written),
            gather_subset: self.optional(node, "gather_subset"),
            gather_timeout: self.optional(node, "gather_timeout"),
            fact_path: self.optional(node, "fact_path"),
            vars,
            prompts: self.prompts(node),
            vars_files: self.vars_files(node),
            serial: self.one_or_more(node, "serial"),
            strategy: self.word(node, "strategy", STRATEGIES),
            max_fail_percentage: self.optional(node, "max_fail_percentage"),
            force_handlers: self.optional(node, "force_handlers"),
            order: self.word(node, "order", ORDERS),
            settings,
            pre_tasks,
            roles,
            used_roles: std::mem::take(&mut self.used_roles),
            collections: std::mem::take(&mut self.collections),
            tasks,
            post_tasks,
            handlers,
            import_when,
            folder: folder.clone(),
        };
        Some(play)
    }

    /// Reports fixed names that no handler answers to, unless a handler's name or an included file shows only at run time.
    fn check_notified(&mut self, handlers: &[Arc<Task>]) {
        let notified = std::mem::take(&mut self.notified);
        let mut known: Vec<String> = handlers.iter().flat_map(|handler| handler.listen.iter().cloned()).collect();
        if self.includes || self.loader.forgives_missing_handlers {
            return;
        }
        for handler in handlers {
            let roles = handler.settings.role.iter().flat_map(|role| [&role.origin.name, &role.origin.short]);
            known.extend(roles.flat_map(|role| handler.listen.iter().map(move |topic| format!("{role} : {topic}"))));
            match &handler.name {
                _ if handler.included.is_some() => return,
                Some(Raw::Value(name)) => {
                    let name = name.to_string();
                    let role = handler.settings.role.iter().flat_map(|role| [&role.origin.name, &role.origin.short]);
                    known.extend(role.map(|role| format!("{role} : {name}")));
                    known.push(name);
                }
                Some(_) => return,
                None => {}
            }
        }
        for (place, name) in notified.iter().filter(|(_, name)| !known.contains(name)) {
            let problem = Problem::new(unheard(name)).at(place);
            self.problem(problem.did_you_mean(name, known.iter().map(String::as_str)));
        }
    }

    fn vars_files(&mut self, node: &Node) -> Vec<(pgfleet_template::Place, Raw)> {
        let Some(files) = node.get("vars_files").filter(|files| !files.is_null()) else { return Vec::new() };
        let single = std::slice::from_ref(files);
        let items = files.sequence().unwrap_or(single);
        items.iter().filter_map(|item| Some((item.place.clone(), self.raw(item)?))).collect()
    }

    /// One of several words, or a template that gives one when the play begins.
    fn word(&mut self, node: &Node, key: &str, known: &[&str]) -> Option<String> {
        let value = node.get(key).filter(|value| !value.is_null())?;
        match value.as_text() {
            Some(word) if known.contains(&word) || Text::is_template(word) => Some(word.to_owned()),
            _ => {
                let written = value.scalar_text().unwrap_or(value.kind_name()).to_owned();
                let problem = value
                    .problem(format!("'{key}' is one of {}, not '{written}'", known.join(", ")))
                    .did_you_mean(&written, known.iter().copied());
                self.problem(problem);
                None
            }
        }
    }

    /// Reports keys of a mapping that none of the lists knows.
    pub(super) fn refuse_unknown_keys(&mut self, node: &Node, known: &[&[&str]], what: &str) {
        for (key, _) in node.mapping().unwrap_or_default() {
            let Some(name) = key.scalar_text() else {
                let problem = key.problem(format!("{} is not a {what}", key.kind_name()));
                self.problem(problem);
                continue;
            };
            if !known.iter().any(|list| list.contains(&name)) {
                let problem = key.problem(format!("'{name}' is not a {what}")).did_you_mean(name, known.iter().copied().flatten().copied());
                self.problem(problem);
            }
        }
    }
}

/// Why these are no hosts that a play can have.
fn refused_hosts(hosts: &Node) -> Option<String> {
    let is_empty = hosts.is_null() || hosts.as_text() == Some("") || hosts.sequence().is_some_and(<[Node]>::is_empty);
    if is_empty {
        return Some("Hosts list cannot be empty. Please check your playbook".to_owned());
    }
    if hosts.as_text().is_some() {
        return None;
    }
    let Some(items) = hosts.sequence() else {
        return Some("Hosts list must be a sequence or string. Please check your playbook.".to_owned());
    };
    items.iter().find(|item| item.as_text().is_none()).map(|item| match item.is_null() {
        true => "Hosts list cannot contain values of 'None'. Please check your playbook".to_owned(),
        false => format!("Hosts list contains an invalid host value: '{}'", item.scalar_text().unwrap_or(item.kind_name())),
    })
}

/// That nothing answers to a name that was notified.
fn unheard(name: &str) -> String {
    format!("The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list")
}
