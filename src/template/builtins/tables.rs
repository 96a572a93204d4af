//! The lookups `csvfile` and `ini`: values from tables that people keep beside their playbooks.

use minijinja::{Error, Value};

use super::arguments::Arguments;
use super::python::{self, fail, text};
use super::regex::{Flags, is_match};

/// One term, `key name=value name=value`, with the options of the call below those of the term.
pub(crate) struct Term<'c> {
    key: String,
    own: Vec<(String, String)>,
    call: &'c Arguments,
}

impl<'c> Term<'c> {
    pub(crate) fn read(term: &Value, call: &'c Arguments) -> Self {
        let (mut key, mut own) = (Vec::new(), Vec::new());
        for word in text(term).split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => own.push((name.to_owned(), value.to_owned())),
                None => key.push(word.to_owned()),
            }
        }
        Self { key: key.join(" "), own, call }
    }

    /// What is looked for must be said.
    pub(crate) fn check_key(&self) -> Result<(), Error> {
        if self.key.is_empty() {
            return Err(fail("Search key is required but was not found"));
        }
        Ok(())
    }

    pub(crate) fn option(&self, name: &str, default: &str) -> String {
        let own = self.own.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        own.or_else(|| self.call.keyword(name).map(text)).unwrap_or_else(|| default.to_owned())
    }

    fn value(&self, name: &str) -> Option<Value> {
        let own = self.own.iter().find(|(known, _)| known == name).map(|(_, value)| Value::from(value.as_str()));
        own.or_else(|| self.call.keyword(name).cloned()).filter(|value| !value.is_none())
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| match value.as_str() {
            Some(word) => matches!(word.to_lowercase().as_str(), "yes" | "true" | "1" | "on"),
            None => python::truth(&value),
        })
    }

    fn column(&self, name: &str, default: usize) -> Result<usize, Error> {
        self.option(name, &default.to_string()).parse().map_err(|_| fail(format!("csvfile: '{name}' is the number of a column")))
    }
}

/// The value beside the key in a table of separated values.
pub(crate) fn csv(term: &Term<'_>, content: &str) -> Result<Option<Value>, Error> {
    let delimiter = match term.option("delimiter", "TAB").as_str() {
        "TAB" | "t" | "\\t" => '\t',
        other => other.chars().next().unwrap_or('\t'),
    };
    let (column, key_column) = (term.column("col", 1)?, term.column("keycol", 0)?);
    for row in rows(content, delimiter) {
        if row.get(key_column).is_some_and(|key| *key == term.key) {
            let found = row.get(column).ok_or_else(|| fail(format!("csvfile: the row of '{}' has no column {column}", term.key)))?;
            return Ok(Some(Value::from(found.as_str())));
        }
    }
    Ok(term.value("default"))
}

fn rows(content: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = content.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            character if character == delimiter && !quoted => row.push(std::mem::take(&mut field)),
            character => field.push(character),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

/// The value of a key in a section of an INI file, or in a properties file.
pub(crate) fn ini(term: &Term<'_>, content: &str) -> Result<Vec<Value>, Error> {
    let properties = term.option("type", "ini") == "properties";
    let (section, exact) = (if properties { String::new() } else { term.option("section", "global") }, term.flag("case_sensitive"));
    let fold = |name: &str| if exact { name.trim().to_owned() } else { name.trim().to_lowercase() };
    let entries = entries(content, properties);
    if !entries.iter().any(|entry| entry.section == section) {
        return match term.value("default") {
            Some(default) => Ok(vec![default]),
            None => Err(fail(format!("ini: there is no section '{section}'"))),
        };
    }
    let mut here = entries.iter().filter(|entry| entry.section == section && !entry.name.is_empty());
    if term.flag("re") {
        let flags = Flags { ignore_case: !exact, multi_line: false, anchored: true };
        let mut found = Vec::new();
        for entry in here {
            if is_match(&fold(&entry.name), &term.key, flags)? {
                found.push(Value::from(entry.value.as_str()));
            }
        }
        return Ok(found);
    }
    let found = here.rfind(|entry| fold(&entry.name) == fold(&term.key));
    Ok(vec![match found {
        Some(entry) => Value::from(entry.value.as_str()),
        None => term.value("default").unwrap_or_else(|| Value::from("")),
    }])
}

/// A line of an INI file; a section's header is an entry without a name.
struct Entry {
    section: String,
    name: String,
    value: String,
}

fn entries(content: &str, properties: bool) -> Vec<Entry> {
    let mut entries = vec![Entry { section: String::new(), name: String::new(), value: String::new() }];
    let mut section = String::new();
    for line in content.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')).filter(|_| !properties) {
            name.0.clone_into(&mut section);
            entries.push(Entry { section: section.clone(), name: String::new(), value: String::new() });
            continue;
        }
        // An indented line goes on with the value above it.
        if line.starts_with([' ', '\t'])
            && let Some(entry) = entries.last_mut().filter(|entry| !entry.name.is_empty())
        {
            entry.value.push('\n');
            entry.value.push_str(bare);
            continue;
        }
        let (name, value) = bare.split_once(['=', ':']).unwrap_or((bare, ""));
        entries.push(Entry { section: section.clone(), name: name.trim().to_owned(), value: value.trim().to_owned() });
    }
    entries
}
