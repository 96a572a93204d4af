//! Values of INI files: what Python's `literal_eval` understands is typed, all else is text.

use pgfleet_template::{Place, Problem, Raw, Value};

mod parse;

use parse::Literal;

/// The value of a text that stands behind `=`.
///
/// # Errors
/// A malformed template in it.
pub(crate) fn value(text: &str, place: &Place) -> Result<Raw, Problem> {
    match parse::literal(text) {
        Some(literal) => raw(literal, place),
        None => Raw::from_text(text, place),
    }
}

fn raw(literal: Literal, place: &Place) -> Result<Raw, Problem> {
    Ok(match literal {
        Literal::None => Raw::Value(Value::from(())),
        Literal::Bool(value) => Raw::Value(Value::from(value)),
        Literal::Int(value) => Raw::Value(i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)),
        Literal::Float(value) => Raw::Value(Value::from(value)),
        Literal::Text(text) => Raw::from_text(&text, place)?,
        // Ansible trusts no template that was written as bytes.
        Literal::Bytes(text) => Raw::Value(Value::from(text)),
        Literal::Complex(real, imaginary) => Raw::Value(Value::from(complex_text(real, imaginary))),
        Literal::Ellipsis => Raw::Value(Value::from("...")),
        Literal::List(items) => Raw::list(items.into_iter().map(|item| raw(item, place)).collect::<Result<_, _>>()?),
        Literal::Map(entries) => {
            // Keys are never templates.
            Raw::map(entries.into_iter().map(|(key, value)| Ok((key_of(key, place)?, raw(value, place)?))).collect::<Result<_, Problem>>()?)
        }
    })
}

fn key_of(key: Literal, place: &Place) -> Result<Raw, Problem> {
    match key {
        Literal::Text(text) | Literal::Bytes(text) => Ok(Raw::Value(Value::from(text))),
        other => raw(other, place),
    }
}

/// As Python prints a complex number.
fn complex_text(real: f64, imaginary: f64) -> String {
    if real == 0.0 && real.is_sign_positive() { format!("{imaginary}j") } else { format!("({real}{imaginary:+}j)") }
}
