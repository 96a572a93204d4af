//! `cluster_certificates`: the cluster's authority signs the keys of nodes whose certificates may not stay.

use std::time::{Duration, SystemTime};

use pgfleet_pki::{Authority, Names, PkiError, Verdict, judge};
use pgfleet_protocol::{Map, Secret};
use serde_json::Value;

use super::{Done, Trouble, Work};
use crate::authority::NEW_AUTHORITY;

const DAY: Duration = Duration::from_secs(86_400);

/// What is known of a node.
struct Asked<'a> {
    public_key: &'a str,
    certificate: &'a str,
    names: Names,
}

pub(crate) fn run(work: &Work) -> Result<Done, Trouble> {
    let Some(certificate) = work.argument::<String>("ca_certificate")? else {
        return Err(Trouble::failed("argument 'ca_certificate' is missing"));
    };
    // Without a key it tells what may stay, and signs nothing.
    let authority = match work.argument::<String>("ca_key")? {
        Some(key) => Authority::read(&Secret::new(key), &certificate),
        None => Authority::without_key(&certificate),
    };
    let authority = authority.map_err(|error| error.to_string())?;
    let days = work.argument::<u64>("days")?.unwrap_or(825);
    let renew = DAY * work.argument::<u32>("renew_days")?.unwrap_or(30);
    let nodes = work.argument::<Map>("nodes")?.unwrap_or_default();
    let now = SystemTime::now();
    let (mut certificates, mut signed) = (Map::new(), Vec::new());
    for (node, settings) in &nodes {
        let asked = read(node, settings)?;
        let certificate = match judge(&authority, asked.certificate, asked.public_key, &asked.names, renew, now) {
            Verdict::Good(_) => asked.certificate.to_owned(),
            Verdict::Replace(reason) => {
                signed.push(format!("{node} ({reason})"));
                authority.issue(asked.public_key, &asked.names, days, now).map_err(|error| unsigned(node, reason, &error))?
            }
        };
        certificates.insert(node.clone(), Value::from(certificate));
    }
    if signed.is_empty() {
        return Ok(Done::unchanged().with("certificates", certificates));
    }
    let verb = if work.is_check() { "Would sign" } else { "Signed" };
    let done = Done::changed().with("certificates", certificates);
    Ok(done.with("summary", format!("{verb} certificates, good for {days} days: {}.", signed.join(", "))))
}

fn unsigned(node: &str, reason: &str, error: &PkiError) -> Trouble {
    let trouble = Trouble::failed(format!("{node} needs a certificate ({reason}), and it cannot be made: {error}"));
    match error {
        PkiError::NoKey => trouble.hint(NEW_AUTHORITY),
        _ => trouble,
    }
}

fn read<'a>(node: &str, settings: &'a Value) -> Result<Asked<'a>, Trouble> {
    let text = |name: &str| settings.get(name).and_then(Value::as_str).unwrap_or_default();
    let names = settings.get("names").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = Names::new(names.iter().filter_map(Value::as_str)).map_err(|error| format!("{node}: {error}"))?;
    Ok(Asked { public_key: text("public_key"), certificate: text("certificate"), names })
}
