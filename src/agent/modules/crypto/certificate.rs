//! `x509_certificate` and `x509_certificate_pipe`: certificates, signed by their own key or by an authority of ours.

use pgfleet_protocol::modules::crypto::{CertificateArguments, Provider, X509Certificate, X509CertificatePipe};
use pgfleet_protocol::{Outcome, Status};

use super::csr::Wish;
use super::text::{extensions, sorted, value};
use super::{Kept, PASS_IN, Source, is_absent, must, openssl};
use crate::module::{Context, Failure, Plan, Planned, WithContext};

const DOING: &str = "cannot make the certificate";

pub(crate) fn plan(arguments: &X509Certificate, context: &Context) -> Planned {
    let kept = Kept { path: &arguments.path, attributes: arguments.attributes(), backup: arguments.backup };
    if is_absent(arguments.state) {
        return kept.removal(context);
    }
    let wish = arguments.certificate();
    let before = kept.content(context)?;
    let paths = [&wish.csr_path, &wish.key_path, &wish.authority_path];
    if context.mode.is_check() && paths.into_iter().flatten().any(|path| !context.system.exists(path.as_ref())) {
        // Earlier tasks of the same check would have made them.
        return Ok(Plan::Done(Outcome::changed().with("filename", arguments.path.as_str())));
    }
    let maker = Maker::new(&wish, context)?;
    let after = match &before {
        Some(before) if !wish.force && maker.would_make(before)? => before.clone(),
        _ => maker.make()?,
    };
    let content = arguments.return_content.then(|| String::from_utf8_lossy(&after).into_owned());
    kept.plan(before, after, context, |outcome| {
        let outcome = results(&wish, outcome);
        content.map_or(outcome.clone(), |content| outcome.with("certificate", content))
    })
}

pub(crate) fn plan_pipe(arguments: &X509CertificatePipe, context: &Context) -> Planned {
    let wish = arguments.certificate();
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
    Ok(Plan::Done(results(&wish, Outcome { status, ..Outcome::default() }).with("certificate", certificate)))
}

