//! Where and how to connect: the inventory's wishes and the ssh configuration brought together.

use std::path::PathBuf;
use std::time::Duration;

use pgfleet_protocol::Secret;

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
    /// What to do with a host key that is not listed.
    pub unknown_keys: UnknownKeys,
    /// A limit for connecting that replaces the general one.
    pub connect_timeout: Option<Duration>,
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
    /// `ansible_ssh_common_args` and its kin, as one text.
    pub common_args: Option<String>,
}

impl Target {
    /// Brings together what the inventory and the ssh configuration say about a host. No file but the configuration's is read.
    ///
    /// # Errors
    /// Wrong values, unsupported arguments, a ProxyCommand, jump hosts in a circle.
    pub fn resolve(name: &str, wish: &Wish, config: &SshConfig) -> Result<Self, SshError> {
        let mut options = Vec::new();
        let mut wished = |keyword: &str, value: Option<String>| options.extend(value.map(|value| (keyword.to_owned(), value)));
        wished("port", wish.port.map(|port| port.to_string()));
        wished("user", wish.user.clone());
        if let Some(arguments) = &wish.common_args {
            options.extend(read_arguments(name, arguments)?);
        }
        let alias = wish.host.as_deref().unwrap_or(name);
        let settings = config.lookup(alias, &options)?;
        let mut target = Self::assemble(name, alias, &settings, config, &mut Vec::new())?;
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
        Tokens { name: alias, host: &self.address, port: self.port, user: &self.user }
    }

    fn assemble(name: &str, alias: &str, settings: &HostSettings, config: &SshConfig, chain: &mut Vec<String>) -> Result<Self, SshError> {
        if settings.proxy_command.is_some() {
            return Err(SshError::ProxyCommand { host: name.to_owned() });
        }
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
            host_key_alias: settings.host_key_alias.clone(),
            unknown_keys: settings.unknown_keys.unwrap_or_default(),
            connect_timeout: settings.connect_timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs),
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
        let agent_socket = agent_socket(settings.identity_agent.as_deref(), &target.tokens(alias));
        target.identities = identities;
        target.known_hosts = known_hosts;
        target.agent_socket = agent_socket;
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
        let (user, alias, port) =
            split_hop(hop).ok_or_else(|| SshError::Argument { host: name.to_owned(), argument: format!("ProxyJump {hop}") })?;
        if chain.contains(&alias) || chain.len() >= LONGEST_CHAIN {
            return Err(SshError::JumpCircle { host: name.to_owned(), hop: alias });
        }
        let mut options = Vec::new();
        options.extend(user.map(|user| ("user".to_owned(), user)));
        options.extend(port.map(|port| ("port".to_owned(), port.to_string())));
        let mut settings = config.lookup(&alias, &options)?;
        if index > 0 {
            settings.proxy_jump = None;
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

/// The options in arguments written for the ssh command, as (keyword, value).
fn read_arguments(name: &str, arguments: &str) -> Result<Vec<(String, String)>, SshError> {
    let unsupported = |argument: &str| SshError::Argument { host: name.to_owned(), argument: argument.to_owned() };
    let mut options = Vec::new();
    let mut words = config::split_words(arguments).map_err(|_| unsupported(arguments))?.into_iter();
    while let Some(word) = words.next() {
        // Switches that concern a terminal, forwarding or the amount of talk mean nothing here.
        if matches!(
            word.as_str(),
            "-4" | "-6" | "-A" | "-a" | "-C" | "-k" | "-n" | "-q" | "-T" | "-t" | "-tt" | "-v" | "-vv" | "-vvv" | "-x" | "-X"
        ) {
            continue;
        }
        let flag = word.get(..2).unwrap_or_default().to_owned();
        let keyword = match flag.as_str() {
            "-o" => "",
            "-J" => "proxyjump",
            "-i" => "identityfile",
            "-p" => "port",
            "-l" => "user",
            _ => return Err(unsupported(&word)),
        };
        let value = if word.len() > 2 { word[2..].to_owned() } else { words.next().ok_or_else(|| unsupported(&word))? };
        if keyword.is_empty() {
            let end = value.find(|c: char| c.is_whitespace() || c == '=').ok_or_else(|| unsupported(&value))?;
            let (keyword, rest) = value.split_at(end);
            options.push((keyword.to_lowercase(), rest.trim_start().trim_start_matches('=').trim_start().to_owned()));
        } else {
            options.push((keyword.to_owned(), value));
        }
    }
    Ok(options)
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
