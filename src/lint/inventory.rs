//! Inventories: their files, the variables beside them, and the traps that they hold.

use std::path::{Path, PathBuf};

use pgfleet_template::{Node, Place, tidy};

use crate::context::Context;
use crate::finding::did_you_mean;
use crate::traps::is_secret;
use crate::walk::Walk;
use crate::{Finding, Severity};

const SKIPPED: [&str; 12] = [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

impl Walk<'_> {
    /// Everything that can be said of the inventory.
    pub(crate) fn inventory(&mut self) {
        let Some(inventory) = self.request.inventory else { return };
        for warning in inventory.warnings() {
            self.problem(Severity::Warning, "inventory", warning.clone());
        }
        for source in self.request.sources.clone() {
            match self.request.files().is_folder(&source) {
                true => {
                    self.variable_folders(&source);
                    self.inventory_folder(&source, 0);
                }
                false if self.request.files().is_file(&source) => {
                    self.variable_folders(&crate::sources::folder_of(&source));
                    self.inventory_file(&source);
                }
                false => {}
            }
        }
        self.ungrouped();
        self.odd_groups();
    }

    fn inventory_folder(&mut self, folder: &Path, depth: usize) {
        for path in self.request.files().list(folder).unwrap_or_default() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if ["group_vars", "host_vars", "vars_plugins"].contains(&name)
                || name.starts_with('.')
                || SKIPPED.iter().any(|ending| name.ends_with(ending))
            {
                continue;
            }
            match self.request.files().is_folder(&path) {
                true if depth < 8 => self.inventory_folder(&path, depth + 1),
                true => {}
                false => self.inventory_file(&path),
            }
        }
    }

    fn inventory_file(&mut self, path: &Path) {
        let path = &tidy(path);
        if self.request.files().permissions(path).is_ok_and(|bits| bits & 0o111 != 0) {
            // A program: what it printed is known to the inventory alone.
            return self.printed_names();
        }
        let Ok(source) = self.sources.text(path) else { return };
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let is_yaml = ["yml", "yaml", "json"].contains(&ending)
            || ending.is_empty() && source.text.lines().any(|line| line.starts_with("---") || line.starts_with("all:"));
        if !is_yaml {
            return self.ini(&source);
        }
        let Some(document) = self.document(path) else { return };
        for (name, body) in document.mapping().unwrap_or_default() {
            self.group(name, body, 0);
        }
        self.plain_secrets(&document);
    }

    fn printed_names(&mut self) {
        let Some(inventory) = self.request.inventory else { return };
        let hosts: Vec<String> = inventory.hosts().map(|host| host.name.to_string()).collect();
        for host in hosts {
            let variables = inventory.host_variables_as_written(&host);
            let names: Vec<String> = variables.as_object().map(|entries| entries.keys().cloned().collect()).unwrap_or_default();
            names.iter().for_each(|name| self.declare(name));
        }
    }

    fn group(&mut self, name: &Node, body: &Node, depth: usize) {
        let (Some(inventory), Some(text)) = (self.request.inventory, name.scalar_text()) else { return };
        if depth > 40 {
            return;
        }
        let context = Context::of_variables();
        if let Some(vars) = body.get("vars").filter(|vars| vars.mapping().is_some_and(|entries| !entries.is_empty())) {
            self.variables(vars, &context);
            if inventory.members(text).is_empty() && text != "all" {
                let message = format!("variables are set for the group '{text}', which has no hosts");
                self.found(Severity::Hint, "inventory", &name.place, text, message);
            }
        }
        if let Some(hosts) = body.get("hosts") {
            if let Some(list) = hosts.as_text().filter(|list| list.contains(',')) {
                self.comma_list(&hosts.place, list);
            }
            for (host, vars) in hosts.mapping().unwrap_or_default() {
                if let Some(list) = host.scalar_text().filter(|list| list.contains(',') && !list.contains('[')) {
                    self.comma_list(&host.place, list);
                }
                if vars.mapping().is_some() {
                    self.variables(vars, &context);
                }
            }
        }
        for (name, body) in body.get("children").and_then(Node::mapping).unwrap_or_default() {
            self.group(name, body, depth + 1);
        }
    }

    fn comma_list(&mut self, place: &Place, list: &str) {
        let hint = "write each host on a line of its own".to_owned();
        let message = format!("'{list}' is one host with a comma in its name, not a list of hosts");
        self.with_hint(Severity::Error, "inventory", place, list, message, Some(hint));
    }

    /// `group_vars` and `host_vars` of a folder.
    pub(crate) fn variable_folders(&mut self, folder: &Path) {
        for (kind, is_group) in [("group_vars", true), ("host_vars", false)] {
            let inside = tidy(&folder.join(kind));
            if !self.request.files().is_folder(&inside) {
                continue;
            }
            for path in self.request.files().list(&inside).unwrap_or_default() {
                let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
                if name.starts_with('.') || name.ends_with('~') {
                    continue;
                }
                let path = tidy(&path);
                let stem = [".yml", ".yaml", ".json"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_owned();
                self.owner_of(&path, &stem, is_group);
                let mut files = Vec::new();
                self.files_below(&path, 0, &mut files);
                for file in files {
                    let context = Context::of_variables();
                    self.variables_file(&file, &context);
                    if let Ok(Some(document)) = self.sources.document(&file) {
                        self.plain_secrets(&document);
                    }
                }
            }
        }
    }

    fn files_below(&self, path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || depth > 8 {
            return;
        }
        if self.request.files().is_folder(path) {
            self.request.files().list(path).unwrap_or_default().iter().for_each(|path| self.files_below(path, depth + 1, found));
        } else if path.extension().is_none_or(|ending| ["yml", "yaml", "json"].iter().any(|known| ending == *known)) {
            found.push(path.to_owned());
        }
    }

    /// A file of variables belongs to a group or host, or to nobody.
    fn owner_of(&mut self, path: &Path, name: &str, is_group: bool) {
        let Some(inventory) = self.request.inventory else { return };
        let is_known = if is_group { inventory.group(name).is_some() } else { inventory.host(name).is_some() || name == "localhost" };
        if is_known || self.owners.iter().any(|(known, ..)| known.place.file.as_ref() == path.to_string_lossy()) {
            return;
        }
        let (what, known): (&str, Vec<String>) = match is_group {
            true => ("group", inventory.groups().map(|group| group.name.to_string()).collect()),
            false => ("host", inventory.hosts().map(|host| host.name.to_string()).collect()),
        };
        let hint = did_you_mean(name, known.iter().map(String::as_str));
        let finding = Finding {
            severity: Severity::Warning,
            rule: "inventory",
            place: Place::new(path.to_string_lossy(), 0, 0),
            piece: name.to_owned(),
            message: format!("the inventory has no {what} '{name}' that these variables would be for"),
            hint,
            excerpt: None,
        };
        self.owners.push((finding, is_group, name.to_owned()));
    }

    /// Files of variables whose group no task makes.
    pub(crate) fn ownerless(&mut self) {
        for (finding, is_group, name) in std::mem::take(&mut self.owners) {
            if is_group && (self.made_groups.contains(&None) || self.made_groups.contains(&Some(name))) {
                continue;
            }
            self.keep(finding);
        }
    }

    fn ungrouped(&mut self) {
        let Some(inventory) = self.request.inventory else { return };
        let alone: Vec<String> = inventory
            .hosts()
            .map(|host| host.name.to_string())
            .filter(|host| inventory.groups_of(host).iter().all(|group| *group == "ungrouped"))
            .filter(|host| host != "localhost")
            .collect();
        // An inventory without groups is no mistake.
        if alone.len() == inventory.hosts().count() {
            return;
        }
        for host in alone {
            let file = inventory.origin_of(&host).map(|(file, _)| self.as_given(&file)).unwrap_or_default();
            self.found(Severity::Hint, "inventory", &Place::new(file, 0, 0), &host, format!("the host '{host}' is in no group"));
        }
    }

    /// Names of groups that Ansible warns of, since they cannot be used as names of variables.
    fn odd_groups(&mut self) {
        let Some(inventory) = self.request.inventory else { return };
        let is_odd = |name: &String| !name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_');
        let odd: Vec<String> = inventory.groups().map(|group| group.name.to_string()).filter(is_odd).collect();
        let Some((first, source)) = odd.first().zip(self.request.sources.first()) else { return };
        let folders = self
            .request
            .playbooks
            .iter()
            .map(|path| crate::sources::folder_of(path))
            .chain([PathBuf::from("."), self.request.project.clone()]);
        let is_wanted = folders.into_iter().any(|folder| {
            let settings = self.request.files().read(&folder.join("ansible.cfg")).unwrap_or_default();
            let settings = String::from_utf8_lossy(&settings).into_owned();
            settings
                .lines()
                .filter_map(|line| line.split_once('='))
                .any(|(key, value)| key.trim() == "force_valid_group_names" && ["ignore", "silently"].contains(&value.trim()))
        });
        if is_wanted {
            return;
        }
        let message = match odd.len() {
            1 => format!("the name of the group '{first}' has signs that Ansible warns of"),
            count => format!("the names of {count} groups have signs that Ansible warns of: {}", odd.join(", ")),
        };
        let hint = Some("letters, digits and underscores are safe; '-' is not".to_owned());
        let place = Place::new(source.to_string_lossy(), 0, 0);
        let first = first.clone();
        self.with_hint(Severity::Hint, "inventory", &place, &first, message, hint);
    }

    /// A file under the name that the person gave.
    fn as_given(&self, file: &Path) -> String {
        let same = |source: &&PathBuf| std::path::absolute(source).is_ok_and(|source| source == file);
        self.request
            .sources
            .iter()
            .find(same)
            .map_or_else(|| file.to_string_lossy().into_owned(), |source| source.to_string_lossy().into_owned())
    }

    /// Passwords that anybody who sees the file can read: one word about each file.
    fn plain_secrets(&mut self, document: &Node) {
        let mut found = Vec::new();
        secrets_in(document, &mut found);
        self.tell_secrets(&found);
    }

    pub(crate) fn tell_secrets(&mut self, found: &[(Place, String)]) {
        let Some((place, name)) = found.first() else { return };
        let message = match found.len() {
            1 => format!("'{name}' stands here in plain text"),
            count => format!("'{name}' stands here in plain text, and {} more secrets of this file do", count - 1),
        };
        let hint = Some("pgfleet reads values that ansible-vault encrypted: 'ansible-vault encrypt_string'".to_owned());
        self.with_hint(Severity::Hint, "secret", place, name, message, hint);
    }
}

fn secrets_in(node: &Node, found: &mut Vec<(Place, String)>) {
    for (key, value) in node.mapping().unwrap_or_default() {
        if let (Some(name), Some(text)) = (key.scalar_text(), value.as_text())
            && is_secret(name, text)
            && value.tag.is_none()
        {
            found.push((key.place.clone(), name.to_owned()));
        }
        secrets_in(value, found);
    }
    node.sequence().unwrap_or_default().iter().for_each(|item| secrets_in(item, found));
}
