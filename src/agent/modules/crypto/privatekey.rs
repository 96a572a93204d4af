//! `openssl_privatekey` and `openssl_privatekey_info`: private keys.

use pgfleet_protocol::modules::crypto::{KeyFormat, KeyType, OpensslPrivatekey, OpensslPrivatekeyInfo, Regenerate};
use pgfleet_protocol::{FileMode, Map, Outcome, Secret, Status};
use serde_json::Value;

use super::{Kept, PASS_IN, PASSPHRASE, is_absent, must, openssl};
use crate::digest::Algorithm;
use crate::module::{Context, Failure, Plan, Planned, WithContext};

/// What a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    kind: KeyType,
    size: Option<u64>,
    curve: Option<String>,
}

impl Shape {
    /// Reads what openssl says of a key.
    fn read(text: &str) -> Option<Self> {
        let head = text.lines().find(|line| line.contains("Private-Key"))?;
        let size = head.split('(').nth(1).and_then(|rest| rest.split_whitespace().next()).and_then(|bits| bits.parse().ok());
        let curve = text.lines().find_map(|line| line.trim().strip_prefix("ASN1 OID:")).map(|curve| curve.trim().to_owned());
        let kind = [("ED25519", KeyType::Ed25519), ("ED448", KeyType::Ed448), ("X25519", KeyType::X25519), ("X448", KeyType::X448)];
        let kind = kind.into_iter().find(|(name, _)| head.contains(name)).map(|(_, kind)| kind);
        let kind = kind.unwrap_or(match (&curve, text.contains("modulus:")) {
            (Some(_), _) => KeyType::Ecc,
            (None, true) => KeyType::Rsa,
            (None, false) => KeyType::Dsa,
        });
        Some(Self { size: size.filter(|_| matches!(kind, KeyType::Rsa | KeyType::Dsa)), kind, curve })
    }

    fn wished(arguments: &OpensslPrivatekey) -> Result<Self, Failure> {
        let kind = arguments.r#type;
        let curve = match (kind, arguments.curve.as_deref()) {
            (KeyType::Ecc, None) => return Err(Failure::new("type is ECC but all of the following are missing: curve")),
            (KeyType::Ecc, Some(curve)) => Some(openssls(curve).to_owned()),
            _ => None,
        };
        Ok(Self { kind, size: matches!(kind, KeyType::Rsa | KeyType::Dsa).then_some(arguments.size), curve })
    }
}

/// A curve as openssl calls it.
fn openssls(curve: &str) -> &str {
    match curve {
        "secp256r1" => "prime256v1",
        "secp192r1" => "prime192v1",
        other => other,
    }
}

pub(crate) fn plan(arguments: &OpensslPrivatekey, context: &Context) -> Planned {
    if arguments.format == KeyFormat::Raw {
        return Err(Failure::new("format: 'raw' is not supported; pkcs8 holds all kinds of keys"));
    }
    let wished = Shape::wished(arguments)?;
    let mut kept = Kept { path: &arguments.path, attributes: arguments.attributes(), backup: arguments.backup };
    if is_absent(arguments.state) {
        return kept.removal(context);
    }
    let before = kept.content(context)?;
    if let Some(content) = &before
        && !is_to_be_made(arguments, &wished, content, context)?
    {
        let outcome = told(arguments, Outcome::unchanged().with("filename", arguments.path.as_str()), content, context)?;
        return kept.settle(outcome, context);
    }
    kept.attributes.mode.get_or_insert(FileMode::Octal(0o600));
    let outcome = results(arguments, Outcome::changed().with("filename", arguments.path.as_str()).with("fingerprint", Map::new()));
    let wish = arguments.clone();
    Ok(Plan::change(outcome, move |context, _| {
        let key = make(&wish, &wished, context)?;
        let mut attributes = wish.attributes();
        attributes.mode.get_or_insert(FileMode::Octal(0o600));
        let kept = Kept { path: &wish.path, attributes, backup: wish.backup };
        // A key is no content for a diff.
        let outcome = match kept.plan(before, key.clone(), context, |outcome| Outcome { diff: Vec::new(), ..outcome })? {
            Plan::Change(outcome, apply) => apply(context, outcome)?,
            Plan::Done(outcome) => outcome,
        };
        told(&wish, Outcome { status: Status::Changed, ..outcome }, &key, context)
    }))
}

