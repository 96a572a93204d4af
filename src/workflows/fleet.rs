//! The way to the hosts: SSH sessions and agents, opened when first needed and kept.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use pgfleet_engine::{Become, Contact, Content, Fleet, Incoming, Link, RawOutput, Unreachable};
use pgfleet_protocol::{Argument, Outcome, Request, Secret};
use pgfleet_ssh::{AgentBinary, Connector, Conversation, Exit, Options, Session, Size, SshConfig, SshError, Target, Wish};
use serde_json::Value;
use tokio::process::Child;

use crate::WorkflowError;
use crate::local::start_here;
use crate::slot::Slots;

/// What keeps the other end of a link alive.
enum Other {
    Process(Exit),
    #[expect(dead_code, reason = "dropping it ends the child")]
    Child(Child),
}

/// An agent that listens.
struct Channel {
    link: Link,
    other: Other,
}

/// Hosts over SSH, and the controller itself where the connection is `local`.
pub(crate) struct SshFleet {
    connector: Connector,
    config: SshConfig,
    agent: AgentBinary,
    key: Option<PathBuf>,
    sessions: Slots<String, Arc<Session>>,
    channels: Slots<(String, String, u8), Channel>,
}

impl SshFleet {
    /// A fleet that is reached with these options.
    ///
    /// # Errors
    /// When the person's ssh configuration cannot be read, or the program carries no agent.
    pub(crate) fn new(options: Options, key: Option<PathBuf>) -> Result<Self, WorkflowError> {
        let agent = crate::carried_agent().ok_or(WorkflowError::NoAgent)?;
        let config = SshConfig::standard().map_err(|error| WorkflowError::Ssh { message: said(&error), hint: error.hint() })?;
        Ok(Self { connector: Connector::new(options), config, agent, key, sessions: Slots::default(), channels: Slots::default() })
    }

    /// Starts a command on a host to speak with, as the user who logs in. It lives as long as this fleet.
    pub(crate) async fn converse(
        &self,
        contact: &Contact,
        command: &str,
        terminal: Option<(&str, Size)>,
    ) -> Result<Conversation, WorkflowError> {
        let words = |unreachable: Unreachable| WorkflowError::Ssh { message: unreachable.message, hint: unreachable.hint };
        let session = self.session(contact).await.map_err(words)?;
        session.converse(command, terminal).await.map_err(|error| words(lost(error)))
    }

    async fn session(&self, contact: &Contact) -> Result<Arc<Session>, Unreachable> {
        let slot = self.sessions.get(key_of(contact));
        let mut slot = slot.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        let target = self.target(contact)?;
        let session = Arc::new(self.connector.connect(&target).await.map_err(lost)?);
        *slot = Some(session.clone());
        Ok(session)
    }

    fn target(&self, contact: &Contact) -> Result<Target, Unreachable> {
        let text = |name: &str| contact.variables.get(name).and_then(|value| String::read(value).ok()).filter(|text| !text.is_empty());
        let port = contact.variables.get("ansible_port").map(u16::read).transpose();
        let arguments: Vec<String> = ["ansible_ssh_common_args", "ansible_ssh_extra_args"].iter().filter_map(|name| text(name)).collect();
        let wish = Wish {
            host: text("ansible_host"),
            port: port.map_err(|reason| Unreachable::new(format!("{}: ansible_port: {reason}", contact.host)))?,
            user: text("ansible_user"),
            key_file: text("ansible_ssh_private_key_file").map(PathBuf::from).or_else(|| self.key.clone()),
            password: text("ansible_password").map(Secret::new),
            common_args: (!arguments.is_empty()).then(|| arguments.join(" ")),
        };
        Target::resolve(&contact.host, &wish, &self.config).map_err(lost)
    }

