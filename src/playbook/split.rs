//! One-line arguments: `path=/etc/x mode=0644`, and the words of a command line.

/// Names that a command line may carry beside the command itself; other `name=value` words belong to the command.
pub const BESIDE_COMMANDS: &[&str] =
    &["creates", "removes", "chdir", "executable", "warn", "stdin", "stdin_add_newline", "strip_empty_ends"];

/// Where a reader of words stands: in which quotes, and how deep in which braces.
#[derive(Default)]
struct Standing {
    quote: Option<char>,
    prints: usize,
    blocks: usize,
    comments: usize,
}

impl Standing {
    fn in_braces(&self) -> bool {
        self.prints + self.blocks + self.comments > 0
    }

    /// Takes in the quotes of a piece; a backslash takes the meaning off the next quote.
    fn quotes_of(&mut self, piece: &str) {
        let mut before = None;
        for character in piece.chars() {
            if matches!(character, '"' | '\'') && before != Some('\\') {
                match self.quote {
                    Some(open) if open == character => self.quote = None,
                    Some(_) => {}
                    None => self.quote = Some(character),
                }
            }
            before = Some(character);
        }
    }

    /// Takes in the braces of a piece; true when that changed how deep it stands.
    fn braces_of(&mut self, piece: &str) -> bool {
        let depths = [(&mut self.prints, "{{", "}}"), (&mut self.blocks, "{%", "%}"), (&mut self.comments, "{#", "#}")];
        let mut changed = false;
        for (depth, open, close) in depths {
            let now = (*depth + piece.matches(open).count()).saturating_sub(piece.matches(close).count());
            changed |= now != *depth;
            *depth = now;
        }
        changed
    }
}

/// Splits text at spaces and line ends, keeping what quotes, `{{ }}` and `{% %}` hold together. Quotes stay, and so do
/// further spaces and line ends, at the end of the word before them; a backslash alone joins lines.
///
/// # Errors
/// When a quote or brace is not closed.
pub fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = Vec::new();
    let mut standing = Standing::default();
    let add = |words: &mut Vec<String>, piece: &str| match words.last_mut() {
        Some(last) => last.push_str(piece),
        None => words.push(piece.to_owned()),
    };
    let lines: Vec<&str> = text.split('\n').collect();
    for (number, line) in lines.iter().enumerate() {
        let mut goes_on = false;
        for (index, piece) in line.split(' ').enumerate() {
            if piece.is_empty() && index > 0 {
                add(&mut words, " ");
                continue;
            }
            let was_quoted = standing.quote.is_some();
            if piece == "\\" && !was_quoted {
                goes_on = true;
                continue;
            }
            let was_in_braces = standing.in_braces();
            standing.quotes_of(piece);
            let is_quoted = standing.quote.is_some();
            let begins_quoted = is_quoted && !was_quoted && !was_in_braces;
            let joined = !begins_quoted && (was_in_braces || is_quoted || was_quoted);
            let deeper = standing.braces_of(piece);
            if joined {
                if index > 0 {
                    add(&mut words, " ");
                }
                add(&mut words, piece);
            } else if begins_quoted || deeper || !piece.is_empty() {
                words.push(piece.to_owned());
            }
        }
        if number + 1 < lines.len() && !goes_on {
            add(&mut words, "\n");
        }
    }
    if standing.quote.is_some() || standing.in_braces() {
        return Err(format!("unbalanced {} in '{text}'", if standing.quote.is_some() { "quotes" } else { "braces" }));
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
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut free = Vec::new();
    for word in split_words(text)? {
        let plain = unescaped(&word);
        match equals_sign(&plain) {
            Some(at) if known.is_none_or(|known| known.contains(&&plain[..at])) => {
                let key = plain[..at].trim().to_owned();
                pairs.retain(|(name, _)| *name != key);
                pairs.push((key, unquoted(plain[at + 1..].trim())));
            }
            None if plain.contains("\\=") => free.push(plain.replace("\\=", "=")),
            _ => free.push(word),
        }
    }
    let mut joined = String::new();
    for word in &free {
        if !joined.is_empty() && !joined.ends_with('\n') {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    Ok((pairs, (!free.is_empty()).then_some(joined)))
}

/// Where the first sign stands that is not the first character and has no backslash before it.
fn equals_sign(word: &str) -> Option<usize> {
    let bytes = word.as_bytes();
    (1..bytes.len()).find(|&at| bytes[at] == b'=' && bytes[at - 1] != b'\\')
}

/// Backslashes as Python reads them: `\n`, `\t`, `\x41`, `\u00e9`, `\\`. Others stay.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let Some(letter) = after.chars().next() else {
            plain.push('\\');
            return plain;
        };
        let digits = match letter {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let by_number = after.get(1..=digits).filter(|_| digits > 0).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let single = match letter {
            '\\' | '\'' | '"' => Some(letter),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            _ => by_number.and_then(char::from_u32),
        };
        match single {
            Some(character) => {
                plain.push(character);
                rest = &after[letter.len_utf8() + digits..];
            }
            None => {
                plain.push('\\');
                plain.push(letter);
                rest = &after[letter.len_utf8()..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// Text in one pair of quotes without them, unless the last is escaped.
fn unquoted(text: &str) -> String {
    let bytes = text.as_bytes();
    match bytes {
        [open @ (b'\'' | b'"'), .., before, close] if open == close && *before != b'\\' => text[1..text.len() - 1].to_owned(),
        [open @ (b'\'' | b'"'), close] if open == close => String::new(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{BESIDE_COMMANDS, parse_pairs, split_words};

    #[test]
    fn words_keep_quotes_and_braces_together() {
        for (text, expect) in [
            ("a  b", vec!["a ", "b"]),
            ("path='/a b' mode=0644", vec!["path='/a b'", "mode=0644"]),
            ("x={{ a | default('b c') }} y", vec!["x={{ a | default('b c') }}", "y"]),
            ("a \\\n  b\nc", vec!["a ", "b\n", "c"]),
            ("say \"a\n b\"", vec!["say", "\"a\n b\""]),
        ] {
            assert_eq!(split_words(text), Ok(expect.into_iter().map(str::to_owned).collect()), "{text}");
        }
        assert!(split_words("say 'hello").is_err());
    }

    #[test]
    fn pairs_are_told_from_free_text() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (text, known, pairs, free) in [
            ("name=nginx state='present'", None, vec![pair("name", "nginx"), pair("state", "present")], None),
            ("make install PREFIX=/usr chdir=/src", Some(BESIDE_COMMANDS), vec![pair("chdir", "/src")], Some("make install PREFIX=/usr")),
            ("line=a=b\\tc", None, vec![pair("line", "a=b\tc")], None),
            ("x=\"q\\\"uo\"", None, vec![pair("x", "q\"uo")], None),
            ("echo  a\\=b \"c  d\"", Some(BESIDE_COMMANDS), vec![], Some("echo  a=b \"c  d\"")),
        ] {
            assert_eq!(parse_pairs(text, known), Ok((pairs, free.map(str::to_owned))), "{text}");
        }
    }
}
