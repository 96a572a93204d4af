//! The lookup `sequence`: numbers counted and formatted.

use minijinja::{Error, Value};

use super::arguments::Arguments;
use super::format::python_format;
use super::numbers::parse_int;
use super::python::{as_integer, fail, integer_value, text};

/// What to count.
struct Sequence {
    start: i128,
    end: Option<i128>,
    count: Option<i128>,
    stride: i128,
    format: String,
}

/// The formatted numbers of all terms.
pub(crate) fn generate(terms: &[Value], call: &Arguments) -> Result<Vec<Value>, Error> {
    let empty = [Value::from("")];
    // All may be said by keywords; without any there is nothing to count.
    let terms = if terms.is_empty() && !call.named.is_empty() { &empty } else { terms };
    let mut items = Vec::new();
    for term in terms {
        let mut sequence = Sequence { start: 1, end: None, count: None, stride: 1, format: "%d".to_owned() };
        for (name, value) in call.named.iter().filter(|(name, _)| name != "wantlist" && name != "errors") {
            sequence.set(name, value)?;
        }
        let term = text(term);
        if !term.is_empty() && !sequence.read_short(&term) {
            for word in term.split_whitespace() {
                let (name, value) =
                    word.split_once('=').ok_or_else(|| fail(format!("the with_sequence term '{term}' has an invalid value")))?;
                sequence.set(name, &Value::from(value.trim_matches(['"', '\''])))?;
            }
        }
        items.extend(sequence.items()?);
    }
    Ok(items)
}

/// A number in decimal, hexadecimal or octal.
fn number(source: &str) -> Option<i128> {
    match source.strip_prefix('0').filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(digits) => i128::from_str_radix(digits, 8).ok(),
        None => parse_int(source, 0),
    }
}

impl Sequence {
    fn set(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        let read = || {
            as_integer(value)
                .or_else(|| number(&text(value)))
                .ok_or_else(|| fail(format!("the with_sequence argument '{name}' has an invalid value: {}", text(value))))
        };
        match name {
            "start" => self.start = read()?,
            "end" => self.end = Some(read()?),
            "count" => self.count = Some(read()?),
            "stride" => self.stride = read()?,
            "format" => self.format = text(value),
            _ => return Err(fail(format!("unrecognized arguments to with_sequence: ['{name}']"))),
        }
        Ok(())
    }

    /// `[start-]end[/stride][:format]`.
    fn read_short(&mut self, term: &str) -> bool {
        let (range, format) = term.split_once(':').map_or((term, None), |(range, format)| (range, Some(format)));
        let (range, stride) = range.split_once('/').map_or((range, None), |(range, stride)| (range, Some(stride)));
        let (start, end) = range.split_once('-').map_or((None, range), |(start, end)| (Some(start), end));
        let (Some(end), start, stride) = (number(end), start.map(number), stride.map(number)) else { return false };
        if start == Some(None) || stride == Some(None) {
            return false;
        }
        self.end = Some(end);
        self.start = start.flatten().unwrap_or(self.start);
        self.stride = stride.flatten().unwrap_or(self.stride);
        if let Some(format) = format {
            format.clone_into(&mut self.format);
        }
        true
    }

    fn items(&self) -> Result<Vec<Value>, Error> {
        let end = match (self.count, self.end) {
            (None, None) => return Err(fail("must specify count or end in with_sequence")),
            (Some(_), Some(_)) => return Err(fail("can't specify both count and end in with_sequence")),
            (Some(0), None) => return Ok(Vec::new()),
            (Some(count), None) => self.start + count * self.stride - 1,
            (None, Some(end)) => end,
        };
        if self.stride > 0 && end < self.start {
            return Err(fail("to count backwards make stride negative"));
        }
        if self.stride < 0 && end > self.start {
            return Err(fail("to count forward don't make stride negative"));
        }
        if self.format.matches('%').count() != 1 {
            return Err(fail(format!("bad formatting string: {}", self.format)));
        }
        let (mut items, mut length) = (Vec::new(), 0);
        let mut current = self.start;
        while self.stride != 0 && if self.stride > 0 { current <= end } else { current >= end } {
            if items.len() >= 1_000_000 {
                return Err(fail("with_sequence counts over a million items"));
            }
            let number = python_format(&self.format, &integer_value(current))?;
            length += number.len();
            crate::limits::text(length)?;
            items.push(Value::from(number));
            current += self.stride;
        }
        Ok(items)
    }
}
