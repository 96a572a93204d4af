//! `x509_certificate` and `x509_certificate_pipe`: certificates, signed by their own key or by an authority of ours.

use pgfleet_protocol::modules::crypto::{CertificateArguments, KeyIdentifier, Provider, X509Certificate, X509CertificatePipe};
use pgfleet_protocol::{HostPath, Outcome, Status};
use serde_json::Value;

use super::csr::Wish;
use super::text::{decimal, extensions, sorted, value};
use super::times::{Period, told};
use super::{Kept, PASS_IN, Source, is_absent, must, named, openssl};
use crate::module::{Context, Failure, Plan, Planned, WithContext};

const DOING: &str = "cannot make the certificate";
const SUBJECT_KEY: &str = "X509v3 Subject Key Identifier";
const AUTHORITY_KEY: &str = "X509v3 Authority Key Identifier";

pub(crate) fn plan(arguments: &X509Certificate, context: &Context) -> Planned {
    let kept = Kept { path: &arguments.path, attributes: arguments.attributes(), backup: arguments.backup };
    if is_absent(arguments.state) {
        return kept.removal(context);
    }
    let wish = arguments.certificate().ok_or_else(|| Failure::new("state is present but all of the following are missing: provider"))?;
    let before = kept.content(context)?;
    let paths = [&wish.csr_path, &wish.key_path, &wish.authority_path];
    if context.mode.is_check() && paths.into_iter().flatten().any(|path| !context.system.exists(path.as_ref())) {
        // Earlier tasks of the same check would have made them.
        return Ok(Plan::Done(Outcome { status: Status::Changed, ..results(&wish, named(&arguments.path)) }));
    }
    let maker = Maker::new(&wish, context)?;
    let after = match &before {
        Some(before) if !wish.force && maker.would_make(before)? => before.clone(),
        _ => maker.make()?,
    };
    let content = arguments.return_content.then(|| String::from_utf8_lossy(&after).into_owned());
    let told = tell(&after, context)?;
    let outcome = told.into_iter().fold(results(&wish, named(&arguments.path)), |outcome, (name, value)| outcome.with(name, value));
    let outcome = content.map_or(outcome.clone(), |content| outcome.with("certificate", content));
    kept.plan(before, after, context, outcome)
}

pub(crate) fn plan_pipe(arguments: &X509CertificatePipe, context: &Context) -> Planned {
    let wish = arguments.certificate().ok_or_else(|| Failure::new("missing required arguments: provider"))?;
    let maker = Maker::new(&wish, context)?;
    let kept = match &arguments.content {
        Some(content) if !wish.force && maker.would_make(content.as_bytes())? => Some(content.clone()),
        _ => None,
    };
    let status = if kept.is_some() { Status::Unchanged } else { Status::Changed };
    let certificate = match kept {
        Some(content) => content,
        None => String::from_utf8_lossy(&maker.make()?).into_owned(),
    };
    let told = tell(certificate.as_bytes(), context)?;
    let outcome = results(&wish, Outcome { status, ..Outcome::default() }).with("certificate", certificate);
    Ok(Plan::Done(told.into_iter().fold(outcome, |outcome, (name, value)| outcome.with(name, value))))
}

fn results(wish: &CertificateArguments, outcome: Outcome) -> Outcome {
    let text = |path: &Option<HostPath>| path.as_ref().map(|path| path.as_str().to_owned());
    let outcome = outcome.with("csr", text(&wish.csr_path)).with("privatekey", text(&wish.own_key_path));
    match wish.provider {
        Provider::Selfsigned => outcome,
        Provider::Ownca => outcome.with("ca_cert", text(&wish.authority_path)).with("ca_privatekey", text(&wish.key_path)),
    }
}

