//! How etcd is asked from this node: its own settings say whether over TLS; where there are none, those of the Patroni that uses it.

use std::path::{Path, PathBuf};

use super::patroni::{CONFIG, setting};
use super::tls::Trust;
use crate::system::System;

/// Where etcd's settings are.
const SETTINGS: &str = "/etc/default/etcd";

/// Whom to trust, when etcd speaks TLS; `None` when it speaks in the clear.
pub(super) fn trust(system: &dyn System) -> Option<Trust> {
    let read = |path: &str| system.read_file(Path::new(path)).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    let settings = read(SETTINGS);
    match value(&settings, "ETCD_ADVERTISE_CLIENT_URLS") {
        Some(urls) => trust_of_a_voter(&settings, &urls),
        None => trust_of_a_client(&read(CONFIG)),
    }
}

fn trust_of_a_voter(settings: &str, urls: &str) -> Option<Trust> {
    let path = |name: &str| value(settings, name).map(PathBuf::from);
    urls.starts_with("https:").then_some(())?;
    Some(Trust { authority: path("ETCD_TRUSTED_CA_FILE")?, own: path("ETCD_CERT_FILE").zip(path("ETCD_KEY_FILE")) })
}

pub(super) fn trust_of_a_client(config: &str) -> Option<Trust> {
    let path = |key: &str| setting(config, "etcd3", key).map(PathBuf::from);
    (setting(config, "etcd3", "protocol")? == "https").then_some(())?;
    Some(Trust { authority: path("cacert")?, own: path("cert").zip(path("key")) })
}

/// The last line that gives a setting of etcd a value, without its quotes.
pub(crate) fn value(settings: &str, name: &str) -> Option<String> {
    let value = settings.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Trust, trust_of_a_client, trust_of_a_voter, value};

    #[test]
    fn a_voter_is_asked_as_its_settings_say() {
        let files =
            "# ETCD_CERT_FILE=\nETCD_CERT_FILE=\"/t/node.crt\"\nETCD_KEY_FILE=\"/t/etcd.key\"\nETCD_TRUSTED_CA_FILE=\"/t/ca.crt\"\n";
        let own = Some((PathBuf::from("/t/node.crt"), PathBuf::from("/t/etcd.key")));
        let trust = Trust { authority: PathBuf::from("/t/ca.crt"), own };
        assert_eq!(trust_of_a_voter(files, "https://10.0.0.1:2379"), Some(trust));
        assert_eq!(trust_of_a_voter(files, "http://10.0.0.1:2379"), None);
        assert_eq!(value("A=1\nETCD_X='b'\n ETCD_X=\"c\"\n", "ETCD_X").as_deref(), Some("c"));
        assert_eq!(value("# ETCD_X=1\n", "ETCD_X"), None);
    }

    #[test]
    fn without_a_voter_patroni_says_how() {
        let config = "scope: x\netcd3:\n  hosts:\n    - \"10.0.0.1:2379\"\n  cacert: /t/ca.crt\n  cert: /t/node.crt\n  key: /t/node.key\n";
        assert_eq!(trust_of_a_client(config), None);
        let own = Some((PathBuf::from("/t/node.crt"), PathBuf::from("/t/node.key")));
        let trust = Trust { authority: PathBuf::from("/t/ca.crt"), own };
        assert_eq!(trust_of_a_client(&format!("{config}  protocol: https\nrestapi:\n  protocol: http\n")), Some(trust));
    }
}