fn is_to_be_made(arguments: &OpensslPrivatekey, wished: &Shape, content: &[u8], context: &Context) -> Result<bool, Failure> {
    if arguments.force || arguments.regenerate == Regenerate::Always {
        return Ok(true);
    }
    if arguments.regenerate == Regenerate::Never {
        return Ok(false);
    }
    let way = [&["pkey", "-noout", "-text"], &PASS_IN[..]].concat();
    let read = openssl(context, &way, content, arguments.passphrase.as_ref())?;
    let text = String::from_utf8_lossy(content);
    let is_closed = text.contains("ENCRYPTED");
    let found = if read.is_success() && is_closed == arguments.passphrase.is_some() { Shape::read(&read.stdout_text()) } else { None };
    let Some(found) = found else {
        if arguments.regenerate == Regenerate::FullIdempotence {
            return Ok(true);
        }
        return Err(Failure::new(
            "Unable to read the key. The key is protected with a another passphrase / no passphrase or broken. Will not proceed. \
             To force regeneration, call the module with `generate` set to `full_idempotence` or `always`, or with `force=true`.",
        ));
    };
    let is_pkcs8 = text.contains("-----BEGIN PRIVATE KEY") || text.contains("-----BEGIN ENCRYPTED PRIVATE KEY");
    let format_fits = match arguments.format {
        KeyFormat::AutoIgnore | KeyFormat::Raw => true,
        KeyFormat::Pkcs8 => is_pkcs8,
        KeyFormat::Pkcs1 => !is_pkcs8,
        KeyFormat::Auto => is_pkcs8 != has_old_way(wished.kind),
    };
    if found == *wished && format_fits {
        return Ok(false);
    }
    if arguments.regenerate == Regenerate::Fail {
        return Err(Failure::new(
            "Key has wrong type and/or size. Will not proceed. To force regeneration, call the module with `generate` set to \
             `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.",
        ));
    }
    Ok(true)
}

fn has_old_way(kind: KeyType) -> bool {
    matches!(kind, KeyType::Rsa | KeyType::Dsa | KeyType::Ecc)
}