/// Number and times of a certificate.
fn tell(certificate: &[u8], context: &Context) -> Result<[(&'static str, Value); 3], Failure> {
    let look = ["x509", "-noout", "-serial", "-dates"];
    let text = must(context, &look, certificate, None, "cannot read the certificate")?;
    let text = String::from_utf8_lossy(&text);
    let of = |name: &str| value(&text, name).unwrap_or_default();
    Ok([
        ("serial_number", decimal(of("serial="))),
        ("notBefore", told(of("notBefore=")).into()),
        ("notAfter", told(of("notAfter=")).into()),
    ])
}

/// All that a certificate is made from.
struct Maker<'a> {
    wish: &'a CertificateArguments,
    context: &'a Context<'a>,
    key: Source<'a>,
    authority: Option<Source<'a>>,
    request: Vec<u8>,
}

impl<'a> Maker<'a> {
    fn new(wish: &'a CertificateArguments, context: &'a Context<'a>) -> Result<Self, Failure> {
        let content = wish.key_content.as_ref().map(|content| content.reveal().as_bytes());
        let key = Source::find(context, wish.key_path.as_ref(), content, "private key file")?;
        let prefix = if wish.provider == Provider::Ownca { "ownca_" } else { "" };
        let key =
            key.ok_or_else(|| Failure::new(format!("One of {prefix}privatekey_path, {prefix}privatekey_content must be specified")))?;
        let content = wish.authority_content.as_ref().map(String::as_bytes);
        let authority = Source::find(context, wish.authority_path.as_ref(), content, "CA certificate")?;
        if wish.provider == Provider::Ownca && authority.is_none() {
            return Err(Failure::new("One of ownca_path, ownca_content must be specified for the ownca provider."));
        }
        let request = match (&wish.csr_path, &wish.csr_content) {
            (Some(path), _) => context.system.read_file(path.as_ref()).context(format_args!("cannot read the request {path}"))?,
            (None, Some(content)) => content.clone().into_bytes(),
            (None, None) if wish.provider == Provider::Ownca => {
                return Err(Failure::new("csr_path or csr_content is needed for the ownca provider"));
            }
            // A certificate of a key alone, with nobody's name in it.
            (None, None) => {
                let words = [&["req", "-new", "-batch", "-subj", "/", "-key", key.name()], &PASS_IN[..]].concat();
                must(context, &words, b"", wish.key_passphrase.as_ref(), DOING)?
            }
        };
        Ok(Self { wish, context, key, authority, request })
    }

    fn make(&self) -> Result<Vec<u8>, Failure> {
        let wanted =
            Wish::read(&self.request, self.context)?.ok_or_else(|| Failure::new("the certificate signing request cannot be read"))?;
        let has = |name: &str| wanted.extensions.keys().any(|key| key.starts_with(name));
        let mut more = String::new();
        match self.wish.key_identifier {
            KeyIdentifier::CreateIfNotProvided if has(SUBJECT_KEY) => {}
            // Without this word openssl adds one from version 3.2 on.
            KeyIdentifier::NeverCreate if !has(SUBJECT_KEY) => more.push_str("subjectKeyIdentifier=none\n"),
            KeyIdentifier::NeverCreate => {}
            _ => more.push_str("subjectKeyIdentifier=hash\n"),
        }
        if self.wish.authority_key_identifier {
            more.push_str("authorityKeyIdentifier=keyid:always\n");
        } else if !has(AUTHORITY_KEY) {
            more.push_str("authorityKeyIdentifier=none\n");
        }
        let extra = Source::find(self.context, None, Some(more.as_bytes()), "")?;
        let extra = extra.as_ref().map(Source::name).unwrap_or_default();
        let times = self.period().options()?;
        let digest = format!("-{}", self.wish.digest.to_ascii_lowercase());
        let serial = self.serial()?;
        let mut words = vec!["x509", "-req", "-set_serial", &serial, &digest, "-copy_extensions", "copyall", "-extfile", extra];
        words.extend(times.iter().map(String::as_str));
        match &self.authority {
            Some(authority) => words.extend(["-CA", authority.name(), "-CAkey", self.key.name()]),
            None => words.extend(["-signkey", self.key.name()]),
        }
        words.extend(PASS_IN);
        must(self.context, &words, &self.request, self.wish.key_passphrase.as_ref(), DOING).map_err(|failure| {
            // All that it says of an option that it does not know.
            if failure.message.contains("-help") || failure.message.contains("Unknown option") {
                return Failure::new(format!(
                    "{}\nextensions are taken over from openssl 3.0 on, moments that are no whole days from 3.4 on",
                    failure.message
                ));
            }
            failure
        })
    }

