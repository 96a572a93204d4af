//! Drives the agent as the controller does: frames through a pair of sockets, on the real host, in a temporary folder.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;

use pgfleet_agent::{Linux, exec};
use pgfleet_protocol::{Chunk, Decoder, Frame, FromAgent, Mode, Outcome, Request, Status, ToAgent, VERSION, encode};
use serde_json::{Value, json};

struct Controller {
    stream: UnixStream,
    decoder: Decoder,
    agent: JoinHandle<std::io::Result<()>>,
    calls: u64,
    is_brief: bool,
}

impl Controller {
    fn start() -> Self {
        let (stream, other) = UnixStream::pair().expect("a pair of sockets");
        let agent = std::thread::spawn(move || exec(&other, &other, &Linux));
        Self { stream, decoder: Decoder::default(), agent, calls: 0, is_brief: false }
    }

    fn greeted() -> Self {
        let mut controller = Self::start();
        assert_eq!(controller.next(), Frame::Message(FromAgent::Hello { version: VERSION }));
        controller.say(&ToAgent::Hello { version: VERSION });
        controller
    }

    fn say(&mut self, message: &ToAgent) {
        self.stream.write_all(&encode(message).expect("encodes")).expect("written");
    }

    fn next(&mut self) -> Frame<FromAgent> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("a frame of ours") {
                return frame;
            }
            let count = self.stream.read(&mut buffer).expect("readable");
            assert_ne!(count, 0, "the agent closed the stream");
            self.decoder.push(&buffer[..count]);
        }
    }

    fn run(&mut self, module: &str, arguments: Value, mode: Mode) -> u64 {
        self.calls += 1;
        let arguments = arguments.as_object().cloned().expect("a mapping");
        let environment = vec![("GREETING".to_owned(), "hello".to_owned())];
        let request = Request {
            id: self.calls,
            module: module.to_owned(),
            arguments,
            mode,
            diff: false,
            brief: self.is_brief,
            environment,
            detached: None,
        };
        self.say(&ToAgent::Run(request));
        self.calls
    }

    fn done(&mut self, id: u64) -> Outcome {
        match self.next() {
            Frame::Message(FromAgent::Done { id: other, outcome }) if other == id => outcome,
            other => panic!("not done with {id}: {other:?}"),
        }
    }

    fn call(&mut self, module: &str, arguments: Value) -> Outcome {
        let id = self.run(module, arguments, Mode::Apply);
        self.done(id)
    }

    fn send(&mut self, id: u64, content: &[u8]) {
        for bytes in content.chunks(Chunk::SIZE) {
            self.stream.write_all(&Chunk { id, last: false, bytes: bytes.to_vec() }.encode().expect("encodes")).expect("written");
        }
        self.stream.write_all(&Chunk { id, last: true, bytes: Vec::new() }.encode().expect("encodes")).expect("written");
    }

    fn end(self) -> std::io::Result<()> {
        drop(self.stream);
        self.agent.join().expect("the agent does not panic")
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The checksum of other content than is sent.
const OTHER_SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// Looks at what follows a call that changed nothing, up to the first that would change something.
#[test]
fn calls_ahead_are_looked_at_and_not_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let (there, absent) = (folder.path().join("there"), folder.path().join("absent"));
    fs::write(&there, "x").expect("written");
    let mut controller = Controller::greeted();
    let ahead = |module: &str, arguments: Value| {
        let arguments = arguments.as_object().cloned().expect("a mapping");
        Request {
            id: 0,
            module: module.to_owned(),
            arguments,
            mode: Mode::Apply,
            diff: true,
            brief: false,
            environment: Vec::new(),
            detached: None,
        }
    };
    let calls = vec![
        ahead("file", json!({"path": there, "state": "file"})),
        ahead("lineinfile", json!({"path": there, "line": "x"})),
        ahead("file", json!({"path": absent, "state": "touch"})),
        ahead("stat", json!({"path": there})),
    ];
    let looked = |controller: &mut Controller, module: &str, arguments: Value| {
        controller.say(&ToAgent::Ahead { calls: calls.clone() });
        let outcome = controller.call(module, arguments);
        let Frame::Message(FromAgent::Ahead { outcomes }) = controller.next() else { panic!("nothing is said of what was sent ahead") };
        (outcome.status, outcomes.len())
    };
    assert_eq!(looked(&mut controller, "ping", json!({})), (Status::Unchanged, 2));
    assert!(!absent.exists() && fs::read(&there).expect("readable") == b"x");
    // What changed something is followed by no look, and they are forgotten.
    assert_eq!(looked(&mut controller, "command", json!({"argv": ["true"]})), (Status::Changed, 0));
    assert_eq!(controller.call("ping", json!({})).status, Status::Unchanged);
    controller.end().expect("ends well");
}

