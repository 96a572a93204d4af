//! Files that playbooks name, whose names may have parts that only a run knows.

use std::path::{Path, PathBuf};

use pgfleet_template::{Text, UseKind, tidy};

use crate::Severity;
use crate::context::Context;
use crate::walk::Walk;

/// What a search for a file gave.
pub(crate) enum Found {
    /// The one.
    File(PathBuf),
    /// Those that may be meant, for a name that only a run knows.
    Some(Vec<PathBuf>),
    /// A name that only a run knows, and too little of it here.
    Unknown,
    /// There is none.
    Missing,
}

impl Walk<'_> {
    /// Folders in which a file of a kind (`templates`, `files`, `vars`, `tasks`) is looked for.
    fn folders(&self, kind: &str, context: &Context) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for role in context.role.iter().chain(context.outer_roles.iter().rev()) {
            folders.extend([role.folder.join(kind), role.folder.clone()]);
        }
        let here = &*context.folder;
        folders.extend([here.join(kind), here.clone(), context.playbook.join(kind), (*context.playbook).clone()]);
        folders.extend([self.request.project.join(kind), self.request.project.clone()]);
        if kind == "tasks" {
            // Beside the file that names it, first of all.
            folders.insert(0, here.clone());
        }
        folders
    }

    /// The file of a name.
    pub(crate) fn find(&self, name: &str, kind: &str, context: &Context) -> Found {
        let name = name.trim();
        if Text::is_template(name) {
            return self.find_like(name, kind, context);
        }
        let path = Path::new(name);
        let candidates: Vec<PathBuf> = match path.is_absolute() || name.starts_with('~') {
            true => vec![path.to_owned()],
            false => self.folders(kind, context).iter().map(|folder| tidy(&folder.join(path))).collect(),
        };
        if name.starts_with('~') {
            return Found::Unknown;
        }
        let there = |path: &PathBuf| self.request.files().is_file(path) || self.request.files().is_folder(path);
        candidates.into_iter().find(there).map_or(Found::Missing, Found::File)
    }

    fn find_like(&self, name: &str, kind: &str, context: &Context) -> Found {
        let pattern = replace_known(&starred(name), context);
        if pattern.trim_matches(['*', '/', '.']).is_empty() {
            return Found::Unknown;
        }
        let mut found = Vec::new();
        // A name of which nothing is known but its ending could be any file: only where files of its kind stand together.
        let is_any = pattern.rsplit('/').next().is_some_and(|name| name.starts_with("*.")) && !pattern.contains('/');
        let folders = match (pattern.starts_with('/'), is_any) {
            (true, _) => vec![PathBuf::from("/")],
            (false, true) => context.role.iter().map(|role| role.folder.join(kind)).chain([context.folder.join(kind)]).collect(),
            (false, false) => self.folders(kind, context),
        };
        for folder in folders {
            self.matching(&folder, pattern.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice(), &mut found);
        }
        found.sort();
        found.dedup();
        if found.is_empty() { Found::Unknown } else { Found::Some(found) }
    }

    fn matching(&self, folder: &Path, parts: &[&str], found: &mut Vec<PathBuf>) {
        let Some((part, rest)) = parts.split_first() else { return };
        if !part.contains('*') {
            let path = tidy(&folder.join(part));
            match rest.is_empty() {
                true if self.request.files().is_file(&path) => found.push(path),
                true => {}
                false => self.matching(&path, rest, found),
            }
            return;
        }
        // A part that is nothing but unknown below the root would be the whole disk.
        if folder == Path::new("/") {
            return;
        }
        for path in self.request.files().list(folder).unwrap_or_default() {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') || !is_like(name, part) {
                continue;
            }
            match rest.is_empty() {
                true if self.request.files().is_file(&path) => found.push(tidy(&path)),
                true => {}
                false => self.matching(&path, rest, found),
            }
        }
    }

    /// A template file that a task renders.
    pub(crate) fn template_file(&mut self, path: &Path, context: &Context) {
        if context.depth > 20 || self.is_visited(path, context) {
            return;
        }
        let Ok(source) = self.sources.text(path) else { return };
        let options = pgfleet_template::TemplateOptions::default();
        match pgfleet_template::Inspection::of_file(&source.text, &options) {
            Ok(inspection) => {
                for found in &inspection.uses {
                    let name = source.name.clone();
                    let text = &source.text;
                    self.used(found, inspection.tested.contains(&found.name), context, |_, found| place_at(&name, text, found.offset));
                    if matches!(found.kind, UseKind::File | UseKind::OptionalFile) {
                        self.included_template(found, path, &place_at(&name, text, found.offset), context);
                    }
                }
            }
            Err(malformed) => {
                let place = place_at(&source.name, &source.text, malformed.offset);
                let piece = source.text.get(malformed.offset..malformed.offset + malformed.length).unwrap_or_default().to_owned();
                let severity = context.severity();
                self.malformed(severity, &malformed, &place, &piece);
            }
        }
    }

    fn included_template(&mut self, found: &pgfleet_template::Use, from: &Path, place: &pgfleet_template::Place, context: &Context) {
        let beside = tidy(&crate::sources::folder_of(from).join(&found.name));
        let path = match self.request.files().is_file(&beside) {
            true => Some(beside),
            false => match self.find(&found.name, "templates", context) {
                Found::File(path) => Some(path),
                _ => None,
            },
        };
        let deeper = Context { depth: context.depth + 1, ..context.clone() };
        match path {
            Some(path) => self.template_file(&path, &if found.conditional { deeper.unsure() } else { deeper }),
            None if found.kind == UseKind::File => {
                let severity = if context.is_certain && !found.conditional { Severity::Error } else { Severity::Warning };
                self.found(severity, "file", place, &found.name, format!("there is no template '{}'", found.name));
            }
            None => {}
        }
    }
}

