//! Values that are not what they look like: versions that are numbers, octal numbers, times, truths, cut passwords.

use pgfleet_template::{Node, NodeKind, Place, SourceFile, Text};

use crate::Severity;
use crate::context::Context;
use crate::walk::Walk;

const SECRETS: [&str; 9] = ["password", "passwd", "passphrase", "_secret", "secret_key", "_token", "private_key", "api_key", "_pass"];

/// A secret that is written out.
pub(crate) fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|ending| name.ends_with(ending))
        && !value.trim().is_empty()
        && !Text::is_template(value)
        && !value.starts_with(['/', '~'])
}

impl Walk<'_> {
    /// Traps in a mapping of variables, at any depth.
    pub(crate) fn traps(&mut self, node: &Node) {
        for (key, value) in node.mapping().unwrap_or_default() {
            match &value.kind {
                NodeKind::Scalar { .. } => self.trap(key.scalar_text().unwrap_or_default(), value),
                NodeKind::Mapping(_) => self.traps(value),
                NodeKind::Sequence(items) => {
                    self.mixed_truths(items);
                    items.iter().for_each(|item| self.traps(item));
                }
            }
        }
    }

    fn trap(&mut self, name: &str, node: &Node) {
        let NodeKind::Scalar { text, value } = &node.kind else { return };
        if !value.is_number() {
            return;
        }
        let shown = value.to_string();
        let quoted = |text: &str| Some(format!("write it in quotes: {name}: \"{text}\""));
        if text.contains(':') {
            let message = format!("'{text}' is the number {shown} in YAML, for it is read as a number of base 60");
            self.with_hint(Severity::Warning, "value", &node.place, text, message, quoted(text));
        } else if is_version(name) && text.contains('.') {
            self.version(name, text, &shown, &node.place, quoted(text));
        } else if is_octal(text) && text.trim_start_matches('0') != shown {
            let is_mode = name.ends_with("mode") || name.ends_with("umask");
            let severity = if is_mode { Severity::Hint } else { Severity::Warning };
            let message = format!("'{text}' is the number {shown} in YAML, for it begins with 0 and is read as octal");
            self.with_hint(severity, "value", &node.place, text, message, quoted(text));
        }
    }

    fn version(&mut self, name: &str, text: &str, shown: &str, place: &Place, hint: Option<String>) {
        let is_lost = text.trim() != shown;
        let message = match is_lost {
            true => format!("'{name}: {text}' is the number {shown}: the version is lost"),
            false => {
                format!("'{name}: {text}' is a number, not text: the next version '{}' would become {}", next(text), next_number(text))
            }
        };
        self.with_hint(if is_lost { Severity::Warning } else { Severity::Hint }, "version", place, text, message, hint);
    }

    /// `[de, no, se]`: the second is false.
    fn mixed_truths(&mut self, items: &[Node]) {
        let is_word =
            |item: &Node| item.as_text().is_some_and(|text| !text.is_empty() && text.len() <= 3 && text.chars().all(char::is_alphabetic));
        for item in items {
            let NodeKind::Scalar { text, value } = &item.kind else { continue };
            let is_truth =
                matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n") && value.as_str().is_none();
            if is_truth && items.iter().any(is_word) {
                let message = format!("'{text}' is {value} in YAML, among words");
                self.with_hint(Severity::Warning, "value", &item.place, text, message, Some(format!("write it in quotes: \"{text}\"")));
            }
        }
    }

    /// Traps of an inventory in INI, and the names that it sets.
    pub(crate) fn ini(&mut self, source: &SourceFile) {
        let mut section = String::new();
        let mut secrets = Vec::new();
        for (index, line) in source.text.lines().enumerate() {
            let content = line.trim();
            let indent = line.chars().take_while(|sign| sign.is_whitespace()).count();
            let place = |offset: usize| {
                Place::new(source.name.clone(), index + 1, indent + 1 + content[..offset.min(content.len())].chars().count())
            };
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if let Some(title) =
                content.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(title, _)| title).filter(|_| !content.contains('='))
            {
                title.clone_into(&mut section);
                self.empty_group(title, &place(1));
                continue;
            }
            if section.ends_with(":children") {
                continue;
            }
            if section.ends_with(":vars") {
                if let Some((name, value)) = content.split_once('=') {
                    let at = content.len() - value.trim_start().len();
                    self.ini_value(name.trim(), value.trim(), &place(at), &mut secrets);
                    self.comment_in_value(name.trim(), value.trim(), &place(at));
                }
                continue;
            }
            self.ini_host(content, &place, &mut secrets);
        }
        self.tell_secrets(&secrets);
    }

    fn empty_group(&mut self, title: &str, place: &Place) {
        let (Some(inventory), Some(group)) = (self.request.inventory, title.strip_suffix(":vars")) else { return };
        if group != "all" && inventory.members(group).is_empty() {
            let message = format!("variables are set for the group '{group}', which has no hosts");
            self.found(Severity::Hint, "inventory", place, group, message);
        }
    }

    fn ini_host(&mut self, line: &str, place: &dyn Fn(usize) -> Place, secrets: &mut Vec<(Place, String)>) {
        let (words, cut) = words(line);
        if let Some((_, host)) = words.first().filter(|(_, host)| host.contains(',') && !host.contains(['[', '='])) {
            let message = format!("'{host}' is one host with a comma in its name, not a list of hosts");
            self.with_hint(Severity::Error, "inventory", &place(0), host, message, Some("write each host on a line of its own".to_owned()));
        }
        for (at, word) in words.iter().skip(1) {
            if let Some((name, value)) = word.split_once('=') {
                self.ini_value(name, value.trim_matches(['"', '\'']), &place(at + name.len() + 1), secrets);
            }
        }
        if let Some((at, word)) = cut {
            let name = word.split('=').next().unwrap_or_default();
            let message = format!("the value of '{name}' ends at the '#', which begins a comment here");
            self.with_hint(Severity::Warning, "value", &place(at), "#", message, Some("put the value in quotes".to_owned()));
        }
    }

    fn ini_value(&mut self, name: &str, value: &str, place: &Place, secrets: &mut Vec<(Place, String)>) {
        self.declare(name);
        if is_secret(name, value) {
            secrets.push((place.clone(), name.to_owned()));
        }
        let is_number = value.contains('.') && value.chars().all(|sign| sign.is_ascii_digit() || sign == '.');
        if let Some(number) = value.parse::<f64>().ok().filter(|_| is_number && is_version(name)) {
            let hint = Some(format!("write it in quotes twice: {name}='\"{value}\"'"));
            self.version(name, value, &format!("{number:?}"), place, hint);
        }
        if Text::is_template(value) {
            let node = crate::called::scalar(place, value);
            self.value(&node, &Context { owner: Some(name.into()), ..Context::of_variables() });
        }
    }

    /// In a section of variables the whole line is the value.
    fn comment_in_value(&mut self, name: &str, value: &str, place: &Place) {
        let Some(at) = value.find(" #") else { return };
        let before = value[..at].trim();
        let is_literal =
            before.parse::<f64>().is_ok() || before.starts_with(['"', '\'', '[', '{']) || ["True", "False", "None"].contains(&before);
        if !is_literal {
            let message = format!(
                "the '#' and what follows are part of the value of '{name}': there are no comments behind values in a section of variables"
            );
            self.found(Severity::Warning, "value", place, value, message);
        }
    }
}

