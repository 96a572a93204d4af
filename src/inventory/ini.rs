//! Inventories in INI: `[group]`, `[group:vars]`, `[group:children]`.

use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_template::{Place, Problem, Raw, SourceFile};

use crate::load::Loader;
use crate::{GroupName, Origin, literal, words};

const KINDS: [&str; 3] = ["hosts", "children", "vars"];

impl Loader<'_> {
    /// Reads an INI file.
    pub(crate) fn ini(&mut self, source: &SourceFile, origin: &Arc<Origin>) {
        let group = GroupName::known("ungrouped");
        let mut reader = Reader { loader: self, source, origin, section: Section::Hosts(group), pending: IndexMap::new() };
        for (index, line) in source.text.lines().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            let indent = line.chars().take_while(|character| character.is_whitespace()).count();
            reader.line(content, &Place::new(source.name.clone(), index + 1, indent + 1));
        }
        reader.finish();
    }
}

enum Section {
    Hosts(GroupName),
    Children(GroupName),
    Vars(GroupName),
    /// Its header is wrong: what stands in it is passed over.
    Broken,
}

/// A group that is used before it has a section of its own.
struct Pending {
    place: Place,
    /// Groups that name it as a child; none when it has only `:vars` so far.
    parents: Vec<(GroupName, Place)>,
}

struct Reader<'r, 'l> {
    loader: &'r mut Loader<'l>,
    source: &'r SourceFile,
    origin: &'r Arc<Origin>,
    section: Section,
    pending: IndexMap<String, Pending>,
}

