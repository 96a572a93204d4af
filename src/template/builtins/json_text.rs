//! Reading JSON as Python's `json.loads` does: `NaN` and `Infinity` are numbers, integers keep all digits, and mistakes are told in its words.

use minijinja::{Error, Value};

use super::python::fail;

/// How deep lists and mappings may stand in each other.
const DEEPEST: usize = 128;

/// The value of a text.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn read(text: &str) -> Result<Value, Error> {
    let mut reader = Reader { text, at: 0 };
    reader.blanks();
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at < text.len() { Err(reader.mistake("Extra data", reader.at)) } else { Ok(value) }
}

struct Reader<'t> {
    text: &'t str,
    /// The byte that comes next.
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_there = self.text[self.at..].starts_with(word);
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    fn mistake(&self, what: &str, at: usize) -> Error {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        fail(format!("{what}: line {line} column {column} (char {})", before.chars().count()))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > DEEPEST {
            return Err(fail(format!("JSON of more than {DEEPEST} levels cannot be read")));
        }
        match self.peek() {
            Some(b'"') => self.string().map(Value::from),
            Some(b'{') => self.mapping(depth),
            Some(b'[') => self.list(depth),
            _ => self.word_or_number(),
        }
    }

    fn word_or_number(&mut self) -> Result<Value, Error> {
        let words = [
            ("null", Value::from(())),
            ("true", Value::from(true)),
            ("false", Value::from(false)),
            ("NaN", Value::from(f64::NAN)),
            ("Infinity", Value::from(f64::INFINITY)),
            ("-Infinity", Value::from(f64::NEG_INFINITY)),
        ];
        match words.into_iter().find(|(word, _)| self.takes(word)) {
            Some((_, value)) => Ok(value),
            None => self.number(),
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| rest.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let first = usize::from(rest.first() == Some(&b'-'));
        let whole = if rest.get(first) == Some(&b'0') { 1 } else { digits(first) };
        if whole == 0 {
            return Err(self.mistake("Expecting value", self.at));
        }
        let mut end = first + whole;
        if rest.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if matches!(rest.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let power = digits(end + 1 + sign);
            end += if power > 0 { 1 + sign + power } else { 0 };
        }
        let written = &self.text[self.at..self.at + end];
        self.at += end;
        if end > first + whole {
            return written.parse::<f64>().map(Value::from).map_err(|error| fail(format!("'{written}': {error}")));
        }
        match (written.parse::<i64>(), written.parse::<i128>()) {
            (Ok(number), _) => Ok(Value::from(number)),
            (_, Ok(number)) => Ok(Value::from(number)),
            _ => Err(fail(format!("the integer {written} has more than 128 bits"))),
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        let begin = self.at;
        let bytes = self.text.as_bytes();
        let mut end = begin + 1;
        loop {
            match bytes.get(end) {
                None => return Err(self.mistake("Unterminated string starting at", begin)),
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(byte) if *byte < b' ' => return Err(self.mistake("Invalid control character at", end)),
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        let written = &self.text[begin..=end];
        if !written.contains('\\') {
            return Ok(written[1..written.len() - 1].to_owned());
        }
        serde_json::from_str(written).map_err(|error| self.mistake(&format!("Invalid \\escape ({error})"), begin))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        self.blanks();
        let mut items: Vec<Value> = Vec::new();
        if self.takes("]") {
            return Ok(Value::from(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.takes("]") {
                return Ok(Value::from(items));
            }
            self.comma()?;
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        self.blanks();
        let mut entries: Vec<(Value, Value)> = Vec::new();
        if self.takes("}") {
            return Ok(Value::from_pairs(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.mistake("Expecting property name enclosed in double quotes", self.at));
            }
            let name = self.string()?;
            self.blanks();
            if !self.takes(":") {
                return Err(self.mistake("Expecting ':' delimiter", self.at));
            }
            self.blanks();
            entries.push((Value::from(name), self.value(depth + 1)?));
            self.blanks();
            if self.takes("}") {
                return Ok(Value::from_pairs(entries));
            }
            self.comma()?;
        }
    }

    fn comma(&mut self) -> Result<(), Error> {
        if !self.takes(",") {
            return Err(self.mistake("Expecting ',' delimiter", self.at));
        }
        self.blanks();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn json_is_read_as_python_reads_it() {
        let table = [
            ("{\"a\": Infinity, \"b\": [-Infinity, NaN]}", "{'a': inf, 'b': [-inf, nan]}"),
            ("12345678901234567890123", "12345678901234567890123"),
            (" [1, -0, 1.5e3, 1E-2, \"\\u00e4\\n\", {}, []] ", "[1, 0, 1500.0, 0.01, 'ä\\n', {}, []]"),
            ("{\"a\": 1, \"b\": 2, \"a\": null}", "{'a': None, 'b': 2}"),
        ];
        for (text, expect) in table {
            assert_eq!(super::super::python_str(&read(text).expect(text)), expect, "{text}");
        }
    }

    /// Recorded from Python 3.11.
    #[test]
    fn mistakes_are_told_in_pythons_words() {
        let table = [
            ("{\"a\": tru}", "Expecting value: line 1 column 7 (char 6)"),
            ("{a:1}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
            ("[1,]", "Expecting value: line 1 column 4 (char 3)"),
            ("{\"a\":1,}", "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)"),
            ("\"abc", "Unterminated string starting at: line 1 column 1 (char 0)"),
            ("", "Expecting value: line 1 column 1 (char 0)"),
            ("  ", "Expecting value: line 1 column 3 (char 2)"),
            ("[1 2]", "Expecting ',' delimiter: line 1 column 4 (char 3)"),
            ("{\"a\" 1}", "Expecting ':' delimiter: line 1 column 6 (char 5)"),
            ("1 2", "Extra data: line 1 column 3 (char 2)"),
            ("\"\u{1}\"", "Invalid control character at: line 1 column 2 (char 1)"),
            ("-", "Expecting value: line 1 column 1 (char 0)"),
            ("01", "Extra data: line 1 column 2 (char 1)"),
            ("1.", "Extra data: line 1 column 2 (char 1)"),
            ("[\n\"ä\",\n", "Expecting value: line 3 column 1 (char 7)"),
        ];
        for (text, expect) in table {
            assert_eq!(read(text).expect_err(text).detail(), Some(expect), "{text}");
        }
        assert!(read(&"[".repeat(1000)).is_err());
        assert!(read(&"9".repeat(50)).is_err());
        assert!(read("\"\\x\"").is_err());
    }
}
