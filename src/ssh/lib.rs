//! SSH sessions: authentication, known hosts, jump hosts, delivery of the agent.

mod agent;
mod arguments;
mod authenticate;
mod config;
mod connect;
mod error;
mod host_key;
mod keys;
mod known_hosts;
mod paths;
mod pattern;
mod privilege;
mod process;
mod proxy;
mod session;
mod target;
mod terminal;

pub use agent::AgentBinary;
pub use arguments::Arguments;
pub use config::{HostSettings, SshConfig, UnknownKeys};
pub use connect::{Connector, Options, Passphrase};
pub use error::{Phase, SshError};
pub use known_hosts::{CertificateVerdict, KnownHosts, KnownName, Place, Verdict, fingerprint, pin};
pub use privilege::{Become, Means, Method, quote};
pub use process::{Exit, ExitStatus, Process, Stdin, Stdout};
pub use session::{Finished, Session};
pub use target::{Target, Wish};
pub use terminal::{Conversation, Listener, Size, Speaker, Spoken};
