//! Python's formatting: the `%` operator and `str.format`.

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, defined};
use super::format_spec::{Alignment, Spec};
use super::python::{self, as_float, as_integer, fail, integer_value, text, type_name};
use crate::limits;

/// `format % arg`: a tuple holds several values, a mapping the named ones, anything else is one value.
pub(crate) fn python_format(template: &str, argument: &Value) -> Result<String, Error> {
    if argument.is_tuple() {
        return printf(template, &python::defined_items(argument)?);
    }
    printf(template, std::slice::from_ref(argument))
}

/// The values of one `%` operation, taken in turn or by name.
struct Values<'v> {
    all: &'v [Value],
    taken: usize,
}

impl Values<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        let value = self.all.get(self.taken).ok_or_else(|| fail("not enough arguments for format string"))?;
        self.taken += 1;
        defined(value)
    }

    fn named(&mut self, name: &str) -> Result<Value, Error> {
        let mapping = self.all.first().filter(|value| self.all.len() == 1 && python::is_mapping(value));
        let mapping = mapping.ok_or_else(|| fail("format requires a mapping"))?;
        let value = python::get(mapping, &Value::from(name))?;
        self.taken = 1;
        if value.is_undefined() { Err(fail(format!("KeyError: '{name}'"))) } else { Ok(value) }
    }

    fn number(&mut self) -> Result<i64, Error> {
        let value = self.next()?;
        value.as_i64().ok_or_else(|| fail("* wants int"))
    }
}

/// Formats with as many values as the template has fields.
pub(crate) fn printf(template: &str, values: &[Value]) -> Result<String, Error> {
    let mut values = Values { all: values, taken: 0 };
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        rest = conversion(rest, &mut values, &mut out)?;
    }
    out.push_str(rest);
    let all_taken = values.taken >= values.all.len();
    if !all_taken && !matches!(values.all, [only] if python::is_mapping(only)) {
        return Err(fail("not all arguments converted during string formatting"));
    }
    Ok(out)
}

/// One conversion after its `%`; gives what follows it.
fn conversion<'t>(template: &'t str, values: &mut Values<'_>, out: &mut String) -> Result<&'t str, Error> {
    let mut rest = template;
    let mut name = None;
    if let Some(after) = rest.strip_prefix('(') {
        let (key, after) = after.split_once(')').ok_or_else(|| fail("incomplete format key"))?;
        name = Some(key);
        rest = after;
    }
    let mut spec = Spec::default();
    let flags = rest.len() - rest.trim_start_matches(['#', '0', '-', ' ', '+']).len();
    for flag in rest[..flags].chars() {
        match flag {
            '#' => spec.alternate = true,
            '0' => spec.zero = true,
            '-' => spec.align = Some(Alignment::Left),
            '+' => spec.sign = Some('+'),
            _ => spec.sign = spec.sign.or(Some(' ')),
        }
    }
    rest = &rest[flags..];
    let width = count(&mut rest, values)?;
    if width.is_some_and(|width| width < 0) {
        spec.align = Some(Alignment::Left);
    }
    spec.width = usize::try_from(width.unwrap_or(0).unsigned_abs()).unwrap_or(0);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        spec.precision = Some(usize::try_from(count(&mut rest, values)?.unwrap_or(0)).unwrap_or(0));
    }
    rest = rest.trim_start_matches(['h', 'l', 'L']);
    let letter = rest.chars().next().ok_or_else(|| fail("incomplete format"))?;
    let value = match name {
        Some(name) => values.named(name)?,
        None => values.next()?,
    };
    out.push_str(&converted(&value, letter, spec)?);
    limits::text(out.len())?;
    Ok(&rest[letter.len_utf8()..])
}

/// A width or precision, `*` taken from the values.
fn count(rest: &mut &str, values: &mut Values<'_>) -> Result<Option<i64>, Error> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        return values.number().map(Some);
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = rest[..digits].parse().ok();
    *rest = &rest[digits..];
    Ok(number)
}

fn converted(value: &Value, letter: char, mut spec: Spec) -> Result<String, Error> {
    let wrong = || fail(format!("%{letter} format: a real number is required, not {}", type_name(value)));
    if letter != 's' && letter != 'r' && letter != 'a' && letter != 'c' && spec.align.is_some() {
        spec.zero = false;
    }
    spec.align = spec.align.or(Some(if spec.zero { Alignment::AfterSign } else { Alignment::Right }));
    if spec.zero {
        spec.fill = '0';
    }
    match letter {
        's' => spec.text_in(&python::python_str(value)),
        'r' => spec.text_in(&python::python_repr(value)),
        'a' => spec.text_in(&ascii(&python::python_repr(value))),
        'c' => {
            let shown = match as_integer(value).and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32) {
                Some(character) => character.to_string(),
                None => text(value),
            };
            spec.text_in(&shown)
        }
        'd' | 'i' | 'u' => {
            #[expect(clippy::cast_possible_truncation, reason = "`%d` truncates")]
            let number = as_integer(value).or_else(|| as_float(value).map(|float| float.trunc() as i128)).ok_or_else(wrong)?;
            spec.integer(number, 'd')
        }
        'o' | 'x' | 'X' => spec.integer(as_integer(value).ok_or_else(wrong)?, letter),
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => spec.float(as_float(value).ok_or_else(wrong)?, letter),
        _ => Err(fail(format!("unsupported format character '{letter}'"))),
    }
}

