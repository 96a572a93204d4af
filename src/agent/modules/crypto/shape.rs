//! What a key is, as openssl tells it: kind, size, curve, and the numbers that are public.

use pgfleet_protocol::Map;
use pgfleet_protocol::modules::crypto::{KeyType, OpensslPrivatekey};

use super::text::{decimal, value};
use crate::module::Failure;

/// What a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: KeyType,
    pub(super) size: Option<u64>,
    pub(super) curve: Option<String>,
}

impl Shape {
    /// Reads what openssl says of a key, private or public.
    pub(super) fn read(text: &str) -> Option<Self> {
        let head = text.lines().find(|line| line.contains("Private-Key") || line.contains("Public-Key"))?;
        let size = head.split('(').nth(1).and_then(|rest| rest.split_whitespace().next()).and_then(|bits| bits.parse().ok());
        let curve = value(text, "ASN1 OID:").map(str::to_owned);
        let kind = [("ED25519", KeyType::Ed25519), ("ED448", KeyType::Ed448), ("X25519", KeyType::X25519), ("X448", KeyType::X448)];
        let kind = kind.into_iter().find(|(name, _)| head.contains(name)).map(|(_, kind)| kind);
        let kind = kind.unwrap_or(match (&curve, text.contains("odulus:")) {
            (Some(_), _) => KeyType::Ecc,
            (None, true) => KeyType::Rsa,
            (None, false) => KeyType::Dsa,
        });
        Some(Self { size: size.filter(|_| matches!(kind, KeyType::Rsa | KeyType::Dsa)), kind, curve })
    }

    pub(super) fn wished(arguments: &OpensslPrivatekey) -> Result<Self, Failure> {
        let kind = arguments.r#type;
        let curve = match (kind, arguments.curve.as_deref()) {
            (KeyType::Ecc, None) => return Err(Failure::new("type is ECC but all of the following are missing: curve")),
            (KeyType::Ecc, Some(curve)) => Some(openssls(curve).to_owned()),
            _ => None,
        };
        Ok(Self { kind, size: matches!(kind, KeyType::Rsa | KeyType::Dsa).then_some(arguments.size), curve })
    }

    /// The numbers of the public key, under Ansible's names.
    pub(super) fn public_data(&self, text: &str) -> Map {
        let mut data = Map::new();
        if let Some(size) = self.size {
            data.insert("size".to_owned(), size.into());
        }
        if self.kind == KeyType::Rsa {
            data.insert("modulus".to_owned(), decimal(&block(text, &["modulus:", "Modulus:"])));
            let exponent = value(text, "publicExponent:").or_else(|| value(text, "Exponent:"));
            let exponent = exponent.and_then(|told| told.split_whitespace().next()?.parse::<u64>().ok());
            data.insert("exponent".to_owned(), exponent.into());
        }
        if let Some(curve) = &self.curve {
            data.insert("curve".to_owned(), people(curve).into());
            let point = block(text, &["pub:"]);
            // Both coordinates behind the mark of a point that is not compressed.
            let (x, y) = point.strip_prefix("04").map_or(("", ""), |both| both.split_at(both.len() / 2));
            data.insert("exponent_size".to_owned(), bits(text).into());
            data.insert("x".to_owned(), decimal(x));
            data.insert("y".to_owned(), decimal(y));
        }
        data
    }
}

fn bits(text: &str) -> Option<u64> {
    let head = text.lines().find(|line| line.contains("-Key: ("))?;
    head.split('(').nth(1)?.split_whitespace().next()?.parse().ok()
}

/// The hexadecimal digits of the indented lines below a title.
fn block(text: &str, titles: &[&str]) -> String {
    let lines = text.lines().skip_while(|line| !titles.contains(&line.trim()));
    lines.skip(1).take_while(|line| line.starts_with(' ')).flat_map(str::chars).filter(char::is_ascii_hexdigit).collect()
}

/// A curve as openssl calls it.
fn openssls(curve: &str) -> &str {
    match curve {
        "secp256r1" => "prime256v1",
        "secp192r1" => "prime192v1",
        other => other,
    }
}

/// The same curve as people call it.
fn people(curve: &str) -> &str {
    match curve {
        "prime256v1" => "secp256r1",
        "prime192v1" => "secp192r1",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::modules::crypto::KeyType;
    use serde_json::{Value, json};

    use super::Shape;

    #[test]
    fn what_openssl_says_of_keys_is_read() {
        let rsa = Shape { kind: KeyType::Rsa, size: Some(2048), curve: None };
        assert_eq!(Shape::read("Private-Key: (2048 bit, 2 primes)\nmodulus:\n    00:ab\n"), Some(rsa.clone()));
        assert_eq!(Shape::read("RSA Private-Key: (2048 bit, 2 primes)\nmodulus:\n"), Some(rsa));
        let curve = Shape { kind: KeyType::Ecc, size: None, curve: Some("prime256v1".to_owned()) };
        assert_eq!(Shape::read("Private-Key: (256 bit)\npriv:\n    ab\nASN1 OID: prime256v1\nNIST CURVE: P-256\n"), Some(curve));
        assert_eq!(Shape::read("ED25519 Private-Key:\npriv:\n"), Some(Shape { kind: KeyType::Ed25519, size: None, curve: None }));
        assert_eq!(Shape::read("nothing"), None);
    }

    #[test]
    fn public_numbers_are_told() {
        let data = |text: &str| Shape::read(text).map(|shape| Value::from(shape.public_data(text))).unwrap_or_default();
        let rsa = "Public-Key: (16 bit)\nModulus:\n    00:ab:\n    cd\nExponent: 65537 (0x10001)\n";
        assert_eq!(data(rsa), json!({"size": 16, "modulus": 43981, "exponent": 65537}));
        let curve = "Private-Key: (8 bit)\npriv:\n    0c\npub:\n    04:01:\n    02\nASN1 OID: prime256v1\n";
        assert_eq!(data(curve), json!({"curve": "secp256r1", "exponent_size": 8, "x": 1, "y": 2}));
        assert_eq!(data("ED25519 Public-Key:\npub:\n    ab\n"), json!({}));
    }
}
