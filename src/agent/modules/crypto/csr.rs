//! `openssl_csr` and `openssl_csr_pipe`: requests for certificates.
//!
//! The request is made each time, and put in place only when it asks for something else than the one that is there.

use std::fmt::Write;

use pgfleet_protocol::modules::crypto::{OpensslCsr, OpensslCsrPipe, RequestArguments};
use pgfleet_protocol::{Outcome, Status};
use serde_json::{Value, json};

use super::text::{Extensions, extensions, sorted, value};
use super::{Kept, PASS_IN, Source, is_absent, must, named, openssl};
use crate::module::{Context, Failure, Plan, Planned};

/// Names that people write for what a key is for, and openssl's.
const USAGES: [(&str, &str); 11] = [
    ("Digital Signature", "digitalSignature"),
    ("Non Repudiation", "nonRepudiation"),
    ("Content Commitment", "nonRepudiation"),
    ("contentCommitment", "nonRepudiation"),
    ("Key Encipherment", "keyEncipherment"),
    ("Data Encipherment", "dataEncipherment"),
    ("Key Agreement", "keyAgreement"),
    ("Certificate Sign", "keyCertSign"),
    ("CRL Sign", "cRLSign"),
    ("Encipher Only", "encipherOnly"),
    ("Decipher Only", "decipherOnly"),
];

pub(crate) fn plan(arguments: &OpensslCsr, context: &Context) -> Planned {
    let kept = Kept { path: &arguments.path, attributes: arguments.attributes(), backup: arguments.backup };
    if is_absent(arguments.state) {
        return kept.removal(context);
    }
    let request = arguments.request();
    let before = kept.content(context)?;
    if context.mode.is_check() && request.privatekey_path.as_ref().is_some_and(|path| !context.system.exists(path.as_ref())) {
        // An earlier task of the same check would have made the key.
        return Ok(Plan::Done(Outcome { status: Status::Changed, ..results(&request, named(&arguments.path)) }));
    }
    let made = make(&request, context)?;
    let after = match &before {
        Some(before) if !arguments.force && asks_the_same(before, &made, context)? => before.clone(),
        _ => made,
    };
    let content = arguments.return_content.then(|| String::from_utf8_lossy(&after).into_owned());
    let outcome = results(&request, named(&arguments.path));
    let outcome = content.map_or(outcome.clone(), |content| outcome.with("csr", content));
    kept.plan(before, after, context, outcome)
}

pub(crate) fn plan_pipe(arguments: &OpensslCsrPipe, context: &Context) -> Planned {
    let request = arguments.request();
    let made = make(&request, context)?;
    let kept = match &arguments.content {
        Some(content) if asks_the_same(content.as_bytes(), &made, context)? => Some(content.clone()),
        _ => None,
    };
    let status = if kept.is_some() { Status::Unchanged } else { Status::Changed };
    let csr = kept.unwrap_or_else(|| String::from_utf8_lossy(&made).into_owned());
    Ok(Plan::Done(results(&request, Outcome { status, ..Outcome::default() }).with("csr", csr)))
}

fn results(request: &RequestArguments, outcome: Outcome) -> Outcome {
    let or_null = |items: &[String]| if items.is_empty() { Value::Null } else { json!(items) };
    let extension =
        |name: &str| request.extensions.iter().find(|(known, _, _)| *known == name).map_or(Value::Null, |(_, items, _)| or_null(items));
    outcome
        .with("privatekey", request.privatekey_path.as_ref().map(|path| path.as_str()))
        .with("subject", json!(request.subject))
        .with("subjectAltName", or_null(&request.subject_alt_name))
        .with("keyUsage", extension("keyUsage"))
        .with("extendedKeyUsage", extension("extendedKeyUsage"))
        .with("basicConstraints", extension("basicConstraints"))
        .with("ocspMustStaple", request.ocsp_must_staple)
        .with("name_constraints_permitted", Vec::<String>::new())
        .with("name_constraints_excluded", Vec::<String>::new())
}

