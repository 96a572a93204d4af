//! What this machine's apt knows and the guests' must: mirrors, proxies, and certificate authorities of a network that re-signs TLS.

use std::fs;
use std::path::Path;

use crate::command::attempt;

/// Where packages come from, and how to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Debian's archive.
    pub(crate) archive: String,
    /// Its security updates.
    pub(crate) security: String,
    /// apt options of this machine that a guest needs too, as apt.conf.
    pub(crate) apt_options: String,
    /// File name and text of extra certificate authorities.
    pub(crate) authorities: Vec<(String, String)>,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            archive: "http://deb.debian.org/debian".to_owned(),
            security: "http://deb.debian.org/debian-security".to_owned(),
            apt_options: String::new(),
            authorities: Vec::new(),
        }
    }
}

impl Mirror {
    /// As this machine is set up.
    pub(crate) fn of_machine() -> Self {
        let mut mirror = Self { authorities: authorities(Path::new("/usr/local/share/ca-certificates")), ..Self::default() };
        for (uri, suite) in sources(Path::new("/etc/apt")) {
            let uri = uri.trim_end_matches('/');
            if suite.ends_with("-security") && uri.ends_with("debian-security") {
                mirror.security = uri.to_owned();
            } else if !suite.contains('-') && uri.ends_with("/debian") {
                mirror.archive = uri.to_owned();
            }
        }
        if let Ok(output) = attempt("apt-config", &["dump"]) {
            mirror.apt_options = wanted_options(&String::from_utf8_lossy(&output.stdout));
        }
        mirror
    }

    /// Host and port of the archive, where it is reached without a proxy.
    pub(crate) fn endpoint(&self) -> Option<(String, u16)> {
        let proxied =
            self.apt_options.contains("Proxy") || ["http_proxy", "https_proxy"].iter().any(|name| std::env::var_os(name).is_some());
        let (scheme, rest) = self.archive.split_once("://")?;
        let port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = rest.split('/').next()?;
        let (host, port) = host.split_once(':').map_or(Some((host, port)), |(host, port)| Some((host, port.parse().ok()?)))?;
        (!proxied).then(|| (host.to_owned(), port))
    }
}

/// Address and suite of every source of binary packages below `/etc/apt`.
fn sources(apt: &Path) -> Vec<(String, String)> {
    let mut found = parse_list(&fs::read_to_string(apt.join("sources.list")).unwrap_or_default());
    for (name, text) in texts(&apt.join("sources.list.d")) {
        if name.ends_with(".list") {
            found.extend(parse_list(&text));
        } else if name.ends_with(".sources") {
            found.extend(parse_stanzas(&text));
        }
    }
    found
}

/// `deb [options] URI SUITE COMPONENTS`, a line each.
fn parse_list(text: &str) -> Vec<(String, String)> {
    let source = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
        let mut words = rest.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    text.lines().filter_map(source).collect()
}

/// Stanzas of `Types`, `URIs`, `Suites`, parted by empty lines.
fn parse_stanzas(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)));
            line.map(|(_, value)| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default()
        };
        let off = field("Enabled").first().is_some_and(|value| value == "no");
        if off || !field("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        for uri in field("URIs") {
            found.extend(field("Suites").into_iter().map(|suite| (uri.clone(), suite)));
        }
    }
    found
}

/// Proxies, retries and relaxed dates. A proxy on this machine's own loopback address is of no use to a guest.
fn wanted_options(dump: &str) -> String {
    let wanted = |line: &&str| {
        let name = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let network = name.starts_with("acquire::http::proxy") || name.starts_with("acquire::https::proxy");
        let relaxed = ["acquire::check-valid-until", "acquire::check-date", "acquire::retries"].contains(&name.as_str());
        (network && !line.contains("//127.") && !line.contains("//localhost")) || relaxed
    };
    dump.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

fn authorities(folder: &Path) -> Vec<(String, String)> {
    let mut found = texts(folder);
    found.retain(|(name, _)| name.ends_with(".crt"));
    found
}

/// The readable files of a folder, by name.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let text = |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, fs::read_to_string(entry.path()).ok()?));
    let mut found: Vec<_> = entries.flatten().filter_map(text).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_sources_are_read() {
        let list = "# deb http://no/ x main\ndeb [signed-by=/k arch=amd64] http://m/debian/ bookworm main\ndeb-src http://m/debian bookworm main\n";
        assert_eq!(parse_list(list), [("http://m/debian/".to_owned(), "bookworm".to_owned())]);
        let stanzas = "Types: deb deb-src\n# a comment\nURIs: http://m/debian\nSuites: trixie trixie-updates\n\nTypes: deb\nEnabled: no\nURIs: http://n\nSuites: a\n";
        let expected = [("http://m/debian", "trixie"), ("http://m/debian", "trixie-updates")];
        assert_eq!(parse_stanzas(stanzas), expected.map(|(uri, suite)| (uri.to_owned(), suite.to_owned())));
    }

    #[test]
    fn only_what_a_guest_can_use_is_taken_over() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::Check-Date \"false\";\nAcquire::http::Proxy \"http://127.0.0.1:3142\";\n\
                    Acquire::https::Proxy::example.org \"http://10.0.0.1:1\";\nDir::Cache::pkgcache \"\";\n";
        assert_eq!(wanted_options(dump), "Acquire::Check-Date \"false\";\nAcquire::https::Proxy::example.org \"http://10.0.0.1:1\";\n");
    }

    #[test]
    fn endpoints() {
        let check = |archive: &str| Mirror { archive: archive.to_owned(), ..Mirror::default() }.endpoint();
        if std::env::var_os("http_proxy").is_none() && std::env::var_os("https_proxy").is_none() {
            assert_eq!(check("http://m.example/debian"), Some(("m.example".to_owned(), 80)));
            assert_eq!(check("https://m.example:8443/debian"), Some(("m.example".to_owned(), 8443)));
        }
        assert_eq!(check("file:///srv/debian"), None);
    }
}