    async fn open(&self, contact: &Contact) -> Result<Channel, Unreachable> {
        if is_local(contact) {
            let mut child = start_here(&self.agent, contact.r#become.as_ref())
                .map_err(|error| Unreachable::new(format!("{}: the agent does not start: {error}", contact.host)))?;
            let (Some(stdout), Some(stdin)) = (child.stdout.take(), child.stdin.take()) else {
                return Err(Unreachable::new(format!("{}: the agent has no streams", contact.host)));
            };
            let link = Link::open(contact.host.as_str(), stdout, stdin).await?;
            return Ok(Channel { link, other: Other::Child(child) });
        }
        let session = self.session(contact).await?;
        let process = session.agent(&self.agent, &privilege(contact)?).await.map_err(lost)?;
        let exit = process.exit;
        match Link::open(contact.host.as_str(), process.stdout, process.stdin).await {
            Ok(link) => Ok(Channel { link, other: Other::Process(exit) }),
            Err(unreachable) => Err(with_last_words(unreachable, &exit.stderr_tail())),
        }
    }

    async fn do_call(
        &self,
        contact: &Contact,
        request: Request,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<Outcome, Unreachable> {
        let user = contact.r#become.as_ref().map(|wanted| wanted.user.clone()).unwrap_or_default();
        let slot = self.channels.get((key_of(contact), user, contact.lane));
        let mut slot = slot.lock().await;
        if slot.as_ref().is_none_or(|channel| channel.link.is_spoiled()) {
            *slot = None;
            *slot = Some(self.open(contact).await?);
        }
        let Some(channel) = slot.as_mut() else { return Err(Unreachable::new(format!("{}: no agent", contact.host))) };
        match channel.link.call(request, content, sink).await {
            Ok(outcome) => Ok(outcome),
            Err(unreachable) => {
                let last_words = match &channel.other {
                    Other::Process(exit) => exit.stderr_tail(),
                    Other::Child(_) => String::new(),
                };
                *slot = None;
                Err(with_last_words(unreachable, &last_words))
            }
        }
    }

    async fn do_raw(&self, contact: &Contact, command: &str) -> Result<RawOutput, Unreachable> {
        let session = self.session(contact).await?;
        let command = match &contact.r#become {
            Some(wanted) if wanted.user != session.user() => {
                format!("sudo -n -u {} -- sh -c '{}'", wanted.user, command.replace('\'', r"'\''"))
            }
            _ => command.to_owned(),
        };
        let finished = session.run(&command, b"").await.map_err(lost)?;
        let status = match finished.status {
            pgfleet_ssh::ExitStatus::Code(code) => i64::from(code),
            _ => 255,
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(RawOutput { status, stdout: text(finished.stdout), stderr: text(finished.stderr) })
    }
}

impl Fleet for SshFleet {
    fn call<'a>(
        &'a self,
        contact: &'a Contact,
        request: Request,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> BoxFuture<'a, Result<Outcome, Unreachable>> {
        Box::pin(self.do_call(contact, request, content, sink))
    }

    fn raw<'a>(&'a self, contact: &'a Contact, command: &'a str) -> BoxFuture<'a, Result<RawOutput, Unreachable>> {
        Box::pin(self.do_raw(contact, command))
    }
}

/// Contacts that share a session have one key.
fn key_of(contact: &Contact) -> String {
    format!("{} {}", contact.host, Value::Object(contact.variables.clone()))
}

fn is_local(contact: &Contact) -> bool {
    contact.variables.get("ansible_connection").and_then(Value::as_str) == Some("local")
}

fn privilege(contact: &Contact) -> Result<pgfleet_ssh::Become, Unreachable> {
    match &contact.r#become {
        None => Ok(pgfleet_ssh::Become::No),
        Some(Become { user, method, password }) if method == "sudo" => {
            Ok(pgfleet_ssh::Become::Sudo { user: user.clone(), password: password.clone() })
        }
        Some(Become { method, .. }) => {
            let message = format!("{}: become_method '{method}' is not supported yet", contact.host);
            Err(Unreachable { message, hint: Some("use sudo".to_owned()) })
        }
    }
}

fn lost(error: SshError) -> Unreachable {
    Unreachable { message: said(&error), hint: error.hint() }
}

/// An error with its causes.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn with_last_words(unreachable: Unreachable, words: &str) -> Unreachable {
    let words = words.trim();
    if words.is_empty() {
        unreachable
    } else {
        Unreachable { message: format!("{}; it said: {words}", unreachable.message), ..unreachable }
    }
}
