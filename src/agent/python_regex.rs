//! Regular expressions and replacement texts as Python reads them.

use fancy_regex::{Captures, Regex, RegexBuilder};

use crate::module::Failure;

/// Compiles a Python pattern. With `multiline`, `^` and `$` are those of lines; with `dotall`, `.` takes newlines.
pub(crate) fn compile(pattern: &str, multiline: bool, dotall: bool) -> Result<Regex, Failure> {
    let flags = match (multiline, dotall) {
        (true, true) => "(?ms)",
        (true, false) => "(?m)",
        (false, true) => "(?s)",
        (false, false) => "",
    };
    RegexBuilder::new(&format!("{flags}{}", translate(pattern)))
        .build()
        .map_err(|error| Failure::new(format!("the regular expression '{pattern}' cannot be read: {error}")))
}

/// Whether the pattern is somewhere in the text.
pub(crate) fn is_match(regex: &Regex, text: &str) -> Result<bool, Failure> {
    regex.is_match(text).map_err(|error| too_hard(regex, &error))
}

/// The first match.
pub(crate) fn captures<'t>(regex: &Regex, text: &'t str) -> Result<Option<Captures<'t, str>>, Failure> {
    regex.captures(text).map_err(|error| too_hard(regex, &error))
}

/// Replaces all matches; answers the text and their number, as `re.subn`.
pub(crate) fn replace_all(regex: &Regex, text: &str, replacement: &Template) -> Result<(String, usize), Failure> {
    let (mut result, mut count, mut from, mut copied) = (String::with_capacity(text.len()), 0, 0, 0);
    while from <= text.len() {
        let Some(found) = regex.captures_from_pos(text, from).map_err(|error| too_hard(regex, &error))? else { break };
        let Some(whole) = found.get(0) else { break };
        result.push_str(&text[copied..whole.start()]);
        replacement.expand(&found, &mut result)?;
        count += 1;
        copied = whole.end();
        // An empty match is followed by the next letter, which stays.
        from = if whole.start() == whole.end() {
            whole.end() + text[whole.end()..].chars().next().map_or(1, char::len_utf8)
        } else {
            whole.end()
        };
    }
    result.push_str(&text[copied.min(text.len())..]);
    Ok((result, count))
}

fn too_hard(regex: &Regex, error: &fancy_regex::Error) -> Failure {
    Failure::new(format!("the regular expression '{}' gave up: {error}", regex.as_str()))
}

/// Rewrites what the two languages write differently.
fn translate(pattern: &str) -> String {
    let letters: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut at = 0;
    // Where the current set begins, after its `^`.
    let mut set: Option<usize> = None;
    while at < letters.len() {
        let letter = letters[at];
        match letter {
            '\\' => {
                at += 1;
                match letters.get(at) {
                    Some('Z') if set.is_none() => out.push_str(r"\z"),
                    Some('0') => out.push_str(r"\x00"),
                    Some('b') if set.is_some() => out.push_str(r"\x08"),
                    Some(' ') => out.push_str(r"\x20"),
                    // A word's edge there, just the sign in Python.
                    Some(sign @ ('<' | '>')) => out.push(*sign),
                    Some(other) if other.is_ascii_alphanumeric() || other.is_ascii_punctuation() => out.extend(['\\', *other]),
                    Some(other) => out.push(*other),
                    None => out.push('\\'),
                }
            }
            '[' if set.is_none() => {
                out.push('[');
                if letters.get(at + 1) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                set = Some(at + 1);
            }
            ']' if set == Some(at) => out.push_str(r"\]"),
            ']' if set.is_some() => {
                out.push(']');
                set = None;
            }
            '[' | '&' | '~' if set.is_some() => out.extend(['\\', letter]),
            '-' if set.is_some() && (letters.get(at + 1) == Some(&'-') || letters.get(at.wrapping_sub(1)) == Some(&'-')) => {
                out.push_str(r"\-");
            }
            '{' if set.is_none() => match quantifier(&letters[at..]) {
                Some((text, length)) => {
                    out.push_str(&text);
                    at += length - 1;
                }
                None => out.push_str(r"\{"),
            },
            '}' if set.is_none() => out.push_str(r"\}"),
            _ => out.push(letter),
        }
        at += 1;
    }
    out
}

