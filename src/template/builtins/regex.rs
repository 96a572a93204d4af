//! Python's `re` on another engine: patterns and replacement templates translated, `regex_*` filters.

use std::cell::RefCell;
use std::collections::HashMap;

use fancy_regex::{Captures, Regex};
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin};
use super::python::{self, fail, list, text, tuple};

pub(crate) const FILTERS: &[(&str, Builtin)] =
    &[("regex_replace", regex_replace), ("regex_search", regex_search), ("regex_findall", regex_findall), ("regex_escape", regex_escape)];

/// `re.I` and `re.M`, and where a match must begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multi_line: bool,
    pub(crate) anchored: bool,
}

thread_local! {
    static COMPILED: RefCell<HashMap<(String, Flags), Regex>> = RefCell::new(HashMap::new());
}

/// Compiles a Python pattern.
pub(crate) fn compile(pattern: &str, flags: Flags) -> Result<Regex, Error> {
    let key = (pattern.to_owned(), flags);
    if let Some(regex) = COMPILED.with_borrow(|compiled| compiled.get(&key).cloned()) {
        return Ok(regex);
    }
    let mut switches = String::new();
    if flags.ignore_case {
        switches.push('i');
    }
    if flags.multi_line {
        switches.push('m');
    }
    let body = translate(pattern, flags.multi_line);
    let body = if switches.is_empty() { format!("(?:{body})") } else { format!("(?{switches}:{body})") };
    let source = if flags.anchored { format!("\\A{body}") } else { body };
    let regex = Regex::new(&source).map_err(|error| {
        let reason = error.to_string();
        let reason = if reason.contains("Target of repeat operator is invalid") { "nothing to repeat" } else { reason.as_str() };
        fail(format!("invalid regular expression '{pattern}': {reason}"))
    })?;
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() > 500 {
            compiled.clear();
        }
        compiled.insert(key, regex.clone());
    });
    Ok(regex)
}

/// The pattern in the engine's dialect.
fn translate(pattern: &str, multi_line: bool) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut multi_line = multi_line;
    let mut out = String::new();
    let mut index = 0;
    while index < chars.len() {
        let rest = &chars[index..];
        let starts = |prefix: &str| prefix.chars().enumerate().all(|(offset, c)| rest.get(offset) == Some(&c));
        match chars[index] {
            '\\' => {
                index += 1;
                let Some(next) = chars.get(index) else { break };
                match next {
                    'Z' => out.push_str("\\z"),
                    '0' => out.push_str("\\x00"),
                    '<' | '>' | '\'' | '"' | '`' | ' ' | '/' | '_' | ',' | ';' | ':' | '=' | '!' | '@' | '%' => out.push(*next),
                    c => {
                        out.push('\\');
                        out.push(*c);
                    }
                }
                index += 1;
            }
            '[' => index = translate_class(&chars, index, &mut out),
            '(' if starts("(?#") => index += rest.iter().position(|c| *c == ')').map_or(rest.len(), |end| end + 1),
            '(' if rest.get(1) == Some(&'?') && rest.get(2).is_some_and(char::is_ascii_lowercase) => {
                // Global flags at the beginning, or flags of one group; `a`, `u` and `L` have no counterpart.
                let end = rest.iter().position(|c| *c == ')' || *c == ':').unwrap_or(rest.len() - 1);
                let kept: String = rest[2..end].iter().filter(|c| "imsx-".contains(**c)).collect();
                multi_line |= kept.contains('m') && !kept.contains('-');
                match (kept.is_empty(), rest[end]) {
                    (true, ':') => out.push_str("(?:"),
                    (true, _) => {}
                    (false, close) => out.push_str(&format!("(?{kept}{close}")),
                }
                index += end + 1;
            }
            '$' => {
                // Without re.M, `$` also matches before a newline at the very end.
                out.push_str(if multi_line { "$" } else { "(?=\\n?\\z)" });
                index += 1;
            }
            '{' => {
                let end = rest.iter().position(|c| *c == '}');
                let body: Option<String> = end.map(|end| rest[1..end].iter().collect());
                let valid = |body: &String| {
                    body.chars().any(|c| c.is_ascii_digit())
                        && body.chars().all(|c| c.is_ascii_digit() || c == ',')
                        && body.matches(',').count() < 2
                };
                match body.filter(valid) {
                    Some(body) => {
                        let body = if body.starts_with(',') { format!("0{body}") } else { body };
                        out.push_str(&format!("{{{body}}}"));
                        index += end.unwrap_or(0) + 1;
                    }
                    None => {
                        out.push_str("\\{");
                        index += 1;
                    }
                }
            }
            '}' => {
                out.push_str("\\}");
                index += 1;
            }
            ']' => {
                out.push_str("\\]");
                index += 1;
            }
            c => {
                out.push(c);
                index += 1;
            }
        }
    }
    out
}

