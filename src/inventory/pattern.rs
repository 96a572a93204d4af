//! Patterns of hosts: unions, intersections, exclusions, globs, regular expressions, indexes.

use std::path::Path;
use std::sync::LazyLock;

use fancy_regex::Regex;
use indexmap::IndexSet;
use pgfleet_template::Problem;

use crate::{HostName, Inventory, address};

/// Names of the controller, which need not stand in the inventory.
const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What a pattern selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The hosts, in the pattern's order, each once.
    pub hosts: Vec<HostName>,
    /// Parts of the pattern that deserve a word: those that match nothing, say.
    pub warnings: Vec<String>,
}

/// `None` only if an expression below were malformed, which the tests would show.
static SUBSCRIPT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(.+)\[(?:(-?[0-9]+)|([0-9]+)([:-])([0-9]*))\]$").ok());
static PARTS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?:[^\s:\[\]]|\[[^\]]*\])+").ok());

impl Inventory {
    /// The hosts of a pattern (`hosts:` of a play, `--limit`); `@FILE` stands for the lines of a file.
    ///
    /// # Errors
    /// A malformed regular expression, or an unreadable `@FILE`.
    pub fn select(&self, pattern: &str) -> Result<Selection, Problem> {
        let mut parts = Vec::new();
        for part in split(pattern)? {
            match part.strip_prefix('@') {
                Some(file) => parts.extend(lines(Path::new(file))?),
                None => parts.push(part),
            }
        }
        let is_regular = |part: &String| !part.starts_with(['&', '!']);
        if !parts.iter().any(is_regular) {
            parts.insert(0, "all".to_owned());
        }
        // First the union, then what all must be in, then what none may be in.
        parts.sort_by_key(|part| match part.as_bytes().first() {
            Some(b'&') => 1,
            Some(b'!') => 2,
            _ => 0,
        });
        let mut hosts: IndexSet<HostName> = IndexSet::new();
        let mut warnings = Vec::new();
        for part in &parts {
            if let Some(host) = self.host(part) {
                hosts.insert(host.name.clone());
                continue;
            }
            let found = self.matches(part.strip_prefix(['&', '!']).unwrap_or(part), &mut warnings)?;
            match part.as_bytes().first() {
                Some(b'&') => hosts.retain(|host| found.contains(host)),
                Some(b'!') => hosts.retain(|host| !found.contains(host)),
                _ => hosts.extend(found),
            }
        }
        Ok(Selection { hosts: hosts.into_iter().collect(), warnings })
    }

    fn matches(&self, pattern: &str, warnings: &mut Vec<String>) -> Result<Vec<HostName>, Problem> {
        let (expression, subscript) = subscript(pattern, warnings);
        let matcher = matcher(expression).map_err(|error| Problem::new(format!("'{pattern}' is no pattern of hosts: {error}")))?;
        let is_match = |name: &str| matcher.is_match(name).unwrap_or(false);
        let groups: Vec<&str> = self.groups.keys().map(|name| name.as_str()).filter(|name| is_match(name)).collect();
        let mut found: Vec<HostName> = groups.iter().flat_map(|group| self.members(group)).cloned().collect();
        if groups.is_empty() || expression.starts_with('~') || expression.contains(['.', '?', '*', '[']) {
            found.extend(self.hosts.keys().filter(|name| is_match(name.as_str())).cloned());
        }
        if found.is_empty() && LOCALHOST.contains(&expression) {
            found.extend(self.controller().cloned().or_else(|| HostName::new(expression).ok()));
        }
        if found.is_empty() && groups.is_empty() && expression != "all" {
            warnings.push(format!("Could not match supplied host pattern, ignoring: {expression}"));
        }
        match subscript {
            Some(subscript) if !found.is_empty() => {
                let beyond = || Problem::new(format!("No hosts matched the subscripted pattern '{pattern}'"));
                subscript.pick(&found).ok_or_else(beyond)
            }
            _ => Ok(found),
        }
    }

    /// The host of the inventory that is the controller, under any of its names.
    #[must_use]
    pub fn controller(&self) -> Option<&HostName> {
        self.hosts.keys().find(|host| LOCALHOST.contains(&host.as_str()))
    }
}

/// `[2]`, `[-1]`, `[1:3]`, `[1:]`: both ends count.
#[derive(Clone, Copy)]
enum Subscript {
    One(i64),
    Range(usize, Option<usize>),
}

