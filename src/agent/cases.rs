//! Runs the case files of `tests/cases/<module>/`: each a host before, a call, and the outcome and host after.
//!
//! Every case is also checked the other way: check mode changes nothing and foretells the outcome, and a second look finds
//! nothing to do (or what `again` says).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use pgfleet_protocol::{MODULES, Map, Mode, Outcome};
use serde::Deserialize;
use serde_json::Value;

use crate::module::{Channel, Context};
use crate::postgres::fake::{Reply, Server, Shared};
use crate::run::run;
use crate::system::fake::{Answer, Fake};
use crate::system::{Finished, Kind};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows, for a person.
    name: String,
    #[serde(default)]
    before: BTreeMap<String, Value>,
    #[serde(default)]
    commands: Vec<Scripted>,
    /// `host:port` to the text that connections read.
    #[serde(default)]
    ports: BTreeMap<String, String>,
    /// What the PostgreSQL server of this host answers.
    #[serde(default)]
    server: Vec<Reply>,
    /// All statements that it must have taken, in this order.
    took: Option<Vec<String>>,
    #[serde(default)]
    full_disk: bool,
    /// What the controller sends when asked.
    content: Option<String>,
    module: Option<String>,
    #[serde(default)]
    arguments: Map,
    expect: Expected,
    /// Status in check mode, where it differs from the one expected.
    check: Option<String>,
    /// Status of the second look; `unchanged` unless the call fails.
    again: Option<String>,
    #[serde(default)]
    after: BTreeMap<String, Value>,
    /// Programs that must have been run, in this order, among others.
    #[serde(default)]
    ran: Vec<Vec<String>>,
    /// What must have been sent to the controller.
    sent: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripted {
    argv: Vec<String>,
    after: Option<Vec<String>>,
    #[serde(default)]
    status: i32,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
    #[serde(default)]
    writes: BTreeMap<String, Value>,
    #[serde(default)]
    effect: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: String,
    /// A part of the message.
    message: Option<String>,
    /// Results that must be there; others may be. `null` means: not there.
    #[serde(default)]
    data: Map,
    /// All diffs, as pairs of before and after.
    diff: Option<Vec<(String, String)>>,
}

#[derive(Default)]
struct Memory {
    content: Option<String>,
    sent: std::cell::RefCell<Vec<u8>>,
}

impl Channel for Memory {
    fn receive(&self, sink: &mut dyn Write) -> io::Result<u64> {
        let content = self.content.as_ref().ok_or_else(|| io::Error::other("the case has no content"))?;
        sink.write_all(content.as_bytes())?;
        Ok(content.len() as u64)
    }

    fn send(&self, source: &mut dyn Read) -> io::Result<u64> {
        io::copy(source, &mut *self.sent.borrow_mut())
    }
}

impl Case {
    fn host(&self) -> Fake {
        let fake = Fake::default();
        for (path, value) in &self.before {
            fake.set(path, value);
        }
        for scripted in &self.commands {
            fake.answer(Answer {
                argv: scripted.argv.clone(),
                after: scripted.after.clone(),
                finished: Finished {
                    status: scripted.status,
                    stdout: scripted.stdout.clone().into_bytes(),
                    stderr: scripted.stderr.clone().into_bytes(),
                },
                writes: scripted.writes.clone(),
                effect: scripted.effect,
            });
        }
        for (address, text) in &self.ports {
            let (host, port) = address.rsplit_once(':').expect("host:port");
            fake.open_port(host, port.parse().expect("a port"), text);
        }
        if self.full_disk {
            fake.fill_disk();
        }
        fake
    }

    /// The host's server, which keeps what it took from one call to the next.
    fn serve(&self, host: &Fake) -> Shared {
        let server = Server::new(self.server.clone());
        if !self.server.is_empty() {
            host.serve(&server);
        }
        server
    }

    fn call(&self, module: &str, fake: &Fake, memory: &Memory, mode: Mode) -> Outcome {
        let context = Context { system: fake, mode, diff: true, brief: false, environment: &[], channel: memory };
        run(self.module.as_deref().unwrap_or(module), &self.arguments, &context)
    }

