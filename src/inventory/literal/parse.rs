//! The grammar of Python literals on one line.

/// Deeper nesting than this is left as text.
const DEEPEST: usize = 100;

/// A literal of Python. Tuples and sets are lists.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Complex(f64, f64),
    Text(String),
    Bytes(String),
    Ellipsis,
    List(Vec<Literal>),
    Map(Vec<(Literal, Literal)>),
}

/// The literal that a whole text is; `None` when it is something else.
pub(super) fn literal(text: &str) -> Option<Literal> {
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']), depth: 0 };
    let value = parser.tuple()?;
    parser.skip_blanks();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\u{c}', '\r', '\n']);
        if self.rest.starts_with('#') {
            self.rest = "";
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        true
    }

    fn at_end_of(&mut self, closers: &[char]) -> bool {
        self.skip_blanks();
        self.rest.is_empty() || self.rest.starts_with(closers)
    }

    /// A value, or several with commas and no brackets.
    fn tuple(&mut self) -> Option<Literal> {
        let first = self.value()?;
        if !self.take(",") {
            return Some(first);
        }
        let mut items = vec![first];
        while !self.at_end_of(&[')']) {
            items.push(self.value()?);
            if !self.take(",") {
                break;
            }
        }
        Some(Literal::List(items))
    }

    fn value(&mut self) -> Option<Literal> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.skip_blanks();
        let value = match self.rest.chars().next()? {
            '[' => self.list(),
            '(' => self.parenthesised(),
            '{' => self.braces(),
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Option<Literal> {
        self.take("[");
        self.items(']').map(Literal::List)
    }

    fn items(&mut self, close: char) -> Option<Vec<Literal>> {
        let mut items = Vec::new();
        while !self.at_end_of(&[close]) {
            items.push(self.value()?);
            if !self.take(",") {
                break;
            }
        }
        self.take(close.encode_utf8(&mut [0; 4])).then_some(items)
    }

    fn parenthesised(&mut self) -> Option<Literal> {
        self.take("(");
        if self.take(")") {
            return Some(Literal::List(Vec::new()));
        }
        let value = self.tuple()?;
        self.take(")").then_some(value)
    }

    fn braces(&mut self) -> Option<Literal> {
        self.take("{");
        if self.take("}") {
            return Some(Literal::Map(Vec::new()));
        }
        let first = self.value()?;
        if !self.take(":") {
            let more = if self.take(",") { self.items('}')? } else { self.take("}").then(Vec::new)? };
            let mut set: Vec<Literal> = Vec::new();
            for item in std::iter::once(first).chain(more) {
                if !hashable(&item) {
                    return None;
                }
                if !set.contains(&item) {
                    set.push(item);
                }
            }
            return Some(Literal::List(set));
        }
        let mut map: Vec<(Literal, Literal)> = Vec::new();
        let mut key = first;
        loop {
            let value = self.value()?;
            if !hashable(&key) {
                return None;
            }
            match map.iter_mut().find(|(known, _)| *known == key) {
                Some((_, old)) => *old = value,
                None => map.push((key, value)),
            }
            if !self.take(",") || self.at_end_of(&['}']) {
                break;
            }
            key = self.value()?;
            if !self.take(":") {
                return None;
            }
        }
        self.take("}").then_some(Literal::Map(map))
    }

    fn number(&mut self) -> Option<Literal> {
        if self.rest.starts_with("...") {
            self.rest = &self.rest[3..];
            return Some(Literal::Ellipsis);
        }
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        self.skip_blanks();
        let number = self.unsigned()?;
        let number = match (negative, number) {
            (true, Literal::Int(value)) => Literal::Int(-value),
            (true, Literal::Float(value)) => Literal::Float(-value),
            (true, Literal::Complex(real, imaginary)) => Literal::Complex(-real, -imaginary),
            (_, other) => other,
        };
        let real = match number {
            #[expect(clippy::cast_precision_loss, reason = "as Python does it")]
            Literal::Int(value) => value as f64,
            Literal::Float(value) => value,
            other => return Some(other),
        };
        let minus = self.take("-");
        if !minus && !self.take("+") {
            return Some(number);
        }
        self.skip_blanks();
        match self.unsigned()? {
            Literal::Complex(_, imaginary) => Some(Literal::Complex(real, if minus { -imaginary } else { imaginary })),
            _ => None,
        }
    }

    fn unsigned(&mut self) -> Option<Literal> {
        let lower = self.rest.get(..2).map(str::to_ascii_lowercase);
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if lower.as_deref() == Some(prefix) {
                self.rest = &self.rest[2..];
                self.rest = self.rest.strip_prefix('_').unwrap_or(self.rest);
                let digits = self.digits(radix)?;
                return self.ends_here().then(|| i128::from_str_radix(&digits, radix).ok().map(Literal::Int)).flatten();
            }
        }
        let whole = if self.rest.starts_with('.') { None } else { Some(self.digits(10)?) };
        let mut text = whole.clone().unwrap_or_default();
        let mut is_float = false;
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            is_float = true;
            let fraction = if rest.starts_with(|next: char| next.is_ascii_digit()) { Some(self.digits(10)?) } else { None };
            if whole.is_none() && fraction.is_none() {
                return None;
            }
            text.push('.');
            text.push_str(&fraction.unwrap_or_default());
        }
        if let Some(rest) = self.rest.strip_prefix(['e', 'E']) {
            is_float = true;
            text.push('e');
            self.rest = rest;
            if let Some(sign) = rest.chars().next().filter(|sign| matches!(sign, '+' | '-')) {
                text.push(sign);
                self.rest = &rest[1..];
            }
            text.push_str(&self.digits(10)?);
        }
        if let Some(rest) = self.rest.strip_prefix(['j', 'J']) {
            self.rest = rest;
            return self.ends_here().then(|| text.parse().ok().map(|value| Literal::Complex(0.0, value))).flatten();
        }
        if !self.ends_here() {
            return None;
        }
        if is_float {
            return text.parse().ok().map(Literal::Float);
        }
        // Python refuses 0644, for it might be meant as octal; 00 is zero.
        if text.starts_with('0') && !text.trim_matches('0').is_empty() {
            return None;
        }
        text.parse().ok().map(Literal::Int)
    }

    /// Digits with single underscores between them.
    fn digits(&mut self, radix: u32) -> Option<String> {
        let mut digits = String::new();
        let mut characters = self.rest.char_indices().peekable();
        let mut end = self.rest.len();
        while let Some((at, character)) = characters.next() {
            let joins = character == '_' && characters.peek().is_some_and(|(_, next)| next.is_digit(radix));
            if character.is_digit(radix) {
                digits.push(character);
            } else if digits.is_empty() || !joins {
                end = at;
                break;
            }
        }
        self.rest = &self.rest[end..];
        (!digits.is_empty()).then_some(digits)
    }

    /// No word character follows a number.
    fn ends_here(&self) -> bool {
        !self.rest.starts_with(|next: char| next.is_alphanumeric() || next == '_' || next == '.')
    }

    fn word(&mut self) -> Option<Literal> {
        if let Some(text) = self.strings() {
            return Some(text);
        }
        for (word, value) in [("True", Literal::Bool(true)), ("False", Literal::Bool(false)), ("None", Literal::None)] {
            if let Some(rest) = self.rest.strip_prefix(word)
                && !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
            {
                self.rest = rest;
                return Some(value);
            }
        }
        if self.rest.starts_with("set") {
            self.rest = &self.rest[3..];
            return (self.take("(") && self.take(")")).then(|| Literal::List(Vec::new()));
        }
        None
    }

    /// One string, or several in a row, which are one.
    fn strings(&mut self) -> Option<Literal> {
        let (mut text, bytes) = self.string()?;
        loop {
            let before = self.rest;
            self.skip_blanks();
            match self.string() {
                Some((more, also_bytes)) if also_bytes == bytes => text.push_str(&more),
                Some(_) => return None,
                None => {
                    self.rest = before;
                    break;
                }
            }
        }
        Some(if bytes { Literal::Bytes(text) } else { Literal::Text(text) })
    }

    fn string(&mut self) -> Option<(String, bool)> {
        let quote_at = self.rest.find(['\'', '"'])?;
        let prefix = self.rest[..quote_at].to_ascii_lowercase();
        let (raw, bytes) = match prefix.as_str() {
            "" | "u" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "br" | "rb" => (true, true),
            _ => return None,
        };
        let after = &self.rest[quote_at..];
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| after.starts_with(quote))?;
        let mut characters = after[quote.len()..].char_indices();
        let mut text = String::new();
        let base = quote.len();
        while let Some((at, character)) = characters.next() {
            if after[base + at..].starts_with(quote) {
                self.rest = &after[base + at + quote.len()..];
                return (!bytes || text.is_ascii()).then_some((text, bytes));
            }
            match character {
                '\\' if raw => {
                    text.push('\\');
                    text.push(characters.next()?.1);
                }
                '\\' => text.push_str(&escape(&mut characters, bytes)?),
                other => text.push(other),
            }
        }
        None
    }
}

