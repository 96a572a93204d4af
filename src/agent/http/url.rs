//! Addresses of the web: read, written and joined.

use std::fmt;

/// How an address is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// In the clear.
    Http,
    /// By the host's curl.
    Https,
    /// A node's Patroni: over TLS or in the clear, as this node's own configuration of Patroni says.
    Patroni,
    /// An etcd: over TLS or in the clear, as this node's own settings of etcd say, or those of its Patroni.
    Etcd,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Patroni => "patroni",
            Self::Etcd => "etcd",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Patroni => 8008,
            Self::Etcd => 2379,
        }
    }
}

/// An `http` or `https` address, or that of a Patroni or an etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query, at least `/`.
    pub(crate) target: String,
    /// User and password as written before the host, decoded.
    pub(crate) user: Option<(String, String)>,
}

impl Url {
    /// Reads an address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |why: &str| format!("'{}' is not an address that can be asked: {why}", without_user(text));
        if text.chars().any(char::is_control) {
            return Err(wrong("it has control characters"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it does not begin with http:// or https://"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "patroni" => Scheme::Patroni,
            "etcd" => Scheme::Etcd,
            other => return Err(wrong(&format!("{other} is not spoken, only http and https are"))),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                (Some((decode(name), decode(password))), place)
            }
            None => (None, authority),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(port) => port.parse().map_err(|_| wrong(&format!("'{port}' is no port")))?,
        };
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, target: format!("{slash}{}", encode(target)), user })
    }

    /// The address that a `Location` header of this one's answer means.
    pub(crate) fn join(&self, location: &str) -> Result<Self, String> {
        let location = location.trim();
        if location.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':')) {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme.name()));
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let location = location.split('#').next().unwrap_or_default();
        let target = if location.is_empty() {
            self.target.clone()
        } else if location.starts_with('/') {
            without_dots(location)
        } else if location.starts_with('?') {
            format!("{path}{location}")
        } else {
            without_dots(&format!("{}{location}", &path[..=path.rfind('/').unwrap_or(0)]))
        };
        Ok(Self { target: encode(&target), ..self.clone() })
    }

    /// Host and port as the `Host` header has them.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// True when both are the same server's, so that what one may know the other may too.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }
}

/// As written, but for user and password.
impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}{}", self.scheme.name(), self.authority(), self.target)
    }
}

/// The address without user and password, for messages.
pub(crate) fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// Bytes that must not be in a request line become `%XX`; what is encoded already stays.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`') => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `%XX` become bytes.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(pair.unwrap_or(bytes[at]));
        at += if pair.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A form's value as `application/x-www-form-urlencoded` has it.
pub(crate) fn encode_form(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `/a/../b` is `/b`.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut parts: Vec<&str> = Vec::new();
    let ends_in_folder = path.ends_with("/.") || path.ends_with("/..") || path.ends_with('/');
    for part in path.split('/').filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let slash = if ends_in_folder && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{Url, decode, without_user};

    #[test]
    fn addresses_are_read() {
        for (text, host, port, target) in [
            ("http://10.0.0.1:8008/patroni", "10.0.0.1", 8008, "/patroni"),
            ("http://[::1]:8008", "::1", 8008, "/"),
            ("HTTPS://Example.com?a=b c#x", "example.com", 443, "/?a=b%20c"),
            ("http://u:p%40@host/;csv", "host", 80, "/;csv"),
            ("patroni://10.0.0.1/patroni", "10.0.0.1", 8008, "/patroni"),
            ("etcd://10.0.0.1/health", "10.0.0.1", 2379, "/health"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.host.as_str(), url.port, url.target.as_str()), (host, port, target), "{text}");
        }
        assert_eq!(Url::parse("http://u:p%40@host/").expect("an address").user, Some(("u".to_owned(), "p@".to_owned())));
        for wrong in ["ftp://x/", "nothing", "http:///x", "http://h:99999/", "http://h/\r\nX: y"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
        assert!(!Url::parse("ftp://u:secret@x/").expect_err("not spoken").contains("secret"));
        assert_eq!(without_user("http://u:p@h/x@y"), "http://h/x@y");
        assert_eq!(decode("100%"), "100%");
    }

    #[test]
    fn locations_are_joined() {
        let base = Url::parse("http://h:8080/a/b?q=1").expect("an address");
        for (location, expect) in [
            ("https://other/x", "https://other/x"),
            ("//other/x", "http://other/x"),
            ("/c", "http://h:8080/c"),
            ("c", "http://h:8080/a/c"),
            ("../c/./d/", "http://h:8080/c/d/"),
            ("?q=2", "http://h:8080/a/b?q=2"),
        ] {
            assert_eq!(base.join(location).expect(location).to_string(), expect, "{location}");
        }
    }
}