impl Subscript {
    /// `None` when the one host asked for does not exist; a range may well be empty.
    fn pick(self, hosts: &[HostName]) -> Option<Vec<HostName>> {
        let (start, end) = match self {
            Self::One(index) => {
                let distance = usize::try_from(index.unsigned_abs()).ok()?;
                let index = if index < 0 { hosts.len().checked_sub(distance)? } else { distance };
                return Some(vec![hosts.get(index)?.clone()]);
            }
            // Ansible takes an end of 0 for none at all and gives the first host of the range.
            Self::Range(start, Some(0)) => return Some(vec![hosts.get(start)?.clone()]),
            Self::Range(start, Some(end)) => (start, end.saturating_add(1)),
            Self::Range(start, None) => (start, hosts.len()),
        };
        Some(hosts.iter().take(end).skip(start).cloned().collect())
    }
}

fn subscript<'p>(pattern: &'p str, warnings: &mut Vec<String>) -> (&'p str, Option<Subscript>) {
    if pattern.starts_with('~') {
        return (pattern, None);
    }
    let Some(found) = SUBSCRIPT.as_ref().and_then(|shape| shape.captures(pattern).ok().flatten()) else { return (pattern, None) };
    let group = |index: usize| found.get(index).map(|group| group.as_str());
    let expression = group(1).map_or(pattern, |text| &pattern[..text.len()]);
    if let Some(index) = group(2) {
        return (expression, Some(Subscript::One(index.parse().unwrap_or(i64::MAX))));
    }
    if group(4) == Some("-") {
        warnings.push("Use [x:y] inclusive subscripts instead of [x-y] which has been removed".to_owned());
    }
    let number = |text: &str| text.parse().unwrap_or(usize::MAX);
    let end = group(5).filter(|end| !end.is_empty()).map(number);
    (expression, Some(Subscript::Range(group(3).map_or(0, number), end)))
}

/// Parts between commas, or else between colons, where these belong to no address and no range.
fn split(pattern: &str) -> Result<Vec<String>, Problem> {
    let parts: Vec<&str> = if pattern.contains(',') {
        pattern.split(',').collect()
    } else if address::parse(pattern).is_some() {
        vec![pattern]
    } else {
        let parts: Vec<&str> = PARTS.iter().flat_map(|shape| shape.find_iter(pattern)).flatten().map(|part| part.as_str()).collect();
        let brackets = |text: &str| text.matches(['[', ']']).count();
        // Ansible drops the bracket and may select far more hosts than are meant.
        if parts.iter().map(|part| brackets(part)).sum::<usize>() != brackets(pattern) {
            return Err(Problem::new(format!("'{pattern}' is no pattern of hosts: a bracket has no counterpart")));
        }
        parts
    };
    Ok(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

fn lines(file: &Path) -> Result<Vec<String>, Problem> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Problem::new(format!("the file of hosts {} cannot be read: {error}", file.display())))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// `~` begins a regular expression, which counts from the start of a name; all else is a glob for the whole name.
fn matcher(expression: &str) -> Result<Regex, String> {
    let source = match expression.strip_prefix('~') {
        Some(source) => format!("^(?:{source})"),
        None => glob(expression),
    };
    Regex::new(&source).map_err(|error| error.to_string())
}

fn glob(pattern: &str) -> String {
    let mut source = String::from("^(?s:");
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '*' => source.push_str(".*"),
            '?' => source.push('.'),
            '[' => {
                let (negated, inside) = rest.strip_prefix('!').map_or((false, rest), |inside| (true, inside));
                // A closing bracket in the first place is one of the characters.
                match inside.char_indices().skip(1).find(|(_, character)| *character == ']') {
                    Some((end, _)) => {
                        source.push_str(if negated { "[^" } else { "[" });
                        for member in inside[..end].chars() {
                            if matches!(member, '\\' | '[' | ']' | '^' | '&' | '~') {
                                source.push('\\');
                            }
                            source.push(member);
                        }
                        source.push(']');
                        rest = &inside[end + 1..];
                    }
                    None => source.push_str("\\["),
                }
            }
            other => source.push_str(&fancy_regex::escape(&other.to_string())),
        }
    }
    source.push_str(")$");
    source
}