fn escape(characters: &mut std::str::CharIndices<'_>, bytes: bool) -> Option<String> {
    let (_, character) = characters.next()?;
    let hexadecimal = |characters: &mut std::str::CharIndices<'_>, count: usize| {
        let digits = characters.as_str().get(..count).filter(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()))?;
        let code = u32::from_str_radix(digits, 16).ok()?;
        characters.nth(count - 1)?;
        char::from_u32(code)
    };
    Some(match character {
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        'r' => "\r".to_owned(),
        'a' => "\u{7}".to_owned(),
        'b' => "\u{8}".to_owned(),
        'f' => "\u{c}".to_owned(),
        'v' => "\u{b}".to_owned(),
        '\n' => String::new(),
        '\\' | '\'' | '"' => character.to_string(),
        'x' => hexadecimal(characters, 2)?.to_string(),
        'u' if !bytes => hexadecimal(characters, 4)?.to_string(),
        'U' if !bytes => hexadecimal(characters, 8)?.to_string(),
        'N' if !bytes => return None,
        '0'..='7' => {
            let mut code = character.to_digit(8)?;
            for _ in 0..2 {
                let Some(digit) = characters.as_str().chars().next().and_then(|next| next.to_digit(8)) else { break };
                code = code * 8 + digit;
                characters.next();
            }
            char::from_u32(code)?.to_string()
        }
        other => format!("\\{other}"),
    })
}

