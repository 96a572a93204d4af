//! What openssl prints of requests and certificates, read: subjects, extensions.

use std::collections::BTreeMap;

use serde_json::Value;

/// The extensions of a text: name, with `critical` behind it where it is, and values.
pub(super) type Extensions = BTreeMap<String, Vec<String>>;

/// The value of a line `Name: value` or `name=value` of a text.
pub(super) fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim)
}

/// The extensions of a certificate, or those that a request asks for.
pub(super) fn extensions(text: &str) -> Extensions {
    let mut found = Extensions::new();
    let mut lines = text.lines().skip_while(|line| !matches!(line.trim(), "X509v3 extensions:" | "Requested Extensions:"));
    let Some(head) = lines.next() else { return found };
    let depth = indent(head);
    let mut name: Option<(String, usize)> = None;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        if indent(line) <= depth {
            break;
        }
        match &name {
            Some((name, depth)) if indent(line) > *depth => {
                found.entry(name.clone()).or_default().extend(line.trim().split(", ").map(str::to_owned).filter(|value| !value.is_empty()));
            }
            _ => {
                let title = line.trim().trim_end_matches(':').to_owned();
                found.entry(title.clone()).or_default();
                name = Some((title, indent(line)));
            }
        }
    }
    found
}

/// The same with the values in alphabetical order, for comparing.
pub(super) fn sorted(extensions: Extensions) -> Extensions {
    let mut extensions = extensions;
    extensions.values_mut().for_each(|values| values.sort());
    extensions
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The parts of a name that openssl printed with `-nameopt multiline,utf8`, in order.
pub(super) fn parts(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| line.starts_with(' '));
    lines
        .filter_map(|line| line.split_once(" = ").or_else(|| line.split_once('=')))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// A number of any length, from hexadecimal digits; text where it is too long for JSON's numbers of ours.
pub(super) fn decimal(hex: &str) -> Value {
    if let Ok(number) = u64::from_str_radix(hex, 16) {
        return number.into();
    }
    let mut digits = vec![0_u32];
    for digit in hex.chars().filter_map(|digit| digit.to_digit(16)) {
        let mut carry = digit;
        for place in &mut digits {
            let sum = *place * 16 + carry;
            *place = sum % 10;
            carry = sum / 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    Value::from(digits.iter().rev().map(ToString::to_string).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{decimal, extensions, parts, sorted};

    #[test]
    fn extensions_are_read() {
        let text = "Certificate:\n    Data:\n        X509v3 extensions:\n            X509v3 Subject Alternative Name: \n                DNS:b, DNS:a\n            X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:1\n    Signature Algorithm: x\n        ab:cd\n";
        let found = extensions(text);
        assert_eq!(found["X509v3 Subject Alternative Name"], ["DNS:b", "DNS:a"]);
        let found = sorted(found);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["X509v3 Basic Constraints: critical", "X509v3 Subject Alternative Name"]);
        assert_eq!(found["X509v3 Subject Alternative Name"], ["DNS:a", "DNS:b"]);
        assert!(extensions("Certificate Request:\n").is_empty());
    }

    #[test]
    fn names_are_taken_apart() {
        let text = "subject=\n    countryName               = NL\n    commonName                = a = b\n";
        assert_eq!(parts(text), [("countryName".to_owned(), "NL".to_owned()), ("commonName".to_owned(), "a = b".to_owned())]);
    }

    #[test]
    fn numbers_of_any_length_are_told() {
        assert_eq!(decimal("0A"), json!(10));
        assert_eq!(decimal("10000000000000000"), json!("18446744073709551616"));
    }
}
