//! How the engine reaches hosts and the controller's own files: traits that others implement.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use pgfleet_protocol::{Map, Outcome, Request, Secret};

/// Acting as another user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Become {
    /// Whom.
    pub user: String,
    /// `sudo`, `su` ...
    pub method: String,
    /// What the method may ask for.
    pub password: Option<Secret>,
    /// The program of the method, where it is another one.
    pub exe: Option<String>,
    /// Its options, instead of the usual ones.
    pub flags: Option<String>,
}

impl Become {
    /// A command line that runs another one as the user, without asking for a password.
    #[must_use]
    pub fn command_line(&self, command: &str) -> String {
        let quoted = format!("'{}'", command.replace('\'', r"'\''"));
        let exe = self.exe.as_deref().unwrap_or(&self.method);
        let flags = self.flags.as_deref().unwrap_or_default();
        match self.method.as_str() {
            "su" => format!("{exe} {flags} {} -c {quoted}", self.user),
            "doas" => format!("{exe} -n {flags} -u {} sh -c {quoted}", self.user),
            _ => format!("{exe} -n {flags} -u {} -- sh -c {quoted}", self.user),
        }
    }
}

/// Which host, and how to get there: connection variables as rendered (`ansible_host`, `ansible_user` ...).
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// The host's name in the inventory.
    pub host: String,
    /// Connection variables.
    pub variables: Map,
    /// As whom.
    pub r#become: Option<Become>,
    /// Calls of one lane go one after the other; another lane does not wait for them.
    pub lane: u8,
}

/// File content on its way to a host.
#[derive(Clone)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
    /// What is read piece by piece, and may be of any length.
    Pieces(Arc<dyn Outgoing>),
}

/// Something of the controller that is sent to a host piece by piece.
pub trait Outgoing: Send + Sync {
    /// Begins to read it, from its beginning.
    ///
    /// # Errors
    /// As the operating system says.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// Why a host could not be reached, or was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreachable {
    /// What happened, with the host's name.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

impl Unreachable {
    /// A reason without a hint.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }
}

/// What a command line sent without the agent printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawOutput {
    /// Exit status.
    pub status: i64,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The way to the hosts. Sessions are opened when first needed and kept.
pub trait Fleet: Send + Sync {
    /// Does one call on one host. `content` is sent when the agent asks for it, what the agent sends goes to `sink`.
    fn call<'a>(
        &'a self,
        contact: &'a Contact,
        request: Request,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> BoxFuture<'a, Result<Outcome, Unreachable>>;

    /// The same; where the call changed nothing, those that are expected to follow may be looked at as well. Answers also the outcomes
    /// of the first of them, as far as they would change nothing.
    fn call_ahead<'a>(
        &'a self,
        contact: &'a Contact,
        request: Request,
        _ahead: Vec<Request>,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> BoxFuture<'a, Result<(Outcome, Vec<Outcome>), Unreachable>> {
        Box::pin(async move { self.call(contact, request, content, sink).await.map(|outcome| (outcome, Vec::new())) })
    }

    /// Sends a command line without the agent.
    fn raw<'a>(&'a self, contact: &'a Contact, command: &'a str) -> BoxFuture<'a, Result<RawOutput, Unreachable>>;

    /// From now on each new conversation with that host, as that user, begins with this call, and goes no further where that fails.
    fn begin_with(&self, _contact: &Contact, _request: Request) {}

    /// Ends the connections to a host, so that the next call opens new ones.
    fn reset<'a>(&'a self, contact: &'a Contact) -> BoxFuture<'a, ()>;

    /// Ends the connections to a host that has nothing more to do: a fleet of thousands need not be held open until the last is done.
    fn leave(&self, _host: &str) {}
}

/// A file of the controller that is being written; it appears when finished, whole or not at all.
pub trait Incoming: Send {
    /// Adds bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file appear.
    ///
    /// # Errors
    /// As the operating system says.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The controller's own disk, as far as the engine writes to it.
pub trait Local: Send + Sync {
    /// SHA-256 of a file, if there is one.
    fn sha256(&self, path: &Path) -> Option<String>;
    /// Begins a file, its folders made.
    ///
    /// # Errors
    /// As the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Incoming>>;
}