/// Makes the request.
fn make(request: &RequestArguments, context: &Context) -> Result<Vec<u8>, Failure> {
    let content = request.privatekey_content.as_ref().map(|content| content.reveal().as_bytes());
    let key = Source::find(context, request.privatekey_path.as_ref(), content, "private key file")?;
    let Some(key) = key else { return Err(Failure::new("one of the following is required: privatekey_path, privatekey_content")) };
    let digest = format!("-{}", request.digest.to_ascii_lowercase());
    let mut words = [&["req", "-new", "-batch", "-config", "/dev/stdin", &digest, "-key", key.name()], &PASS_IN[..]].concat();
    if request.subject.is_empty() {
        // A configuration cannot say that there is no name.
        words.extend(["-subj", "/"]);
    }
    let configuration = configuration(request)?;
    must(context, &words, configuration.as_bytes(), request.privatekey_passphrase.as_ref(), "cannot make the certificate signing request")
}

/// What openssl reads instead of asking.
fn configuration(request: &RequestArguments) -> Result<String, Failure> {
    let mut extensions = String::new();
    let critical = |is_critical: bool| if is_critical { "critical," } else { "" };
    let mut names = String::new();
    if !request.subject_alt_name.is_empty() {
        let _ = writeln!(extensions, "subjectAltName={}@names", critical(request.subject_alt_name_critical));
        for (number, name) in request.subject_alt_name.iter().enumerate() {
            let (kind, value) = name
                .split_once(':')
                .ok_or_else(|| Failure::new(format!("Cannot parse Subject Alternative Name \"{name}\" (prefix missing)")))?;
            let kind = if kind.eq_ignore_ascii_case("email") { "email".to_owned() } else { kind.to_owned() };
            let _ = writeln!(names, "{kind}.{number}={}", escaped(value)?);
        }
    }
    for (name, values, is_critical) in request.extensions.iter().filter(|(_, values, _)| !values.is_empty()) {
        let known = |value: &String| USAGES.iter().find(|(told, _)| told == value).map_or(value.clone(), |(_, name)| (*name).to_owned());
        let values: Vec<String> = values.iter().map(known).collect();
        let _ = writeln!(extensions, "{name}={}{}", critical(*is_critical), escaped(&values.join(","))?);
    }
    if request.ocsp_must_staple {
        let _ = writeln!(extensions, "tlsfeature={}status_request", critical(request.ocsp_must_staple_critical));
    }
    if request.create_subject_key_identifier {
        extensions.push_str("subjectKeyIdentifier=hash\n");
    }
    let mut text = "[req]\nprompt=no\nutf8=yes\nstring_mask=utf8only\ndistinguished_name=subject\n".to_owned();
    if !extensions.is_empty() {
        text.push_str("req_extensions=extensions\n");
    }
    text.push_str("[subject]\n");
    for (number, (name, value)) in request.subject.iter().enumerate() {
        let _ = writeln!(text, "{number}.{name}={}", escaped(value)?);
    }
    let _ = write!(text, "[extensions]\n{extensions}[names]\n{names}");
    Ok(text)
}

/// A value as openssl's configuration has it.
fn escaped(value: &str) -> Result<String, Failure> {
    if value.contains(['\n', '\r', '\0']) {
        return Err(Failure::new(format!("'{}' cannot stand in a certificate", value.escape_default())));
    }
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if "\\$#\"'`".contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    Ok(text)
}

/// What a request asks for: subject, key, extensions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) subject: String,
    pub(super) key: Vec<u8>,
    pub(super) extensions: Extensions,
}

impl Wish {
    /// Reads a request; `None` for what is none, or whose signature is wrong.
    pub(super) fn read(request: &[u8], context: &Context) -> Result<Option<Self>, Failure> {
        let text = openssl(context, &["req", "-noout", "-text", "-subject", "-nameopt", "RFC2253", "-verify"], request, None)?;
        let key = openssl(context, &["req", "-noout", "-pubkey"], request, None)?;
        let text = Some(text).filter(|text| text.is_success() && key.is_success()).map(|text| text.stdout_text());
        Ok(text.map(|text| Self {
            subject: value(&text, "subject=").unwrap_or_default().to_owned(),
            key: key.stdout,
            extensions: sorted(extensions(&text)),
        }))
    }
}

fn asks_the_same(before: &[u8], made: &[u8], context: &Context) -> Result<bool, Failure> {
    let before = Wish::read(before, context)?;
    Ok(before.is_some() && before == Wish::read(made, context)?)
}
