//! Host names, IPv4 and IPv6 addresses with an optional port, as Ansible tells them apart.

use std::sync::LazyLock;

use fancy_regex::Regex;

/// An entry of the inventory, or one part of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: Option<u32>,
}

const NUMERIC_RANGE: &str = r"\[(?:[0-9]+:[0-9]+)(?::[0-9]+)?\]";
const HEXADECIMAL_RANGE: &str = r"\[(?:[0-9a-f]+:[0-9a-f]+)(?::[0-9]+)?\]";
const ALPHANUMERIC_RANGE: &str = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]";

struct Shapes {
    bracketed_port: Regex,
    port: Regex,
    hosts: [Regex; 3],
}

/// `None` only if an expression below were malformed, which the tests would show.
static SHAPES: LazyLock<Option<Shapes>> = LazyLock::new(|| {
    let six = format!("(?:[0-9a-f]{{1,4}}|{HEXADECIMAL_RANGE})");
    let four = format!("(?:[01]?[0-9]{{1,2}}|2[0-4][0-9]|25[0-5]|{NUMERIC_RANGE})");
    let label = format!(r"(?:[\w]|{ALPHANUMERIC_RANGE})(?:[\w_-]|{ALPHANUMERIC_RANGE})*(?<![_-])");
    let ipv4 = format!(r"(?i)^(?:{four}\.){{3}}{four}$");
    let ipv6 = format!(
        "(?i)^((?:{six}:){{7}}{six}|(?:{six}:){{1,6}}:|(?:{six}:)(?::{six}){{1,6}}|(?:{six}:){{2}}(?::{six}){{1,5}}|\
         (?:{six}:){{3}}(?::{six}){{1,4}}|(?:{six}:){{4}}(?::{six}){{1,3}}|(?:{six}:){{5}}(?::{six}){{1,2}}|\
         (?:{six}:){{6}}(?::{six})|:(?::{six}){{1,6}}|{six}?::|(?:0:){{6}}(?:{six}\\.){{3}}{six}|\
         ::(?:ffff:)?(?:{six}\\.){{3}}{six}|(?:0:){{5}}ffff:(?:{six}\\.){{3}}{six})$"
    );
    let name = format!(r"(?i)^{label}(?:\.{label})*$");
    Some(Shapes {
        bracketed_port: Regex::new(r"^\[(.+)\]:([0-9]+)$").ok()?,
        port: Regex::new(r"^((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)$").ok()?,
        hosts: [Regex::new(&ipv4).ok()?, Regex::new(&ipv6).ok()?, Regex::new(&name).ok()?],
    })
});

/// Host and port; `None` when the text is no address, with or without ranges.
pub(crate) fn parse(text: &str) -> Option<Address> {
    let shapes = SHAPES.as_ref()?;
    let mut host = text.to_owned();
    let mut port = None;
    for shape in [&shapes.bracketed_port, &shapes.port] {
        let found = shape
            .captures(&host)
            .ok()
            .flatten()
            .and_then(|found| Some((found.get(1)?.as_str().to_owned(), found.get(2)?.as_str().parse().ok()?)));
        if let Some((without, number)) = found {
            (host, port) = (without, Some(number));
        }
    }
    let known = shapes.hosts.iter().any(|shape| shape.is_match(&host).unwrap_or(false));
    (known && !host.is_empty()).then_some(Address { host, port })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn addresses_as_ansible_tells_them_apart() {
        for (text, expect) in [
            ("192.0.2.3", Some(("192.0.2.3", None))),
            ("192.0.2.3:23", Some(("192.0.2.3", Some(23)))),
            ("::", Some(("::", None))),
            ("::1", Some(("::1", None))),
            ("[::1]:442", Some(("::1", Some(442)))),
            ("abcd:ef98:7654:3210:abcd:ef98:7654:3210", Some(("abcd:ef98:7654:3210:abcd:ef98:7654:3210", None))),
            ("::ffff:1.2.3.4", Some(("::ffff:1.2.3.4", None))),
            ("foo.example.com:443", Some(("foo.example.com", Some(443)))),
            ("foo[1:3]", Some(("foo[1:3]", None))),
            ("foo[0:5]-bar[a:z]:22", Some(("foo[0:5]-bar[a:z]", Some(22)))),
            ("192.0.2.[3:10]:23", Some(("192.0.2.[3:10]", Some(23)))),
            ("[1:2]", Some(("[1:2]", None))),
            ("foo_bar-1", Some(("foo_bar-1", None))),
            ("a:b", None),
            ("foo-", None),
            ("web[-1]", None),
            ("web*", None),
            ("", None),
        ] {
            let found = parse(text);
            assert_eq!(found.as_ref().map(|address| (address.host.as_str(), address.port)), expect, "{text}");
        }
    }
}
