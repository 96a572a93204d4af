//! One-line arguments: `path=/etc/x mode=0644`, and the words of a command line.

/// Splits text at white space, keeping what quotes, `{{ }}` and `{% %}` hold together. Quotes stay.
///
/// # Errors
/// When a quote or brace is not closed.
pub fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut depth = 0_usize;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (_, '\\') => {
                word.push(character);
                word.extend(characters.next());
                continue;
            }
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if depth == 0 => quote = Some(character),
            (None, '{') if matches!(characters.peek(), Some('{' | '%' | '#')) => {
                depth += 1;
                word.push(character);
                word.extend(characters.next());
                continue;
            }
            (None, '}' | '%' | '#') if depth > 0 && characters.peek() == Some(&'}') => {
                depth -= 1;
                word.push(character);
                word.extend(characters.next());
                continue;
            }
            (None, space) if space.is_whitespace() && depth == 0 => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    if quote.is_some() || depth > 0 {
        return Err(format!("unbalanced {} in '{text}'", if quote.is_some() { "quotes" } else { "braces" }));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// `key=value` pairs in their order, and the free-form text beside them.
pub(crate) type Pairs = (Vec<(String, String)>, Option<String>);

/// Splits `key=value` pairs; words that are none of the `known` keys (all are, when `known` is `None`) make up the
/// free-form text, as written.
///
/// # Errors
/// When a quote or brace is not closed.
pub fn parse_pairs(text: &str, known: Option<&[&str]>) -> Result<Pairs, String> {
    let mut pairs = Vec::new();
    let mut free = Vec::new();
    for word in split_words(text)? {
        match word.split_once('=') {
            Some((key, value)) if is_key(key) && known.is_none_or(|known| known.contains(&key)) => {
                pairs.push((key.to_owned(), unquoted(value)))
            }
            _ => free.push(word),
        }
    }
    let free = if pairs.is_empty() && !free.is_empty() {
        Some(text.trim().to_owned())
    } else if free.is_empty() {
        None
    } else {
        Some(free.join(" "))
    };
    Ok((pairs, free))
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_alphanumeric() || character == '_' || character == '-')
}

fn unquoted(text: &str) -> String {
    let bytes = text.as_bytes();
    match bytes {
        [open @ (b'\'' | b'"'), .., close] if open == close && bytes.len() >= 2 => {
            text[1..text.len() - 1].replace("\\\"", "\"").replace("\\'", "'")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_pairs, split_words};

    #[test]
    fn words_keep_quotes_and_braces_together() {
        for (text, expect) in [
            ("a  b", vec!["a", "b"]),
            ("path='/a b' mode=0644", vec!["path='/a b'", "mode=0644"]),
            ("x={{ a | default('b c') }} y", vec!["x={{ a | default('b c') }}", "y"]),
        ] {
            assert_eq!(split_words(text), Ok(expect.into_iter().map(str::to_owned).collect()), "{text}");
        }
        assert!(split_words("say 'hello").is_err());
    }

    #[test]
    fn pairs_are_told_from_free_text() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(parse_pairs("name=nginx state='present'", None), Ok((vec![pair("name", "nginx"), pair("state", "present")], None)));
        assert_eq!(
            parse_pairs("make install PREFIX=/usr chdir=/src", Some(&["chdir", "creates"])),
            Ok((vec![pair("chdir", "/src")], Some("make install PREFIX=/usr".to_owned())))
        );
    }
}
