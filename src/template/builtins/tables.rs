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

/// What a term of `csvfile` may say beside its key.
pub(crate) const OF_CSV: &[&str] = &["col", "default", "delimiter", "encoding", "file", "keycol"];
/// What a term of `ini` may say beside its key.
pub(crate) const OF_INI: &[&str] =
    &["allow_no_value", "allow_none", "case_sensitive", "default", "encoding", "file", "interpolation", "re", "section", "type"];

impl<'c> Term<'c> {
    pub(crate) fn read(term: &Value, call: &'c Arguments, options: &[&str]) -> Result<Self, Error> {
        let (mut key, mut own) = (Vec::new(), Vec::new());
        for word in words(&text(term)) {
            match word.split_once('=') {
                Some((name, _)) if !options.contains(&name) => return Err(fail(format!("{name} is not a valid option"))),
                Some((name, value)) => own.push((name.to_owned(), bare(value))),
                None => key.push(word),
            }
        }
        Ok(Self { key: key.join(" "), own, call })
    }

    /// What is looked for must be said.
    pub(crate) fn check_key(&self, otherwise: &str) -> Result<(), Error> {
        if self.key.is_empty() { Err(fail(otherwise)) } else { Ok(()) }
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
        self.option(name, &default.to_string())
            .parse()
            .map_err(|_| fail(format!("csvfile: '{name}' has an invalid value: it is the number of a column")))
    }
}

/// The words of a term; white space in quotes parts none.
fn words(term: &str) -> Vec<String> {
    let (mut words, mut word, mut open) = (Vec::new(), String::new(), None);
    for character in term.chars() {
        match (character, open) {
            (_, Some(mark)) if mark == character => open = None,
            // An apostrophe within a word is no quote.
            ('"' | '\'', None) if word.is_empty() || word.ends_with('=') => open = Some(character),
            (_, None) if character.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// A value without the quotes around it.
fn bare(value: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|mark| value.strip_prefix(*mark)?.strip_suffix(*mark));
    inner.unwrap_or(value).to_owned()
}

/// Bytes as text in an encoding.
pub(crate) fn decode(bytes: Vec<u8>, encoding: &str, name: &str) -> Result<String, Error> {
    match encoding.to_lowercase().replace(['_', ' '], "-").as_str() {
        "utf-8" | "utf8" | "ascii" | "us-ascii" => {
            let text = String::from_utf8(bytes).map_err(|_| fail(format!("the file '{name}' is not UTF-8 text")))?;
            Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        }
        "iso-8859-1" | "iso8859-1" | "latin-1" | "latin1" => Ok(bytes.into_iter().map(char::from).collect()),
        "iso-8859-15" | "iso8859-15" | "latin-9" | "latin9" => Ok(bytes.into_iter().map(latin_9).collect()),
        _ => Err(fail(format!("the encoding '{encoding}' is not known; utf-8, iso-8859-1 and iso-8859-15 are"))),
    }
}

/// A character of ISO 8859-15, which has eight others than ISO 8859-1.
fn latin_9(byte: u8) -> char {
    match byte {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        other => char::from(other),
    }
}

/// The value beside the key in a table of separated values.
pub(crate) fn csv(term: &Term<'_>, content: &str) -> Result<Option<Value>, Error> {
    let delimiter = match term.option("delimiter", "TAB").as_str() {
        "TAB" | "t" | "\\t" => '\t',
        hexadecimal if hexadecimal.starts_with("\\x") => {
            let code = u8::from_str_radix(&hexadecimal[2..], 16);
            code.map(char::from).map_err(|_| fail(format!("csvfile: '{hexadecimal}' is no character")))?
        }
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
    let file = term.option("file", "ansible.ini");
    let entries = entries(content, properties);
    if !entries.iter().any(|entry| entry.section == section) {
        return Err(fail(format!("No section '{section}' in {file}")));
    }
    let allows_none = term.flag("allow_no_value") || term.flag("allow_none");
    let mut seen = std::collections::HashSet::new();
    for entry in entries.iter().filter(|entry| !entry.name.is_empty()) {
        if entry.value.is_none() && !allows_none {
            return Err(fail(format!("{file}: the key '{}' has no value; 'allow_no_value' permits that", entry.name)));
        }
        if !seen.insert((&entry.section, fold(&entry.name))) {
            return Err(fail(format!(
                "Duplicate option in '{file}': option '{}' in section '{}' already exists",
                entry.name, entry.section
            )));
        }
    }
    let interpolates = term.value("interpolation").is_none() || term.flag("interpolation");
    let value_of = |entry: &Entry| -> Result<Option<Value>, Error> {
        let Some(value) = &entry.value else { return Ok(None) };
        let names = |name: &str| entries.iter().find(|other| other.section == entry.section && fold(&other.name) == fold(name));
        let value = if interpolates { interpolated(value, 0, &|name| names(name)?.value.clone())? } else { value.clone() };
        Ok(Some(Value::from(value)))
    };
    let mut here = entries.iter().filter(|entry| entry.section == section && !entry.name.is_empty());
    if term.flag("re") {
        let flags = Flags { ignore_case: !exact, multi_line: false, anchored: true };
        let mut found = Vec::new();
        for entry in here {
            if is_match(&fold(&entry.name), &term.key, flags)? {
                found.extend(value_of(entry)?);
            }
        }
        return Ok(found);
    }
    let found = here.rfind(|entry| fold(&entry.name) == fold(&term.key));
    Ok(match found {
        Some(entry) => value_of(entry)?.into_iter().collect(),
        None => vec![term.value("default").unwrap_or_else(|| Value::from(""))],
    })
}

/// A value with the values of its section in the place of `%(name)s`; `%%` is one `%`.
fn interpolated(value: &str, depth: usize, named: &dyn Fn(&str) -> Option<String>) -> Result<String, Error> {
    let mut result = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        let Some((name, after)) = after.strip_prefix('(').and_then(|inner| inner.split_once(")s")) else {
            return Err(fail(format!(
                "ini: '%' must be followed by '%' or '(', found '%{after}'; 'interpolation=false' reads it as it is"
            )));
        };
        let inner =
            named(name).filter(|_| depth < 10).ok_or_else(|| fail(format!("ini: '%({name})s' names no value that can be put there")))?;
        result.push_str(&interpolated(&inner, depth + 1, named)?);
        rest = after;
    }
    Ok(result + rest)
}

/// A line of an INI file; a section's header is an entry without a name.
struct Entry {
    section: String,
    name: String,
    /// `None` where there is a key and nothing else.
    value: Option<String>,
}

fn entries(content: &str, properties: bool) -> Vec<Entry> {
    let mut entries = vec![Entry { section: String::new(), name: String::new(), value: None }];
    let mut section = String::new();
    for line in content.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')).filter(|_| !properties) {
            name.0.clone_into(&mut section);
            entries.push(Entry { section: section.clone(), name: String::new(), value: None });
            continue;
        }
        // An indented line goes on with the value above it.
        if line.starts_with([' ', '\t'])
            && let Some(entry) = entries.last_mut().filter(|entry| !entry.name.is_empty())
        {
            let value = entry.value.get_or_insert_default();
            value.push('\n');
            value.push_str(bare);
            continue;
        }
        let (name, value) = bare.split_once(['=', ':']).map_or((bare, None), |(name, value)| (name, Some(value.trim().to_owned())));
        entries.push(Entry { section: section.clone(), name: name.trim().to_owned(), value });
    }
    entries
}
