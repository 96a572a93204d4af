//! `openssl_privatekey` and `openssl_privatekey_info`: private keys.

use pgfleet_protocol::modules::crypto::{KeyFormat, KeyType, Mismatch, OpensslPrivatekey, OpensslPrivatekeyInfo, Regenerate};
use pgfleet_protocol::{FileMode, Map, Outcome, Secret, Status};
use serde_json::Value;

use super::shape::Shape;
use super::{Kept, PASS_IN, PASSPHRASE, is_absent, must, named, openssl};
use crate::digest::Algorithm;
use crate::module::{Context, Failure, Plan, Planned, WithContext};

pub(crate) fn plan(arguments: &OpensslPrivatekey, context: &Context) -> Planned {
    if arguments.format == KeyFormat::Raw {
        return Err(Failure::new("format: 'raw' is not supported; pkcs8 holds all kinds of keys"));
    }
    let wished = Shape::wished(arguments)?;
    let mut kept = Kept { path: &arguments.path, attributes: arguments.attributes(), backup: arguments.backup };
    kept.attributes.mode.get_or_insert(FileMode::Octal(0o600));
    if is_absent(arguments.state) {
        return Ok(kept.removal(context)?.with("type", wished.kind.word()).with("size", arguments.size).with("fingerprint", Value::Null));
    }
    let before = kept.content(context)?;
    let need = match &before {
        Some(content) => need(arguments, &wished, content, context)?,
        None => Need::New,
    };
    if let (Need::Nothing, Some(content)) = (need, &before) {
        let outcome = told(arguments, named(&arguments.path), content, context)?;
        return kept.settle(outcome, context);
    }
    let outcome = Outcome { status: Status::Changed, ..results(arguments, named(&arguments.path).with("fingerprint", Value::Null)) };
    let (wish, attributes) = (arguments.clone(), kept.attributes);
    Ok(Plan::change(outcome, move |context, _| {
        let key = match &before {
            Some(content) if need == Need::OtherFormat => written(&wish, &wished, content, context)?,
            _ => make(&wish, &wished, context)?,
        };
        let kept = Kept { path: &wish.path, attributes, backup: wish.backup };
        let outcome = match kept.plan(before, key.clone(), context, named(&wish.path))? {
            Plan::Change(outcome, apply) => apply(context, outcome)?,
            Plan::Done(outcome) => outcome,
        };
        // A key is no content for a diff.
        told(&wish, Outcome { status: Status::Changed, diff: Vec::new(), ..outcome }, &key, context)
    }))
}

/// What a key that is there needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    /// The same key, written down in another way.
    OtherFormat,
    New,
}

fn need(arguments: &OpensslPrivatekey, wished: &Shape, content: &[u8], context: &Context) -> Result<Need, Failure> {
    if arguments.force || arguments.regenerate == Regenerate::Always {
        return Ok(Need::New);
    }
    let way = [&["pkey", "-noout", "-text"], &PASS_IN[..]].concat();
    let read = openssl(context, &way, content, arguments.passphrase.as_ref())?;
    let text = String::from_utf8_lossy(content);
    let is_closed = text.contains("ENCRYPTED");
    let found = if read.is_success() && is_closed == arguments.passphrase.is_some() { Shape::read(&read.stdout_text()) } else { None };
    let Some(found) = found else {
        if arguments.regenerate == Regenerate::FullIdempotence {
            return Ok(Need::New);
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
    let converts = arguments.format_mismatch == Mismatch::Convert;
    let what = if arguments.regenerate == Regenerate::Never || found == *wished {
        if format_fits || (arguments.regenerate == Regenerate::Never && !converts) {
            return Ok(Need::Nothing);
        }
        if converts {
            return Ok(Need::OtherFormat);
        }
        "format"
    } else {
        "type and/or size"
    };
    if arguments.regenerate == Regenerate::Fail {
        return Err(Failure::new(format!(
            "Key has wrong {what}. Will not proceed. To force regeneration, call the module with `generate` set to \
             `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.",
        )));
    }
    Ok(Need::New)
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
    written(arguments, wished, &key, context)
}

/// A key, written down and closed as wished. One that is closed already is opened by the same passphrase.
fn written(arguments: &OpensslPrivatekey, wished: &Shape, key: &[u8], context: &Context) -> Result<Vec<u8>, Failure> {
    const DOING: &str = "cannot write the key down";
    let cipher = format!("-{}", if arguments.cipher == "auto" { "aes256" } else { &arguments.cipher });
    let out = format!("env:{PASSPHRASE}");
    let passphrase = arguments.passphrase.as_ref();
    let closing: &[&str] = if passphrase.is_some() { &[&cipher, "-passout", &out] } else { &[] };
    let way = [&PASS_IN, closing].concat();
    if arguments.format == KeyFormat::Pkcs8 || !has_old_way(wished.kind) {
        return must(context, &[&["pkey"], &way[..]].concat(), key, passphrase, DOING);
    }
    let program = if wished.kind == KeyType::Rsa { "rsa" } else { "ec" };
    if wished.kind == KeyType::Rsa {
        // Before version 3 the old way was the only one, and had no name.
        let named = openssl(context, &[&[program, "-traditional"], &way[..]].concat(), key, passphrase)?;
        if named.is_success() {
            return Ok(named.stdout);
        }
    }
    must(context, &[&[program], &way[..]].concat(), key, passphrase, DOING)
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
    let text = String::from_utf8_lossy(&text);
    let shape = Shape::read(&text).ok_or_else(|| Failure::new("openssl says nothing of that key"))?;
    let pem = must(context, &[&["pkey", "-pubout"], &PASS_IN[..]].concat(), &content, passphrase, "cannot read the key")?;
    let mut is_consistent = None;
    if arguments.check_consistency {
        let look = [&["pkey", "-noout", "-check"], &PASS_IN[..]].concat();
        must(context, &look, &content, passphrase, "Private key is not consistent")?;
        is_consistent = Some(true);
    }
    Ok(Plan::Done(
        Outcome::unchanged()
            .with("can_load_key", true)
            .with("can_parse_key", true)
            .with("key_is_consistent", is_consistent)
            .with("type", shape.kind.word())
            .with("public_data", shape.public_data(&text))
            .with("public_key", String::from_utf8_lossy(&pem))
            .with("public_key_fingerprints", fingerprints(&public(&content, passphrase, context)?)),
    ))
}
