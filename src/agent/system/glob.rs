//! Shell patterns for paths, as Python's `glob` and `fnmatch` read them.

use std::path::{Path, PathBuf};

/// All paths that match, sorted. Names that begin with a dot match only patterns that do.
pub(crate) fn expand(list: &dyn Fn(&Path) -> Vec<PathBuf>, is_there: &dyn Fn(&Path) -> bool, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = if part.contains(['*', '?', '[']) {
            found
                .iter()
                .flat_map(|folder| list(folder).into_iter().map(|name| (folder.clone(), name)))
                .filter_map(|(folder, name)| {
                    let text = name.to_str()?;
                    (matches(part, text) && (part.starts_with('.') || !text.starts_with('.'))).then(|| folder.join(&name))
                })
                .collect()
        } else {
            found.into_iter().map(|folder| folder.join(part)).filter(|path| is_there(path)).collect()
        };
    }
    found.sort();
    found
}

/// True when all of `text` matches the pattern.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, here));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(next) = one(&pattern, at, text[here]) {
                    at = next;
                    here += 1;
                    continue;
                }
            }
            None => {}
        }
        let Some((star_at, star_here)) = star else { return false };
        star = Some((star_at, star_here + 1));
        at = star_at + 1;
        here = star_here + 1;
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// Where the pattern goes on when its element at `at` takes `letter`.
fn one(pattern: &[char], at: usize, letter: char) -> Option<usize> {
    match pattern[at] {
        '?' => Some(at + 1),
        '[' => {
            let negated = matches!(pattern.get(at + 1), Some('!' | '^'));
            let start = at + 1 + usize::from(negated);
            // A bracket right at the start is a member, and a set that is never closed is just a bracket.
            let Some(close) = (start + 1..pattern.len()).find(|index| pattern[*index] == ']') else {
                return (letter == '[').then_some(at + 1);
            };
            (is_member(&pattern[start..close], letter) != negated).then_some(close + 1)
        }
        other => (other == letter).then_some(at + 1),
    }
}

fn is_member(set: &[char], letter: char) -> bool {
    let mut rest = set;
    while let [first, tail @ ..] = rest {
        rest = match tail {
            ['-', last, after @ ..] => {
                if (*first..=*last).contains(&letter) {
                    return true;
                }
                after
            }
            _ if *first == letter => return true,
            _ => tail,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_fnmatch_has_it() {
        for (pattern, text, expect) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*.con?", "x.conf", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[x", "[x", true),
            ("a[", "a[", true),
            ("ansible_*_mb", "ansible_memtotal_mb", true),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} {text}");
        }
    }
}