fn hashable(literal: &Literal) -> bool {
    !matches!(literal, Literal::List(_) | Literal::Map(_))
}

#[cfg(test)]
mod tests {
    use super::Literal::{self, Bool, Bytes, Complex, Float, Int, List, Map, Text};
    use super::literal;

    #[test]
    fn literals_are_pythons() {
        let text = |text: &str| Text(text.to_owned());
        for (source, expect) in [
            ("23", Int(23)),
            ("1_000", Int(1000)),
            ("0x1F", Int(31)),
            ("0o17", Int(15)),
            ("0b11", Int(3)),
            ("-5", Int(-5)),
            ("+5", Int(5)),
            ("00", Int(0)),
            ("3.10", Float(3.1)),
            ("1e3", Float(1000.0)),
            (".5", Float(0.5)),
            ("1.", Float(1.0)),
            ("1_0.0", Float(10.0)),
            ("1+2j", Complex(1.0, 2.0)),
            ("23 # a comment", Int(23)),
            ("True", Bool(true)),
            ("None", Literal::None),
            ("...", Literal::Ellipsis),
            ("'a' \"b\"", text("ab")),
            ("b'x'", Bytes("x".to_owned())),
            ("u'x'", text("x")),
            (r"r'\n'", text(r"\n")),
            (r"'C:\new\q\x41\u00e4\101'", text("C:\new\\qAäA")),
            ("'''it's'''", text("it's")),
            ("1,2", List(vec![Int(1), Int(2)])),
            ("1,", List(vec![Int(1)])),
            ("(1)", Int(1)),
            ("()", List(vec![])),
            ("[1, [2,],]", List(vec![Int(1), List(vec![Int(2)])])),
            ("{1,2,1}", List(vec![Int(1), Int(2)])),
            ("set()", List(vec![])),
            ("{'a': 1, 2: None, 'a': 3}", Map(vec![(text("a"), Int(3)), (Int(2), Literal::None)])),
            ("{}", Map(vec![])),
        ] {
            assert_eq!(literal(source), Some(expect), "{source}");
        }
    }

    #[test]
    fn everything_else_is_text() {
        for source in [
            "",
            "#x",
            "yes",
            "true",
            "null",
            "0644",
            "007",
            "1.10.2",
            "10.0.0.1",
            "1__0",
            "1_",
            "_1",
            "12:30",
            "1 + 1",
            "--5",
            "-True",
            "'a' b'b'",
            "'open",
            "[1",
            "{'a' 1}",
            "{'a': true}",
            "{{ foo }}",
            "{[1]}",
            "inf",
            "nan",
            "Truely",
            "1if",
            "0x",
            "\\",
            "f'x'",
            "a,b",
            ",",
        ] {
            assert_eq!(literal(source), None, "{source}");
        }
        assert_eq!(literal(&"[".repeat(100_000)), None);
    }
}
