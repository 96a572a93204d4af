//! Backslashes in strings of expressions that stand in YAML.

use std::borrow::Cow;

use crate::compile::Shape;

/// Doubles the backslashes in strings of expressions, so that `'\1'` in YAML means what a regular expression wants.
pub(crate) fn double_backslashes(source: &str, shape: Shape) -> Cow<'_, str> {
    if !source.contains('\\') {
        return Cow::Borrowed(source);
    }
    let mut result = String::with_capacity(source.len() + 8);
    let mut rest = source;
    if shape == Shape::Expression {
        copy_code(&mut result, &mut rest, None);
        return Cow::Owned(result);
    }
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        result.push_str(before);
        rest = after;
        match after.as_bytes().get(1) {
            Some(b'{') => copy_code(&mut result, &mut rest, Some("}}")),
            Some(b'%') => copy_code(&mut result, &mut rest, Some("%}")),
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

fn copy_code(result: &mut String, rest: &mut &str, end: Option<&str>) {
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
        result.push(character);
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (Some(open), '\\') => match characters.peek() {
                // An escaped quote does not end the string, and keeps its backslash as any other does.
                Some((_, next)) if *next == open => {
                    result.push_str(r"\\");
                    result.extend(characters.next().map(|(_, next)| next));
                }
                next => {
                    result.push('\\');
                    // `\\` is two backslashes: both are doubled, and the second escapes nothing.
                    if next.is_some_and(|(_, next)| *next == '\\') {
                        characters.next();
                        result.push_str("\\\\");
                    }
                }
            },
            _ => {}
        }
    }
    *rest = "";
}

#[cfg(test)]
mod tests {
    use super::double_backslashes;
    use crate::compile::Shape;

    #[test]
    fn backslashes_double_in_strings_only() {
        for (source, expect) in [
            (r"a \ {{ x | regex_replace('^\S+', '\1') }} \n", r"a \ {{ x | regex_replace('^\\S+', '\\1') }} \n"),
            (r"{{ 'a\'b' }}", r"{{ 'a\\\'b' }}"),
            (r"{% if a == '\\' %}\{% endif %}", r"{% if a == '\\\\' %}\{% endif %}"),
            (r"{# '\' #}{{ '\d' }}", r"{# '\' #}{{ '\\d' }}"),
        ] {
            assert_eq!(double_backslashes(source, Shape::Template), expect);
        }
        assert_eq!(double_backslashes(r"x is match('\d')", Shape::Expression), r"x is match('\\d')");
    }
}
