//! `x509_certificate_info`: what a certificate says.

use pgfleet_protocol::modules::crypto::X509CertificateInfo;
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use super::privatekey::fingerprints;
use super::text::{extensions, parts, value};
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
        outcome = outcome.with(name, moment(value(&dates, key).unwrap_or_default()));
    }
    let is_over = !openssl(context, &["x509", "-noout", "-checkend", "0"], &content, None)?.is_success();
    let serial = said(&["-serial"])?;
    let serial = value(&serial, "serial=").unwrap_or_default();
    for (name, title) in [
        ("subject_alt_name", "X509v3 Subject Alternative Name"),
        ("basic_constraints", "X509v3 Basic Constraints"),
        ("key_usage", "X509v3 Key Usage"),
        ("extended_key_usage", "X509v3 Extended Key Usage"),
    ] {
        let extension = found.iter().find(|(known, _)| known.split(':').next() == Some(title));
        let values = extension.map(|(_, values)| values.iter().map(|value| value.replace("IP Address:", "IP:")).collect::<Vec<_>>());
        outcome = outcome
            .with(name, json!(values))
            .with(&format!("{name}_critical"), extension.is_some_and(|(known, _)| known.ends_with("critical")));
    }
    for (name, title) in
        [("subject_key_identifier", "X509v3 Subject Key Identifier"), ("authority_key_identifier", "X509v3 Authority Key Identifier")]
    {
        let identifier =
            found.get(title).and_then(|values| values.first()).map(|value| value.trim_start_matches("keyid:").to_ascii_lowercase());
        outcome = outcome.with(name, json!(identifier));
    }
    let valid_at: Result<Map, Failure> =
        if arguments.valid_at.is_empty() { Ok(Map::new()) } else { Err(Failure::new("valid_at is not supported")) };
    Ok(Plan::Done(
        outcome
            .with("expired", is_over)
            .with("version", value(&text, "Version:").and_then(|version| version.split_whitespace().next()?.parse::<i64>().ok()))
            .with("serial_number", decimal(serial))
            .with("signature_algorithm", value(&text, "Signature Algorithm:").unwrap_or_default())
            .with("public_key", said(&["-pubkey"])?)
            .with("fingerprints", fingerprints(&der))
            .with("valid_at", valid_at?),
    ))
}

/// `Nov 21 22:32:05 2026 GMT` as `20261121223205Z`.
fn moment(text: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [month, day, clock, year, ..] = words[..] else { return text.to_owned() };
    let month = MONTHS.iter().position(|name| *name == month).map_or(0, |at| at + 1);
    format!("{year}{month:02}{day:0>2}{}Z", clock.replace(':', ""))
}

/// A number of any length, from hexadecimal digits; text where it is too long for JSON's numbers of ours.
fn decimal(hex: &str) -> Value {
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

    use super::{decimal, moment};

    #[test]
    fn moments_and_numbers_are_told() {
        assert_eq!(moment("Nov  1 02:32:05 2026 GMT"), "20261101023205Z");
        assert_eq!(decimal("0A"), json!(10));
        assert_eq!(decimal("10000000000000000"), json!("18446744073709551616"));
    }
}
