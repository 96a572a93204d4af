//! Where and how to connect: the inventory's wishes and the ssh configuration brought together.

use std::path::PathBuf;
use std::time::Duration;

use pgfleet_protocol::Secret;

use crate::arguments::{self, Arguments, Asked};
use crate::config::{self, HostSettings, SshConfig, UnknownKeys};
use crate::error::SshError;
use crate::known_hosts::KnownName;
use crate::paths::{self, Tokens};

const DEFAULT_KEYS: [&str; 3] = [".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"];
const LONGEST_CHAIN: usize = 8;

/// Everything needed to connect to one host.
#[derive(Debug, Clone)]
pub struct Target {
    /// The inventory's name of the host, for messages.
    pub name: String,
    /// Name or IP address to connect to.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// User to log in as.
    pub user: String,
    /// Private keys to offer, in order.
    pub identities: Vec<PathBuf>,
    /// The key that the inventory asks for. It is also the first of `identities`, and it must be readable.
    pub required_identity: Option<PathBuf>,
    /// Offer no other keys of the ssh-agent than those of `identities`.
    pub identities_only: bool,
    /// The socket of the ssh-agent.
    pub agent_socket: Option<PathBuf>,
    /// The login password.
    pub password: Option<Secret>,
    /// The jump hosts, the nearest first.
    pub jump: Vec<Target>,
    /// Files with known host keys.
    pub known_hosts: Vec<PathBuf>,
    /// The name to look up in them instead of the address.
    pub host_key_alias: Option<String>,
    /// Host keys are neither kept nor looked up among the kept ones: the user's files are `/dev/null`.
    pub forgets_host_keys: bool,
    /// What to do with a host key that is not listed.
    pub unknown_keys: UnknownKeys,
    /// A limit for connecting that replaces the general one.
    pub connect_timeout: Option<Duration>,
    /// The program whose streams lead to the host, in place of a TCP connection; its tokens are replaced.
    pub proxy_command: Option<String>,
    /// Whether keys may be offered.
    pub offers_keys: bool,
    /// Whether the password may be offered.
    pub offers_password: bool,
    /// Silence after which the host is asked for a sign of life, where it is not the general one.
    pub keepalive: Option<Duration>,
    /// Unanswered questions that end the connection, where they are not the general three.
    pub keepalive_max: Option<usize>,
    /// What the arguments ask for that has no effect here, as sentences.
    pub ignored: Vec<String>,
}

/// What an inventory says about the connection to a host; all of it is optional.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// `ansible_host`.
    pub host: Option<String>,
    /// `ansible_port`.
    pub port: Option<u16>,
    /// `ansible_user`.
    pub user: Option<String>,
    /// `ansible_ssh_private_key_file`.
    pub key_file: Option<PathBuf>,
    /// `ansible_password`.
    pub password: Option<Secret>,
    /// `ansible_ssh_args`: it wins over the inventory's other wishes.
    pub ssh_args: Option<Arguments>,
    /// `ansible_ssh_common_args`, `ansible_ssh_extra_args` and the options of the same names, in their order.
    pub more_args: Vec<Arguments>,
    /// `ansible_host_key_checking`.
    pub host_key_checking: Option<bool>,
    /// `ansible_ssh_timeout`, in seconds.
    pub timeout: Option<u64>,
}

impl Target {
    /// Brings together what the inventory and the ssh configuration say about a host. No file but the configuration's is read.
    ///
    /// # Errors
    /// Wrong values, unsupported arguments, jump hosts in a circle.
    pub fn resolve(name: &str, wish: &Wish, config: &SshConfig) -> Result<Self, SshError> {
        // The order is that in which the real tool puts them on ssh's command line, where the first value wins.
        let mut asked = wish.ssh_args.iter().map(|given| arguments::read(name, given)).collect::<Result<Vec<Asked>, _>>()?;
        let wished = [
            ("stricthostkeychecking", wish.host_key_checking.and_then(|wanted| (!wanted).then(|| "no".to_owned()))),
            ("port", wish.port.map(|port| port.to_string())),
            ("user", wish.user.clone()),
            ("connecttimeout", wish.timeout.map(|seconds| seconds.to_string())),
        ];
        let wished = wished.into_iter().filter_map(|(keyword, value)| Some((keyword.to_owned(), value?))).collect();
        asked.push(Asked { options: wished, ..Asked::default() });
        for given in &wish.more_args {
            asked.push(arguments::read(name, given)?);
        }
        let own = asked.iter().find_map(|asked| asked.config_file.as_deref()).map(SshConfig::from_file).transpose()?;
        let config = own.as_ref().unwrap_or(config);
        let (mut options, mut ignored) = (Vec::new(), Vec::new());
        for asked in asked {
            options.extend(asked.options);
            ignored.extend(asked.ignored);
        }
        let alias = wish.host.as_deref().unwrap_or(name);
        let settings = config.lookup(alias, &options)?;
        let mut target = Self::assemble(name, alias, &settings, config, &mut Vec::new())?;
        target.ignored = ignored;
        if let Some(key) = &wish.key_file {
            let key = paths::expand(&key.to_string_lossy(), &target.tokens(alias));
            if settings.identity_files.is_empty() {
                target.identities.clear();
            }
            target.identities.retain(|other| *other != key);
            target.identities.insert(0, key.clone());
            target.required_identity = Some(key);
        }
        target.password.clone_from(&wish.password);
        Ok(target)
    }

