//! The environment's proxy for requests in the clear; curl finds its own for HTTPS.

use base64::Engine;

use super::{HttpError, Request, Url};
use crate::system::System;

/// The proxy that the environment names for this request, if any.
pub(super) fn find(system: &dyn System, request: &Request) -> Result<Option<Url>, HttpError> {
    if !request.use_proxy {
        return Ok(None);
    }
    let variable = |name: &str| {
        let given = request.environment.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        given.or_else(|| system.variable(name)).filter(|value| !value.is_empty())
    };
    let excepted = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
    match variable("http_proxy").or_else(|| variable("all_proxy")) {
        Some(text) if !is_excepted(&excepted, &request.url) => {
            let text = if text.contains("://") { text } else { format!("http://{text}") };
            let proxy = Url::parse(&text).map_err(|why| HttpError::Request(format!("the proxy of the environment: {why}")))?;
            Ok(Some(proxy))
        }
        _ => Ok(None),
    }
}

/// The value of `Proxy-Authorization`.
pub(super) fn login(proxy: &Url) -> Option<String> {
    let (name, password) = proxy.user.as_ref()?;
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"))))
}

fn is_excepted(list: &str, url: &Url) -> bool {
    list.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        let name = entry.trim_start_matches("*.").trim_start_matches('.');
        entry == "*" || url.host == name || url.host.ends_with(&format!(".{name}")) || format!("{}:{}", url.host, url.port) == name
    })
}

#[cfg(test)]
mod tests {
    use super::{Url, is_excepted};

    #[test]
    fn exceptions_are_names_and_what_ends_in_them() {
        let url = Url::parse("http://db.example.com:8080/").expect("an address");
        for (list, expect) in [
            ("", false),
            ("example.com", true),
            ("x, .example.com", true),
            ("*", true),
            ("ample.com", false),
            ("db.example.com:8080", true),
        ] {
            assert_eq!(is_excepted(list, &url), expect, "{list}");
        }
    }
}
