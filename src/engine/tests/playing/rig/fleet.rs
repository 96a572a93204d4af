//! A fleet of agents in this process. Hosts share the disk; a host with `ansible_host=dead` cannot be reached, and one
//! with `ansible_host=dies` is lost in the middle of its first answer.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use pgfleet_agent::{Linux, exec};
use pgfleet_engine::{Contact, Content, Fleet, Incoming, Link, Local, RawOutput, Unreachable};
use pgfleet_protocol::{Outcome, Request, sha256};

type Slot = Arc<tokio::sync::Mutex<Option<Link>>>;

#[derive(Default)]
pub(crate) struct AgentFleet {
    links: Mutex<HashMap<String, Slot>>,
    /// Everyone who was contacted, with the module asked for.
    pub(crate) contacts: Mutex<Vec<(Contact, String)>>,
    /// Hosts that were said to have nothing more to do.
    pub(crate) left: Mutex<Vec<String>>,
}

impl AgentFleet {
    /// Lets all agents go: links live no longer than the runtime of their run.
    pub(crate) fn hang_up(&self) {
        self.links.lock().expect("links").clear();
    }

    async fn do_call(
        &self,
        contact: &Contact,
        request: Request,
        ahead: Vec<Request>,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<(Outcome, Vec<Outcome>), Unreachable> {
        self.contacts.lock().expect("contacts").push((contact.clone(), request.module.clone()));
        let address = contact.variables.get("ansible_host").and_then(|value| value.as_str()).unwrap_or_default();
        if address == "dead" {
            return Err(Unreachable::new(format!("{}: connection refused", contact.host)));
        }
        let user = contact.r#become.as_ref().map(|wanted| wanted.user.clone()).unwrap_or_default();
        let slot = self.links.lock().expect("links").entry(format!("{} {user}", contact.host)).or_default().clone();
        let mut slot = slot.lock().await;
        if slot.as_ref().is_none_or(Link::is_spoiled) {
            *slot = Some(open(&contact.host, address == "dies").await?);
        }
        slot.as_mut().expect("a link").call_ahead(request, ahead, content, sink).await
    }
}

async fn open(host: &str, dies: bool) -> Result<Link, Unreachable> {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    std::thread::spawn(move || {
        let writer = Mortal { stream: &theirs, frames_left: if dies { 1 } else { usize::MAX } };
        exec(&theirs, writer, &Linux)
    });
    ours.set_nonblocking(true).expect("a socket");
    let (reader, writer) = tokio::net::UnixStream::from_std(ours).expect("a socket").into_split();
    Link::open(host, reader, writer).await
}

/// An agent's voice that breaks off in the middle of a frame.
struct Mortal<'a> {
    stream: &'a UnixStream,
    frames_left: usize,
}

impl Write for Mortal<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.frames_left == 0 {
            self.stream.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.stream.write_all(bytes)?;
        self.frames_left -= 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Fleet for AgentFleet {
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

    fn reset<'a>(&'a self, _: &'a Contact) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn leave(&self, host: &str) {
        self.left.lock().expect("names").push(host.to_owned());
    }

    fn raw<'a>(&'a self, contact: &'a Contact, command: &'a str) -> BoxFuture<'a, Result<RawOutput, Unreachable>> {
        self.contacts.lock().expect("contacts").push((contact.clone(), "raw".to_owned()));
        Box::pin(async move {
            let output = tokio::process::Command::new("sh").args(["-c", command]).output().await.expect("a shell");
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
            let status = output.status.code().map_or(255, i64::from);
            Ok(RawOutput { status, stdout: text(output.stdout), stderr: text(output.stderr) })
        })
    }
}

/// The controller's disk.
pub(crate) struct Folder;

impl Local for Folder {
    fn sha256(&self, path: &Path) -> Option<String> {
        std::fs::read(path).ok().map(|bytes| sha256(&bytes))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Incoming>> {
        std::fs::create_dir_all(path.parent().expect("a folder"))?;
        Ok(Box::new(Arriving { path: path.to_owned(), bytes: Vec::new() }))
    }
}

struct Arriving {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Incoming for Arriving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        std::fs::write(&self.path, &self.bytes)
    }
}
