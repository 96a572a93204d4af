//! Connection strings for applications, and psql on a node for a person.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use pgfleet_cluster::{Endpoints, Role, Way};
use pgfleet_engine::{Contact, Content, Fleet, Incoming, RawOutput, Unreachable};
use pgfleet_protocol::{Map, Outcome, Request, Secret};
use pgfleet_ssh::{Conversation, Size, quote};
use serde::Deserialize;
use serde_json::Value;

use crate::WorkflowError;
use crate::authority;
use crate::fleet::SshFleet;
use crate::operate::{Operation, ask, ready};
use crate::play::{Wish, fleet};
use crate::seal::secrets_in;

/// The line after which the password is waited for.
pub const READY: &str = "PGFLEET-READY";

/// What applications connect to.
#[derive(Debug)]
pub struct Connection {
    /// Addresses, ports and names.
    pub endpoints: Endpoints,
    /// Where the password of its user is, and the password itself.
    pub password: Option<(PathBuf, Secret)>,
    /// The certificate of the authority that has signed the nodes' keys, where there is one.
    pub authority: Option<PathBuf>,
    /// What each way led to, where that was asked for.
    pub tried: Vec<Tried>,
}

/// What a way led to.
#[derive(Clone, Debug, Deserialize)]
pub struct Tried {
    /// The way.
    pub way: Way,
    /// The node that tried it.
    pub from: String,
    /// The node that answered.
    pub node: Option<String>,
    /// Its role.
    pub role: Option<Role>,
    /// Why it is not good.
    pub error: Option<String>,
    /// How long the answer took.
    pub seconds: f64,
}

/// Tells what applications connect to; with `test`, each way is tried from a node.
///
/// # Errors
/// Wrong input, or no node to try from.
pub async fn connection(wish: &Wish, test: bool) -> Result<Connection, WorkflowError> {
    let variables = Map::from_iter([("connection_test".to_owned(), Value::from(test))]);
    let operation = Operation { name: "connection", variables, looks_only: true };
    let ready = ready(wish, &operation)?;
    let authority = Some(authority::certificate_in(&ready.folder)).filter(|path| path.is_file());
    let (folder, store) = (ready.folder.join("secrets"), secrets_in(wish, &ready.folder));
    let answer = ask(Arc::new(fleet(wish)?), wish, ready, "postgresql_connection").await?;
    let endpoints: Endpoints = read(&answer, "endpoints")?;
    let tried = if test { read(&answer, "tried")? } else { Vec::new() };
    let password = store.read("app")?.map(|password| (folder.join("app"), password));
    Ok(Connection { endpoints, password, authority, tried })
}

/// What a person wants of psql.
#[derive(Clone, Debug)]
pub struct SessionWish {
    /// Which node.
    pub role: Role,
    /// The database's user; the application's otherwise.
    pub user: Option<String>,
    /// The database; the application's otherwise.
    pub database: Option<String>,
    /// What else psql is told.
    pub arguments: Vec<String>,
    /// The kind of the person's terminal and its size, where there is one.
    pub terminal: Option<(String, Size)>,
}

/// psql on a node.
pub struct Session {
    /// The node.
    pub node: String,
    /// `leader` or `replica`.
    pub role: String,
    /// What is said to it and what it says. Its first line is [`READY`]; then it waits for a line with the password.
    pub conversation: Conversation,
    /// The password; empty where none is known or needed.
    pub password: Secret,
    _fleet: Arc<SshFleet>,
}

/// Starts psql on the node that has the role.
///
/// # Errors
/// Wrong input, no such node, or a host that cannot be reached.
pub async fn session(wish: &Wish, want: &SessionWish) -> Result<Session, WorkflowError> {
    let choose = match want.role {
        Role::Leader => "leader",
        Role::Replica => "replica",
        Role::Any => "any",
    };
    let variables = Map::from_iter([("connection_choose".to_owned(), Value::from(choose))]);
    let operation = Operation { name: "connection", variables, looks_only: true };
    let ready = ready(wish, &operation)?;
    let secrets = secrets_in(wish, &ready.folder);
    let readonly = ready.prepared.global_text("postgresql_readonly_user")?;
    let remembering = Arc::new(Remembering { fleet: Arc::new(fleet(wish)?), contacts: Mutex::default() });
    let answer = ask(remembering.clone(), wish, ready, "postgresql_connection").await?;
    let endpoints: Endpoints = read(&answer, "endpoints")?;
    let node: String = read(&answer, "node")?;
    let user = want.user.clone().unwrap_or_else(|| endpoints.user.clone());
    let password = match &user {
        user if *user == endpoints.user => secrets.read("app")?,
        user if Some(user) == readonly.as_ref() => secrets.read("readonly")?,
        user if is_plain(user) => secrets.read(&format!("users/{user}"))?,
        _ => None,
    };
    let contact = remembering.contacts.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned();
    let contact = contact.ok_or_else(|| WorkflowError::Failed(format!("{node} was not asked")))?;
    let bin_dir: String = read(&answer, "bin_dir")?;
    let command = command(want, &user, &endpoints, &format!("{bin_dir}/psql"));
    let terminal = want.terminal.as_ref().map(|(kind, size)| (kind.as_str(), *size));
    let conversation = remembering.fleet.converse(&contact, &command, terminal).await?;
    let role = read(&answer, "role")?;
    Ok(Session {
        node,
        role,
        conversation,
        password: password.unwrap_or_else(|| Secret::new(String::new())),
        _fleet: remembering.fleet.clone(),
    })
}