fn make(arguments: &OpensslPrivatekey, wished: &Shape, context: &Context) -> Result<Vec<u8>, Failure> {
    const DOING: &str = "cannot make the key";
    let (bits, curve) =
        (format!("rsa_keygen_bits:{}", arguments.size), format!("ec_paramgen_curve:{}", wished.curve.as_deref().unwrap_or_default()));
    let words: Vec<&str> = match wished.kind {
        KeyType::Rsa => vec!["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits],
        KeyType::Ecc => vec!["genpkey", "-algorithm", "EC", "-pkeyopt", &curve, "-pkeyopt", "ec_param_enc:named_curve"],
        KeyType::Dsa => return Err(Failure::new("keys of type DSA are not made any more: choose RSA, ECC or Ed25519")),
        other => vec!["genpkey", "-algorithm", other.word()],
    };
    let key = must(context, &words, b"", None, DOING)?;
    let cipher = format!("-{}", if arguments.cipher == "auto" { "aes256" } else { &arguments.cipher });
    let out = format!("env:{PASSPHRASE}");
    let closing: Vec<&str> = if arguments.passphrase.is_some() { vec![&cipher, "-passout", &out] } else { Vec::new() };
    let passphrase = arguments.passphrase.as_ref();
    if arguments.format == KeyFormat::Pkcs8 || !has_old_way(wished.kind) {
        return if closing.is_empty() { Ok(key) } else { must(context, &[&["pkey"], &closing[..]].concat(), &key, passphrase, DOING) };
    }
    let program = if wished.kind == KeyType::Rsa { "rsa" } else { "ec" };
    if wished.kind == KeyType::Rsa {
        // Before version 3 the old way was the only one, and had no name.
        let named = openssl(context, &[&[program, "-traditional"], &closing[..]].concat(), &key, passphrase)?;
        if named.is_success() {
            return Ok(named.stdout);
        }
    }
    must(context, &[&[program], &closing[..]].concat(), &key, passphrase, DOING)
}

fn results(arguments: &OpensslPrivatekey, outcome: Outcome) -> Outcome {
    let outcome = outcome.with("type", arguments.r#type.word()).with("size", arguments.size);
    match &arguments.curve {
        Some(curve) if arguments.r#type == KeyType::Ecc => outcome.with("curve", curve.as_str()),
        _ => outcome,
    }
}

fn told(arguments: &OpensslPrivatekey, outcome: Outcome, key: &[u8], context: &Context) -> Result<Outcome, Failure> {
    let fingerprint = public(key, arguments.passphrase.as_ref(), context).map_or_else(|_| Map::new(), |key| fingerprints(&key));
    let outcome = results(arguments, outcome).with("fingerprint", fingerprint);
    Ok(if arguments.return_content { outcome.with("privatekey", String::from_utf8_lossy(key)) } else { outcome })
}

/// The public key of a private one, in DER.
fn public(key: &[u8], passphrase: Option<&Secret>, context: &Context) -> Result<Vec<u8>, Failure> {
    let words = [&["pkey", "-pubout", "-outform", "DER"], &PASS_IN[..]].concat();
    must(context, &words, key, passphrase, "cannot read the key")
}

/// Digests, with colons.
pub(super) fn fingerprints(der: &[u8]) -> Map {
    let digests = [
        ("md5", Algorithm::Md5),
        ("sha1", Algorithm::Sha1),
        ("sha224", Algorithm::Sha224),
        ("sha256", Algorithm::Sha256),
        ("sha384", Algorithm::Sha384),
        ("sha512", Algorithm::Sha512),
    ];
    let colons =
        |hex: String| hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect::<Vec<_>>().join(":");
    let digest =
        |(name, algorithm): (&str, Algorithm)| Some((name.to_owned(), Value::from(colons(algorithm.of_reader(&mut &der[..]).ok()?))));
    digests.into_iter().filter_map(digest).collect()
}

/// Tells of a key without its secrets.
pub(crate) fn plan_info(arguments: &OpensslPrivatekeyInfo, context: &Context) -> Planned {
    let content = match (&arguments.path, &arguments.content) {
        (Some(path), _) => context.system.read_file(path.as_ref()).context(format_args!("cannot read {path}"))?,
        (None, content) => content.as_ref().map(|content| content.reveal().as_bytes().to_vec()).unwrap_or_default(),
    };
    let passphrase = arguments.passphrase.as_ref();
    let text = must(context, &[&["pkey", "-noout", "-text"], &PASS_IN[..]].concat(), &content, passphrase, "Failed to parse private key")?;
    let unknown = || Failure::new("openssl says nothing of that key");
    let shape = Shape::read(&String::from_utf8_lossy(&text)).ok_or_else(unknown)?;
    let pem = must(context, &[&["pkey", "-pubout"], &PASS_IN[..]].concat(), &content, passphrase, "cannot read the key")?;
    let mut data = Map::new();
    if let Some(size) = shape.size {
        data.insert("size".to_owned(), size.into());
    }
    if let Some(curve) = &shape.curve {
        let curve = if curve == "prime256v1" { "secp256r1" } else { curve };
        data.insert("curve".to_owned(), curve.into());
    }
    Ok(Plan::Done(
        Outcome::unchanged()
            .with("can_load_key", true)
            .with("can_parse_key", true)
            .with("key_is_consistent", Value::Null)
            .with("type", shape.kind.word())
            .with("public_data", data)
            .with("public_key", String::from_utf8_lossy(&pem))
            .with("public_key_fingerprints", fingerprints(&public(&content, passphrase, context)?)),
    ))
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::modules::crypto::KeyType;

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
}
