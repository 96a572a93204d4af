//! Words of an INI host line, as `shlex.split(line, comments=True)` has them.

/// A word without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Where it begins, in characters from 0.
    pub(crate) start: usize,
    pub(crate) text: String,
}

/// Splits a line; `#` begins a comment everywhere but in quotes, also within a word.
///
/// # Errors
/// An open quote or a backslash at the end.
pub(crate) fn split(line: &str) -> Result<Vec<Word>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.chars().enumerate();
    while let Some((at, character)) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' => break,
            _ => {
                let text = &mut word.get_or_insert_with(|| Word { start: at, text: String::new() }).text;
                match character {
                    '\\' => text.push(characters.next().ok_or("no character after the backslash")?.1),
                    '\'' => loop {
                        match characters.next().ok_or("no closing quotation")?.1 {
                            '\'' => break,
                            other => text.push(other),
                        }
                    },
                    '"' => loop {
                        match characters.next().ok_or("no closing quotation")?.1 {
                            '"' => break,
                            '\\' => match characters.next().ok_or("no closing quotation")?.1 {
                                escaped @ ('"' | '\\') => text.push(escaped),
                                other => text.extend(['\\', other]),
                            },
                            other => text.push(other),
                        }
                    },
                    other => text.push(other),
                }
            }
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_split_as_shlex_does() {
        for (line, expect) in [
            ("h a=1 b=\"2 3\"", vec!["h", "a=1", "b=2 3"]),
            ("h x=a#b y=1", vec!["h", "x=a"]),
            ("h y='a #b' # c", vec!["h", "y=a #b"]),
            (r#"h s="{\"x\": true}" ac="a\nb" e=a\ b"#, vec!["h", r#"s={"x": true}"#, r"ac=a\nb", "e=a b"]),
            ("h v=\"\" w=''", vec!["h", "v=", "w="]),
        ] {
            let words = split(line).expect(line);
            assert_eq!(words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), expect);
        }
        assert_eq!(split("h  ä b=1").map(|words| words[2].start), Ok(5));
        assert!(split("h a='b").is_err());
        assert!(split("h a\\").is_err());
    }
}
