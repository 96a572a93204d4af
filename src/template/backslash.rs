//! Template code as minijinja reads it: backslashes in strings doubled in `{{ }}` of YAML files, escapes as Python reads them elsewhere;
//! between words any white space of Unicode.

use std::borrow::Cow;

use crate::compile::Shape;

/// What becomes of the backslashes of a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    /// Each stands for itself.
    Doubled,
    /// They begin escapes, those that minijinja does not have or reads otherwise being spelt out.
    Escaped,
}

/// Text of a YAML file: in strings of `{{ }}` each backslash stands for itself, so that `'\1'` means what a regular
/// expression wants; in `{% %}` and in expressions without braces they begin escapes.
pub(crate) fn in_yaml(source: &str, shape: Shape) -> Cow<'_, str> {
    treated(source, shape, Strings::Doubled)
}

/// Text of a template file: backslashes begin escapes everywhere.
pub(crate) fn in_file(source: &str) -> Cow<'_, str> {
    treated(source, Shape::Template, Strings::Escaped)
}

fn treated(source: &str, shape: Shape, in_output: Strings) -> Cow<'_, str> {
    if source.contains('\r') {
        // Jinja knows one newline, whichever a source has; those of values stay as they are.
        let plain = source.replace("\r\n", "\n").replace('\r', "\n");
        return Cow::Owned(treated(&plain, shape, in_output).into_owned());
    }
    if !source.contains('\\') && !source.contains(is_wide_space) && (shape == Shape::Expression || !source.contains("raw")) {
        return Cow::Borrowed(source);
    }
    let mut result = String::with_capacity(source.len() + 8);
    let mut rest = source;
    if shape == Shape::Expression {
        copy_code(&mut result, &mut rest, None, Strings::Escaped);
        return Cow::Owned(result);
    }
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        result.push_str(before);
        rest = after;
        match after.as_bytes().get(1) {
            Some(b'{') => copy_code(&mut result, &mut rest, Some("}}"), in_output),
            Some(b'%') if is_tag(after, "raw") => {
                // Other than after all other tags, the newline after this one stays: `+` says so.
                let tag = after.find("%}").unwrap_or(after.len());
                result.push_str(&after[..tag]);
                if !after[..tag].ends_with(['-', '+']) {
                    result.push('+');
                }
                let end = after.match_indices("{%").find(|(at, _)| is_tag(&after[*at..], "endraw")).map_or(after.len(), |(at, _)| at);
                result.push_str(&after[tag.min(end)..end]);
                rest = &after[end..];
            }
            Some(b'%') => copy_code(&mut result, &mut rest, Some("%}"), Strings::Escaped),
            Some(b'#') => {
                let end = after.find("#}").map_or(after.len(), |end| end + 2);
                result.push_str(&after[..end]);
                rest = &after[end..];
            }
            _ => {
                result.push('{');
                rest = &after[1..];
            }
        }
    }
    result.push_str(rest);
    Cow::Owned(result)
}

/// White space that minijinja does not know, such as what comes along with a text copied from a web page.
fn is_wide_space(character: char) -> bool {
    !character.is_ascii() && character.is_whitespace()
}

fn is_tag(source: &str, name: &str) -> bool {
    let inner = source[2..].trim_start_matches(['-', '+']).trim_start();
    inner.strip_prefix(name).is_some_and(|rest| rest.trim_start().trim_start_matches(['-', '+']).starts_with("%}"))
}

fn copy_code(result: &mut String, rest: &mut &str, end: Option<&str>, strings: Strings) {
    let mut quote = None;
    let mut characters = rest.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if quote.is_none()
            && let Some(end) = end
            && rest[at..].starts_with(end)
        {
            result.push_str(end);
            *rest = &rest[at + end.len()..];
            return;
        }
        match (quote, character) {
            (Some(open), '\\') => {
                let next = characters.peek().map(|(_, next)| *next);
                match strings {
                    Strings::Doubled => {
                        result.push_str("\\\\");
                        // `\\` is two backslashes, the second escapes nothing; an escaped quote does not end the string.
                        if next == Some('\\') || next == Some(open) {
                            characters.next();
                            result.push_str(if next == Some('\\') { "\\\\" } else { "\\" });
                            result.extend(next.filter(|next| *next == open));
                        }
                    }
                    Strings::Escaped => {
                        let long = rest.get(at + 2..at + 10).filter(|_| next == Some('U'));
                        characters.next();
                        if let Some(long) = long.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32) {
                            result.push(long);
                            characters.nth(7);
                        } else {
                            escape(result, next);
                        }
                    }
                }
            }
            (None, wide) if is_wide_space(wide) => result.push(' '),
            _ => {
                result.push(character);
                match (quote, character) {
                    (None, '\'' | '"') => quote = Some(character),
                    (Some(open), _) if open == character => quote = None,
                    _ => {}
                }
            }
        }
    }
    *rest = "";
}

/// Writes an escape of Python's as minijinja has it.
fn escape(result: &mut String, next: Option<char>) {
    match next {
        Some('/') => result.push_str("\\\\/"),
        Some('a') => result.push_str("\\x07"),
        Some('v') => result.push_str("\\x0b"),
        // A line that goes on in the next one.
        Some('\n') => {}
        next => {
            result.push('\\');
            result.extend(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{in_file, in_yaml};
    use crate::compile::Shape;

    #[test]
    fn backslashes_double_in_strings_that_are_put_out() {
        for (source, expect) in [
            (r"a \ {{ x | regex_replace('^\S+', '\1') }} \n", r"a \ {{ x | regex_replace('^\\S+', '\\1') }} \n"),
            (r"{{ 'a\'b' }}", r"{{ 'a\\\'b' }}"),
            (r"{% if a == '\\n' %}\{% endif %}", r"{% if a == '\\n' %}\{% endif %}"),
            (r"{# '\' #}{{ '\d' }}", r"{# '\' #}{{ '\\d' }}"),
            (r"{% raw %}{{ '\d' }}{% endraw %}{{ '\d' }}", r"{% raw +%}{{ '\d' }}{% endraw %}{{ '\\d' }}"),
        ] {
            assert_eq!(in_yaml(source, Shape::Template), expect);
        }
        assert_eq!(in_yaml(r"x is match('\d\.')", Shape::Expression), r"x is match('\d\.')");
    }

    #[test]
    fn white_space_of_any_kind_separates_words() {
        let source = "\u{a0}{{ x |\u{a0}basename\u{2003}~ '\u{a0}' }}";
        assert_eq!(in_yaml(source, Shape::Template), "\u{a0}{{ x | basename ~ '\u{a0}' }}");
    }

    #[test]
    fn newlines_of_all_kinds_are_one() {
        assert_eq!(in_file("a\r\n{{ 'b\r\n\\r' }}\rc\n"), "a\n{{ 'b\n\\r' }}\nc\n");
        assert_eq!(in_yaml("a\r\nb", Shape::Template), "a\nb");
    }

    #[test]
    fn escapes_are_those_of_python() {
        assert_eq!(in_file(r"\/{{ '\/\a\U0001F600\n\'' }}\a"), "\\/{{ '\\\\/\\x07\u{1F600}\\n\\'' }}\\a");
    }
}