/// Copies a character class; the engine would read set operations and nested classes where Python does not.
fn translate_class(chars: &[char], start: usize, out: &mut String) -> usize {
    let mut index = start + 1;
    out.push('[');
    if chars.get(index) == Some(&'^') {
        out.push('^');
        index += 1;
    }
    let first = index;
    while let Some(c) = chars.get(index) {
        match c {
            ']' if index > first => {
                out.push(']');
                return index + 1;
            }
            '\\' => {
                index += 1;
                match chars.get(index) {
                    Some('b') => out.push_str("\\x08"),
                    Some('0') => out.push_str("\\x00"),
                    Some(c) if c.is_ascii_alphanumeric() => out.extend(['\\', *c]),
                    Some(c) if c.is_ascii() => out.extend(['\\', *c]),
                    Some(c) => out.push(*c),
                    None => {}
                }
            }
            '[' | ']' | '&' | '~' => out.extend(['\\', *c]),
            '-' if chars.get(index + 1) == Some(&'-') => out.push_str("\\-"),
            c => out.push(*c),
        }
        index += 1;
    }
    index
}

/// All matches as `re.finditer` gives them: an empty match may follow a match directly, but not an empty one.
pub(crate) fn find_all<'t>(regex: &Regex, source: &'t str, limit: usize) -> Result<Vec<Captures<'t, str>>, Error> {
    let mut found = Vec::new();
    let mut position = 0;
    let mut last_empty = None;
    while found.len() < limit && position <= source.len() {
        let captures = regex.captures_from_pos(source, position).map_err(|error| fail(format!("regular expression: {error}")))?;
        let Some(captures) = captures else { break };
        let Some((start, end)) = captures.get(0).map(|whole| (whole.start(), whole.end())) else { break };
        if start == end && last_empty == Some(end) {
            position = end + source[end..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        last_empty = (start == end).then_some(end);
        position = end;
        found.push(captures);
    }
    Ok(found)
}

/// True when the pattern matches.
pub(crate) fn is_match(source: &str, pattern: &str, flags: Flags) -> Result<bool, Error> {
    compile(pattern, flags)?.is_match(source).map_err(|error| fail(format!("regular expression: {error}")))
}

/// Fills a replacement template: `\1`, `\g<name>`, `\n`; an unmatched group is empty.
fn expand(template: &str, captures: &Captures<'_, str>, out: &mut String) -> Result<(), Error> {
    let mut chars = template.chars().peekable();
    let group = |name: &str| -> Result<String, Error> {
        let found = match name.parse::<usize>() {
            Ok(number) if number < captures.len() => captures.get(number),
            Ok(number) => return Err(fail(format!("invalid group reference {number}"))),
            Err(_) => captures.name(name),
        };
        Ok(found.map(|found| found.as_str().to_owned()).unwrap_or_default())
    };
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('g') if chars.peek() == Some(&'<') => {
                chars.next();
                let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                out.push_str(&group(&name)?);
            }
            Some('0') => out.push('\0'),
            Some(digit) if digit.is_ascii_digit() => {
                let mut name = digit.to_string();
                name.extend(chars.next_if(char::is_ascii_digit));
                out.push_str(&group(&name)?);
            }
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('\\') => out.push('\\'),
            Some(c) if c.is_ascii_alphabetic() => return Err(fail(format!("bad escape \\{c}"))),
            Some(c) => out.extend(['\\', c]),
            None => return Err(fail("bad escape (end of pattern)")),
        }
    }
    Ok(())
}