#[test]
fn content_is_asked_for_only_when_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dest = folder.path().join("big");
    let content = vec![b'x'; 600_000];
    let mut controller = Controller::greeted();
    let sha256 =
        controller.call("command", json!({"argv": ["sh", "-c", "head -c 600000 /dev/zero | tr '\\0' x | sha256sum | cut -c1-64"]}));
    let sha256 = sha256.data["stdout"].clone();
    let arguments = json!({"dest": dest, "src": "big", "mode": "0640", "_sha256": sha256, "_size": content.len(), "_basename": "big"});

    let id = controller.run("copy", arguments.clone(), Mode::Check);
    assert_eq!(controller.done(id).status, Status::Changed);
    assert!(!dest.exists());

    let id = controller.run("copy", arguments.clone(), Mode::Apply);
    // A call that is sent before the content waits for its turn.
    let ping = controller.run("ping", json!({}), Mode::Apply);
    assert_eq!(controller.next(), Frame::Message(FromAgent::Want { id }));
    controller.send(id, &content);
    let outcome = controller.done(id);
    assert_eq!((outcome.status, outcome.data["size"].as_u64()), (Status::Changed, Some(600_000)), "{outcome:?}");
    assert_eq!(controller.done(ping).data["ping"], "pong");
    assert_eq!(fs::read(&dest).expect("readable"), content);
    assert_eq!(fs::metadata(&dest).expect("there").mode() & 0o7777, 0o640);

    assert_eq!(controller.call("copy", arguments).status, Status::Unchanged);
    assert_eq!(names(folder.path()), ["big"]);
    controller.end().expect("a clean end");
}

#[test]
fn damaged_content_never_arrives() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut controller = Controller::greeted();
    let id = controller.run(
        "copy",
        json!({"dest": folder.path().join("x"), "src": "x", "_sha256": OTHER_SHA256, "_size": 3, "_basename": "x"}),
        Mode::Apply,
    );
    assert_eq!(controller.next(), Frame::Message(FromAgent::Want { id }));
    controller.send(id, b"abc");
    let outcome = controller.done(id);
    assert!(outcome.is_failed() && outcome.message.contains("as announced"), "{outcome:?}");
    assert!(names(folder.path()).is_empty());
    assert_eq!(controller.call("ping", json!({})).data["ping"], "pong");
    controller.end().expect("a clean end");
}

#[test]
fn fetched_files_come_in_chunks() {
    let folder = tempfile::tempdir().expect("a folder");
    let src = folder.path().join("big");
    let content: Vec<u8> = (0..600_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(&src, &content).expect("written");
    let mut controller = Controller::greeted();
    let id = controller.run("fetch", json!({"src": src, "dest": "x"}), Mode::Apply);
    let mut received = Vec::new();
    loop {
        let Frame::Chunk(chunk) = controller.next() else { panic!("not a chunk") };
        received.extend(chunk.bytes);
        if chunk.last {
            break;
        }
    }
    let outcome = controller.done(id);
    assert!(outcome.is_changed() && received == content, "{outcome:?}");
    assert!(outcome.data["md5sum"].is_string() && outcome.data["checksum"].is_string(), "{outcome:?}");
    let again = json!({"src": src, "dest": "x", "_sha256": outcome.data["sha256"]});
    assert_eq!(controller.call("fetch", again).status, Status::Unchanged);
    controller.end().expect("a clean end");
}

#[test]
fn what_nobody_reads_is_left_out_and_content_is_checked_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (src, dest) = (folder.path().join("src"), folder.path().join("dest"));
    fs::write(&src, "abc").expect("written");
    let mut controller = Controller::greeted();
    controller.is_brief = true;
    let copy = json!({"src": src, "dest": dest, "remote_src": true});
    let (first, again) = (controller.call("copy", copy.clone()), controller.call("copy", copy.clone()));
    assert_eq!((first.status, again.status), (Status::Changed, Status::Unchanged), "{first:?}, {again:?}");
    assert!(!first.data.contains_key("md5sum") && !again.data.contains_key("md5sum"), "{first:?}, {again:?}");
    fs::write(&dest, "abd").expect("written");
    assert_eq!(controller.call("copy", copy).status, Status::Changed);
    let wrong = json!({"content": "abc", "dest": dest, "checksum": "0000", "force": true, "mode": "0600"});
    fs::write(&dest, "abd").expect("written");
    assert!(controller.call("copy", wrong).message.contains("does not match the expected checksum"));
    controller.end().expect("a clean end");
}

#[test]
fn no_failure_ends_the_conversation() {
    let mut controller = Controller::greeted();
    assert!(controller.call("teleport", json!({})).message.contains("no module 'teleport'"));
    assert!(controller.call("ping", json!({"data": "crash"})).is_failed());
    assert!(controller.call("file", json!({"state": "directory"})).message.contains("missing required arguments: path"));
    let missing = controller.call("command", json!({"argv": ["/no/such/program"]}));
    assert_eq!((missing.status, missing.data["rc"].as_i64()), (Status::Failed, Some(2)), "{missing:?}");
    let shell = controller.call("shell", json!({"_raw_params": "echo $GREETING; cat; exit 4", "stdin": "in"}));
    assert_eq!(
        (shell.status, shell.data["rc"].as_i64(), shell.data["stdout"].as_str()),
        (Status::Failed, Some(4), Some("hello\nin")),
        "{shell:?}"
    );
    assert_eq!(controller.call("ping", json!({})).data["ping"], "pong");
    controller.end().expect("a clean end");
}

