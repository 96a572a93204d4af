//! What is wrong with something that a person wrote, where, and what to do about it.

use std::fmt;

use crate::Place;

/// One problem: the message, its place, the line as it stands in the file, and a next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// The line of the file, for showing under the message.
    pub excerpt: Option<Box<str>>,
    /// What to do, or what may have been meant.
    pub hint: Option<String>,
    /// How it came to this: `while resolving variable 'a'`, innermost first.
    pub trail: Vec<String>,
}

impl Problem {
    /// A problem that has no place yet.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, excerpt: None, hint: None, trail: Vec::new() }
    }

    /// True where it is that something is undefined, which `default` and `is defined` catch.
    #[must_use]
    pub fn is_undefined(&self) -> bool {
        self.message.ends_with("is undefined")
    }

    /// The same problem with a place, unless it already has one.
    #[must_use]
    pub fn at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    /// The same problem with the line that it stands in, unless it already has one.
    #[must_use]
    pub fn with_excerpt(mut self, line: impl Into<String>) -> Self {
        self.excerpt.get_or_insert_with(|| line.into().into());
        self
    }

    /// The same problem with a next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem, seen from further out.
    #[must_use]
    pub fn within(mut self, step: impl Into<String>) -> Self {
        self.trail.push(step.into());
        self
    }

    /// The same problem with a suggestion when one of the known words is close to the one written.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(word, known) {
            Some(suggestion) => self.with_hint(format!("did you mean '{suggestion}'?")),
            None => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        formatter.write_str(&self.message)?;
        for step in &self.trail {
            write!(formatter, ", {step}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// The known word that is closest to the one written, if one is close enough to be meant.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        // Of a word of one sign nothing would remain.
        .filter(|(steps, candidate)| *steps <= limit && *steps < word.chars().count() && *candidate != word)
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other, whatever the case.
#[must_use]
pub fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.to_lowercase().chars().collect(), right.to_lowercase().chars().collect());
    let mut before = vec![0; right.len() + 1];
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let mut steps = (above[column] + usize::from(a != b)).min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                steps = steps.min(before[column - 1] + 1);
            }
            current.push(steps);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn suggestions_are_close_or_absent() {
        let known = ["template", "copy", "systemd", "service"];
        for (word, expect) in [("tempalte", Some("template")), ("systemdd", Some("systemd")), ("kubectl", None), ("cpoy", Some("copy"))] {
            assert_eq!(closest(word, known), expect, "{word}");
        }
    }
}
