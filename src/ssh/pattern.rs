//! Wildcard patterns as ssh_config and known_hosts write them: `*`, `?`, and `!` in lists.

/// Whether `text` matches `pattern`, where `*` stands for any run of characters and `?` for one. Case matters.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        if at < pattern.len() && pattern[at] == '*' {
            star = Some((at, from));
            at += 1;
        } else if at < pattern.len() && (pattern[at] == '?' || pattern[at] == text[from]) {
            at += 1;
            from += 1;
        } else if let Some((star_at, star_from)) = star {
            at = star_at + 1;
            from = star_from + 1;
            star = Some((star_at, star_from + 1));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Whether a list of patterns takes `text`: at least one matches, and none that starts with `!` does.
pub(crate) fn list_matches<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, text) => return false,
            Some(_) => {}
            None => found = found || matches(pattern, text),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expect) in [
            ("*", "", true),
            ("*", "a.b", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("?", "", false),
            ("10.0.?.1", "10.0.5.1", true),
            ("10.0.?.1", "10.0.55.1", false),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "example.com", false),
            ("a*b*c", "a-b-b-c", true),
            ("DB", "db", false),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} on {text}");
        }
    }

    #[test]
    fn lists_with_negation() {
        assert!(list_matches(["*.lan", "!old.lan"], "db.lan"));
        assert!(!list_matches(["*.lan", "!old.lan"], "old.lan"));
        assert!(!list_matches(["!old.lan"], "db.lan"), "a list of negations alone takes nothing");
    }
}
