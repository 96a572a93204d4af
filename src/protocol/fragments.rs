//! The content that `assemble` makes of fragments, here or there.

/// Fragments one after the other, each on lines of its own, the delimiter between them.
#[must_use]
pub fn joined(fragments: &[Vec<u8>], delimiter: Option<&str>) -> Vec<u8> {
    let delimiter = delimiter.filter(|text| !text.is_empty()).map(unescaped);
    let mut whole: Vec<u8> = Vec::new();
    for (number, fragment) in fragments.iter().enumerate() {
        if number > 0 {
            if !fragments[number - 1].ends_with(b"\n") {
                whole.push(b'\n');
            }
            if let Some(delimiter) = &delimiter {
                whole.extend_from_slice(delimiter.as_bytes());
                if !delimiter.ends_with('\n') {
                    whole.push(b'\n');
                }
            }
        }
        whole.extend_from_slice(fragment);
    }
    whole
}

/// Text with `\n`, `\t` and the like in it.
fn unescaped(text: &str) -> String {
    let mut result = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some(code)) if "nrt\\'\"".contains(code) => {
                characters.next();
                result.push(match code {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => other,
                });
            }
            _ => result.push(character),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn fragments_stand_on_lines_of_their_own() {
        let fragments = ["a\n", "b", "", "c\n"].map(|text| text.as_bytes().to_vec());
        for (delimiter, expect) in [(None, "a\nb\n\nc\n"), (Some(""), "a\nb\n\nc\n"), (Some("-\\n-"), "a\n-\n-\nb\n-\n-\n\n-\n-\nc\n")] {
            assert_eq!(String::from_utf8_lossy(&joined(&fragments, delimiter)), expect, "{delimiter:?}");
        }
    }
}
