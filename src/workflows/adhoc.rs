//! One task on the hosts of a pattern, and commands whose output is told as it comes.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use futures::future::BoxFuture;
use pgfleet_engine::{Contact, Content, Finished, Fleet, Incoming, RawOutput, Report, Unreachable};
use pgfleet_inventory::Inventory;
use pgfleet_protocol::{Outcome, Request};
use pgfleet_ssh::{ExitStatus, Spoken};
use pgfleet_template::{FileIdentity, Files};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use crate::fleet::{SshFleet, is_local};
use crate::play::{Additions, Prepared, Purpose, Wish, fleet, prepare_with, run_on};
use crate::{WorkflowError, local};

/// The name of a playbook that nobody wrote.
const NAME: &str = "<adhoc>";
/// Bytes of output taken at a time.
const BLOCK: usize = 16 * 1024;

/// A task without a playbook.
#[derive(Clone, Debug, Default)]
pub struct AdHoc {
    /// On which hosts.
    pub pattern: String,
    /// Its module.
    pub module: String,
    /// `name=value` words, a mapping, or nothing.
    pub arguments: Value,
    /// Further keywords of the task: `timeout`, `async`, `poll`.
    pub keywords: serde_json::Map<String, Value>,
}

/// One of a command's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// Its results.
    Standard,
    /// Its errors.
    Error,
}

/// Hears what commands print, with the host's name.
pub type Hear = Arc<dyn Fn(&str, Output, &[u8]) + Send + Sync>;

/// Runs a task.
///
/// # Errors
/// What is wrong before it begins.
pub async fn run_task(wish: &Wish, task: &AdHoc, report: Report) -> Result<Finished, WorkflowError> {
    let prepared = read(wish, task)?;
    crate::play::run(wish, prepared, Additions::default(), report).await
}

/// Checks a task, and gives the inventory.
///
/// # Errors
/// Every problem found.
pub fn check_task(wish: &Wish, task: &AdHoc) -> Result<Inventory, WorkflowError> {
    Ok(read(wish, task)?.inventory)
}

/// Runs a command line through each host's shell, and tells what it prints as it comes. `end` asks the commands to end.
///
/// # Errors
/// What is wrong before it begins.
pub async fn exec(
    wish: &Wish,
    pattern: &str,
    command: &str,
    hear: Hear,
    end: watch::Receiver<bool>,
    report: Report,
) -> Result<Finished, WorkflowError> {
    let task = AdHoc {
        pattern: pattern.to_owned(),
        module: "raw".to_owned(),
        arguments: json!({"_raw_params": format!("{{% raw %}}{command}{{% endraw %}}")}),
        ..AdHoc::default()
    };
    let prepared = read(wish, &task)?;
    let streaming = Streaming { fleet: fleet(wish)?, hear, end };
    run_on(Arc::new(streaming), wish, prepared, Additions::default(), report).await
}

fn read(wish: &Wish, task: &AdHoc) -> Result<Prepared, WorkflowError> {
    let mut entries = task.keywords.clone();
    // A mapping with free words among it is what `args` and the free words say together.
    let free = task.arguments.get("_raw_params").cloned();
    entries.insert(task.module.clone(), free.unwrap_or_else(|| task.arguments.clone()));
    let play = json!([{"name": "Ansible Ad-Hoc", "hosts": task.pattern, "gather_facts": false, "tasks": [entries]}]);
    let path = wish.project.root().join(NAME);
    let files = Arc::new(WithPlaybook { files: wish.project.files_for(&path), path: path.clone(), text: play.to_string() });
    prepare_with(wish, files, &path, Purpose::Run)
}

/// The project's files and one more.
struct WithPlaybook {
    files: Arc<dyn Files>,
    path: PathBuf,
    text: String,
}

impl Files for WithPlaybook {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.path { Ok(self.text.clone().into_bytes()) } else { self.files.read(path) }
    }

    fn is_file(&self, path: &Path) -> bool {
        path == self.path || self.files.is_file(path)
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.files.is_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.list(folder)
    }

    fn identity(&self, path: &Path) -> Option<FileIdentity> {
        if path == self.path { None } else { self.files.identity(path) }
    }

    fn permissions(&self, path: &Path) -> io::Result<u32> {
        if path == self.path { Ok(0o600) } else { self.files.permissions(path) }
    }
}

/// Hosts whose commands are heard while they run.
struct Streaming {
    fleet: SshFleet,
    hear: Hear,
    end: watch::Receiver<bool>,
}

impl Fleet for Streaming {
    fn call<'a>(
        &'a self,
        contact: &'a Contact,
        request: Request,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> BoxFuture<'a, Result<Outcome, Unreachable>> {
        self.fleet.call(contact, request, content, sink)
    }

    fn raw<'a>(&'a self, contact: &'a Contact, command: &'a str) -> BoxFuture<'a, Result<RawOutput, Unreachable>> {
        Box::pin(async move {
            let status = if is_local(contact)? { self.here(contact, command).await? } else { self.there(contact, command).await? };
            Ok(RawOutput { status, ..RawOutput::default() })
        })
    }

    fn reset<'a>(&'a self, contact: &'a Contact) -> BoxFuture<'a, ()> {
        self.fleet.reset(contact)
    }

    fn leave(&self, host: &str) {
        self.fleet.leave(host);
    }
}

impl Streaming {
    async fn there(&self, contact: &Contact, command: &str) -> Result<i64, Unreachable> {
        let lost = |error: pgfleet_ssh::SshError| Unreachable { message: error.to_string(), hint: error.hint() };
        let mut conversation = self.fleet.converse_as(contact, command).await?;
        conversation.speaker.end_input().await.map_err(lost)?;
        let mut end = self.end.clone();
        loop {
            tokio::select! {
                spoken = conversation.listener.next() => match spoken.map_err(lost)? {
                    Spoken::Output(bytes) => (self.hear)(&contact.host, Output::Standard, &bytes),
                    Spoken::Error(bytes) => (self.hear)(&contact.host, Output::Error, &bytes),
                    Spoken::End(ExitStatus::Code(code)) => return Ok(i64::from(code)),
                    Spoken::End(ExitStatus::Signal(_)) => return Ok(130),
                },
                // Asked once; what the program says on its way out is still heard.
                Ok(()) = end.changed() => drop(conversation.speaker.interrupt().await),
            }
        }
    }

    async fn here(&self, contact: &Contact, command: &str) -> Result<i64, Unreachable> {
        let lost = |error: io::Error| Unreachable::new(format!("{}: the command does not start: {error}", contact.host));
        let wanted = contact.r#become.as_ref().filter(|wanted| !local::is_me(&wanted.user));
        let mut process = local::as_user(wanted, OsStr::new("/bin/sh")).await.map_err(lost)?;
        process
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = process.spawn().map_err(lost)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let group = child_group(child.id());
        let listening = async {
            futures::join!(self.listen(contact, Output::Standard, stdout), self.listen(contact, Output::Error, stderr));
            child.wait().await
        };
        let mut end = self.end.clone();
        tokio::pin!(listening);
        loop {
            tokio::select! {
                ended = &mut listening => return Ok(ended.map_err(lost)?.code().map_or(130, i64::from)),
                Ok(()) = end.changed() => {
                    if let Some(group) = group {
                        let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::INT);
                    }
                }
            }
        }
    }

    async fn listen(&self, contact: &Contact, output: Output, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut block = vec![0; BLOCK];
        while let Ok(count @ 1..) = stream.read(&mut block).await {
            (self.hear)(&contact.host, output, &block[..count]);
        }
    }
}

fn child_group(id: Option<u32>) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(id?).ok()?)
}
