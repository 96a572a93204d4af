//! `x509_certificate_info`: what a certificate says.

use std::net::IpAddr;

use pgfleet_protocol::modules::crypto::X509CertificateInfo;
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use super::privatekey::fingerprints;
use super::shape::Shape;
use super::text::{Extensions, decimal, extensions, parts, value};
use super::times::{moment, told};
use super::{must, openssl};
use crate::module::{Context, Failure, Plan, Planned, WithContext};

pub(crate) fn plan(arguments: &X509CertificateInfo, context: &Context) -> Planned {
    let content = match (&arguments.path, &arguments.content) {
        (Some(path), _) => context.system.read_file(path.as_ref()).context(format_args!("cannot read {path}"))?,
        (None, content) => content.clone().unwrap_or_default().into_bytes(),
    };
    let look = |words: &[&str]| must(context, &[&["x509", "-noout"], words].concat(), &content, None, "Failed to parse certificate");
    let said = |words: &[&str]| look(words).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = said(&["-text"])?;
    let der = must(context, &["x509", "-outform", "DER"], &content, None, "Failed to parse certificate")?;
    let (mut outcome, found) = (Outcome::unchanged(), extensions(&text));
    for name in ["subject", "issuer"] {
        let parts = parts(&said(&[&format!("-{name}"), "-nameopt", "multiline,utf8,-esc_msb"])?);
        let map: Map = parts.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        outcome = outcome.with(name, map).with(&format!("{name}_ordered"), json!(parts));
    }
    let dates = said(&["-dates"])?;
    for (name, key) in [("not_before", "notBefore="), ("not_after", "notAfter=")] {
        outcome = outcome.with(name, told(value(&dates, key).unwrap_or_default()));
    }
    let is_over = !openssl(context, &["x509", "-noout", "-checkend", "0"], &content, None)?.is_success();
    let serial = said(&["-serial"])?;
    let outcome = with_extensions(outcome, &found);
    let outcome = with_public_key(outcome, said(&["-pubkey"])?, context)?;
    Ok(Plan::Done(
        outcome
            .with("expired", is_over)
            .with("version", value(&text, "Version:").and_then(|version| version.split_whitespace().next()?.parse::<i64>().ok()))
            .with("serial_number", decimal(value(&serial, "serial=").unwrap_or_default()))
            .with("signature_algorithm", value(&text, "Signature Algorithm:").unwrap_or_default())
            .with("fingerprints", fingerprints(&der))
            .with("valid_at", valid_at(arguments, &dates, context)?),
    ))
}

fn with_extensions(mut outcome: Outcome, found: &Extensions) -> Outcome {
    for (name, title, is_sorted) in [
        ("subject_alt_name", "X509v3 Subject Alternative Name", false),
        ("basic_constraints", "X509v3 Basic Constraints", true),
        ("key_usage", "X509v3 Key Usage", true),
        ("extended_key_usage", "X509v3 Extended Key Usage", true),
    ] {
        let told = extension(found, title);
        let is_critical = told.is_some_and(|(_, is_critical)| is_critical);
        let values = told.map(|(values, _)| {
            let mut values: Vec<String> = values.iter().map(|value| general_name(value)).collect();
            if is_sorted {
                values.sort();
            }
            values
        });
        outcome = outcome.with(name, json!(values)).with(&format!("{name}_critical"), is_critical);
    }
    for name in ["subject", "authority"] {
        let title = if name == "subject" { "X509v3 Subject Key Identifier" } else { "X509v3 Authority Key Identifier" };
        let identifier = extension(found, title).and_then(|(values, _)| values.first());
        let identifier = identifier.map(|value| value.trim_start_matches("keyid:").to_ascii_lowercase());
        outcome = outcome.with(&format!("{name}_key_identifier"), identifier);
    }
    let staple = extension(found, "TLS Feature");
    let access = |method: &str| {
        let ways = extension(found, "Authority Information Access").into_iter().flat_map(|(ways, _)| ways);
        ways.filter_map(|way| way.strip_prefix(method)?.strip_prefix(" - URI:")).next().map(str::to_owned)
    };
    outcome
        .with("ocsp_must_staple", staple.map(|(values, _)| values.iter().any(|value| value.contains("status_request"))))
        .with("ocsp_must_staple_critical", staple.is_some_and(|(_, is_critical)| is_critical))
        .with("ocsp_uri", access("OCSP"))
        .with("issuer_uri", access("CA Issuers"))
}

/// A name as Ansible tells it: openssl writes addresses in its own way.
fn general_name(told: &str) -> String {
    match told.strip_prefix("IP Address:") {
        Some(address) => format!("IP:{}", address.parse::<IpAddr>().map_or(address.to_owned(), |address| address.to_string())),
        None => told.to_owned(),
    }
}

fn with_public_key(outcome: Outcome, pem: String, context: &Context) -> Result<Outcome, Failure> {
    let look = |words: &[&str]| must(context, &[&["pkey", "-pubin"], words].concat(), pem.as_bytes(), None, "cannot read the public key");
    let text = look(&["-noout", "-text"])?;
    let (text, der) = (String::from_utf8_lossy(&text), look(&["-outform", "DER"])?);
    let shape = Shape::read(&text);
    Ok(outcome
        .with("public_key_type", shape.as_ref().map(|shape| shape.kind.word()))
        .with("public_key_data", shape.map(|shape| shape.public_data(&text)).unwrap_or_default())
        .with("public_key_fingerprints", fingerprints(&der))
        .with("public_key", pem))
}

/// The values of an extension, and whether it is critical.
fn extension<'a>(found: &'a Extensions, title: &str) -> Option<(&'a [String], bool)> {
    found.iter().find_map(|(name, values)| Some((values.as_slice(), name.strip_prefix(title)?.contains("critical"))))
}

/// At which of the moments asked for the certificate holds.
fn valid_at(arguments: &X509CertificateInfo, dates: &str, context: &Context) -> Result<Map, Failure> {
    let now = context.system.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |passed| passed.as_secs()).cast_signed();
    let date = |name: &str| told(value(dates, name).unwrap_or_default());
    let (from, until) = (date("notBefore="), date("notAfter="));
    let mut answers = Map::new();
    for (name, asked) in &arguments.valid_at {
        let asked = asked.as_str().ok_or_else(|| Failure::new(format!("The value for valid_at.{name} must be of type string")))?;
        let at = moment(asked, now).map_err(|failure| Failure::new(format!("valid_at.{name}: {}", failure.message)))?;
        // Both are written alike, so that text compares as time.
        answers.insert(name.clone(), (from <= at && at <= until).into());
    }
    Ok(answers)
}
