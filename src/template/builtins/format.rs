//! Python's `%` operator and printf-style formatting.

use minijinja::formatting::{FormatStyle, format};
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, defined};
use super::python::{self, as_float, as_integer, fail, integer_value, type_name};

/// `format % arg`: a tuple holds several values, a mapping the named ones, anything else is one value.
pub(crate) fn python_format(template: &str, argument: &Value) -> Result<String, Error> {
    if argument.is_tuple() {
        return printf(template, &python::defined_items(argument)?);
    }
    if python::is_mapping(argument) && count_fields(template) == 0 {
        return printf(template, &[]);
    }
    printf(template, std::slice::from_ref(argument))
}

/// Formats with as many values as the template has fields.
pub(crate) fn printf(template: &str, values: &[Value]) -> Result<String, Error> {
    if matches!(values, [value] if python::is_mapping(value) && template.contains("%(")) {
        return format(FormatStyle::Printf, template, values);
    }
    if values.len() > count_fields(template) {
        return Err(fail("not all arguments converted during string formatting"));
    }
    let shown: Vec<Value> =
        conversions(template).zip(values).map(|(conversion, value)| prepare(conversion, &defined(value)?)).collect::<Result<_, Error>>()?;
    format(FormatStyle::Printf, &without_repr(template), &shown)
}

/// The template with `%s` for `%r`, whose values come as `repr()` already.
fn without_repr(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('%') {
        let flags = rest[start + 1..].chars().take_while(|c| "#0- +.hlL*".contains(*c) || c.is_ascii_digit()).count();
        let letter = start + 1 + flags;
        out.push_str(&rest[..letter.min(rest.len())]);
        let Some(conversion) = rest.get(letter..).and_then(|rest| rest.chars().next()) else { return out };
        out.push(if matches!(conversion, 'r' | 'a') { 's' } else { conversion });
        rest = &rest[letter + conversion.len_utf8()..];
    }
    out + rest
}

/// The value as the conversion needs it.
fn prepare(conversion: char, value: &Value) -> Result<Value, Error> {
    let number = || fail(format!("%{conversion} format: a real number is required, not {}", type_name(value)));
    match conversion {
        's' => Ok(Value::from(python::python_str(value))),
        'r' | 'a' => Ok(Value::from(python::python_repr(value))),
        'd' | 'i' | 'u' => match as_integer(value) {
            Some(integer) => Ok(integer_value(integer)),
            #[expect(clippy::cast_possible_truncation, reason = "`%d` truncates")]
            None => as_float(value).map(|float| integer_value(float.trunc() as i128)).ok_or_else(number),
        },
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => as_float(value).map(Value::from).ok_or_else(number),
        'o' | 'x' | 'X' => as_integer(value).map(integer_value).ok_or_else(number),
        _ => Ok(value.clone()),
    }
}

fn count_fields(template: &str) -> usize {
    conversions(template).count()
}

/// The conversion letters of a template, `%%` left out.
fn conversions(template: &str) -> impl Iterator<Item = char> + '_ {
    let mut chars = template.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            if chars.next()? != '%' {
                continue;
            }
            if chars.peek() == Some(&'(') {
                chars.by_ref().find(|c| *c == ')');
            }
            let conversion = chars.by_ref().find(|c| !"#0- +.hlL".contains(*c) && !c.is_ascii_digit() && *c != '*')?;
            if conversion != '%' {
                return Some(conversion);
            }
        }
    })
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
