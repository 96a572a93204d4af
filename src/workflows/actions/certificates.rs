//! `cluster_certificates`: the cluster's authority signs the keys of nodes whose certificates may not stay; or what these say is told.

use std::time::{Duration, SystemTime};

use pgfleet_pki::{Authority, Description, Names, PkiError, Verdict, describe, has_signed, judge};
use pgfleet_protocol::{Map, Secret};
use serde_json::{Value, json};

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
    if work.argument("look_only")?.unwrap_or(false) { look(work) } else { sign(work) }
}

/// What the certificates of the nodes say, and whether each may stay.
fn look(work: &Work) -> Result<Done, Trouble> {
    let authority = work.argument::<String>("ca_certificate")?.unwrap_or_default();
    let renew = DAY * work.argument::<u32>("renew_days")?.unwrap_or(30);
    let now = SystemTime::now();
    let nodes = work.argument::<Map>("nodes")?.unwrap_or_default();
    let rows = nodes.iter().map(|(node, settings)| {
        let certificate = settings.get("certificate").and_then(Value::as_str).unwrap_or_default();
        let Ok(told) = describe(certificate) else { return json!({"node": node, "state": "none"}) };
        let state = match has_signed(&authority, certificate) {
            _ if told.until <= now => "ended",
            Ok(false) => "of another authority",
            _ if told.until <= now + renew => "ends soon",
            Err(_) => "unknown authority",
            Ok(true) => "good",
        };
        row(node, &told, now, state)
    });
    let rows: Vec<Value> = rows.collect();
    let own = describe(&authority).map_or(Value::Null, |told| {
        let state = match told.until {
            until if until <= now => "ended",
            until if until <= now + renew => "ends soon",
            _ => "good",
        };
        row("authority", &told, now, state)
    });
    Ok(Done::unchanged().with("authority", own).with("nodes", rows))
}

fn row(node: &str, told: &Description, now: SystemTime, state: &str) -> Value {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = told.until.duration_since(now).unwrap_or_default().as_secs() / DAY.as_secs();
    json!({
        "node": node, "subject": told.subject, "names": told.names, "issuer": told.issuer, "serial": told.serial,
        "from": seconds(told.from), "until": seconds(told.until), "days_left": days, "state": state,
    })
}

fn sign(work: &Work) -> Result<Done, Trouble> {
    let all = work.argument("all")?.unwrap_or(false);
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
            Verdict::Good(_) if !all => asked.certificate.to_owned(),
            verdict => {
                let reason = if let Verdict::Replace(reason) = verdict { reason } else { "as asked for" };
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