    fn period(&self) -> Period<'_> {
        let now = self.context.system.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        Period { not_before: &self.wish.not_before, not_after: &self.wish.not_after, now: now.cast_signed() }
    }

    /// A number that no other certificate has.
    fn serial(&self) -> Result<String, Failure> {
        let bytes = must(self.context, &["rand", "-hex", "19"], b"", None, DOING)?;
        Ok(format!("0x5{}", String::from_utf8_lossy(&bytes).trim()))
    }

    /// Whether a certificate is what would be made, but for number and, unless they count, times.
    fn would_make(&self, certificate: &[u8]) -> Result<bool, Failure> {
        let look = ["x509", "-noout", "-text", "-subject", "-issuer", "-dates", "-nameopt", "RFC2253"];
        let found = openssl(self.context, &look, certificate, None)?;
        let Some(mut wanted) = Wish::read(&self.request, self.context)?.filter(|_| found.is_success()) else { return Ok(false) };
        let text = found.stdout_text();
        let key = openssl(self.context, &["x509", "-noout", "-pubkey"], certificate, None)?.stdout;
        let subject = line(&text, "subject=");
        if key != wanted.key || subject != wanted.subject {
            return Ok(false);
        }
        let mut kept = sorted(extensions(&text));
        if self.wish.key_identifier != KeyIdentifier::NeverCreate {
            let of_request = wanted.extensions.remove(SUBJECT_KEY).filter(|_| self.wish.key_identifier != KeyIdentifier::AlwaysCreate);
            match (kept.remove(SUBJECT_KEY), of_request) {
                (None, _) => return Ok(false),
                (Some(found), Some(wanted)) if found != wanted => return Ok(false),
                _ => {}
            }
        }
        if self.wish.authority_key_identifier {
            wanted.extensions.remove(AUTHORITY_KEY);
            if kept.remove(AUTHORITY_KEY).is_none() {
                return Ok(false);
            }
        }
        if kept != wanted.extensions || !(self.wish.ignore_timestamps || self.is_of_its_time(&text)?) {
            return Ok(false);
        }
        let issuer = line(&text, "issuer=");
        match &self.authority {
            None => Ok(issuer == subject && self.is_own_key(&key)?),
            Some(authority) => {
                let verified =
                    openssl(self.context, &["verify", "-partial_chain", "-no_check_time", "-CAfile", authority.name()], certificate, None)?;
                let said = format!("{}{}", verified.stdout_text(), verified.stderr_text());
                // What else is wrong with an authority does not make another one sign.
                Ok(!said.contains("signature failure") && !said.contains("unable to get"))
            }
        }
    }

    fn is_of_its_time(&self, text: &str) -> Result<bool, Failure> {
        let (from, until) = self.period().moments()?;
        Ok(told(&line(text, "notBefore=")) == from && told(&line(text, "notAfter=")) == until)
    }

    fn is_own_key(&self, public: &[u8]) -> Result<bool, Failure> {
        let words = [&["pkey", "-pubout", "-in", self.key.name()], &PASS_IN[..]].concat();
        Ok(must(self.context, &words, b"", self.wish.key_passphrase.as_ref(), "cannot read the key")? == public)
    }
}

fn line(text: &str, name: &str) -> String {
    text.lines().find(|line| line.starts_with(name)).and_then(|line| value(line, name)).unwrap_or_default().to_owned()
}
