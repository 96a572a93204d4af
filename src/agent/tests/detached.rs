//! Calls that nobody waits for, done by the program itself.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgfleet_protocol::{Decoder, Detached, Frame, FromAgent, Mode, Outcome, Request, Status, ToAgent, VERSION, encode};
use serde_json::{Value, json};

struct Agent {
    program: Child,
    decoder: Decoder,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pgfleet-agent"))
            .arg("exec")
            .env("ANSIBLE_ASYNC_DIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let hello = encode(&ToAgent::Hello { version: VERSION }).expect("encodes");
        program.stdin.as_mut().expect("an input").write_all(&hello).expect("written");
        let mut agent = Self { program, decoder: Decoder::default() };
        assert_eq!(agent.next(), FromAgent::Hello { version: VERSION });
        agent
    }

    fn next(&mut self) -> FromAgent {
        let mut buffer = [0; 4096];
        loop {
            if let Some(Frame::Message(message)) = self.decoder.next_frame().expect("a frame of ours") {
                return message;
            }
            let count = self.program.stdout.as_mut().expect("an output").read(&mut buffer).expect("readable");
            assert_ne!(count, 0, "the agent closed the stream");
            self.decoder.push(&buffer[..count]);
        }
    }

    fn call(&mut self, module: &str, arguments: Value, detached: Option<Detached>) -> Outcome {
        let arguments = arguments.as_object().cloned().expect("a mapping");
        let request = Request {
            id: 1,
            module: module.to_owned(),
            arguments,
            mode: Mode::Apply,
            diff: false,
            brief: false,
            environment: Vec::new(),
            detached,
        };
        let bytes = encode(&ToAgent::Run(request)).expect("encodes");
        self.program.stdin.as_mut().expect("an input").write_all(&bytes).expect("written");
        match self.next() {
            FromAgent::Done { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn detach(&mut self, line: &str, job: &str, limit: u64) -> Outcome {
        self.call("shell", json!({"_raw_params": line}), Some(Detached { job: job.to_owned(), limit }))
    }

    /// What came of a job, once it has ended.
    fn ended(&mut self, job: &str) -> Outcome {
        let begin = Instant::now();
        loop {
            let outcome = self.call("async_status", json!({"jid": job}), None);
            if outcome.data["finished"] == json!(true) {
                return outcome;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{outcome:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It ends when nobody speaks to it any more.
        drop(self.program.stdin.take());
        drop(self.program.wait());
    }
}

#[test]
fn a_job_outlives_the_conversation_that_began_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let jobs = folder.path().join("jobs");
    let started = Agent::start(&jobs).detach("sleep 1; echo done; exit 3", "j1.1", 60);
    assert_eq!((started.status, &started.data["finished"], &started.data["started"]), (Status::Changed, &json!(false), &json!(true)));
    let mut agent = Agent::start(&jobs);
    let outcome = agent.ended("j1.1");
    assert_eq!((outcome.status, outcome.message.as_str()), (Status::Failed, "non-zero return code"));
    assert_eq!((&outcome.data["rc"], &outcome.data["stdout"]), (&json!(3), &json!("done")));
    agent.call("async_status", json!({"jid": "j1.1", "mode": "cleanup"}), None);
    assert!(!jobs.join("j1.1").exists());
}

#[test]
fn a_job_ends_with_all_that_it_started_when_its_time_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut agent = Agent::start(folder.path());
    agent.detach(&format!("(sleep 3; touch {}) & sleep 60", trace.display()), "j1.2", 1);
    let outcome = agent.ended("j1.2");
    assert_eq!((outcome.status, outcome.message.as_str()), (Status::Failed, "Timeout exceeded"));
    std::thread::sleep(Duration::from_secs(3));
    assert!(!trace.exists(), "what the job had started went on");
}
