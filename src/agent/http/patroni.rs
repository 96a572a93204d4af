//! How this node's Patroni is asked: its configuration says where, and whether over TLS.

use std::path::{Path, PathBuf};

use super::tls::Trust;
use crate::system::System;

/// Where Patroni's configuration is.
pub(crate) const CONFIG: &str = "/etc/patroni/config.yml";

/// Whom to trust, when Patroni speaks TLS here; `None` when it speaks in the clear, or is not here.
pub(super) fn trust(system: &dyn System) -> Option<Trust> {
    let config = system.read_file(Path::new(CONFIG)).ok()?;
    trust_of(&String::from_utf8_lossy(&config))
}

/// A node shows its own certificate too: what changes something is only done for those who have one.
fn trust_of(config: &str) -> Option<Trust> {
    let path = |section: &str, key: &str| setting(config, section, key).map(PathBuf::from);
    let served = path("restapi", "certfile")?;
    let authority = path("ctl", "cacert").or_else(|| path("restapi", "cafile")).unwrap_or(served);
    Some(Trust { authority, own: path("ctl", "certfile").zip(path("ctl", "keyfile")) })
}

/// The value of a key right below a section of Patroni's configuration, without its quotes.
pub(crate) fn setting(config: &str, section: &str, key: &str) -> Option<String> {
    value(lines_of(config, section).find_map(|line| after(line, key))?)
}

/// The entries of a list right below a section.
pub(crate) fn list(config: &str, section: &str, key: &str) -> Vec<String> {
    let entries = lines_of(config, section).skip_while(|line| after(line, key).is_none()).skip(1);
    entries.map_while(|line| line.trim().strip_prefix("- ")).filter_map(value).collect()
}

/// The value of a key that stands in no section.
pub(crate) fn top(config: &str, key: &str) -> Option<String> {
    value(config.lines().filter(|line| !line.starts_with([' ', '\t'])).find_map(|line| after(line, key))?)
}

fn lines_of<'a>(config: &'a str, section: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = config.lines().skip_while(move |line| line.trim_end().strip_suffix(':') != Some(section)).skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with([' ', '\t', '#']))
}

fn after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.trim().strip_prefix(key)?.strip_prefix(':')
}

/// What is written behind a key or a dash: a text of JSON as pgfleet writes it, or a plain word.
fn value(written: &str) -> Option<String> {
    let written = written.trim();
    let text = serde_json::Deserializer::from_str(written).into_iter::<String>().next().and_then(Result::ok);
    let plain = || written.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned();
    Some(text.unwrap_or_else(plain)).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Trust, list, setting, top, trust_of};

    const PLAIN: &str = "scope: \"x\"\nrestapi:\n  listen: \"0.0.0.0:8008\"\n  # ours\n  connect_address: \"172.28.0.21:8008\"\n\n\
                         postgresql:\n  connect_address: \"172.28.0.21:5432\"\n";

    #[test]
    fn a_setting_is_that_of_its_section() {
        assert_eq!(setting(PLAIN, "restapi", "connect_address").as_deref(), Some("172.28.0.21:8008"));
        assert_eq!(setting(PLAIN, "postgresql", "connect_address").as_deref(), Some("172.28.0.21:5432"));
        assert_eq!(setting("restapi:\n  listen: x\npostgresql:\n  connect_address: y\n", "restapi", "connect_address"), None);
    }

    #[test]
    fn texts_and_lists_are_read_as_they_are_written() {
        let config = "# scope: no\nscope: \"x\" # ours\netcd3:\n  hosts:\n    - \"10.0.0.1:2379\"\n    - 10.0.0.2:2379\n  password: \"a #\\\"b\\\\\"\n";
        assert_eq!(top(config, "scope").as_deref(), Some("x"));
        assert_eq!(list(config, "etcd3", "hosts"), ["10.0.0.1:2379", "10.0.0.2:2379"]);
        assert_eq!(list(config, "etcd3", "proxies"), [""; 0]);
        assert_eq!(setting(config, "etcd3", "password").as_deref(), Some("a #\"b\\"));
        assert_eq!(top(config, "hosts"), None);
    }

    #[test]
    fn tls_is_spoken_where_the_rest_api_has_a_certificate() {
        let ctl = "ctl:\n  cacert: /t/ca.crt\n  certfile: /t/node.crt\n  keyfile: /t/node.key\n";
        assert_eq!(trust_of(&format!("{PLAIN}{ctl}")), None);
        let own = Some((PathBuf::from("/t/node.crt"), PathBuf::from("/t/node.key")));
        let served = "restapi:\n  certfile: /t/node.crt\n  cafile: /t/other.crt\n";
        assert_eq!(trust_of(&format!("{served}{ctl}")), Some(Trust { authority: PathBuf::from("/t/ca.crt"), own }));
        assert_eq!(trust_of(served), Some(Trust { authority: PathBuf::from("/t/other.crt"), own: None }));
    }
}