impl Reader<'_, '_> {
    fn problem(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Problem::new(message).at(place));
    }

    fn push(&mut self, problem: Problem) {
        self.loader.problems.push(self.source.explain(problem));
    }

    fn line(&mut self, line: &str, place: &Place) {
        if let Some(header) = header(line) {
            match header {
                Ok((group, kind)) => self.begin(group, kind, place),
                Err(message) => {
                    self.section = Section::Broken;
                    self.problem(place, message);
                }
            }
            return;
        }
        match &self.section {
            Section::Hosts(group) => self.hosts(&group.clone(), line, place),
            Section::Children(group) => self.child(&group.clone(), line, place),
            Section::Vars(group) => self.variable(&group.clone(), line, place),
            Section::Broken => {}
        }
    }

    fn begin(&mut self, written: &str, kind: &str, place: &Place) {
        self.section = Section::Broken;
        let name = &*self.loader.inventory.called(written).into_owned();
        if !KINDS.contains(&kind) {
            let message = format!("section [{name}:{kind}] has unknown type '{kind}'; there are hosts, children and vars");
            return self.push(Problem::new(message).at(place).did_you_mean(kind, KINDS));
        }
        if kind == "vars" && self.loader.inventory.group(name).is_none() && !self.pending.contains_key(name) {
            self.pending.insert(name.to_owned(), Pending { place: place.clone(), parents: Vec::new() });
        }
        let group = match self.loader.inventory.ensure_group(written) {
            Ok(group) => group,
            Err(error) => return self.problem(place, format!("'{name}' is no name for a group: {error}")),
        };
        if kind != "vars"
            && let Some(pending) = self.pending.shift_remove(name)
        {
            for (parent, place) in pending.parents {
                self.add_child(&parent, &group, &place);
            }
        }
        self.section = match kind {
            "children" => Section::Children(group),
            "vars" => Section::Vars(group),
            _ => Section::Hosts(group),
        };
    }

    fn add_child(&mut self, parent: &GroupName, child: &GroupName, place: &Place) {
        if let Err(message) = self.loader.inventory.add_child(parent, child) {
            self.problem(place, message);
        }
    }

    fn child(&mut self, parent: &GroupName, line: &str, place: &Place) {
        let (name, comment) = line.split_at(line.find([' ', '\t', '#']).unwrap_or(line.len()));
        let comment = comment.trim_start();
        if name.is_empty() || name.contains([':', ']']) || !(comment.is_empty() || comment.starts_with('#')) {
            return self.problem(place, format!("[{parent}:children] lists names of groups, and '{line}' is none"));
        }
        let name = &*self.loader.inventory.called(name).into_owned();
        match self.loader.inventory.group(name).map(|group| group.name.clone()) {
            Some(child) => self.add_child(parent, &child, place),
            None => {
                let pending = self.pending.entry(name.to_owned());
                let pending = pending.or_insert_with(|| Pending { place: place.clone(), parents: Vec::new() });
                pending.parents.push((parent.clone(), place.clone()));
            }
        }
    }

    fn variable(&mut self, group: &GroupName, line: &str, place: &Place) {
        let Some((name, value)) = line.split_once('=') else {
            return self.problem(place, format!("[{group}:vars] has lines name=value, and '{line}' is none"));
        };
        let (name, value) = (name.trim(), value.trim());
        if let Some(value) = self.value(value, place)
            && let Err(message) = self.loader.inventory.set_group_variable(group, name, value)
        {
            self.problem(place, message);
        }
    }

    fn value(&mut self, text: &str, place: &Place) -> Option<Raw> {
        match literal::value(text, place) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.push(problem);
                None
            }
        }
    }

    fn hosts(&mut self, group: &GroupName, line: &str, place: &Place) {
        let words = match words::split(line) {
            Ok(words) => words,
            Err(message) => return self.problem(place, format!("'{line}' cannot be split into words: {message}")),
        };
        let Some((entry, assignments)) = words.split_first() else { return };
        if entry.text == "---" {
            let problem = Problem::new("'---' begins a YAML file, and this one is read as INI").at(place);
            return self.push(problem.with_hint("give the file the ending .yml"));
        }
        if entry.text.ends_with(':') && !entry.text.ends_with("::") {
            let message = format!("'{}' ends in ':', behind which a port belongs", entry.text);
            return self.push(Problem::new(message).at(place).with_hint("an inventory in YAML has a name that ends in .yml"));
        }
        let hosts = match self.loader.add_hosts(&entry.text, group, self.origin) {
            Ok(hosts) => hosts,
            Err(message) => return self.problem(place, message),
        };
        for word in assignments {
            let place = Place::new(place.file.clone(), place.line, place.column + word.start);
            let Some((name, value)) = word.text.split_once('=') else {
                self.problem(&place, format!("behind a host stand variables name=value, and '{}' is none", word.text));
                continue;
            };
            let Some(value) = self.value(value, &place) else { continue };
            hosts.iter().for_each(|host| self.loader.inventory.set_host_variable(host, name, value.clone()));
        }
    }

    fn finish(mut self) {
        for (name, pending) in std::mem::take(&mut self.pending) {
            let message = match pending.parents.last() {
                Some((parent, _)) => format!("[{parent}:children] names the group '{name}', which is nowhere defined"),
                None => format!("[{name}:vars] belongs to the group '{name}', which is nowhere defined"),
            };
            let known = self.loader.inventory.groups.keys().map(GroupName::as_str).filter(|known| *known != name);
            let problem = Problem::new(message).at(&pending.place).did_you_mean(&name, known);
            self.push(problem);
        }
    }
}

/// Group and kind of a section's header; `None` for any other line.
fn header(line: &str) -> Option<Result<(&str, &str), String>> {
    let rest = line.strip_prefix('[')?;
    let well_formed = rest.split_once(']').and_then(|(title, comment)| {
        let comment = comment.trim_start();
        let (group, kind) = title.split_once(':').unwrap_or((title, "hosts"));
        let is_word = !kind.is_empty() && kind.chars().all(|character| character.is_alphanumeric() || character == '_');
        let is_name = !group.is_empty() && !group.contains(char::is_whitespace);
        (is_word && is_name && (comment.is_empty() || comment.starts_with('#'))).then_some((group, kind))
    });
    match well_formed {
        Some(header) => Some(Ok(header)),
        None if line.ends_with(']') => Some(Err(format!("'{line}' is no section header; there may be no spaces in it"))),
        None if !line.contains(']') => Some(Err(format!("'{line}' begins like a section header, and has no ']'"))),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn headers_are_read() {
        for (line, expect) in [
            ("[web]", Some(Ok(("web", "hosts")))),
            ("[web:vars] # note", Some(Ok(("web", "vars")))),
            ("[2001:db8::1]:22", None),
            ("[a b]", Some(Err(()))),
            ("[a:b:c]", Some(Err(()))),
            ("[]", Some(Err(()))),
            ("host", None),
        ] {
            assert_eq!(header(line).map(|header| header.map_err(drop)), expect, "{line}");
        }
    }
}
