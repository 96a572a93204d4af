//! Reading a command line as Ansible's programs read theirs: the words, not what they mean.

use std::collections::BTreeMap;

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// Nothing, and it counts how often it is given.
    Count,
    /// One value; a later one replaces an earlier one.
    One(&'static str),
    /// One value each time; all are kept.
    Each(&'static str),
    /// A whole number.
    Number(&'static str),
}

impl Takes {
    /// The name of the value, for the usage.
    pub(super) fn value_name(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Count => None,
            Self::One(name) | Self::Each(name) | Self::Number(name) => Some(name),
        }
    }
}

/// One option.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its names with their dashes, the one of the usage first.
    pub(super) names: &'static [&'static str],
    /// What it takes.
    pub(super) takes: Takes,
    /// What it does, for the help.
    pub(super) about: &'static str,
    /// The usage shows it as an alternative to the next one.
    pub(super) or_next: bool,
}

/// A program's command line.
#[derive(Debug)]
pub(super) struct Grammar {
    /// The program's name.
    pub(super) program: &'static str,
    /// What it does.
    pub(super) about: &'static str,
    /// Options, in the order of the usage.
    pub(super) flags: Vec<&'static Flag>,
    /// The words that are no options, as the usage shows them.
    pub(super) words: &'static str,
    /// The name of the word that must be there.
    pub(super) required: Option<&'static str>,
}

/// What was given: values by the option's longest name without dashes, and words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    values: BTreeMap<&'static str, Vec<String>>,
    pub(super) words: Vec<String>,
}

impl Given {
    /// True when the option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// How often it was given.
    pub(super) fn count(&self, name: &str) -> usize {
        self.values.get(name).map_or(0, Vec::len)
    }

    /// Its last value.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// All its values.
    pub(super) fn each(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}

impl Flag {
    /// The name that its values are kept under: the first long one, without dashes.
    pub(super) fn key(&self) -> &'static str {
        let long = self.names.iter().find(|name| name.starts_with("--")).or(self.names.first());
        long.map_or("", |name| name.trim_start_matches('-'))
    }
}

impl Grammar {
    /// Reads arguments.
    ///
    /// # Errors
    /// A sentence without the program's name.
    pub(super) fn read(&self, arguments: &[String]) -> Result<Given, String> {
        let mut given = Given::default();
        let mut unknown = Vec::new();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                given.words.extend(rest.by_ref().cloned());
            } else if argument.starts_with("--") {
                let (name, value) = match argument.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (argument.as_str(), None),
                };
                let Some(flag) = self.long(name)? else {
                    unknown.push(argument.clone());
                    continue;
                };
                if flag.takes.value_name().is_none() && value.is_some() {
                    return Err(format!("argument {}: ignored explicit argument '{}'", flag.names.join("/"), value.unwrap_or_default()));
                }
                let value = value.or_else(|| next_value(flag, &mut rest));
                keep(&mut given, flag, value)?;
            } else if argument.len() > 1 && argument.starts_with('-') && !is_number(argument) && !argument.contains(' ') {
                self.short(argument, &mut rest, &mut given, &mut unknown)?;
            } else {
                given.words.push(argument.clone());
            }
        }
        // Help and version are asked for without the rest.
        if given.has("help") || given.has("version") {
            return Ok(given);
        }
        if let Some(name) = self.required.filter(|_| given.words.is_empty()) {
            return Err(format!("the following arguments are required: {name}"));
        }
        if unknown.is_empty() { Ok(given) } else { Err(format!("unrecognized arguments: {}", unknown.join(" "))) }
    }

    /// `-v`, `-vvv`, `-bK`, `-f5`.
    fn short<'a>(
        &self,
        argument: &str,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'a String>>,
        given: &mut Given,
        unknown: &mut Vec<String>,
    ) -> Result<(), String> {
        for (index, letter) in argument[1..].char_indices() {
            let name = format!("-{letter}");
            let Some(flag) = self.flags.iter().find(|flag| flag.names.contains(&name.as_str())) else {
                unknown.push(argument.to_owned());
                return Ok(());
            };
            if flag.takes.value_name().is_none() {
                keep(given, flag, None)?;
                continue;
            }
            let attached = &argument[1 + index + letter.len_utf8()..];
            let attached = attached.strip_prefix('=').unwrap_or(attached);
            let value = if attached.is_empty() { next_value(flag, rest) } else { Some(attached.to_owned()) };
            return keep(given, flag, value);
        }
        Ok(())
    }

    /// The option of a long name, or of the beginning of just one.
    fn long(&self, written: &str) -> Result<Option<&'static Flag>, String> {
        if let Some(flag) = self.flags.iter().find(|flag| flag.names.contains(&written)) {
            return Ok(Some(flag));
        }
        let all = self.flags.iter().flat_map(|flag| flag.names.iter().map(move |name| (*flag, *name)));
        let close: Vec<(&Flag, &str)> = all.filter(|(_, name)| name.starts_with(written)).collect();
        match close.as_slice() {
            [] => Ok(None),
            [(flag, _), more @ ..] if more.iter().all(|(other, _)| std::ptr::eq(*other, *flag)) => Ok(Some(flag)),
            several => {
                let names: Vec<&str> = several.iter().map(|(_, name)| *name).collect();
                Err(format!("ambiguous option: {written} could match {}", names.join(", ")))
            }
        }
    }
}