fn is_version(name: &str) -> bool {
    name == "version" || name.ends_with("_version")
}

fn is_octal(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.chars().all(|sign| sign.is_ascii_digit())
}

/// `9.10` after `9.6`.
fn next(text: &str) -> String {
    format!("{}.10", text.split('.').next().unwrap_or_default())
}

fn next_number(text: &str) -> String {
    format!("{}.1", text.split('.').next().unwrap_or_default())
}

/// Where a word begins, and the word.
type Word = (usize, String);

/// The words of a line with their offsets, and the word that a `#` cuts, with that offset.
fn words(line: &str) -> (Vec<Word>, Option<Word>) {
    let mut words: Vec<Word> = Vec::new();
    let (mut current, mut begin, mut quote) = (String::new(), 0, None);
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (None, '#') => {
                let cut = (!current.is_empty() && current.contains('=')).then(|| (at, current.clone()));
                if !current.is_empty() {
                    words.push((begin, current));
                }
                return (words, cut);
            }
            (None, '"' | '\'') => {
                quote = Some(sign);
                current.push(sign);
            }
            (Some(open), _) if open == sign => {
                quote = None;
                current.push(sign);
            }
            (None, sign) if sign.is_whitespace() => {
                if !current.is_empty() {
                    words.push((begin, std::mem::take(&mut current)));
                }
            }
            (_, sign) => {
                if current.is_empty() {
                    begin = at;
                }
                current.push(sign);
            }
        }
    }
    if !current.is_empty() {
        words.push((begin, current));
    }
    (words, None)
}