fn place_at(name: &std::sync::Arc<str>, text: &str, offset: usize) -> pgfleet_template::Place {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    pgfleet_template::Place { file: name.clone(), line, column }
}

/// A name whose templates are stars.
pub(crate) fn starred(name: &str) -> String {
    let mut pattern = String::new();
    let mut rest = name;
    while let Some(begin) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        pattern.push_str(&rest[..begin]);
        let inside = &rest[begin..];
        let end = if inside.starts_with("{{") { "}}" } else { "%}" };
        let length = inside.find(end).map_or(inside.len(), |at| at + 2);
        match inside[..length].trim_matches(['{', '}', ' ']) {
            known @ ("role_path" | "playbook_dir") => pattern.push_str(&format!("<{known}>")),
            _ if pattern.ends_with('*') => {}
            _ => pattern.push('*'),
        }
        rest = &inside[length..];
    }
    pattern.push_str(rest);
    pattern
}

fn replace_known(pattern: &str, context: &Context) -> String {
    let role = context.role.as_ref().map(|role| role.folder.to_string_lossy().into_owned());
    let absolute = |path: &str| std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.to_string_lossy().into_owned());
    let mut result = pattern.to_owned();
    if let Some(role) = role {
        result = result.replace("<role_path>", &absolute(&role));
    }
    result.replace("<playbook_dir>", &absolute(&context.playbook.to_string_lossy()))
}

/// Whether a name is like a pattern with stars.
pub(crate) fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{is_like, starred};

    #[test]
    fn unknown_parts_are_stars() {
        for (name, pattern) in
            [("{{ a }}.yml", "*.yml"), ("{{ a }}{{ b }}-x.j2", "*-x.j2"), ("{{ role_path }}/a", "<role_path>/a"), ("a", "a")]
        {
            assert_eq!(starred(name), pattern);
        }
        for (name, pattern, expect) in
            [("ubuntu.yml", "*.yml", true), ("a-b-c", "a*c", true), ("a", "a*b", false), ("ab", "ab", true), ("abc", "ab", false)]
        {
            assert_eq!(is_like(name, pattern), expect, "{name} {pattern}");
        }
    }
}