fn results(wish: &CertificateArguments, outcome: Outcome) -> Outcome {
    let text = |path: &Option<pgfleet_protocol::HostPath>| path.as_ref().map(|path| path.as_str().to_owned());
    let outcome = outcome.with("csr", text(&wish.csr_path));
    match wish.provider {
        Provider::Selfsigned => outcome.with("privatekey", text(&wish.key_path)),
        Provider::Ownca => outcome.with("ca_cert", text(&wish.authority_path)).with("ca_privatekey", text(&wish.key_path)),
    }
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
        let has = |name: &str| wanted.extensions.keys().any(|key| key.contains(name));
        let mut more = String::new();
        if !has("Subject Key Identifier") {
            more.push_str("subjectKeyIdentifier=hash\n");
        }
        if self.authority.is_some() && !has("Authority Key Identifier") {
            more.push_str("authorityKeyIdentifier=keyid:always\n");
        }
        let extra = Source::find(self.context, None, Some(more.as_bytes()), "")?;
        let extra = extra.as_ref().map(Source::name).unwrap_or_default();
        let now = self.context.system.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        let times = times(&self.wish.not_before, &self.wish.not_after, now.cast_signed())?;
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
            if failure.message.contains("copy_extensions")
                || failure.message.contains("not_before")
                || failure.message.contains("Unknown option")
            {
                return Failure::new(format!(
                    "{}\nextensions are taken over from openssl 3.0 on, moments that are no whole days from 3.4 on",
                    failure.message
                ));
            }
            failure
        })
    }

    /// A number that no other certificate has.
    fn serial(&self) -> Result<String, Failure> {
        let bytes = must(self.context, &["rand", "-hex", "19"], b"", None, DOING)?;
        Ok(format!("0x5{}", String::from_utf8_lossy(&bytes).trim()))
    }

    /// Whether a certificate is what would be made, but for number and, unless they count, times.
    fn would_make(&self, certificate: &[u8]) -> Result<bool, Failure> {
        let look = ["x509", "-noout", "-text", "-subject", "-issuer", "-nameopt", "RFC2253"];
        let found = openssl(self.context, &look, certificate, None)?;
        let Some(wanted) = Wish::read(&self.request, self.context)?.filter(|_| found.is_success()) else { return Ok(false) };
        let text = found.stdout_text();
        let key = openssl(self.context, &["x509", "-noout", "-pubkey"], certificate, None)?.stdout;
        let subject = line(&text, "subject=");
        if key != wanted.key || subject != wanted.subject {
            return Ok(false);
        }
        let mut kept = sorted(extensions(&text));
        let is_made = |name: &String| name.contains("Subject Key Identifier") || name.contains("Authority Key Identifier");
        kept.retain(|name, _| wanted.extensions.contains_key(name) || !is_made(name));
        if kept != wanted.extensions {
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

    fn is_own_key(&self, public: &[u8]) -> Result<bool, Failure> {
        let words = [&["pkey", "-pubout", "-in", self.key.name()], &PASS_IN[..]].concat();
        Ok(must(self.context, &words, b"", self.wish.key_passphrase.as_ref(), "cannot read the key")? == public)
    }
}

fn line(text: &str, name: &str) -> String {
    text.lines().find(|line| line.starts_with(name)).and_then(|line| value(line, name)).unwrap_or_default().to_owned()
}

/// openssl's options for two moments: whole days from now for all its versions, moments for those that know them.
fn times(not_before: &str, not_after: &str, now: i64) -> Result<Vec<String>, Failure> {
    const DAY: i64 = 86_400;
    let wrong = |text: &str| Failure::new(format!("'{text}' is no moment: write +365d, +52w3d or 20301231235959Z"));
    let (from, until) = (relative(not_before), relative(not_after));
    if let (Some(0), Some(until)) = (from, until)
        && until % DAY == 0
        && until > 0
    {
        return Ok(vec!["-days".to_owned(), (until / DAY).to_string()]);
    }
    let moment = |text: &str, relative: Option<i64>| match relative {
        Some(seconds) => {
            let moment = crate::moment::Moment::at(now + seconds);
            Ok(format!("{:04}{:02}{:02}{:02}{:02}{:02}Z", moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second))
        }
        None if text.len() >= 13 && text.ends_with('Z') && text[..text.len() - 1].bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(if text.len() == 13 { format!("{}00Z", &text[..12]) } else { text.to_owned() })
        }
        None => Err(wrong(text)),
    };
    Ok(vec!["-not_before".to_owned(), moment(not_before, from)?, "-not_after".to_owned(), moment(not_after, until)?])
}

/// `+32w1d2h3m4s` in seconds.
fn relative(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let mut seconds = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest[digits..].chars().next().unwrap_or('s');
        let factor = match unit {
            'w' => 604_800,
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds += number.checked_mul(factor)?;
        rest = rest.get(digits + 1..).unwrap_or_default();
    }
    Some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::{relative, times};

    #[test]
    fn moments_are_read() {
        for (text, expect) in [
            ("+0s", Some(0)),
            ("+1w1d", Some(691_200)),
            ("-30m", Some(-1800)),
            ("+365d", Some(31_536_000)),
            ("20300101000000Z", None),
            ("+5x", None),
        ] {
            assert_eq!(relative(text), expect, "{text}");
        }
        assert_eq!(times("+0s", "+36500d", 0).unwrap_or_default(), ["-days", "36500"]);
        let both = times("-1h", "203001010000Z", 7200).unwrap_or_default();
        assert_eq!(both, ["-not_before", "19700101010000Z", "-not_after", "20300101000000Z"]);
        assert!(times("+0s", "tomorrow", 0).is_err());
    }
}