    fn check(&self, module: &str) -> Result<(), String> {
        let memory = || Memory { content: self.content.clone(), ..Memory::default() };
        let host = self.host();
        let server = self.serve(&host);
        let before = host.snapshot();
        let foretold = self.call(module, &host, &memory(), Mode::Check);
        equal("status in check mode", &status(&foretold), self.check.as_ref().unwrap_or(&self.expect.status), &foretold)?;
        equal("host after check mode", &host.snapshot(), &before, &foretold)?;
        equal("effects in check mode", &host.effects(), &Vec::new(), &foretold)?;
        equal("statements taken in check mode", &taken(&server), &Vec::new(), &foretold)?;

        let (host, first) = (self.host(), memory());
        let server = self.serve(&host);
        let outcome = self.call(module, &host, &first, Mode::Apply);
        equal("status", &status(&outcome), &self.expect.status, &outcome)?;
        if self.check.is_none() && !outcome.is_failed() {
            equal("diff in check mode", &foretold.diff, &outcome.diff, &outcome)?;
        }
        if let Some(message) = &self.expect.message
            && !outcome.message.contains(message.as_str())
        {
            return Err(format!("message '{}' does not contain '{message}'", outcome.message));
        }
        for (name, value) in &self.expect.data {
            let found = outcome.data.get(name).unwrap_or(&Value::Null);
            if !contains(found, value) {
                equal(name, found, value, &outcome)?;
            }
        }
        if let Some(diff) = &self.expect.diff {
            let found: Vec<_> = outcome.diff.iter().map(|diff| (diff.before.clone(), diff.after.clone())).collect();
            equal("diff", &found, diff, &outcome)?;
        }
        for (path, value) in &self.after {
            holds(&host, path, value)?;
        }
        if let Some(left) = host.snapshot().keys().find(|path| path.to_string_lossy().contains(".tmp-")) {
            return Err(format!("{} was left behind", left.display()));
        }
        let mut ran = host.ran().into_iter().map(|program| program.argv);
        if let Some(missing) = self.ran.iter().find(|argv| !ran.any(|other| other == **argv)) {
            return Err(format!("{missing:?} was not run; run were {:#?}", host.ran()));
        }
        if let Some(sent) = &self.sent {
            equal("sent", &String::from_utf8_lossy(&first.sent.borrow()).into_owned(), sent, &outcome)?;
        }

        if let Some(took) = &self.took {
            equal("statements taken", &taken(&server), took, &outcome)?;
        }

        let settled = host.snapshot();
        let again = self.call(module, &host, &memory(), Mode::Apply);
        let default = if outcome.is_failed() { "failed" } else { "unchanged" }.to_owned();
        equal("status of the second look", &status(&again), self.again.as_ref().unwrap_or(&default), &again)?;
        if status(&again) == "unchanged" {
            equal("host after the second look", &host.snapshot(), &settled, &again)?;
            equal("diff of the second look", &again.diff, &Vec::new(), &again)?;
        }
        Ok(())
    }
}

fn taken(server: &Shared) -> Vec<String> {
    server.lock().expect("nobody fails with it").effects()
}

fn status(outcome: &Outcome) -> String {
    serde_json::to_value(outcome.status).expect("a word").as_str().unwrap_or_default().to_owned()
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T, outcome: &Outcome) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}\n  in {outcome:?}")) }
}

/// Whether all that is expected is there; mappings may have more.
fn contains(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| contains(found.get(name).unwrap_or(&Value::Null), value))
        }
        _ => found == expected,
    }
}

/// `null` for nothing, text for content, or what [`Fake::set`] takes, of which only what is given is compared.
fn holds(host: &Fake, path: &str, expected: &Value) -> Result<(), String> {
    let snapshot = host.snapshot();
    let found = snapshot.get(Path::new(path));
    let wrong = |what: &str| Err(format!("{path}: expected {expected}, found {what}"));
    let (Some(node), false) = (found, expected.is_null()) else {
        return if found.is_none() == expected.is_null() { Ok(()) } else { wrong(&format!("{found:?}")) };
    };
    let content = String::from_utf8_lossy(&node.content);
    if let Some(text) = expected.as_str().or(expected["content"].as_str()).or(expected["link"].as_str())
        && text != content
    {
        return wrong(&format!("{content:?}"));
    }
    let kind = match expected {
        Value::Object(map) if map.contains_key("directory") => Kind::Directory,
        Value::Object(map) if map.contains_key("link") => Kind::Link,
        _ => Kind::File,
    };
    if node.kind != kind {
        return wrong(&format!("{:?}", node.kind));
    }
    let mode = format!("{:04o}", node.mode);
    if expected["mode"].as_str().is_some_and(|expected| expected != mode) {
        return wrong(&mode);
    }
    for (name, id) in [("uid", node.uid), ("gid", node.gid)] {
        if expected[name].as_u64().is_some_and(|expected| expected != u64::from(id)) {
            return wrong(&format!("{name} {id}"));
        }
    }
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// A file holds one case or a list of them.
fn read(path: &Path) -> Vec<Case> {
    let text = fs::read_to_string(path).expect("readable");
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases = if value.is_array() { value } else { Value::Array(vec![value]) };
    serde_json::from_value(cases).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(module: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder().join(module)) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
fn cases_hold() {
    let mut problems = Vec::new();
    let mut count = 0;
    for module in MODULES {
        for file in files(module.name) {
            for case in read(&file) {
                count += 1;
                if let Err(problem) = case.check(module.name) {
                    problems.push(format!("{} ({}): {problem}", file.display(), case.name));
                }
            }
        }
    }
    assert!(count > 0);
    assert!(problems.is_empty(), "{} of {count} cases fail:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_module_has_cases() {
    let without: Vec<_> = MODULES.iter().map(|module| module.name).filter(|module| files(module).is_empty()).collect();
    assert!(without.is_empty(), "without cases: {without:?}");
}
