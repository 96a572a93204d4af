//! `ini_file`: one option, or one section, of an INI file; all other lines stay as they are.

use fancy_regex::Regex;
use pgfleet_protocol::modules::content::{IniFile, Presence};

use crate::module::{Context, Failure, Planned};
use crate::python_regex;
use crate::text_file::{TextFile, lines};

pub(crate) fn plan(arguments: &IniFile, context: &Context) -> Planned {
    let file = TextFile::read(context, arguments.path.as_str(), arguments.create)?;
    if file.before.is_none() && !arguments.create {
        return Err(Failure::new(format!("Destination {} does not exist!", file.path.display())).with("rc", 257));
    }
    let values: Vec<String> = match (&arguments.values, &arguments.value) {
        (Some(values), _) => values.iter().fold(Vec::new(), |mut unique: Vec<String>, value| {
            if !unique.contains(value) {
                unique.push(value.clone());
            }
            unique
        }),
        (None, value) => value.iter().cloned().collect(),
    };
    if arguments.state == Presence::Present && arguments.option.is_some() && values.is_empty() && !arguments.allow_no_value {
        return Err(Failure::new("value or values is needed where state is present and allow_no_value is not true"));
    }
    let edit = Edit::new(arguments, values)?;
    let path = file.path.to_string_lossy().into_owned();
    let (after, message) = edit.change(file.text());
    let replaced = file.replaced(after).said(message);
    let planned = replaced.with_options(arguments.backup, None, arguments.attributes()).plan(context);
    planned.map(|plan| plan.with("path", path))
}

struct Edit<'a> {
    wish: &'a IniFile,
    values: Vec<String>,
    /// The option's line, groups `mark` and `value` in it.
    line: Option<Regex>,
}

/// Lines of one section, each with whether it has been seen to.
type Section = Vec<(String, bool)>;

impl<'a> Edit<'a> {
    fn new(wish: &'a IniFile, values: Vec<String>) -> Result<Self, Failure> {
        let escaped = |option: &str| {
            option
                .chars()
                .map(|letter| if letter.is_alphanumeric() { letter.to_string() } else { format!("\\{letter}") })
                .collect::<String>()
        };
        let line = wish.option.as_deref().map(|option| {
            let pattern = format!(r"\A[ \t]*(?P<mark>[#;]?)[ \t]*{}[ \t]*(?:=[ \t]*(?P<value>.*?))?[ \t]*\n?\z", escaped(option));
            python_regex::compile(&pattern, false, false)
        });
        Ok(Self { wish, values, line: line.transpose()? })
    }

    /// Whether a line is the option's, and its value; commented-out lines count only where `inactive` ones do.
    fn value_of(&self, line: &str, inactive: bool) -> Option<String> {
        let found = self.line.as_ref()?.captures(line).ok().flatten()?;
        let is_active = found.name("mark").is_none_or(|mark| mark.as_str().is_empty());
        (is_active || inactive).then(|| found.name("value").map(|value| value.as_str().to_owned()).unwrap_or_default())
    }

    fn written(&self, value: Option<&str>) -> String {
        let option = self.wish.option.as_deref().unwrap_or_default();
        match value {
            Some(value) if self.wish.no_extra_spaces => format!("{option}={value}\n"),
            Some(value) => format!("{option} = {value}\n"),
            None => format!("{option}\n"),
        }
    }

