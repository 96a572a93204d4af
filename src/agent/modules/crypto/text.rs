//! What openssl prints of requests and certificates, read: subjects, extensions.

use std::collections::BTreeMap;

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

#[cfg(test)]
mod tests {
    use super::{extensions, parts, sorted};

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
}