/// `{2}`, `{2,}`, `{,3}`, `{2,3}`: anything else between braces is text in Python.
fn quantifier(letters: &[char]) -> Option<(String, usize)> {
    let end = letters.iter().position(|letter| *letter == '}')?;
    let inner: String = letters[1..end].iter().collect();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match inner.split_once(',') {
        None if !inner.is_empty() && digits(&inner) => Some((format!("{{{inner}}}"), end + 1)),
        Some((low, high)) if digits(low) && digits(high) => {
            Some((format!("{{{},{high}}}", if low.is_empty() { "0" } else { low }), end + 1))
        }
        _ => None,
    }
}

/// A replacement text with `\1`, `\g<1>` and `\g<name>` in it.
pub(crate) struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Number(usize),
    Name(String),
}

impl Template {
    /// Reads a replacement text.
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let Some(letter) = rest.chars().next() else {
                plain.push('\\');
                break;
            };
            rest = &rest[letter.len_utf8()..];
            let piece = match letter {
                'g' => {
                    let inner = rest.strip_prefix('<').and_then(|inner| inner.split_once('>'));
                    let (name, after) = inner.ok_or_else(|| Failure::new(format!("in '{text}', \\g lacks its <name>")))?;
                    rest = after;
                    name.parse().map_or_else(|_| Piece::Name(name.to_owned()), Piece::Number)
                }
                '1'..='9' => {
                    let second = rest.chars().next().filter(char::is_ascii_digit);
                    rest = &rest[second.map_or(0, char::len_utf8)..];
                    Piece::Number([Some(letter), second].into_iter().flatten().collect::<String>().parse().unwrap_or(0))
                }
                other => {
                    match other {
                        'n' => plain.push('\n'),
                        't' => plain.push('\t'),
                        'r' => plain.push('\r'),
                        'a' => plain.push('\x07'),
                        'f' => plain.push('\x0c'),
                        'v' => plain.push('\x0b'),
                        '0' => plain.push('\0'),
                        '\\' => plain.push('\\'),
                        other if other.is_ascii_alphabetic() => return Err(Failure::new(format!("bad escape \\{other} in '{text}'"))),
                        other => plain.extend(['\\', other]),
                    }
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    /// Writes the text with the match's groups put in; groups that took no part are empty.
    pub(crate) fn expand(&self, found: &Captures<str>, out: &mut String) -> Result<(), Failure> {
        for piece in &self.0 {
            let group = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Number(number) if *number < found.len() => found.get(*number),
                Piece::Number(number) => return Err(Failure::new(format!("invalid group reference {number}"))),
                Piece::Name(name) => found.name(name),
            };
            out.push_str(group.map_or("", |group| group.as_str()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Template, compile, replace_all};

    #[test]
    fn substitution_is_python_s() {
        for (pattern, replacement, text, expect) in [
            (r"(\w+)=(\w+)", r"\2=\1", "a=b", "b=a"),
            (r"(?P<key>\w+)=", r"\g<key>: ", "a=b", "a: b"),
            (r"(a)", r"\g<1>0", "a", "a0"),
            (r"^#?port\s*=.*$", "port = 5432", "x\n#port = 1\ny\n", "x\nport = 5432\ny\n"),
            (r"x*", "-", "abxd", "-a-b--d-"),
            (r"end\Z", "END", "end end", "end END"),
            (r"{{ a }}", "1", "{{ a }}", "1"),
            (r"a{,2}b", "x", "aab", "x"),
            (r"[[\]]", "", "[a]", "a"),
            (r"[]a]", "-", "a]b", "--b"),
            (r"[\w.-]+", "n", "a-b.c d", "n n"),
            (r"\<a\>", "b", "<a>", "b"),
            (r"(?<=a)b", "c", "ab bb", "ac bb"),
            (r"(?i)ABC", r"d\n", "abc", "d\n"),
            (r"(\d+)\s\1", r"\\", "12 12", "\\"),
            (r"\/etc\/x", r"\.", "/etc/x", r"\."),
        ] {
            let regex = compile(pattern, true, false).expect(pattern);
            let template = Template::read(replacement).expect(replacement);
            assert_eq!(replace_all(&regex, text, &template).expect("matches").0, expect, "{pattern}");
        }
        assert!(Template::read(r"\q").is_err());
        assert!(compile("(", false, false).is_err());
    }
}