    /// The new text, and what happened.
    fn change(mut self, text: &str) -> (String, &'static str) {
        let mut all: Vec<String> = lines(text).map(str::to_owned).collect();
        if let Some(last) = all.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
        }
        let Some((start, end)) = self.place(&all) else {
            if self.wish.state == Presence::Absent {
                return (text.to_owned(), "OK");
            }
            return (
                self.with_new_section(all),
                if self.wish.option.is_some() { "section and option added" } else { "only section added" },
            );
        };
        let mut section: Section = all[start..end].iter().map(|line| (line.clone(), false)).collect();
        let message = match self.wish.state {
            Presence::Present => self.present(&mut section),
            Presence::Absent => self.absent(&mut section),
        };
        if message == "OK" {
            return (text.to_owned(), message);
        }
        all.splice(start..end, section.into_iter().map(|(line, _)| line));
        (all.concat(), message)
    }

    /// The lines of the section, its title among them; those before all sections where none is named.
    fn place(&self, all: &[String]) -> Option<(usize, usize)> {
        let title =
            |line: &str| line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.trim().to_owned());
        let start = match self.wish.section.as_deref().filter(|section| !section.is_empty()) {
            None => 0,
            Some(section) => all.iter().position(|line| title(line).as_deref() == Some(section))?,
        };
        let named = usize::from(self.wish.section.as_deref().is_some_and(|section| !section.is_empty()));
        let end = all[start + named.min(all.len() - start)..].iter().position(|line| line.starts_with('['));
        Some((start, end.map_or(all.len(), |end| start + named + end)))
    }

    fn with_new_section(&self, mut all: Vec<String>) -> String {
        all.push(format!("[{}]\n", self.wish.section.as_deref().unwrap_or_default()));
        if self.wish.option.is_some() {
            if self.values.is_empty() {
                all.push(self.written(None));
            }
            all.extend(self.values.iter().map(|value| self.written(Some(value))));
        }
        all.concat()
    }

    /// Puts a line in place of another; `true` when that is a difference.
    fn replace(&self, entry: &mut (String, bool), new: String) -> bool {
        let bare = |line: &str| match line.split_once('=') {
            Some((option, value)) => format!("{}={}", option.trim(), value.trim()),
            None => line.trim().to_owned(),
        };
        let differs = if self.wish.ignore_spaces { bare(&entry.0) != bare(&new) } else { entry.0 != new };
        if differs {
            entry.0 = new;
        }
        entry.1 = true;
        differs
    }

    fn present(&mut self, section: &mut Section) -> &'static str {
        if self.wish.option.is_none() {
            return "OK";
        }
        let inactive = self.wish.modify_inactive_option;
        let mut message = "OK";
        let no_value = self.values.is_empty();
        // Lines that have a wished value already.
        for entry in section.iter_mut() {
            let Some(found) = self.value_of(&entry.0, inactive) else { continue };
            let line = if no_value {
                self.written(None)
            } else if let Some(position) = self.values.iter().position(|value| *value == found) {
                self.values.remove(position);
                self.written(Some(&found))
            } else {
                continue;
            };
            if self.replace(entry, line) {
                message = "option changed";
            }
            if no_value {
                break;
            }
        }
        if self.wish.exclusive {
            for entry in section.iter_mut() {
                if self.values.is_empty() {
                    break;
                }
                if !entry.1 && self.value_of(&entry.0, inactive).is_some() {
                    let value = self.values.remove(0);
                    let line = self.written(Some(&value));
                    if self.replace(entry, line) {
                        message = "option changed";
                    }
                }
            }
            let before = section.len();
            section.retain(|(line, seen)| *seen || self.value_of(line, false).is_none());
            if section.len() != before {
                message = "option changed";
            }
        }
        let missing_line = no_value && !section.iter().any(|(_, seen)| *seen);
        if self.values.is_empty() && !missing_line {
            return message;
        }
        // After the last line that says something; comments and empty lines below it belong to what follows.
        let at = section
            .iter()
            .rposition(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']))
            .map_or(0, |at| at + 1);
        let new: Vec<(String, bool)> = match missing_line {
            true => vec![(self.written(None), true)],
            false => self.values.iter().map(|value| (self.written(Some(value)), true)).collect(),
        };
        section.splice(at..at, new);
        "option added"
    }

    fn absent(&self, section: &mut Section) -> &'static str {
        if self.wish.option.is_none() {
            section.clear();
            return "section removed";
        }
        let before = section.len();
        section.retain(|(line, _)| match self.value_of(line, false) {
            None => true,
            Some(value) => !self.wish.exclusive && !self.values.is_empty() && !self.values.contains(&value),
        });
        if section.len() == before { "OK" } else { "option changed" }
    }
}
