//! Python's format specification: fill, alignment, sign, width, grouping, precision, type.

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::python::{as_float, as_integer, fail, float_repr, python_str, type_name};

/// Widths and precisions over this are refused.
const WIDEST: usize = 1_000_000;

/// Where the fill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alignment {
    Left,
    Right,
    Center,
    AfterSign,
}

/// How one value is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) fill: char,
    pub(crate) align: Option<Alignment>,
    pub(crate) sign: Option<char>,
    pub(crate) alternate: bool,
    pub(crate) zero: bool,
    pub(crate) width: usize,
    pub(crate) grouping: Option<char>,
    pub(crate) precision: Option<usize>,
    pub(crate) kind: Option<char>,
}

impl Default for Spec {
    fn default() -> Self {
        Self { fill: ' ', align: None, sign: None, alternate: false, zero: false, width: 0, grouping: None, precision: None, kind: None }
    }
}

fn alignment(character: char) -> Option<Alignment> {
    match character {
        '<' => Some(Alignment::Left),
        '>' => Some(Alignment::Right),
        '^' => Some(Alignment::Center),
        '=' => Some(Alignment::AfterSign),
        _ => None,
    }
}

fn number_in(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = characters.peek().and_then(|c| c.to_digit(10)) {
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(WIDEST * 10));
        characters.next();
    }
    number
}

impl Spec {
    /// Reads `[[fill]align][sign][#][0][width][grouping][.precision][type]`.
    pub(crate) fn parse(source: &str) -> Result<Self, Error> {
        let mut spec = Self::default();
        let mut characters = source.chars().peekable();
        let mut ahead = source.chars();
        match (ahead.next(), ahead.next().and_then(alignment)) {
            (Some(fill), Some(align)) => {
                (spec.fill, spec.align) = (fill, Some(align));
                characters.nth(1);
            }
            (Some(first), None) if alignment(first).is_some() => {
                spec.align = alignment(first);
                characters.next();
            }
            _ => {}
        }
        spec.sign = characters.next_if(|c| "+- ".contains(*c)).filter(|sign| *sign != '-');
        spec.alternate = characters.next_if_eq(&'#').is_some();
        if characters.next_if_eq(&'0').is_some() {
            spec.zero = true;
            if spec.align.is_none() {
                spec.fill = '0';
                spec.align = Some(Alignment::AfterSign);
            } else if spec.fill == ' ' {
                spec.fill = '0';
            }
        }
        spec.width = number_in(&mut characters).unwrap_or(0);
        spec.grouping = characters.next_if(|c| *c == ',' || *c == '_');
        if characters.next_if_eq(&'.').is_some() {
            spec.precision = Some(number_in(&mut characters).ok_or_else(|| fail("Format specifier missing precision"))?);
        }
        spec.kind = characters.next();
        if characters.next().is_some() || spec.width > WIDEST {
            return Err(fail(format!("Invalid format specifier '{source}'")));
        }
        Ok(spec)
    }

    /// `format(value, spec)`.
    pub(crate) fn format(mut self, value: &Value) -> Result<String, Error> {
        let unknown = |kind: char| fail(format!("Unknown format code '{kind}' for object of type '{}'", type_name(value)));
        match (value.kind(), self.kind) {
            (ValueKind::Number, None) if !value.is_integer() => {
                let number = as_float(value).unwrap_or(f64::NAN);
                self.align = self.align.or(Some(Alignment::Right));
                if self.precision.is_some() || !number.is_finite() {
                    return self.float(number, 'g');
                }
                let digits = float_repr(number.abs());
                Ok(self.place(sign_of(number.is_sign_negative(), self.sign), &self.grouped(&digits)))
            }
            (ValueKind::Number | ValueKind::Bool, Some(kind)) => {
                self.align = self.align.or(Some(Alignment::Right));
                match kind {
                    'd' | 'b' | 'o' | 'x' | 'X' | 'n' => self.integer(as_integer(value).ok_or_else(|| unknown(kind))?, kind),
                    'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%' => self.float(as_float(value).ok_or_else(|| unknown(kind))?, kind),
                    'c' => {
                        let code = as_integer(value).and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                        self.text_in(&code.ok_or_else(|| fail("%c arg not in range(0x110000)"))?.to_string())
                    }
                    _ => Err(unknown(kind)),
                }
            }
            (ValueKind::Number, None) => {
                self.align = self.align.or(Some(Alignment::Right));
                self.integer(as_integer(value).unwrap_or_default(), 'd')
            }
            (_, None | Some('s')) => {
                if self.align == Some(Alignment::AfterSign) {
                    self.align = Some(Alignment::Left);
                }
                self.align = self.align.or(Some(Alignment::Left));
                self.text_in(&python_str(value))
            }
            (_, Some(kind)) => Err(unknown(kind)),
        }
    }

