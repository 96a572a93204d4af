//! Roles: which are used, and what they bring.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use pgfleet_playbook::RoleSearch;
use pgfleet_template::{Node, Place, Text, closest, tidy};

use crate::Severity;
use crate::context::Context;
use crate::files::{is_like, starred};
use crate::walk::Walk;

/// A role that is used.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) collection: Option<String>,
    pub(crate) folder: PathBuf,
}

/// Which of its files a task asks for; `main` where it does not say.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) tasks: Option<String>,
    pub(crate) vars: Option<String>,
    pub(crate) defaults: Option<String>,
    pub(crate) handlers: Option<String>,
}

impl Walk<'_> {
    /// One entry of `roles` or `dependencies`.
    pub(crate) fn role_entry(&mut self, entry: &Node, context: &Context) {
        if entry.scalar_text().is_some() {
            return self.role(entry, &Parts::default(), context);
        }
        let Some(name) = entry.get("role").or_else(|| entry.get("name")).or_else(|| entry.get("src")) else {
            let message = "an entry of 'roles' names a role: '- role: NAME'";
            return self.found(Severity::Error, "role", &entry.place, "", message);
        };
        // What is no keyword is a parameter.
        for (key, value) in entry.mapping().unwrap_or_default() {
            let Some(key) = key.scalar_text() else { continue };
            if !crate::step::is_keyword(key) && !["role", "name", "src", "when", "tags", "delegate_to"].contains(&key) {
                self.define(key);
                self.value(value, &context.unsure());
            }
        }
        let inner = self.inner(entry, context);
        self.role(name, &Parts::default(), &inner);
    }

    /// Everything that the use of a role brings. `name` is the node that names it.
    pub(crate) fn role(&mut self, name: &Node, parts: &Parts, context: &Context) {
        let Some(text) = name.scalar_text() else { return };
        if Text::is_template(text) {
            self.value(name, context);
            return self.roles_like(&starred(text), parts, &name.place, context);
        }
        match self.find_role(text, context) {
            Ok(role) => self.role_in(&Rc::new(role), parts, &name.place, context),
            Err(folders) => {
                (self.is_open, self.tags_open) = (true, true);
                let names = self.request.loader.role_names(&folders);
                let hint = match closest(text, names.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean '{known}'?"),
                    None => {
                        let looked: Vec<String> = folders.iter().map(|folder| tidy(folder).display().to_string()).collect();
                        format!("it is looked for in {}", looked.join(", "))
                    }
                };
                self.with_hint(context.severity(), "role", &name.place, text, format!("there is no role '{text}'"), Some(hint));
            }
        }
    }

    fn find_role(&self, name: &str, context: &Context) -> Result<Role, Vec<PathBuf>> {
        let own = context.role.as_ref().and_then(|role| role.collection.as_deref());
        let around = self.request.loader.collection_around(&context.playbook);
        let named = context.collections.iter().chain(&around).map(String::as_str);
        let collections: Vec<&str> = own.into_iter().chain(named).collect();
        let search = RoleSearch {
            playbook_folder: &context.playbook,
            collections: &collections,
            parent: context.role.as_ref().map(|role| role.folder.as_path()),
        };
        let found = self.request.loader.find_role(name, &search)?;
        Ok(Role { name: found.name, collection: found.collection, folder: tidy(&found.path) })
    }

    /// Roles that a name with unknown parts may stand for.
    fn roles_like(&mut self, pattern: &str, parts: &Parts, place: &Place, context: &Context) {
        // Of a name that is all unknown, any role could be meant.
        let is_telling = pattern.trim_matches('*').len() > 1;
        let folder = context.playbook.join("roles");
        let mut found = Vec::new();
        for path in self.request.files().list(&folder).unwrap_or_default() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_telling && is_like(name, pattern) && self.request.files().is_folder(&path) {
                found.push(Role { name: name.to_owned(), collection: None, folder: tidy(&path) });
            }
        }
        (self.is_open, self.tags_open) = (self.is_open || found.is_empty(), self.tags_open || found.is_empty());
        for role in found {
            self.role_in(&Rc::new(role), parts, place, &context.unsure());
        }
    }

    fn role_in(&mut self, role: &Rc<Role>, parts: &Parts, place: &Place, context: &Context) {
        if context.depth > 20 {
            return;
        }
        let mut outer = (*context.outer_roles).clone();
        outer.extend(context.role.clone());
        let inside = Context {
            role: Some(role.clone()),
            outer_roles: Rc::new(outer),
            folder: Rc::new(role.folder.join("tasks")),
            depth: context.depth + 1,
            ..context.clone()
        };
        if let Some(path) = self.role_file(&role.folder.join("meta"), None)
            && let Some(meta) = self.document(&path)
            && let Some(dependencies) = meta.get("dependencies").and_then(Node::sequence)
        {
            dependencies.iter().for_each(|entry| self.role_entry(entry, &inside));
        }
        for (kind, part) in [("defaults", &parts.defaults), ("vars", &parts.vars)] {
            for path in self.request.loader.role_files(&role.folder.join(kind), part.as_deref(), true) {
                self.variables_file(&tidy(&path), &inside.unsure());
            }
        }
        if let Some(path) = self.role_file(&role.folder.join("handlers"), parts.handlers.as_deref()) {
            self.handlers.is_partial = parts.tasks.is_some();
            self.handler_file(&path, &inside);
            self.handlers.is_partial = false;
        }
        self.role_tasks(role, parts.tasks.as_deref(), place, &inside);
    }

    fn role_tasks(&mut self, role: &Rc<Role>, wanted: Option<&str>, place: &Place, inside: &Context) {
        let folder = role.folder.join("tasks");
        if let Some(wanted) = wanted.filter(|wanted| Text::is_template(wanted)) {
            let pattern = starred(wanted);
            let is_meant = |path: &Path| {
                let names = [path.file_stem(), path.file_name()];
                names.into_iter().flatten().filter_map(|name| name.to_str()).any(|name| is_like(name, &pattern))
            };
            for path in self.request.files().list(&folder).unwrap_or_default().iter().filter(|path| is_meant(path)) {
                self.task_file(&tidy(path), &inside.unsure());
            }
            return;
        }
        match (self.role_file(&folder, wanted), wanted) {
            (Some(path), _) => self.task_file(&path, inside),
            (None, Some(wanted)) => {
                let message = format!("the role '{}' has no tasks '{wanted}'", role.name);
                self.found(inside.severity(), "file", place, wanted, message);
            }
            (None, None) => {}
        }
    }

    /// One file of a role's sub-folder.
    fn role_file(&self, folder: &Path, wanted: Option<&str>) -> Option<PathBuf> {
        self.request.loader.role_files(folder, wanted, false).first().map(|path| tidy(path))
    }
}
