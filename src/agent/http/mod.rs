//! A small HTTP/1.1 client: one request, its redirects and its login. It speaks in the clear itself, and TLS with the cluster's
//! own services; the host's curl does HTTPS.

mod body;
mod curl;
mod error;
pub(crate) mod etcd;
mod exchange;
mod login;
pub(crate) mod patroni;
mod proxy;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod tls;
mod url;
pub(crate) mod voter;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use pgfleet_protocol::Secret;

pub(crate) use error::HttpError;
pub(crate) use url::{Scheme, Url, decode, encode_form};

use crate::system::System;

/// As many redirects are followed.
const MOST_REDIRECTS: usize = 10;

/// Which redirects are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// None.
    None,
    /// Those of `GET` and `HEAD`.
    #[default]
    Safe,
    /// As Python's urllib does: also those of `POST`, as `GET`.
    Urllib,
    /// All.
    All,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) user: Option<(String, Secret)>,
    /// Send user and password before they are asked for.
    pub(crate) login_at_once: bool,
    pub(crate) redirects: Redirects,
    /// How long one step (connecting, one read) may take.
    pub(crate) timeout: Duration,
    /// When all of it must be over.
    pub(crate) deadline: Option<Instant>,
    /// The longest body that is taken.
    pub(crate) most: u64,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) use_proxy: bool,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) tls: Tls,
}

/// What is asked of an encrypted connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// Take any certificate.
    pub(crate) is_unchecked: bool,
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// An answer, its body apart.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The words after the status.
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Where it came from in the end.
    pub(crate) url: Url,
}

impl Request {
    /// A `GET` request.
    pub(crate) fn get(url: Url, timeout: Duration) -> Self {
        let user = url.user.clone().map(|(name, password)| (name, Secret::new(password)));
        Self {
            url,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            user,
            login_at_once: false,
            redirects: Redirects::Safe,
            timeout,
            deadline: None,
            most: u64::MAX,
            unix_socket: None,
            use_proxy: false,
            environment: Vec::new(),
            tls: Tls::default(),
        }
    }

    /// Asks; the last answer's body goes to `sink`.
    pub(crate) fn send(&self, system: &dyn System, sink: &mut dyn Write) -> Result<Response, HttpError> {
        let mut request = self.clone();
        let mut redirected = 0;
        let mut logged_in = self.login_at_once && self.user.is_some();
        if logged_in {
            request.log_in();
        }
        loop {
            let (head, mut body) = match request.url.scheme {
                Scheme::Http => exchange::exchange(system, &request, None)?,
                Scheme::Https => curl::exchange(system, &request)?,
                Scheme::Etcd => {
                    let trust = etcd::trust(system);
                    let send = |request: &Request| exchange::exchange(system, request, trust.as_ref());
                    login::exchange(&request, login::of(system).as_ref(), send)?
                }
                Scheme::Patroni => exchange::exchange(system, &request, patroni::trust(system).as_ref())?,
            };
            let next = if head.status == 401 && !logged_in && self.user.is_some() && asks_for_basic(&head) {
                logged_in = true;
                let mut next = request.clone();
                next.log_in();
                Some(next)
            } else {
                let next = request.redirected(&head)?;
                redirected += usize::from(next.is_some());
                if redirected > MOST_REDIRECTS {
                    return Err(HttpError::Answer(format!("{} leads to {redirected} redirects and more", self.url)));
                }
                next
            };
            match next {
                Some(next) => request = next,
                None => {
                    copy(&mut *body, sink, &request)?;
                    return Ok(Response { url: request.url, ..head });
                }
            }
        }
    }

    fn log_in(&mut self) {
        if let Some((name, password)) = &self.user
            && !self.has_header("authorization")
        {
            let both = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{}", password.reveal()));
            self.headers.push(("Authorization".to_owned(), format!("Basic {both}")));
        }
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The request that an answer leads to, if it leads anywhere and may be followed.
    fn redirected(&self, head: &Response) -> Result<Option<Self>, HttpError> {
        let (code, method) = (head.status, self.method.as_str());
        let is_safe = matches!(method, "GET" | "HEAD");
        let follows = matches!(code, 301 | 302 | 303 | 307 | 308)
            && match self.redirects {
                Redirects::None => false,
                Redirects::Safe => is_safe,
                Redirects::Urllib => is_safe || (method == "POST" && matches!(code, 301..=303)),
                Redirects::All => true,
            };
        let Some(location) = head.header("location").filter(|_| follows) else { return Ok(None) };
        let mut next = self.clone();
        next.url = self.url.join(location).map_err(HttpError::Answer)?;
        if !matches!(code, 307 | 308) {
            next.body = None;
            next.headers
                .retain(|(name, _)| !matches!(name.to_ascii_lowercase().as_str(), "content-length" | "content-type" | "transfer-encoding"));
            if method == "POST" || (code == 303 && method != "HEAD") {
                next.method = "GET".to_owned();
            }
        }
        if !next.url.is_same_server(&self.url) {
            // Another server learns no password that was meant for this one.
            next.user = None;
            next.headers.retain(|(name, _)| !matches!(name.to_ascii_lowercase().as_str(), "authorization" | "cookie"));
        }
        Ok(Some(next))
    }
}

impl Response {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Main and sub type of the content, in lower case.
    pub(crate) fn is_json(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let sub = kind.split_once('/').map_or("", |(_, sub)| sub);
        matches!(sub.rsplit('+').next().unwrap_or(sub), "json" | "javascript")
    }
}

fn asks_for_basic(head: &Response) -> bool {
    let mut asked = head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    asked.any(|(_, value)| value.to_ascii_lowercase().contains("basic"))
}

fn copy(body: &mut dyn Read, sink: &mut dyn Write, request: &Request) -> Result<(), HttpError> {
    let mut buffer = [0; 16 * 1024];
    let mut length = 0;
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                length += count as u64;
                if length > request.most {
                    return Err(HttpError::Answer(format!("the answer is longer than {} bytes", request.most)));
                }
                sink.write_all(&buffer[..count]).map_err(HttpError::Sink)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(HttpError::Exchange(error)),
        }
    }
}

/// What is left of a step's time.
fn patience(request: &Request) -> Result<Duration, HttpError> {
    let left = request.deadline.map_or(request.timeout, |deadline| deadline.saturating_duration_since(Instant::now()).min(request.timeout));
    if left.is_zero() { Err(HttpError::Late(request.timeout)) } else { Ok(left) }
}
