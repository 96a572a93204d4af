//! A server for case files: it logs everybody in, and gives scripted answers to statements.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

/// An answer. Of several that fit, the last one whose `after` has been run is taken; statements that nothing fits succeed without rows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    /// A part of the statement.
    sql: String,
    /// Only once a statement with this in it has been run.
    after: Option<String>,
    /// Rows, all with the same columns.
    #[serde(default)]
    rows: Vec<serde_json::Map<String, Value>>,
    /// The type of each column; text where it is not told.
    #[serde(default)]
    types: serde_json::Map<String, Value>,
    /// What the server says of it.
    #[serde(default)]
    tag: String,
    /// A code and a message instead of rows.
    error: Option<(String, String)>,
}

/// What the server was asked to do, in order, by all sessions.
#[derive(Debug, Default)]
pub(crate) struct Server {
    replies: Vec<Reply>,
    ran: Vec<String>,
    /// Statements of open transactions, which count when they are committed.
    open: Option<Vec<String>>,
}

pub(crate) type Shared = Arc<Mutex<Server>>;

impl Server {
    pub(crate) fn new(replies: Vec<Reply>) -> Shared {
        Arc::new(Mutex::new(Self { replies, ..Self::default() }))
    }

    /// Statements that took effect.
    pub(crate) fn effects(&self) -> Vec<String> {
        let reads = |sql: &String| ["SELECT", "SHOW", "SET"].iter().any(|word| sql.starts_with(word));
        let is_effect = |sql: &&String| !reads(sql) || sql.starts_with("SELECT pg_create") || sql.starts_with("SELECT pg_drop");
        self.ran.iter().filter(is_effect).cloned().collect()
    }

    fn answer(&mut self, sql: &str) -> Vec<u8> {
        match sql {
            "BEGIN" => self.open = Some(Vec::new()),
            "COMMIT" => self.ran.extend(self.open.take().unwrap_or_default()),
            "ROLLBACK" => self.open = None,
            _ => {}
        }
        let tried: Vec<String> = self.ran.iter().chain(self.open.iter().flatten()).cloned().collect();
        let has_run = |part: &String| tried.iter().any(|sql| sql.contains(part.as_str()));
        let fits = |reply: &&Reply| sql.contains(&reply.sql) && reply.after.as_ref().is_none_or(has_run);
        let reply = self.replies.iter().rev().find(fits).cloned().unwrap_or_default();
        let mut out = Vec::new();
        if let Some((code, text)) = &reply.error {
            let fields = format!("SERROR\0VERROR\0C{code}\0M{text}\0\0");
            message(&mut out, b'E', fields.as_bytes());
        } else {
            if !["BEGIN", "COMMIT", "ROLLBACK"].contains(&sql) {
                self.open.as_mut().unwrap_or(&mut self.ran).push(sql.to_owned());
            }
            rows(&mut out, &reply);
            let tag = if reply.tag.is_empty() { format!("SELECT {}", reply.rows.len()) } else { reply.tag };
            message(&mut out, b'C', format!("{tag}\0").as_bytes());
        }
        message(&mut out, b'Z', b"I");
        out
    }
}

fn rows(out: &mut Vec<u8>, reply: &Reply) {
    let Some(first) = reply.rows.first() else { return };
    let mut body = count(first.len());
    for name in first.keys() {
        let oid = reply.types.get(name).and_then(Value::as_u64).map_or(25, |oid| u32::try_from(oid).expect("a type"));
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&[0; 7]);
        body.extend_from_slice(&oid.to_be_bytes());
        body.extend_from_slice(&[0; 8]);
    }
    message(out, b'T', &body);
    for row in &reply.rows {
        let mut body = count(row.len());
        for value in row.values() {
            match value {
                Value::Null => body.extend_from_slice(&(-1_i32).to_be_bytes()),
                value => {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    body.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
                    body.extend_from_slice(text.as_bytes());
                }
            }
        }
        message(out, b'D', &body);
    }
}

fn count(length: usize) -> Vec<u8> {
    u16::try_from(length).expect("few").to_be_bytes().to_vec()
}

fn message(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&u32::try_from(body.len() + 4).expect("short").to_be_bytes());
    out.extend_from_slice(body);
}

/// One session.
pub(crate) struct Session {
    server: Shared,
    is_greeted: bool,
    asked: Vec<u8>,
    answers: VecDeque<u8>,
}

impl Session {
    pub(crate) fn new(server: &Shared) -> Self {
        Self { server: Arc::clone(server), is_greeted: false, asked: Vec::new(), answers: VecDeque::new() }
    }

    fn work(&mut self) {
        loop {
            let head = usize::from(self.is_greeted);
            let Some(length) = self.asked.get(head..head + 4) else { return };
            let end = head + u32::from_be_bytes(length.try_into().expect("four")) as usize;
            if self.asked.len() < end {
                return;
            }
            let request: Vec<u8> = self.asked.drain(..end).collect();
            if !self.is_greeted {
                self.is_greeted = true;
                let mut out = Vec::new();
                message(&mut out, b'R', &0_u32.to_be_bytes());
                message(&mut out, b'S', b"server_version\x0017.2 (Debian)\0");
                message(&mut out, b'Z', b"I");
                self.answers.extend(out);
            } else if request[0] == b'Q' {
                let sql = String::from_utf8_lossy(&request[5..request.len() - 1]).into_owned();
                self.answers.extend(self.server.lock().unwrap_or_else(PoisonError::into_inner).answer(&sql));
            }
        }
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.answers.read(buffer)
    }
}

impl Write for Session {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.asked.extend_from_slice(buffer);
        self.work();
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
