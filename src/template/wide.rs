//! Numbers that `serde_json` does not hold (whole ones of more than 64 bits, `Infinity`, `NaN`) inside of its values: text behind a mark, which
//! no text has otherwise. Whoever shows such values takes the mark off; agents never see it.

use std::io;

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::Value;

/// One of the code points that Unicode keeps for uses inside of programs.
const MARK: char = '\u{fdd0}';

/// A number that is written so in JSON.
pub(crate) fn number(written: &str) -> Json {
    Json::from(format!("{MARK}{written}"))
}

/// How a number is written in JSON; `None` for what is no such number.
#[must_use]
pub fn written(value: &Json) -> Option<&str> {
    unmarked(value.as_str()?)
}

fn unmarked(text: &str) -> Option<&str> {
    let number = text.strip_prefix(MARK)?;
    (["Infinity", "-Infinity", "NaN"].contains(&number) || number.parse::<i128>().is_ok()).then_some(number)
}

/// The number of a marked text.
pub(crate) fn value(text: &str) -> Option<Value> {
    let number = unmarked(text)?;
    number.parse::<i128>().map(Value::from).or_else(|_| number.parse::<f64>().map(Value::from)).ok()
}

/// Puts the text that Python has for such numbers in their place, however deep they stand.
pub fn spell_out(value: &mut Json) {
    match value {
        Json::String(text) => {
            if let Some(number) = unmarked(text) {
                *text = match number {
                    "Infinity" => "inf",
                    "-Infinity" => "-inf",
                    "NaN" => "nan",
                    digits => digits,
                }
                .to_owned();
            }
        }
        Json::Array(items) => items.iter_mut().for_each(spell_out),
        Json::Object(map) => map.values_mut().for_each(spell_out),
        _ => {}
    }
}

/// Anything as JSON with these numbers in it: as Python writes it, and with `Infinity` and `NaN` more than JSON is.
///
/// # Errors
/// When it cannot be written.
pub fn to_text(value: &impl Serialize, layout: Layout) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    match layout {
        Layout::Line => value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Bare::over(CompactFormatter)))?,
        Layout::Indented => value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Bare::over(PrettyFormatter::new())))?,
    }
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// On one line.
    Line,
    /// A line for each entry.
    Indented,
}

/// Writes marked text without quotes and mark.
struct Bare<F> {
    inner: F,
    /// A text has begun, its quote is not written yet.
    begins: bool,
    is_number: bool,
}

impl<F> Bare<F> {
    const fn over(inner: F) -> Self {
        Self { inner, begins: false, is_number: false }
    }

    fn quote<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if std::mem::take(&mut self.begins) { writer.write_all(b"\"") } else { Ok(()) }
    }
}

impl<F: Formatter> Formatter for Bare<F> {
    fn begin_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.begins = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if let Some(number) = unmarked(fragment).filter(|_| self.begins) {
            (self.begins, self.is_number) = (false, true);
            return writer.write_all(number.as_bytes());
        }
        self.quote(writer)?;
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: serde_json::ser::CharEscape) -> io::Result<()> {
        self.quote(writer)?;
        self.inner.write_char_escape(writer, escape)
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.quote(writer)?;
        if std::mem::take(&mut self.is_number) { Ok(()) } else { writer.write_all(b"\"") }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inner.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inner.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.inner.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inner.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inner.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inner.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.inner.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inner.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inner.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Layout, spell_out, to_text, written};
    use crate::{Value, from_json, to_exact_json, to_json};

    #[test]
    fn numbers_of_any_size_come_back_as_they_went() {
        let numbers = [
            (Value::from(u64::MAX), "18446744073709551615"),
            (Value::from(i128::from(u64::MAX) + 1), "18446744073709551616"),
            (Value::from(i128::MIN), "-170141183460469231731687303715884105728"),
            (Value::from(f64::INFINITY), "Infinity"),
            (Value::from(f64::NEG_INFINITY), "-Infinity"),
        ];
        for (number, text) in numbers {
            let json = to_exact_json(&number).expect("a number");
            assert_eq!(to_text(&json!([json]), Layout::Line).expect("writes"), format!("[{text}]"));
            assert_eq!(from_json(&json), number, "{text}");
        }
        let nan = to_exact_json(&Value::from(f64::NAN)).expect("a number");
        assert_eq!(written(&nan), Some("NaN"));
        assert!(f64::try_from(from_json(&nan)).expect("a number").is_nan());
    }

    #[test]
    fn hosts_get_their_text() {
        for (number, text) in [(Value::from(i128::MAX), i128::MAX.to_string()), (Value::from(f64::NEG_INFINITY), "-inf".to_owned())] {
            assert_eq!(to_json(&number).expect("a number"), json!(text));
        }
    }

    #[test]
    fn numbers_are_spelled_out() {
        let numbers = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(Value::from).into_iter().chain([Value::from(i128::MAX)]);
        let mut json = to_exact_json(&Value::from_pairs([("a", Value::from(numbers.collect::<Vec<_>>()))])).expect("values");
        spell_out(&mut json);
        assert_eq!(json, json!({"a": ["inf", "-inf", "nan", i128::MAX.to_string()]}));
    }

    #[test]
    fn text_stays_text() {
        let texts = json!({"": ["", "NaN", "a\"b\nc", "\n", "\u{fdd0}", "\u{fdd0}1x", "x\u{fdd0}1", "99999999999999999999"]});
        assert_eq!(to_text(&texts, Layout::Line).expect("writes"), texts.to_string());
        assert_eq!(to_text(&texts, Layout::Indented).expect("writes"), serde_json::to_string_pretty(&texts).expect("writes"));
        assert_eq!(to_exact_json(&from_json(&texts)).expect("values"), texts);
    }

    #[test]
    fn keys_are_what_python_writes() {
        let map = Value::from_pairs([(Value::from(f64::INFINITY), Value::from(1)), (Value::from(1e16), Value::from(2))]);
        assert_eq!(to_json(&map).expect("a mapping"), json!({"Infinity": 1, "1e+16": 2}));
    }
}
