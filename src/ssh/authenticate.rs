//! Authentication: keys of the target, keys of the ssh-agent, then the password.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::{Phase, SshError};
use crate::host_key::{Farewell, HostKeyCheck};
use crate::keys::KeyRing;
use crate::target::Target;

/// Questions of a keyboard-interactive server that are answered before giving up.
const MOST_ROUNDS: usize = 5;

/// One attempt to log in on a fresh connection.
pub(crate) struct Login<'a> {
    pub(crate) handle: &'a mut Handle<HostKeyCheck>,
    pub(crate) target: &'a Target,
    pub(crate) ring: &'a KeyRing,
    pub(crate) farewell: &'a Farewell,
    pub(crate) limit: Duration,
    pub(crate) log: Log,
}

/// What was tried, and what the host still takes.
#[derive(Default)]
pub(crate) struct Log {
    tried: Vec<String>,
    offered: Option<MethodSet>,
    key_problem: Option<SshError>,
}

type Agent = AgentClient<UnixStream>;

impl Login<'_> {
    /// Tries everything there is until the host is content.
    pub(crate) async fn run(mut self) -> Result<(), SshError> {
        if (self.target.offers_keys && self.with_keys().await?) || (self.target.offers_password && self.with_password().await?) {
            return Ok(());
        }
        if self.log.tried.is_empty() {
            let request = self.handle.authenticate_none(&self.target.user);
            let result = limited(self.target, self.limit, request).await?.map_err(|source| self.broken(source))?;
            if self.accepted(&result, "nothing")? {
                return Ok(());
            }
        }
        if let Some(problem) = self.log.key_problem.take() {
            return Err(problem);
        }
        Err(self.denied())
    }

    async fn with_keys(&mut self) -> Result<bool, SshError> {
        let mut agent = self.agent().await;
        let mut held = match &mut agent {
            Some(agent) => timeout(self.limit, agent.request_identities()).await.ok().and_then(Result::ok).unwrap_or_default(),
            None => Vec::new(),
        };
        for path in &self.target.identities {
            let public = self.ring.public(path).await;
            let in_agent = held.iter().position(|identity| public.as_ref().is_some_and(|public| same_key(identity, public)));
            let accepted = match (in_agent, &mut agent) {
                (Some(index), Some(agent)) => {
                    let identity = held.remove(index);
                    self.with_agent_key(agent, &identity, &shown(path)).await?
                }
                _ => self.with_file(path).await?,
            };
            if accepted {
                return Ok(true);
            }
            if !self.takes(MethodKind::PublicKey) {
                return Ok(false);
            }
        }
        if let Some(agent) = &mut agent
            && !self.target.identities_only
        {
            for identity in held {
                let comment = identity.comment().to_owned();
                if self.with_agent_key(agent, &identity, &comment).await? {
                    return Ok(true);
                }
                if !self.takes(MethodKind::PublicKey) {
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// The agent, if it answers: without it there are still the files.
    async fn agent(&self) -> Option<Agent> {
        let socket = self.target.agent_socket.as_ref()?;
        timeout(self.limit, AgentClient::connect_uds(socket)).await.ok()?.ok()
    }

    async fn with_agent_key(&mut self, agent: &mut Agent, identity: &AgentIdentity, comment: &str) -> Result<bool, SshError> {
        let tried = format!("publickey {comment} (agent)");
        let Some(hash) = self.hash_for(&identity.public_key().algorithm(), &tried).await? else {
            return Ok(false);
        };
        let user = self.target.user.clone();
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                limited(self.target, self.limit, self.handle.authenticate_publickey_with(user, key.clone(), hash, agent)).await?
            }
            AgentIdentity::Certificate { certificate, .. } => {
                limited(self.target, self.limit, self.handle.authenticate_certificate_with(user, certificate.clone(), hash, agent)).await?
            }
        };
        match result {
            Ok(result) => self.accepted(&result, &tried),
            // The agent would not sign: a hardware key that nobody touched, or a question answered with no.
            Err(error) => {
                self.log.tried.push(format!("{tried}: {error}"));
                Ok(false)
            }
        }
    }

    async fn with_file(&mut self, path: &Path) -> Result<bool, SshError> {
        let key = match self.ring.open(&self.target.name, path).await {
            Ok(key) => key,
            Err(problem) => {
                let missing = matches!(&problem, SshError::KeyUnreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
                // As with ssh, a file that the configuration names need not exist on every machine.
                if missing && self.target.required_identity.as_deref() != Some(path) {
                    self.log.tried.push(format!("publickey {} (no such file)", shown(path)));
                } else if self.log.key_problem.is_none() {
                    self.log.key_problem = Some(problem);
                }
                return Ok(false);
            }
        };
        let tried = format!("publickey {}", shown(path));
        let Some(hash) = self.hash_for(&key.algorithm(), &tried).await? else {
            return Ok(false);
        };
        let request = self.handle.authenticate_publickey(&self.target.user, PrivateKeyWithHashAlg::new(Arc::clone(&key), hash));
        let result = limited(self.target, self.limit, request).await?.map_err(|source| self.broken(source))?;
        self.accepted(&result, &tried)
    }

    /// The hash to sign with: `Some(None)` for keys that need none, `None` when the host takes only SHA-1.
    async fn hash_for(&mut self, algorithm: &Algorithm, tried: &str) -> Result<Option<Option<HashAlg>>, SshError> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(Some(None));
        }
        match limited(self.target, self.limit, self.handle.best_supported_rsa_hash()).await?.map_err(|source| self.broken(source))? {
            Some(None) => {
                self.log.tried.push(format!("{tried}: not used, since the host takes RSA with SHA-1 only"));
                Ok(None)
            }
            Some(hash) => Ok(Some(hash)),
            None => Ok(Some(Some(HashAlg::Sha256))),
        }
    }

    async fn with_password(&mut self) -> Result<bool, SshError> {
        let Some(password) = self.target.password.clone() else {
            return Ok(false);
        };
        if self.takes(MethodKind::Password) {
            let request = self.handle.authenticate_password(&self.target.user, password.reveal());
            let result = limited(self.target, self.limit, request).await?.map_err(|source| self.broken(source))?;
            if self.accepted(&result, "password")? {
                return Ok(true);
            }
        }
        if !self.takes(MethodKind::KeyboardInteractive) {
            return Ok(false);
        }
        let start = self.handle.authenticate_keyboard_interactive_start(&self.target.user, None::<String>);
        let mut answer = limited(self.target, self.limit, start).await?.map_err(|source| self.broken(source))?;
        for _ in 0..MOST_ROUNDS {
            let prompts = match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                    return self.accepted(&AuthResult::Failure { remaining_methods, partial_success }, "keyboard-interactive");
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            // Only questions whose answer is not shown are for the password.
            let replies = prompts.iter().map(|prompt| if prompt.echo { String::new() } else { password.reveal().to_owned() }).collect();
            let request = self.handle.authenticate_keyboard_interactive_respond(replies);
            answer = limited(self.target, self.limit, request).await?.map_err(|source| self.broken(source))?;
        }
        self.log.tried.push("keyboard-interactive".to_owned());
        Ok(false)
    }

    fn takes(&self, method: MethodKind) -> bool {
        self.log.offered.as_ref().is_none_or(|offered| offered.contains(&method))
    }

    fn accepted(&mut self, result: &AuthResult, tried: &str) -> Result<bool, SshError> {
        let AuthResult::Failure { remaining_methods, .. } = result else {
            return Ok(true);
        };
        if self.handle.is_closed() && self.log.tried.is_empty() && self.farewell.text() == "the host closed the connection" {
            return Err(self.closed());
        }
        self.log.tried.push(tried.to_owned());
        self.log.offered = Some(remaining_methods.clone());
        if self.handle.is_closed() { Err(self.denied()) } else { Ok(false) }
    }

    fn broken(&self, source: russh::Error) -> SshError {
        match source {
            russh::Error::SendError | russh::Error::RecvError | russh::Error::Disconnect => self.closed(),
            source => SshError::Handshake { host: self.target.name.clone(), source },
        }
    }

    fn closed(&self) -> SshError {
        SshError::Closed { host: self.target.name.clone(), phase: Phase::Authentication, detail: self.farewell.text() }
    }

    fn denied(&self) -> SshError {
        let offered: Vec<String> =
            self.log.offered.iter().flat_map(|offered| offered.iter()).map(|method| String::from(<&'static str>::from(method))).collect();
        let farewell = self.farewell.text();
        SshError::PermissionDenied {
            host: self.target.name.clone(),
            user: self.target.user.clone(),
            tried: self.log.tried.join(", "),
            offered: match (offered.is_empty(), farewell.is_empty()) {
                (false, _) => offered.join(", "),
                (true, false) => format!("nothing more: {farewell}"),
                (true, true) => "nothing more".to_owned(),
            },
        }
    }
}

fn same_key(identity: &AgentIdentity, public: &PublicKey) -> bool {
    identity.public_key().key_data() == public.key_data()
}

fn shown(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

async fn limited<T>(target: &Target, limit: Duration, request: impl Future<Output = T>) -> Result<T, SshError> {
    timeout(limit, request).await.map_err(|_| SshError::Timeout {
        host: target.name.clone(),
        phase: Phase::Authentication,
        seconds: limit.as_secs(),
    })
}