/// The next argument, where the option takes one and that is no option itself.
fn next_value<'a>(flag: &Flag, rest: &mut std::iter::Peekable<impl Iterator<Item = &'a String>>) -> Option<String> {
    flag.takes.value_name()?;
    let fits = |next: &&String| !next.starts_with('-') || next.len() == 1 || next.contains(' ') || is_number(next);
    rest.next_if(fits).cloned()
}

fn keep(given: &mut Given, flag: &'static Flag, value: Option<String>) -> Result<(), String> {
    let names = flag.names.join("/");
    if flag.takes.value_name().is_some() && value.is_none() {
        return Err(format!("argument {names}: expected one argument"));
    }
    let value = value.unwrap_or_default();
    if matches!(flag.takes, Takes::Number(_)) && value.trim().parse::<i64>().is_err() {
        return Err(format!("argument {names}: invalid int value: '{value}'"));
    }
    given.values.entry(flag.key()).or_default().push(value);
    Ok(())
}

fn is_number(text: &str) -> bool {
    text.starts_with('-') && text.len() > 1 && text[1..].parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::flags;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_as_the_programs_read_theirs() {
        let grammar = flags::playbook();
        let given = grammar.read(&words("-vvbi a.ini site.yml -i b.ini --lim web --forks=7 -e a=1 --extra-vars b=2 -tx")).expect("reads");
        assert_eq!((given.count("verbose"), given.has("become")), (2, true));
        assert_eq!(given.each("inventory"), ["a.ini", "b.ini"]);
        assert_eq!((given.one("limit"), given.one("forks"), given.one("tags")), (Some("web"), Some("7"), Some("x")));
        assert_eq!(given.each("extra-vars"), ["a=1", "b=2"]);
        assert_eq!(given.words, ["site.yml"]);
    }

    #[test]
    fn mistakes_are_told_in_the_words_of_the_programs() {
        let grammar = flags::playbook();
        for (line, expect) in [
            ("--bogus", "the following arguments are required: playbook"),
            ("a.yml --bogus", "unrecognized arguments: --bogus"),
            ("a.yml -i", "argument -i/--inventory/--inventory-file: expected one argument"),
            ("a.yml -f x", "argument -f/--forks: invalid int value: 'x'"),
            ("a.yml --ask-vault", ""),
        ] {
            assert_eq!(grammar.read(&words(line)).err().unwrap_or_default(), expect, "{line}");
        }
        assert!(grammar.read(&words("a.yml --ssh")).is_err_and(|message| message.starts_with("ambiguous option: --ssh could match")));
    }
}