fn regex_replace(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, pattern, replacement, ignore_case, multi_line, count, mandatory_count] =
        call.bind(["value", "pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"])?;
    let (source, template) = (value.text(""), replacement.text(""));
    let flags = Flags { ignore_case: ignore_case.flag(false), multi_line: multi_line.flag(false), anchored: false };
    let regex = compile(&pattern.text(""), flags)?;
    let limit = usize::try_from(count.integer(0)?).ok().filter(|count| *count > 0).unwrap_or(usize::MAX);
    let found = find_all(&regex, &source, limit)?;
    let mandatory = usize::try_from(mandatory_count.integer(0)?).unwrap_or(0);
    if mandatory > 0 && mandatory != found.len() {
        let message = format!("'{}' should match {mandatory} times, but matches {} times in '{source}'", pattern.text(""), found.len());
        return Err(fail(message));
    }
    let mut out = String::new();
    let mut position = 0;
    for captures in &found {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&source[position..whole.start()]);
        expand(&template, captures, &mut out)?;
        position = whole.end();
    }
    out.push_str(&source[position..]);
    Ok(out.into())
}

fn regex_search(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let source = text(&call.input()?);
    let rest = call.rest()?;
    let flag = |name: &str| call.keyword(name).is_some_and(python::truth);
    let flags = Flags { ignore_case: flag("ignorecase"), multi_line: flag("multiline"), anchored: false };
    let pattern = rest.first().or_else(|| call.keyword("regex")).ok_or_else(|| fail("regex_search needs a pattern"))?;
    let regex = compile(&text(pattern), flags)?;
    let names: Vec<String> = rest.iter().skip(1).map(|argument| group_name(&text(argument))).collect::<Result<_, _>>()?;
    let captures = regex.captures(&source).map_err(|error| fail(format!("regular expression: {error}")))?;
    let Some(captures) = captures else { return Ok(Value::from(())) };
    let group = |name: &String| -> Result<Value, Error> {
        let known =
            name.parse::<usize>().map_or_else(|_| regex.capture_names().flatten().any(|own| own == name), |number| number < captures.len());
        let found = name.parse::<usize>().map_or_else(|_| captures.name(name), |number| captures.get(number));
        if known { Ok(found.map_or_else(|| Value::from(()), |found| Value::from(found.as_str()))) } else { Err(fail("no such group")) }
    };
    if names.is_empty() {
        return group(&"0".to_owned());
    }
    names.iter().map(group).collect::<Result<Vec<_>, _>>().map(list)
}

/// The group that `\1` or `\g<name>` names.
fn group_name(argument: &str) -> Result<String, Error> {
    if let Some(name) = argument.strip_prefix("\\g<").and_then(|rest| rest.split_once('>')) {
        return Ok(name.0.to_owned());
    }
    let digits: String = argument.strip_prefix('\\').unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { Err(fail("Unknown argument")) } else { Ok(digits) }
}

fn regex_findall(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, pattern, multi_line, ignore_case] = call.bind(["value", "regex", "multiline", "ignorecase"])?;
    let source = text(&value.required()?);
    let flags = Flags { ignore_case: ignore_case.flag(false), multi_line: multi_line.flag(false), anchored: false };
    let regex = compile(&text(&pattern.required()?), flags)?;
    let matches = find_all(&regex, &source, usize::MAX)?;
    let rows = matches.iter().map(|captures| {
        let group = |number: usize| Value::from(captures.get(number).map_or("", |found| found.as_str()));
        match captures.len() {
            0 | 1 => group(0),
            2 => group(1),
            count => tuple((1..count).map(group).collect()),
        }
    });
    Ok(rows.collect())
}

fn regex_escape(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, kind] = call.bind(["string", "re_type"])?;
    let special = match kind.text("python").as_str() {
        "python" => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "].[^$*\\",
        other => return Err(fail(format!("Invalid regex type ({other})"))),
    };
    let mut out = String::new();
    for c in text(&value.required()?).chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(out.into())
}