fn ascii(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for character in source.chars() {
        match u32::from(character) {
            0..=127 => out.push(character),
            code @ 128..=255 => out += &format!("\\x{code:02x}"),
            code @ 256..=0xffff => out += &format!("\\u{code:04x}"),
            code => out += &format!("\\U{code:08x}"),
        }
    }
    out
}

/// What `str.format` was called with.
struct Fields<'a> {
    call: &'a Arguments,
    next: usize,
}

impl Fields<'_> {
    /// The value of a field name such as `0`, `name.attribute` or `[key]`.
    fn value(&mut self, field: &str) -> Result<Value, Error> {
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (name, mut path) = field.split_at(end);
        let index = match name {
            "" => {
                self.next += 1;
                Some(self.next - 1)
            }
            name => name.parse::<usize>().ok(),
        };
        let found = match index {
            Some(index) => self.call.positional.get(index).cloned(),
            None => self.call.keyword(name).cloned(),
        };
        let missing = || match index {
            Some(index) => fail(format!("Replacement index {index} out of range for positional args tuple")),
            None => fail(format!("KeyError: '{name}'")),
        };
        let mut value = defined(&found.ok_or_else(missing)?)?;
        while !path.is_empty() {
            let (key, after) = match path.strip_prefix('[') {
                Some(inner) => inner.split_once(']').ok_or_else(|| fail("expected ']' in format string"))?,
                None => {
                    let inner = &path[1..];
                    inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()))
                }
            };
            let key = key.parse::<i64>().map_or_else(|_| Value::from(key), Value::from);
            value = defined(&python::get(&value, &key)?)?;
            path = after;
        }
        Ok(value)
    }
}

/// `template.format(..)`.
pub(crate) fn str_format(template: &str, call: &Arguments) -> Result<Value, Error> {
    fill_in(template, &mut Fields { call, next: 0 }, 0).map(Value::from)
}

fn fill_in(template: &str, fields: &mut Fields<'_>, depth: usize) -> Result<String, Error> {
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(fail("Single '}' encountered in format string"));
        }
        let end = closing(rest).filter(|_| depth < 2).ok_or_else(|| fail("expected '}' before end of string"))?;
        let (field, after) = (&rest[..end], &rest[end + 1..]);
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (field, repr) = field.split_once('!').map_or((field, None), |(field, repr)| (field, Some(repr)));
        let value = match (fields.value(field)?, repr) {
            (value, None) => value,
            (value, Some("s")) => Value::from(python::python_str(&value)),
            (value, Some("r")) => Value::from(python::python_repr(&value)),
            (value, Some("a")) => Value::from(ascii(&python::python_repr(&value))),
            (_, Some(other)) => return Err(fail(format!("Unknown conversion specifier '{other}'"))),
        };
        let spec = if spec.contains('{') { fill_in(spec, fields, depth + 1)? } else { spec.to_owned() };
        out.push_str(&Spec::parse(&spec)?.format(&value)?);
        limits::text(out.len())?;
        rest = after;
    }
    Ok(out + rest)
}

fn closing(source: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in source.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The function behind `a % b`.
pub(crate) fn modulo(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [left, right] = call.bind(["left", "right"])?;
    let (left, right) = (left.required()?, right.required()?);
    if let Some(template) = left.as_str() {
        return python_format(template, &right).map(Value::from);
    }
    if let (Some(left), Some(right)) = (as_integer(&left), as_integer(&right)) {
        return match right {
            0 => Err(fail("integer modulo by zero")),
            _ => Ok(integer_value(((left % right) + right) % right)),
        };
    }
    match (as_float(&left), as_float(&right)) {
        (Some(_), Some(0.0)) => Err(fail("float modulo")),
        (Some(left), Some(right)) => {
            let remainder = left % right;
            Ok(Value::from(if remainder != 0.0 && (remainder < 0.0) != (right < 0.0) { remainder + right } else { remainder }))
        }
        _ => Err(fail(format!("unsupported operand type(s) for %: '{}' and '{}'", type_name(&left), type_name(&right)))),
    }
}