    /// The name under which the host's keys are listed.
    #[must_use]
    pub fn known_name(&self) -> KnownName {
        match &self.host_key_alias {
            Some(alias) => KnownName::alias(alias),
            None => KnownName::new(&self.address, self.port),
        }
    }

    fn tokens<'a>(&'a self, alias: &'a str) -> Tokens<'a> {
        Tokens { name: alias, host: &self.address, port: self.port, user: &self.user, key_alias: self.host_key_alias.as_deref() }
    }

    fn assemble(name: &str, alias: &str, settings: &HostSettings, config: &SshConfig, chain: &mut Vec<String>) -> Result<Self, SshError> {
        let mut target = Self {
            name: name.to_owned(),
            address: settings.host_name.clone().unwrap_or_else(|| alias.to_owned()),
            port: settings.port.unwrap_or(22),
            user: settings.user.clone().unwrap_or_else(paths::login_name),
            identities: Vec::new(),
            required_identity: None,
            identities_only: settings.identities_only.unwrap_or(false),
            agent_socket: None,
            password: None,
            jump: Vec::new(),
            known_hosts: Vec::new(),
            forgets_host_keys: settings.user_known_hosts.as_ref().is_some_and(|files| files.iter().all(|file| file == "/dev/null")),
            host_key_alias: settings.host_key_alias.clone(),
            unknown_keys: settings.unknown_keys.unwrap_or_default(),
            connect_timeout: settings.connect_timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            proxy_command: None,
            offers_keys: settings.offers("publickey", settings.pubkey_authentication),
            offers_password: settings.offers("password", settings.password_authentication)
                || settings.offers("keyboard-interactive", settings.password_authentication),
            keepalive: settings.alive_interval.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            keepalive_max: settings.alive_count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0),
            ignored: Vec::new(),
        };
        let expand = |text: &String| paths::expand(text, &target.tokens(alias));
        let identities = if settings.identity_files.is_empty() {
            let home = paths::home().unwrap_or_default();
            DEFAULT_KEYS.iter().map(|key| home.join(key)).filter(|key| key.exists()).collect()
        } else {
            settings.identity_files.iter().map(expand).collect()
        };
        let (user_files, global_files) = config::default_known_hosts();
        let or_else = |given: &Option<Vec<String>>, standard: Vec<PathBuf>| match given {
            Some(files) => files.iter().map(expand).collect(),
            None => standard,
        };
        let mut known_hosts = or_else(&settings.user_known_hosts, user_files);
        known_hosts.extend(or_else(&settings.global_known_hosts, global_files));
        let proxy_command = settings.proxy_command.as_deref().map(|command| paths::replace_tokens(command, &target.tokens(alias)));
        let agent_socket = agent_socket(settings.identity_agent.as_deref(), &target.tokens(alias));
        target.identities = identities;
        target.known_hosts = known_hosts;
        target.agent_socket = agent_socket;
        target.proxy_command = proxy_command;
        if let Some(hops) = &settings.proxy_jump {
            target.jump = jump_chain(name, hops, config, chain)?;
        }
        Ok(target)
    }
}

/// The hosts of a ProxyJump value. The first of them may have a ProxyJump of its own, as with ssh.
fn jump_chain(name: &str, hops: &str, config: &SshConfig, chain: &mut Vec<String>) -> Result<Vec<Target>, SshError> {
    let mut targets = Vec::new();
    for (index, hop) in hops.split(',').map(str::trim).filter(|hop| !hop.is_empty()).enumerate() {
        let (user, alias, port) = split_hop(hop).ok_or_else(|| SshError::Hop { host: name.to_owned(), hop: hop.to_owned() })?;
        if chain.contains(&alias) || chain.len() >= LONGEST_CHAIN {
            return Err(SshError::JumpCircle { host: name.to_owned(), hop: alias });
        }
        let mut options = Vec::new();
        options.extend(user.map(|user| ("user".to_owned(), user)));
        options.extend(port.map(|port| ("port".to_owned(), port.to_string())));
        let mut settings = config.lookup(&alias, &options)?;
        if index > 0 {
            settings.proxy_jump = None;
            settings.proxy_command = None;
        }
        chain.push(alias.clone());
        let mut target = Target::assemble(&alias, &alias, &settings, config, chain)?;
        chain.pop();
        targets.append(&mut target.jump);
        targets.push(target);
    }
    Ok(targets)
}

/// `[user@]host[:port]` or `ssh://[user@]host[:port]`, the host perhaps an IPv6 address in brackets.
fn split_hop(hop: &str) -> Option<(Option<String>, String, Option<u16>)> {
    let hop = hop.strip_prefix("ssh://").unwrap_or(hop).trim_end_matches('/');
    let (user, rest) = hop.rsplit_once('@').map_or((None, hop), |(user, rest)| (Some(user.to_owned()), rest));
    let (host, port) = if let Some((host, tail)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        (host, tail.strip_prefix(':'))
    } else if rest.matches(':').count() == 1 {
        rest.split_once(':').map(|(host, port)| (host, Some(port)))?
    } else {
        (rest, None)
    };
    let port = port.map(str::parse::<u16>).transpose().ok()?;
    (!host.is_empty()).then(|| (user, host.to_owned(), port))
}

fn agent_socket(wanted: Option<&str>, tokens: &Tokens<'_>) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match wanted {
        None | Some("SSH_AUTH_SOCK") => variable("SSH_AUTH_SOCK"),
        Some(none) if none.eq_ignore_ascii_case("none") => None,
        Some(text) if text.starts_with('$') && !text.starts_with("${") => variable(&text[1..]),
        Some(text) => Some(paths::expand(text, tokens)),
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