/// The command for the node's shell. A password never is part of it.
fn command(want: &SessionWish, user: &str, endpoints: &Endpoints, psql: &str) -> String {
    let database = want.database.clone().unwrap_or_else(|| endpoints.database.clone());
    let port = endpoints.port.to_string();
    let mut words: Vec<&str> = vec![psql];
    if user != "postgres" {
        words.extend(["-h", "127.0.0.1"]);
    }
    words.extend(["-p", &port, "-U", user, "-d", &database]);
    words.extend(want.arguments.iter().map(String::as_str));
    let words = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let run = match (user, &want.terminal) {
        // The superuser logs in by who the system says it is. On a terminal sudo may ask.
        ("postgres", terminal) => {
            let asking = if terminal.is_some() { "" } else { "-n" };
            format!("[ \"$(id -u)\" != 0 ] || exec runuser -u postgres -- {words}; exec sudo {asking} -u postgres -- {words}")
        }
        _ => format!("exec {words}"),
    };
    // What is typed must not show until psql is there.
    let (quiet, loud) = if want.terminal.is_some() { ("stty -echo; ", "stty echo; ") } else { ("", "") };
    let script = format!(
        "{quiet}echo {READY}; IFS= read -r PGPASSWORD; {loud}if [ -n \"$PGPASSWORD\" ]; then export PGPASSWORD; else unset PGPASSWORD; fi; cd /; {run}"
    );
    format!("exec sh -c {}", quote(&script))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|sign| sign.is_ascii_alphanumeric() || "._-".contains(sign))
}

fn read<T: serde::de::DeserializeOwned>(answer: &Map, name: &str) -> Result<T, WorkflowError> {
    let value = answer.get(name).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|error| WorkflowError::Failed(format!("the answer's '{name}' is not as expected: {error}")))
}

/// A way to the hosts that remembers how each was reached.
struct Remembering {
    fleet: Arc<SshFleet>,
    contacts: Mutex<BTreeMap<String, Contact>>,
}

impl Fleet for Remembering {
    fn call<'a>(
        &'a self,
        contact: &'a Contact,
        request: Request,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> BoxFuture<'a, Result<Outcome, Unreachable>> {
        self.contacts.lock().unwrap_or_else(PoisonError::into_inner).insert(contact.host.to_string(), contact.clone());
        self.fleet.call(contact, request, content, sink)
    }

    fn raw<'a>(&'a self, contact: &'a Contact, command: &'a str) -> BoxFuture<'a, Result<RawOutput, Unreachable>> {
        self.fleet.raw(contact, command)
    }

    fn reset<'a>(&'a self, contact: &'a Contact) -> BoxFuture<'a, ()> {
        self.fleet.reset(contact)
    }
}

#[cfg(test)]
mod tests {
    use super::{SessionWish, command};
    use pgfleet_cluster::{Endpoints, Role};

    #[test]
    fn arguments_reach_psql_as_they_are() {
        let endpoints = Endpoints {
            addresses: Vec::new(),
            port: 5432,
            leader_port: 0,
            replica_port: 0,
            any_port: 0,
            service_name: String::new(),
            user: "app".to_owned(),
            database: "shop".to_owned(),
        };
        let want = SessionWish {
            role: Role::Any,
            user: None,
            database: None,
            arguments: vec!["-c".to_owned(), "SELECT 'it''s $HOME'".to_owned()],
            terminal: None,
        };
        // `echo` in psql's place shows its arguments.
        let command = command(&want, "app", &endpoints, "echo");
        let output = std::process::Command::new("sh").arg("-c").arg(format!("printf 'pw\\n' | {command}")).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, "PGFLEET-READY\n-h 127.0.0.1 -p 5432 -U app -d shop -c SELECT 'it''s $HOME'\n");
    }
}
