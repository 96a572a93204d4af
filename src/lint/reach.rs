//! What a task brings: files of tasks, roles, variables, groups, templates.

use std::path::Path;

use pgfleet_playbook::keywords::META;
use pgfleet_playbook::{Engine, Kind, Transfer};
use pgfleet_template::{Node, Text, tidy};

use crate::arguments::Given;
use crate::context::Context;
use crate::files::Found;
use crate::finding::did_you_mean;
use crate::roles::Parts;
use crate::walk::Walk;
use crate::{Finding, Severity};

impl Walk<'_> {
    /// Files, roles and names that a task brings, and what is known once it has run.
    pub(crate) fn reach(&mut self, task: &Node, kind: Kind, given: &Given<'_>, context: &Context) {
        match kind {
            Kind::Engine(Engine::IncludeTasks | Engine::ImportTasks) => self.other_tasks(given, context),
            Kind::Engine(Engine::IncludeRole | Engine::ImportRole) => self.other_role(given, context),
            Kind::Engine(Engine::IncludeVars) => self.include_vars(task, given, context),
            Kind::Engine(Engine::SetFact) => {
                given.names().for_each(|name| self.define(name));
                self.is_open |= given.is_open;
            }
            Kind::Engine(Engine::AddHost) => {
                given.names().for_each(|name| self.define(name));
                match given.get("groups") {
                    Some(groups) => self.made(groups),
                    None if given.is_open => drop(self.made_groups.insert(None)),
                    None => {}
                }
            }
            Kind::Engine(Engine::GroupBy) => drop(self.made_groups.insert(None)),
            Kind::Engine(Engine::Meta) => self.meta(task, given),
            Kind::Engine(Engine::Assert | Engine::Fail) => {
                let conditions = given.get("that").into_iter().chain(task.get("when"));
                let tested: Vec<String> = conditions.flat_map(|node| self.tested_in(node)).collect();
                self.assured.extend(tested);
            }
            Kind::Transfer(Transfer::Template) => self.template_source(given, context),
            Kind::Transfer(Transfer::Copy | Transfer::Script | Transfer::Unarchive) => self.local_source(kind, given, context),
            _ => {}
        }
        let writes = matches!(kind, Kind::Host | Kind::Transfer(_) | Kind::Raw);
        self.writes_locally |= context.is_local && writes || kind == Kind::Transfer(Transfer::Fetch);
    }

    fn made(&mut self, groups: &Node) {
        let single = std::slice::from_ref(groups);
        for group in groups.sequence().unwrap_or(single).iter().filter_map(Node::scalar_text) {
            match Text::is_template(group) {
                true => drop(self.made_groups.insert(None)),
                false => self.made_groups.extend(group.split(',').map(|group| Some(group.trim().to_owned()))),
            }
        }
    }

    fn meta(&mut self, task: &Node, given: &Given<'_>) {
        let Some((node, text)) = given.get("_raw_params").and_then(|node| Some((node, node.scalar_text()?))) else { return };
        let word = text.split_whitespace().next().unwrap_or_default();
        if !META.contains(&word) && !Text::is_template(text) {
            let message = format!("'{word}' is no action of 'meta'");
            return self.unknown(Severity::Error, "argument", node, message, META.iter().copied());
        }
        if ["end_host", "end_play", "end_batch", "end_role"].contains(&word) {
            self.may_have_ended = true;
            let tested = task.get("when").map(|when| self.tested_in(when)).unwrap_or_default();
            self.assured.extend(tested);
        }
    }

    /// What `apply` says for the tasks of a file or role.
    fn applied(&mut self, given: &Given<'_>, context: &Context) {
        if let Some(apply) = given.get("apply") {
            let applied = self.inner(apply, context);
            self.shared_values(apply, &applied);
        }
    }

    fn other_tasks(&mut self, given: &Given<'_>, context: &Context) {
        let Some((file, name)) = given.get("file").and_then(|file| Some((file, file.scalar_text()?.trim()))) else { return };
        self.applied(given, context);
        match self.find(name, "tasks", context) {
            Found::File(path) => self.task_file(&path, context),
            Found::Some(paths) => paths.iter().for_each(|path| self.task_file(path, &context.unsure())),
            Found::Unknown => (self.is_open, self.tags_open) = (true, true),
            Found::Missing => {
                (self.is_open, self.tags_open) = (true, true);
                let beside = self.request.files().list(&context.folder).unwrap_or_default();
                let names: Vec<&str> = beside.iter().filter_map(|path| path.file_name()?.to_str()).collect();
                let hint = did_you_mean(name, names);
                self.with_hint(context.severity(), "file", &file.place, name, format!("there is no file of tasks '{name}'"), hint);
            }
        }
    }

    fn other_role(&mut self, given: &Given<'_>, context: &Context) {
        let Some(name) = given.get("name") else { return };
        let part = |key: &str| given.text(key).map(str::to_owned);
        let parts =
            Parts { tasks: part("tasks_from"), vars: part("vars_from"), defaults: part("defaults_from"), handlers: part("handlers_from") };
        self.applied(given, context);
        self.role(name, &parts, context);
    }

    fn template_source(&mut self, given: &Given<'_>, context: &Context) {
        let Some((source, name)) = given.get("src").and_then(|source| Some((source, source.scalar_text()?))) else { return };
        match self.find(name, "templates", context) {
            Found::File(path) => self.template_file(&tidy(&path), context),
            Found::Some(paths) => paths.iter().for_each(|path| self.template_file(path, &context.unsure())),
            Found::Unknown => {}
            Found::Missing => self.found(context.severity(), "file", &source.place, name, format!("there is no template '{name}'")),
        }
    }

    /// A file of the controller that is sent to hosts.
    fn local_source(&mut self, kind: Kind, given: &Given<'_>, context: &Context) {
        let is_script = kind == Kind::Transfer(Transfer::Script);
        let Some(source) = given.get(if is_script { "_raw_params" } else { "src" }) else { return };
        let is_remote = given.text("remote_src").is_some_and(|text| !matches!(text, "no" | "false" | "False"));
        let Some(text) = source.scalar_text().filter(|_| !is_remote) else { return };
        let file = if is_script { text.split_whitespace().next().unwrap_or_default() } else { text };
        if Text::is_template(text) || file.contains("://") || file.is_empty() {
            return;
        }
        if matches!(self.find(file, "files", context), Found::Missing) {
            self.missing_files.push(Finding {
                severity: Severity::Warning,
                rule: "file",
                place: source.place.clone(),
                piece: file.to_owned(),
                message: format!("there is no file '{file}' here to send"),
                hint: None,
                excerpt: None,
            });
        }
    }

    /// `include_vars`.
    fn include_vars(&mut self, task: &Node, given: &Given<'_>, context: &Context) {
        if let Some(name) = given.text("name") {
            self.define(name);
        }
        if let Some(folder) = given.text("dir") {
            match self.find(folder, "vars", context) {
                Found::File(path) => self.variables_below(&path, context),
                _ => self.is_open = true,
            }
            return;
        }
        let Some((file, name)) = given.get("file").and_then(|file| Some((file, file.scalar_text()?))) else { return };
        match self.find(name, "vars", context) {
            Found::File(path) => self.variables_file(&path, context),
            Found::Some(paths) => paths.iter().for_each(|path| self.variables_file(path, context)),
            Found::Unknown => self.any_of(task, context),
            Found::Missing => {
                self.is_open = true;
                self.found(context.severity(), "file", &file.place, name, format!("there is no file of variables '{name}'"));
            }
        }
    }

    fn variables_below(&mut self, folder: &Path, context: &Context) {
        for path in self.request.files().list(folder).unwrap_or_default() {
            if path.extension().is_some_and(|ending| ["yml", "yaml", "json"].iter().any(|known| ending == *known)) {
                self.variables_file(&path, context);
            }
        }
    }
}
