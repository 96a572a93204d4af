//! Arguments written for the ssh command (`ansible_ssh_common_args` and its kin): which settings they are, and which of them say
//! nothing to pgfleet.

use std::path::PathBuf;

use crate::config;
use crate::error::SshError;

/// Arguments as an inventory or a command line gives them, with the name of the variable or option that they stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `ansible_ssh_common_args`, `--ssh-extra-args` ...
    pub from: String,
    /// What is written there.
    pub text: String,
}

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Settings as (keyword in lower case, value).
    pub(crate) options: Vec<(String, String)>,
    /// Another configuration file than the standard ones (`-F`).
    pub(crate) config_file: Option<PathBuf>,
    /// What was left out, and why that does no harm.
    pub(crate) ignored: Vec<String>,
}

const ONE_CONNECTION: &str = "one connection a host serves the whole run anyway";
const NO_TERMINAL: &str = "no terminal takes part";
const OWN_CHOICE: &str = "pgfleet has its own strong algorithms";
const NO_MATTER: &str = "it makes no difference here";

/// Settings that pgfleet obeys.
const OBEYED: [&str; 18] = [
    "connecttimeout",
    "globalknownhostsfile",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "passwordauthentication",
    "port",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "pubkeyauthentication",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
];

/// Settings that have no effect, and why.
const IGNORED: [(&str, &[&str]); 4] = [
    (ONE_CONNECTION, &["controlmaster", "controlpath", "controlpersist"]),
    (
        NO_TERMINAL,
        &["requesttty", "escapechar", "loglevel", "batchmode", "numberofpasswordprompts", "visualhostkey", "sessiontype", "stdinnull"],
    ),
    (
        OWN_CHOICE,
        &[
            "kexalgorithms",
            "ciphers",
            "macs",
            "hostkeyalgorithms",
            "pubkeyacceptedalgorithms",
            "pubkeyacceptedkeytypes",
            "hostbasedacceptedalgorithms",
            "casignaturealgorithms",
            "rekeylimit",
            "compression",
            "compressionlevel",
            "warnweakcrypto",
        ],
    ),
    (
        NO_MATTER,
        &[
            "addkeystoagent",
            "addressfamily",
            "canonicalizehostname",
            "challengeresponseauthentication",
            "checkhostip",
            "clearallforwardings",
            "connectionattempts",
            "enablesshkeysign",
            "exitonforwardfailure",
            "fingerprinthash",
            "forwardagent",
            "forwardx11",
            "forwardx11timeout",
            "forwardx11trusted",
            "gssapiauthentication",
            "gssapidelegatecredentials",
            "gssapikeyexchange",
            "gssapitrustdns",
            "hashknownhosts",
            "hostbasedauthentication",
            "ignoreunknown",
            "ipqos",
            "kbdinteractiveauthentication",
            "nohostauthenticationforlocalhost",
            "obscurekeystroketiming",
            "permitlocalcommand",
            "protocol",
            "sendenv",
            "setenv",
            "streamlocalbindunlink",
            "syslogfacility",
            "tcpkeepalive",
            "updatehostkeys",
            "useroaming",
            "verifyhostkeydns",
        ],
    ),
];

/// Switches without a value that say nothing here.
const SWITCHES: &str = "46AaCgKkMnqTtvXxYy";
/// Switches whose value says nothing here.
const VALUED: &str = "cEemS";

/// Reads arguments as ssh would.
pub(crate) fn read(host: &str, arguments: &Arguments) -> Result<Asked, SshError> {
    let unsupported =
        |argument: &str| SshError::Argument { host: host.to_owned(), from: arguments.from.clone(), argument: argument.to_owned() };
    let mut asked = Asked::default();
    let mut words = config::split_arguments(&arguments.text).map_err(|_| unsupported(arguments.text.trim()))?.into_iter();
    while let Some(word) = words.next() {
        let Some(cluster) = word.strip_prefix('-').filter(|cluster| !cluster.is_empty()) else { return Err(unsupported(&word)) };
        for (at, letter) in cluster.char_indices() {
            if SWITCHES.contains(letter) {
                asked.ignored.push(format!("the ssh switch -{letter} has no effect: {}", why_switch(letter)));
                continue;
            }
            let rest = &cluster[at + letter.len_utf8()..];
            let takes_value = "oJiplF".contains(letter) || VALUED.contains(letter);
            if !takes_value {
                return Err(unsupported(&format!("-{letter}")));
            }
            let value = match rest {
                "" => words.next().ok_or_else(|| unsupported(&format!("-{letter} without a value")))?,
                rest => rest.to_owned(),
            };
            match letter {
                'o' => asked.option(&value).map_err(|()| unsupported(&format!("-o {value}")))?,
                'J' => asked.options.push(("proxyjump".to_owned(), value)),
                'i' => asked.options.push(("identityfile".to_owned(), value)),
                'p' => asked.options.push(("port".to_owned(), value)),
                'l' => asked.options.push(("user".to_owned(), value)),
                'F' => asked.config_file = Some(crate::paths::expand_home(&value)),
                other => asked.ignored.push(format!("the ssh switch -{other} has no effect: {}", why_switch(other))),
            }
            break;
        }
    }
    Ok(asked)
}