#[test]
fn another_version_is_refused() {
    let mut controller = Controller::start();
    controller.next();
    controller.say(&ToAgent::Hello { version: VERSION + 1 });
    let error = controller.end().expect_err("refused");
    assert!(error.to_string().contains(&format!("version {}, this agent {VERSION}", VERSION + 1)), "{error}");
}

#[test]
fn a_stream_that_breaks_in_a_frame_is_an_error() {
    let mut controller = Controller::greeted();
    let frame = encode(&ToAgent::Hello { version: VERSION }).expect("encodes");
    controller.stream.write_all(&frame[..frame.len() - 1]).expect("written");
    assert_eq!(controller.end().expect_err("broken").kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn files_keep_what_nobody_asked_to_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("conf");
    fs::write(&path, "a = 1\nb = 2\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("set");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("conf", &link).expect("made");
    let labelled = rustix::fs::setxattr(&path, "user.note", b"kept", rustix::fs::XattrFlags::empty()).is_ok();
    let mut controller = Controller::greeted();
    let arguments = json!({"path": link, "regexp": "^a *=", "line": "a = 3", "backup": true});
    let outcome = controller.call("lineinfile", arguments.clone());
    assert!(outcome.is_changed(), "{outcome:?}");
    assert_eq!(fs::read_to_string(&path).expect("readable"), "a = 3\nb = 2\n");
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o604);
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    if labelled {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&path, "user.note", &mut value[..]).expect("there");
        assert_eq!(&value[..length], b"kept");
    }
    let backup = outcome.data["backup"].as_str().expect("a copy");
    assert_eq!(fs::read_to_string(backup).expect("readable"), "a = 1\nb = 2\n");
    assert_eq!(controller.call("lineinfile", arguments).status, Status::Unchanged);

    let tree = folder.path().join("x/y");
    let outcome = controller.call("file", json!({"path": tree, "state": "directory", "mode": "0700"}));
    assert_eq!((outcome.status, outcome.data["mode"].as_str()), (Status::Changed, Some("0700")));
    let stat = controller.call("stat", json!({"path": tree, "get_mime": false}));
    assert_eq!((&stat.data["stat"]["isdir"], &stat.data["stat"]["mode"]), (&json!(true), &json!("0700")));
    let readonly = controller.call("copy", json!({"dest": "/proc/version", "content": "x"}));
    assert!(readonly.is_failed() && readonly.message.contains("cannot write /proc/version: "), "{readonly:?}");
    controller.end().expect("a clean end");
}

#[test]
fn a_defect_fails_its_call_and_nothing_more() {
    let (stream, other) = UnixStream::pair().expect("a pair of sockets");
    let descriptor = || std::os::fd::OwnedFd::from(other.try_clone().expect("a handle"));
    let mut agent = std::process::Command::new(env!("CARGO_BIN_EXE_pgfleet-agent"))
        .arg("exec")
        .stdin(descriptor())
        .stdout(descriptor())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    drop(other);
    let pid = agent.id();
    // The thread of the other tests is no use here: the program itself is what goes on.
    let mut controller =
        Controller { stream, decoder: Decoder::default(), agent: std::thread::spawn(|| Ok(())), calls: 0, is_brief: false };
    assert_eq!(controller.next(), Frame::Message(FromAgent::Hello { version: VERSION }));
    controller.say(&ToAgent::Hello { version: VERSION });
    let request = |id: u64, module: &str, environment: &[(&str, &str)]| {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let arguments = serde_json::Map::new();
        ToAgent::Run(Request {
            id,
            module: module.to_owned(),
            arguments,
            mode: Mode::Apply,
            diff: false,
            brief: false,
            environment,
            detached: None,
        })
    };
    // Both are on their way before the first has failed.
    controller.say(&request(1, "ping", &[("PGFLEET_FAILPOINT", "panic")]));
    controller.say(&request(2, "ping", &[]));
    // A defect in a look ahead costs no call.
    let ToAgent::Run(looked) = request(0, "stat", &[("PGFLEET_FAILPOINT", "panic")]) else { panic!("a call") };
    controller.say(&ToAgent::Ahead { calls: vec![looked] });
    controller.say(&request(3, "ping", &[]));
    let Frame::Message(FromAgent::Done { id: 1, outcome }) = controller.next() else { panic!("the first call is not done") };
    assert_eq!(outcome.status, Status::Failed);
    assert!(outcome.message.starts_with("module 'ping' has a defect: asked for by PGFLEET_FAILPOINT (src/agent/run.rs:"), "{outcome:?}");
    let Frame::Message(FromAgent::Done { id: 2, outcome }) = controller.next() else { panic!("the second call is not done") };
    assert_eq!((outcome.status, &outcome.data["ping"]), (Status::Unchanged, &json!("pong")));
    assert!(matches!(controller.next(), Frame::Message(FromAgent::Done { id: 3, .. })));
    assert_eq!(controller.next(), Frame::Message(FromAgent::Ahead { outcomes: Vec::new() }));
    assert_eq!(agent.id(), pid);
    drop(controller);
    assert!(agent.wait().expect("ends").success());
}
