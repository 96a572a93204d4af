//! One of etcd's voters, asked as this node's Patroni asks it: by the addresses, the certificates and the login of its configuration.

use std::time::{Duration, Instant};

use pgfleet_protocol::Secret;
use serde_json::Value;

use super::login::Login;
use super::tls::Trust;
use super::{HttpError, Request, Url, copy, etcd, exchange, login, patroni};
use crate::system::System;

/// How long one step of an exchange may take.
const STEP: Duration = Duration::from_secs(1);
/// The longest answer.
const MOST: u64 = 1 << 20;

/// A voter, and how it is asked.
pub(crate) struct Voter {
    address: String,
    trust: Option<Trust>,
    login: Option<Login>,
}

impl Voter {
    /// All that Patroni's configuration names, those on this very node first.
    pub(crate) fn all(config: &str) -> Vec<Self> {
        let login = patroni::setting(config, "etcd3", "username").zip(patroni::setting(config, "etcd3", "password"));
        let login = login.map(|(name, password)| Login { words: Secret::new(format!("{name}:{password}")), file: patroni::CONFIG });
        let trust = etcd::trust_of_a_client(config);
        let own = patroni::setting(config, "restapi", "connect_address").unwrap_or_default();
        let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
        let mut addresses = patroni::list(config, "etcd3", "hosts");
        addresses.sort_by_key(|address| host(address) != host(&own));
        addresses.into_iter().map(|address| Self { address, trust: trust.clone(), login: login.clone() }).collect()
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks by a path of etcd's `/v3/kv`; answers what it says.
    pub(crate) fn ask(&self, system: &dyn System, path: &str, question: &Value) -> Result<Value, HttpError> {
        let url = Url::parse(&format!("etcd://{}/v3/kv/{path}", self.address)).map_err(HttpError::Request)?;
        let mut request = Request::get(url, STEP);
        request.method = "POST".to_owned();
        request.body = Some(question.to_string().into_bytes());
        request.deadline = Some(Instant::now() + 2 * STEP);
        request.most = MOST;
        let send = |request: &Request| exchange::exchange(system, request, self.trust.as_ref());
        let (head, mut body) = login::exchange(&request, self.login.as_ref(), send)?;
        let mut text = Vec::new();
        copy(&mut *body, &mut text, &request)?;
        match (head.status, serde_json::from_slice(&text)) {
            (200, Ok(told)) => Ok(told),
            (status, _) => Err(HttpError::Answer(format!("etcd answers {status}: {}", String::from_utf8_lossy(&text).trim()))),
        }
    }
}