    /// Text cut to the precision and brought to the width.
    pub(crate) fn text_in(&self, source: &str) -> Result<String, Error> {
        self.check()?;
        let cut: String = source.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        Ok(self.place("", &cut))
    }

    /// A whole number of kind `d`, `b`, `o`, `x` or `X`.
    pub(crate) fn integer(&self, number: i128, kind: char) -> Result<String, Error> {
        self.check()?;
        let magnitude = number.unsigned_abs();
        let (prefix, mut digits) = match kind {
            'b' => ("0b", format!("{magnitude:b}")),
            'o' => ("0o", format!("{magnitude:o}")),
            'x' => ("0x", format!("{magnitude:x}")),
            'X' => ("0X", format!("{magnitude:X}")),
            _ => ("", magnitude.to_string()),
        };
        if let Some(precision) = self.precision {
            digits = format!("{digits:0>precision$}");
        }
        let sign = sign_of(number < 0, self.sign);
        let sign = if self.alternate { format!("{sign}{prefix}") } else { sign.to_owned() };
        Ok(self.place(&sign, &self.grouped(&digits)))
    }

    /// A float of kind `e`, `f`, `g` or `%`; capitals give capitals.
    pub(crate) fn float(&self, number: f64, kind: char) -> Result<String, Error> {
        self.check()?;
        let precision = self.precision.unwrap_or(6);
        let magnitude = number.abs();
        let mut digits = if magnitude.is_nan() {
            "nan".to_owned()
        } else if magnitude.is_infinite() {
            "inf".to_owned()
        } else {
            match kind.to_ascii_lowercase() {
                'e' => scientific(magnitude, precision),
                'g' => general(magnitude, precision.max(1), self.alternate),
                '%' => format!("{:.precision$}%", magnitude * 100.0),
                _ => format!("{magnitude:.precision$}"),
            }
        };
        if kind.is_ascii_uppercase() {
            digits = digits.to_uppercase();
        }
        Ok(self.place(sign_of(number.is_sign_negative() && !number.is_nan(), self.sign), &self.grouped(&digits)))
    }

    fn check(&self) -> Result<(), Error> {
        if self.width > WIDEST || self.precision.is_some_and(|precision| precision > WIDEST) {
            return Err(fail("Too many decimal digits in format string"));
        }
        Ok(())
    }

    /// Thousands apart.
    fn grouped(&self, digits: &str) -> String {
        let Some(separator) = self.grouping else { return digits.to_owned() };
        let whole = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        let mut out = String::new();
        for (index, digit) in digits[..whole].chars().enumerate() {
            if index > 0 && (whole - index).is_multiple_of(3) {
                out.push(separator);
            }
            out.push(digit);
        }
        out + &digits[whole..]
    }

    fn place(&self, sign: &str, body: &str) -> String {
        let missing = self.width.saturating_sub(sign.chars().count() + body.chars().count());
        let fill = |count: usize| self.fill.to_string().repeat(count);
        match self.align.unwrap_or(Alignment::Left) {
            Alignment::Left => format!("{sign}{body}{}", fill(missing)),
            Alignment::Right => format!("{}{sign}{body}", fill(missing)),
            Alignment::Center => format!("{}{sign}{body}{}", fill(missing / 2), fill(missing - missing / 2)),
            Alignment::AfterSign => format!("{sign}{}{body}", fill(missing)),
        }
    }
}

fn sign_of(negative: bool, sign: Option<char>) -> &'static str {
    match sign {
        _ if negative => "-",
        Some('+') => "+",
        Some(' ') => " ",
        _ => "",
    }
}

fn scientific(magnitude: f64, precision: usize) -> String {
    let shown = format!("{magnitude:.precision$e}");
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn general(magnitude: f64, precision: usize, alternate: bool) -> String {
    let shown = format!("{magnitude:.*e}", precision - 1);
    let exponent: i64 = shown.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let limit = i64::try_from(precision).unwrap_or(i64::MAX);
    let fixed = (-4..limit).contains(&exponent);
    let digits = if fixed {
        format!("{magnitude:.*}", usize::try_from(limit - 1 - exponent).unwrap_or(0))
    } else {
        scientific(magnitude, precision - 1)
    };
    if alternate {
        return digits;
    }
    let (mantissa, tail) =
        digits.split_once('e').map_or((digits.as_str(), String::new()), |(mantissa, tail)| (mantissa, format!("e{tail}")));
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}{tail}")
}
