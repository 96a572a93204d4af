//! The way to the hosts: SSH sessions and agents, opened when first needed and kept.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use pgfleet_engine::{Become, Contact, Content, Event, Fleet, Incoming, Link, RawOutput, Report, Unreachable};
use pgfleet_protocol::{Argument, Outcome, Request, Secret};
use pgfleet_ssh::{
    AgentBinary, Arguments, Connector, Conversation, Exit, ExitStatus, Means, Method, Options, Session, Size, SshConfig, SshError, Target,
    Wish,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::process::Child;

use crate::WorkflowError;
use crate::local::{run_here, start_here};
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

/// What a person asks of ssh for all hosts alike; what the inventory says about a host comes first.
#[derive(Clone, Debug, Default)]
pub struct SshHabits {
    /// Key to log in with.
    pub private_key: Option<PathBuf>,
    /// `ssh_args` of a configuration file.
    pub ssh_args: Option<String>,
    /// `--ssh-common-args`.
    pub common_args: Option<String>,
    /// `--ssh-extra-args`.
    pub extra_args: Option<String>,
    /// Whether unknown host keys are refused, where somebody said so.
    pub host_key_checking: Option<bool>,
}

/// Says each sentence once.
struct Notes {
    said: Mutex<BTreeSet<String>>,
    report: Report,
}

/// Hosts over SSH, and the controller itself where the connection is `local`.
pub(crate) struct SshFleet {
    connector: Connector,
    config: SshConfig,
    agent: AgentBinary,
    habits: SshHabits,
    notes: Option<Notes>,
    sessions: Slots<String, Arc<Session>>,
    channels: Slots<(String, String, u8), Channel>,
    /// What a conversation begins with, by host and user.
    beginnings: Mutex<HashMap<(String, String), Request>>,
}

impl SshFleet {
    /// A fleet that is reached with these options.
    ///
    /// # Errors
    /// When the person's ssh configuration cannot be read, or the program carries no agent.
    pub(crate) fn new(options: Options, habits: SshHabits) -> Result<Self, WorkflowError> {
        let agent = crate::carried_agent().ok_or(WorkflowError::NoAgent)?;
        let config = SshConfig::standard().map_err(|error| WorkflowError::Ssh { message: said(&error), hint: error.hint() })?;
        allow_connections();
        let (sessions, channels, beginnings) = (Slots::default(), Slots::default(), Mutex::default());
        Ok(Self { connector: Connector::new(options), config, agent, habits, notes: None, sessions, channels, beginnings })
    }

    /// Tells what was asked of ssh and has no effect.
    pub(crate) fn telling(mut self, report: Report) -> Self {
        self.notes = Some(Notes { said: Mutex::default(), report });
        self
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

    /// Starts a command through the host's shell, as the wanted user.
    pub(crate) async fn converse_as(&self, contact: &Contact, command: &str) -> Result<Conversation, Unreachable> {
        let session = self.session(contact).await?;
        let command = as_wanted(contact, session.user(), command);
        session.converse(&command, None).await.map_err(lost)
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
        let number = |name: &str| contact.variables.get(name).map(u64::read).transpose();
        let flag = |name: &str| contact.variables.get(name).map(bool::read).transpose();
        let wrong = |name: &'static str| move |reason: String| Unreachable::new(format!("{}: {name}: {reason}", contact.host));
        let arguments = |variable: &str, option: &str, habit: &Option<String>| {
            let written = text(variable).map(|text| Arguments { from: variable.to_owned(), text });
            written.or_else(|| habit.clone().map(|text| Arguments { from: option.to_owned(), text }))
        };
        let common = arguments("ansible_ssh_common_args", "--ssh-common-args", &self.habits.common_args);
        let extra = arguments("ansible_ssh_extra_args", "--ssh-extra-args", &self.habits.extra_args);
        let wish = Wish {
            host: text("ansible_host"),
            port: port.map_err(wrong("ansible_port"))?,
            user: text("ansible_user"),
            key_file: text("ansible_ssh_private_key_file").map(PathBuf::from).or_else(|| self.habits.private_key.clone()),
            password: text("ansible_password").map(Secret::new),
            ssh_args: arguments("ansible_ssh_args", "ssh_args", &self.habits.ssh_args),
            more_args: common.into_iter().chain(extra).collect(),
            host_key_checking: flag("ansible_ssh_host_key_checking")
                .map_err(wrong("ansible_host_key_checking"))?
                .or(self.habits.host_key_checking),
            timeout: number("ansible_ssh_timeout").map_err(wrong("ansible_ssh_timeout"))?,
        };
        let target = Target::resolve(&contact.host, &wish, &self.config).map_err(lost)?;
        if let Some(notes) = &self.notes {
            notes.say(&target.ignored);
        }
        Ok(target)
    }

    async fn open(&self, contact: &Contact) -> Result<Channel, Unreachable> {
        if is_local(contact)? {
            let mut child = start_here(&self.agent, contact.r#become.as_ref())
                .await
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
        ahead: Vec<Request>,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<(Outcome, Vec<Outcome>), Unreachable> {
        let (key, user) = (key_of(contact), user_of(contact));
        let slot = self.channels.get((key.clone(), user.clone(), contact.lane));
        let mut slot = slot.lock().await;
        if slot.as_ref().is_none_or(|channel| channel.link.is_spoiled()) {
            *slot = None;
            let mut channel = self.open(contact).await?;
            let beginning = self.beginnings.lock().unwrap_or_else(PoisonError::into_inner).get(&(key, user)).cloned();
            if let Some(beginning) = beginning {
                let outcome = channel.link.call(beginning, None, None).await?;
                if outcome.is_failed() {
                    return Err(Unreachable::new(format!("{}: {}", contact.host, outcome.message)));
                }
            }
            *slot = Some(channel);
        }
        let Some(channel) = slot.as_mut() else { return Err(Unreachable::new(format!("{}: no agent", contact.host))) };
        match channel.link.call_ahead(request, ahead, content, sink).await {
            Ok(answer) => Ok(answer),
            Err(unreachable) => {
                let (status, last_words) = match &channel.other {
                    Other::Process(exit) => (exit.status(), exit.stderr_tail()),
                    Other::Child(_) => (None, String::new()),
                };
                *slot = None;
                Err(with_last_words(with_end(unreachable, &contact.host, status), &last_words))
            }
        }
    }

    /// Lets the agent and the session go. A connection to this machine itself has nothing to renew but its agent.
    async fn do_reset(&self, contact: &Contact) {
        let slot = self.channels.get((key_of(contact), user_of(contact), contact.lane));
        *slot.lock().await = None;
        let slot = self.sessions.get(key_of(contact));
        *slot.lock().await = None;
    }

    async fn do_raw(&self, contact: &Contact, command: &str) -> Result<RawOutput, Unreachable> {
        if is_local(contact)? {
            let output = run_here(command, contact.r#become.as_ref())
                .await
                .map_err(|error| Unreachable::new(format!("{}: the command does not start: {error}", contact.host)))?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let status = output.status.code().map_or(255, i64::from);
            return Ok(RawOutput { status, stdout: text(output.stdout), stderr: text(output.stderr) });
        }
        let session = self.session(contact).await?;
        let command = as_wanted(contact, session.user(), command);
        let finished = session.run(&command, b"").await.map_err(lost)?;
        let status = match finished.status {
            ExitStatus::Code(code) => i64::from(code),
            _ => 255,
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(RawOutput { status, stdout: text(finished.stdout), stderr: text(finished.stderr) })
    }
}

impl Notes {
    fn say(&self, sentences: &[String]) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for sentence in sentences {
            if said.insert(sentence.clone()) {
                (self.report)(&Event::Warning { message: sentence.clone() });
            }
        }
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
        Box::pin(async move { self.do_call(contact, request, Vec::new(), content, sink).await.map(|(outcome, _)| outcome) })
    }

    fn call_ahead<'a>(
        &'a self,
        contact: &'a Contact,
        request: Request,
        ahead: Vec<Request>,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> BoxFuture<'a, Result<(Outcome, Vec<Outcome>), Unreachable>> {
        Box::pin(self.do_call(contact, request, ahead, content, sink))
    }

    fn raw<'a>(&'a self, contact: &'a Contact, command: &'a str) -> BoxFuture<'a, Result<RawOutput, Unreachable>> {
        Box::pin(self.do_raw(contact, command))
    }

    fn begin_with(&self, contact: &Contact, request: Request) {
        self.beginnings.lock().unwrap_or_else(PoisonError::into_inner).insert((key_of(contact), user_of(contact)), request);
    }

    fn reset<'a>(&'a self, contact: &'a Contact) -> BoxFuture<'a, ()> {
        Box::pin(self.do_reset(contact))
    }

    fn leave(&self, host: &str) {
        let from = of_host(host);
        self.channels.forget(&(from.clone(), String::new(), 0), |(key, ..)| key.starts_with(&from));
        self.sessions.forget(&from, |key| key.starts_with(&from));
    }
}

/// As whom, where that is not who logs in.
fn user_of(contact: &Contact) -> String {
    contact.r#become.as_ref().map(|wanted| wanted.user.clone()).unwrap_or_default()
}

/// Connections that there shall be room for: far more would slow down programs that close all files that they might have.
const FILES: u64 = 65_536;

/// A fleet may have more hosts than a process usually may have files (1024).
fn allow_connections() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        // Without it a run ends where it would have ended anyway.
        let _unchanged = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

/// Contacts that share a session have one key.
fn key_of(contact: &Contact) -> String {
    format!("{}{}", of_host(&contact.host), Value::Object(contact.variables.clone()))
}

/// What the keys of all contacts with a host begin with, and those of no other host.
fn of_host(host: &str) -> String {
    format!("{host} ")
}

/// Whether the work is done on the controller itself.
pub(crate) fn is_local(contact: &Contact) -> Result<bool, Unreachable> {
    let written = contact.variables.get("ansible_connection").and_then(Value::as_str).unwrap_or("ssh");
    match written.strip_prefix("ansible.builtin.").or_else(|| written.strip_prefix("ansible.legacy.")).unwrap_or(written) {
        "local" => Ok(true),
        "" | "ssh" | "smart" | "paramiko" | "paramiko_ssh" => Ok(false),
        other => {
            let message = format!("{}: the connection '{other}' is not supported", contact.host);
            Err(Unreachable { message, hint: Some("pgfleet reaches hosts by 'ssh', and the controller itself by 'local'".to_owned()) })
        }
    }
}

/// A command line for the login shell that runs another as the wanted user.
fn as_wanted(contact: &Contact, login: &str, command: &str) -> String {
    match &contact.r#become {
        Some(wanted) if wanted.user != login => wanted.command_line(command),
        _ => command.to_owned(),
    }
}

fn privilege(contact: &Contact) -> Result<pgfleet_ssh::Become, Unreachable> {
    match &contact.r#become {
        None => Ok(pgfleet_ssh::Become::No),
        Some(Become { user, method, password, exe, flags }) => {
            let method = method_of(method).ok_or_else(|| Unreachable {
                message: format!("{}: become_method '{method}' is not supported", contact.host),
                hint: Some("sudo, su and doas are".to_owned()),
            })?;
            let means = Means { method, exe: exe.clone(), flags: flags.clone() };
            Ok(pgfleet_ssh::Become::Via { means, user: user.clone(), password: password.clone() })
        }
    }
}

/// The method of a name, with or without its collection's.
fn method_of(name: &str) -> Option<Method> {
    match name.rsplit('.').next() {
        Some("sudo") => Some(Method::Sudo),
        Some("su") => Some(Method::Su),
        Some("doas") => Some(Method::Doas),
        _ => None,
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

/// What became of the agent says more than that its stream ended.
fn with_end(unreachable: Unreachable, host: &str, status: Option<ExitStatus>) -> Unreachable {
    match status {
        Some(ExitStatus::Signal(signal)) => Unreachable {
            message: format!("{host}: the agent was ended by signal {signal} before it answered"),
            hint: Some(format!("run it again; where nobody ended it, 'journalctl -k' on {host} tells whether memory ran out")),
        },
        _ => unreachable,
    }
}

fn with_last_words(unreachable: Unreachable, words: &str) -> Unreachable {
    let words = words.trim();
    if words.is_empty() {
        unreachable
    } else {
        Unreachable { message: format!("{}; it said: {words}", unreachable.message), ..unreachable }
    }
}
