//! Roles: where they are found, and what they bring.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use pgfleet_template::{Node, Place, Text};

use crate::context::Context;
use crate::files::{is_like, starred};
use crate::sources::{folder_of, tidy};
use crate::walk::Walk;
use crate::{Finding, Severity};

/// A role that is used.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

/// Which of its files a task asks for.
pub(crate) struct Parts {
    pub(crate) tasks: String,
    pub(crate) vars: String,
    pub(crate) defaults: String,
    pub(crate) handlers: String,
}

impl Default for Parts {
    fn default() -> Self {
        let main = || "main".to_owned();
        Self { tasks: main(), vars: main(), defaults: main(), handlers: main() }
    }
}

const ENDINGS: [&str; 4] = [".yml", ".yaml", ".json", ""];

impl Walk<'_> {
    /// Folders in which roles lie.
    fn role_folders(&self, context: &Context) -> Vec<PathBuf> {
        let mut folders = vec![context.playbook.join("roles")];
        folders.extend(self.request.role_folders.iter().cloned());
        folders.extend(context.role.iter().map(|role| folder_of(&role.folder)));
        if let Some(root) = self.collection_root(&context.playbook, None) {
            folders.push(root.join("roles"));
        }
        folders.push((*context.playbook).clone());
        folders
    }

    /// The folder of the collection that a playbook stands in; of a certain one, where a name is given.
    fn collection_root(&self, playbook: &Path, wanted: Option<(&str, &str)>) -> Option<PathBuf> {
        let mut folder = playbook.to_owned();
        for _ in 0..6 {
            let description = folder.join("galaxy.yml");
            if self.request.files.is_file(&description) {
                let Some((namespace, name)) = wanted else { return Some(folder) };
                let text = String::from_utf8(self.request.files.read(&description).ok()?).ok()?;
                let has = |key: &str, value: &str| {
                    text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim().trim_matches(['"', '\'']) == value))
                };
                return (has("namespace:", namespace) && has("name:", name)).then_some(folder);
            }
            folder = tidy(&folder.join(".."));
        }
        None
    }

    fn find_role(&self, name: &str, context: &Context) -> Option<PathBuf> {
        let is_there = |folder: &PathBuf| {
            let parts = ["tasks", "defaults", "vars", "handlers", "meta", "files", "templates"];
            parts.iter().any(|part| self.request.files.is_folder(&folder.join(part)))
        };
        let mut candidates: Vec<PathBuf> = self.role_folders(context).iter().map(|folder| tidy(&folder.join(name))).collect();
        if let [namespace, collection, role] = name.split('.').collect::<Vec<_>>()[..] {
            candidates.extend(
                self.collection_root(&context.playbook, Some((namespace, collection))).map(|root| tidy(&root.join("roles").join(role))),
            );
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ansible/collections"));
            let places = [
                Some(context.playbook.join("collections")),
                Some(PathBuf::from("collections")),
                home,
                Some("/usr/share/ansible/collections".into()),
            ];
            let inside = PathBuf::from("ansible_collections").join(namespace).join(collection).join("roles").join(role);
            candidates.extend(places.into_iter().flatten().map(|place| tidy(&place.join(&inside))));
        }
        candidates.into_iter().find(is_there)
    }

    /// Everything that the use of a role brings. `name` is the node that names it.
    pub(crate) fn role(&mut self, name: &Node, parts: &Parts, context: &Context) {
        let Some(text) = name.scalar_text().map(str::to_owned) else { return };
        if Text::is_template(&text) {
            self.value(name, context);
            let mut found = Vec::new();
            let pattern = starred(&text);
            for folder in self.role_folders(context) {
                for path in self.request.files.list(&folder).unwrap_or_default() {
                    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                    if pattern.trim_matches('*').len() > 1 && is_like(&name, &pattern) && self.request.files.is_folder(&path) {
                        found.push((name, path));
                    }
                }
            }
            (self.is_open, self.tags_open) = (self.is_open || found.is_empty(), self.tags_open || found.is_empty());
            for (found, path) in found {
                self.role_in(&Rc::new(Role { name: found, folder: tidy(&path) }), parts, &name.place, &context.unsure());
            }
            return;
        }
        match self.find_role(&text, context) {
            Some(folder) => self.role_in(&Rc::new(Role { name: text, folder }), parts, &name.place, context),
            None => {
                (self.is_open, self.tags_open) = (true, true);
                let severity = if context.is_certain { Severity::Error } else { Severity::Warning };
                let folders: Vec<String> = self.role_folders(context).iter().map(|folder| tidy(folder).display().to_string()).collect();
                let names: Vec<String> = folders.iter().flat_map(|folder| self.names_in(Path::new(folder))).collect();
                let hint = match pgfleet_template::closest(&text, names.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean '{known}'?"),
                    None => format!("it is looked for in {}", folders.join(", ")),
                };
                self.with_hint(severity, "role", &name.place, &text, format!("there is no role '{text}'"), Some(hint));
            }
        }
    }

    fn names_in(&self, folder: &Path) -> Vec<String> {
        let paths = self.request.files.list(folder).unwrap_or_default();
        paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
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
        if let Some(path) = self.main_file(&role.folder.join("meta"), "main")
            && let Some(meta) = self.document(&path)
            && let Some(dependencies) = meta.get("dependencies").and_then(Node::sequence)
        {
            dependencies.iter().for_each(|entry| self.role_entry(entry, &inside));
        }
        for (kind, part) in [("defaults", &parts.defaults), ("vars", &parts.vars)] {
            for path in self.main_files(&role.folder.join(kind), part) {
                self.variables_file(&path, &inside.unsure());
            }
        }
        if let Some(path) = self.main_file(&role.folder.join("handlers"), &parts.handlers) {
            self.handlers.is_partial = parts.tasks != "main";
            self.handler_file(&path, &inside);
            self.handlers.is_partial = false;
        }
        if Text::is_template(&parts.tasks) {
            let pattern = starred(&parts.tasks);
            for path in self.request.files.list(&role.folder.join("tasks")).unwrap_or_default() {
                if path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| is_like(stem, &pattern)) {
                    self.task_file(&tidy(&path), &inside.unsure());
                }
            }
            return;
        }
        match self.main_file(&role.folder.join("tasks"), &parts.tasks) {
            Some(path) => self.task_file(&path, &inside),
            None if parts.tasks != "main" => {
                let message = format!("the role '{}' has no tasks '{}'", role.name, parts.tasks);
                self.found(if context.is_certain { Severity::Error } else { Severity::Warning }, "file", place, &parts.tasks, message);
            }
            None => {}
        }
    }

    /// `main` with one of the endings of YAML.
    fn main_file(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        ENDINGS
            .iter()
            .map(|ending| folder.join(format!("{name}{ending}")))
            .find(|path| self.request.files.is_file(path))
            .map(|path| tidy(&path))
    }

    /// The same, or all files of a folder `main`.
    fn main_files(&self, folder: &Path, name: &str) -> Vec<PathBuf> {
        let inside = folder.join(name);
        if self.request.files.is_folder(&inside) {
            return self
                .request
                .files
                .list(&inside)
                .unwrap_or_default()
                .into_iter()
                .filter(|path| self.request.files.is_file(path))
                .collect();
        }
        self.main_file(folder, name).into_iter().collect()
    }

    /// One entry of `roles` or `dependencies`.
    pub(crate) fn role_entry(&mut self, entry: &Node, context: &Context) {
        if entry.scalar_text().is_some() {
            return self.role(entry, &Parts::default(), context);
        }
        let Some(name) = entry.get("role").or_else(|| entry.get("name")) else {
            let message = "an entry of 'roles' names a role: '- role: NAME'";
            let finding = Finding {
                severity: Severity::Error,
                rule: "role",
                place: entry.place.clone(),
                piece: String::new(),
                message: message.to_owned(),
                hint: None,
                excerpt: None,
            };
            return self.keep(finding);
        };
        // What is no keyword is a parameter.
        for (key, value) in entry.mapping().unwrap_or_default() {
            let Some(key) = key.scalar_text() else { continue };
            if !crate::step::is_keyword(key) && !["role", "name", "when", "tags", "delegate_to"].contains(&key) {
                self.define(key);
                self.value(value, &context.unsure());
            }
        }
        let inner = self.inner(entry, context);
        self.role(name, &Parts::default(), &inner);
    }
}