impl Asked {
    /// `Keyword=value` or `Keyword value`.
    fn option(&mut self, text: &str) -> Result<(), ()> {
        let text = text.trim_start();
        let end = text.find(|c: char| c.is_whitespace() || c == '=').ok_or(())?;
        let (written, rest) = text.split_at(end);
        let value = rest.trim_start().trim_start_matches('=').trim_start().to_owned();
        let keyword = written.to_lowercase();
        if OBEYED.contains(&keyword.as_str()) && !value.is_empty() {
            self.options.push((keyword, value));
            return Ok(());
        }
        let (why, _) = IGNORED.iter().find(|(_, keywords)| keywords.contains(&keyword.as_str())).ok_or(())?;
        self.ignored.push(format!("the ssh option {written} has no effect: {why}"));
        Ok(())
    }
}

fn why_switch(letter: char) -> &'static str {
    match letter {
        'M' | 'S' => ONE_CONNECTION,
        'C' | 'c' | 'm' => OWN_CHOICE,
        'T' | 't' | 'n' | 'q' | 'v' | 'e' | 'E' | 'y' => NO_TERMINAL,
        _ => NO_MATTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Asked, String> {
        read("db1", &Arguments { from: "ansible_ssh_common_args".to_owned(), text: text.to_owned() }).map_err(|error| error.to_string())
    }

    #[test]
    fn options_as_ssh_reads_them() {
        let pair = |keyword: &str, value: &str| (keyword.to_owned(), value.to_owned());
        for (text, expect) in [
            ("-o Port=1 -oUser=x -o 'HostKeyAlias  y'", vec![pair("port", "1"), pair("user", "x"), pair("hostkeyalias", "y")]),
            ("-Cqp 77 -ladmin", vec![pair("port", "77"), pair("user", "admin")]),
            ("-o ProxyCommand=\"ssh -W %h:%p -q 'b@c'\"", vec![pair("proxycommand", "ssh -W %h:%p -q 'b@c'")]),
            ("-o 'ProxyCommand=\"nc -x\" %h'", vec![pair("proxycommand", "\"nc -x\" %h")]),
            ("-J a,b -i '/k/with space'", vec![pair("proxyjump", "a,b"), pair("identityfile", "/k/with space")]),
            ("-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/tmp/%r@%h -tt -C", vec![]),
            ("  ", vec![]),
        ] {
            assert_eq!(asked(text).map(|asked| asked.options), Ok(expect), "{text}");
        }
        assert_eq!(asked("-F ssh.cfg").map(|asked| asked.config_file), Ok(Some(PathBuf::from("ssh.cfg"))));
    }

    #[test]
    fn what_has_no_effect_is_told_and_what_is_unknown_refused() {
        assert_eq!(
            asked("-o ControlMaster=auto -tt").map(|asked| asked.ignored),
            Ok(vec![
                "the ssh option ControlMaster has no effect: one connection a host serves the whole run anyway".to_owned(),
                "the ssh switch -t has no effect: no terminal takes part".to_owned(),
                "the ssh switch -t has no effect: no terminal takes part".to_owned(),
            ])
        );
        for (text, argument) in [
            ("-L 1:a:2", "-L"),
            ("-o LocalForward=1", "-o LocalForward=1"),
            ("-o Nonsense=1", "-o Nonsense=1"),
            ("-o Port", "-o Port"),
            ("-o", "-o without a value"),
            ("host", "host"),
            ("-", "-"),
            ("-o 'x", "-o 'x"),
        ] {
            assert_eq!(
                asked(text).map(|_| ()),
                Err(format!("db1: the ssh argument `{argument}` in ansible_ssh_common_args is not supported")),
                "{text}"
            );
        }
    }
}
