//! What a text of a playbook may ask for: limits far above what anybody needs, below what would exhaust memory, stack or patience.

use minijinja::{Error, ErrorKind};

use crate::Problem;

/// A program that is not optimised takes far longer for each value, and so do its tests.
const SCALE: usize = if cfg!(debug_assertions) { 10 } else { 1 };

/// Bytes of a text that an expression makes.
pub(crate) const LONGEST_TEXT: usize = 32 * 1024 * 1024;
/// Items of a list that a filter makes of fewer.
const MOST_ITEMS: usize = 2_000_000;
/// Values inside of one value, however often the same one is part of it: lists that hold each other double with each.
const MOST_VALUES: usize = 2_000_000 / SCALE;
/// Parts of values that are compared at once, those of lists that hold each other as often as they are met.
const MOST_COMPARED: usize = 500_000 / SCALE;
/// Steps of one evaluation. A loop over a hundred thousand lines needs about a million.
pub(crate) const MOST_STEPS: u64 = 10_000_000;
/// Templates that call each other.
pub(crate) const DEEPEST_CALL: usize = 100;
/// Templates that one rendering loads by names that it computes, or extends.
pub(crate) const MOST_LOADED: usize = 5_000;
/// Templates that look each other up.
pub(crate) const DEEPEST_LOOKUP: usize = 10;
/// Words and signs of one expression between commas and brackets: each may be a step deeper into the stack of the compiler.
const LONGEST_CHAIN: usize = 400;
/// Brackets inside of each other.
const DEEPEST_BRACKETS: usize = 50;

/// A width that text can be padded to; the text itself is refused later when it is over the limit.
pub(crate) fn width(wanted: usize) -> usize {
    wanted.min(LONGEST_TEXT + 1)
}

/// Refuses a text that is too long.
pub(crate) fn text(length: usize) -> Result<(), Error> {
    match length > LONGEST_TEXT {
        true => Err(refused(format!("this makes a text of more than {} MiB", LONGEST_TEXT >> 20))),
        false => Ok(()),
    }
}

/// Refuses a list that is too long: `rows` times `columns` items.
pub(crate) fn items(rows: usize, columns: usize) -> Result<(), Error> {
    match rows.saturating_mul(columns) > MOST_ITEMS {
        true => Err(refused(format!("this makes a list of more than {MOST_ITEMS} items"))),
        false => Ok(()),
    }
}

/// Counts the values inside of one.
pub(crate) struct Values(usize);

impl Values {
    pub(crate) fn new() -> Self {
        Self(MOST_VALUES)
    }

    /// Counts one more, and refuses the one that is too many.
    pub(crate) fn one(&mut self) -> Result<(), Problem> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| Problem::new(format!("this makes a value of more than {MOST_VALUES} parts")))?;
        Ok(())
    }
}

/// Counts what is compared.
pub(crate) struct Compared(usize);

impl Compared {
    pub(crate) fn new() -> Self {
        Self(MOST_COMPARED)
    }

    /// Counts one more part, and refuses the one that is too many.
    pub(crate) fn one(&mut self) -> Result<(), Error> {
        let refusal = || refused(format!("this compares values of more than {MOST_COMPARED} parts"));
        self.0 = self.0.checked_sub(1).ok_or_else(refusal)?;
        Ok(())
    }
}

/// Refuses source whose expressions are chains too long for the stack of the compiler. Strings and plain text count for nothing.
pub(crate) fn source(source: &str, mut inside: bool) -> Result<(), Error> {
    let whole = inside;
    let mut levels = vec![0_usize];
    let mut quote = None;
    let mut in_word = false;
    let mut characters = source.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        if !inside {
            if character == '{' && matches!(next, Some('{' | '%')) {
                characters.next();
                (inside, levels, in_word) = (true, vec![0], false);
            }
            continue;
        }
        if let Some(open) = quote {
            match character {
                '\\' => drop(characters.next()),
                close if close == open => quote = None,
                _ => {}
            }
            continue;
        }
        let is_word = character.is_alphanumeric() || character == '_';
        if is_word && in_word {
            continue;
        }
        in_word = is_word;
        match character {
            '}' | '%' if !whole && next == Some('}') && levels.len() == 1 => inside = false,
            '\'' | '"' => quote = Some(character),
            '(' | '[' | '{' if levels.len() > DEEPEST_BRACKETS => {
                return Err(Error::new(ErrorKind::SyntaxError, format!("brackets more than {DEEPEST_BRACKETS} deep")));
            }
            '(' | '[' | '{' => levels.push(0),
            ')' | ']' | '}' if levels.len() > 1 => drop(levels.pop()),
            ',' => drop(levels.last_mut().map(|level| *level = 0)),
            space if space.is_whitespace() => continue,
            _ => {}
        }
        let Some(level) = levels.last_mut() else { continue };
        *level += 1;
        if *level > LONGEST_CHAIN {
            return Err(Error::new(ErrorKind::SyntaxError, format!("an expression of more than {LONGEST_CHAIN} parts in a row")));
        }
    }
    Ok(())
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_counted_between_commas_and_outside_of_text() {
        let long = |piece: &str| piece.repeat(LONGEST_CHAIN);
        for (text, inside, expect) in [
            (long("a."), true, false),
            (long("not ") + "a", true, false),
            (long("1+") + "1", true, false),
            (format!("[{}]", long("1,2,")), true, true),
            (format!("'{}'", long("a.")), true, true),
            (long("a."), false, true),
            (format!("{{{{ {}1 }}}}", long("-")), false, false),
            (long("{{ a }} b.c.d.e {% if x %}y{% endif %}"), false, true),
            (format!("{{{{ {{'a': {{'b': 1}}}} }}}}{}", long("a.")), false, true),
            (format!("{{{{ f({}) }}}}", long("(a, b), ")), false, true),
            ("(".repeat(DEEPEST_BRACKETS) + "1" + &")".repeat(DEEPEST_BRACKETS), true, true),
            ("x | f(".repeat(DEEPEST_BRACKETS + 1), true, false),
            (format!("'{}'", "(".repeat(DEEPEST_BRACKETS + 1)), true, true),
        ] {
            let shown: String = text.chars().take(40).collect();
            assert_eq!(source(&text, inside).is_ok(), expect, "{shown}");
        }
    }
}
