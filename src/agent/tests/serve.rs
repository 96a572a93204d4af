//! The daemon as systemd runs it: a process, asked over its socket, told to stop.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const AGENT: &str = env!("CARGO_BIN_EXE_pgfleet-agent");

/// A Patroni whose answer can be changed.
struct Patroni {
    address: String,
    body: Arc<Mutex<String>>,
}

impl Patroni {
    fn new(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let body = Arc::new(Mutex::new(body.to_owned()));
        let answer = body.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                    line.clear();
                }
                let body = answer.lock().expect("whole").clone();
                // The daemon may have been told to stop meanwhile.
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { address, body }
    }
}

struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    ready: UnixDatagram,
}

impl Daemon {
    fn start(folder: tempfile::TempDir, patroni: &str) -> Self {
        Self::start_with(folder, patroni, &[])
    }

    fn start_with(folder: tempfile::TempDir, patroni: &str, more: &[&str]) -> Self {
        let notify = folder.path().join("notify");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a socket");
        ready.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let child = Command::new(AGENT)
            .arg("serve")
            .args(options(folder.path()))
            .args(["--patroni", patroni, "--units=", "--interval", "0.05"])
            .args(more)
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let daemon = Self { child, folder, ready };
        assert_eq!(daemon.told(), "READY=1");
        daemon
    }

    fn told(&self) -> String {
        let mut buffer = [0; 256];
        let count = self.ready.recv(&mut buffer).expect("systemd is told");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/agent.sock")
    }

    fn ask(&self, question: &Value) -> Value {
        let mut stream = UnixStream::connect(self.socket()).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        writeln!(stream, "{question}").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert_eq!(answer.matches('\n').count(), 1, "one line: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Asks until the answer is as awaited.
    fn await_status(&self, what: &str, awaited: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let status = self.ask(&json!({"ask": "status"}));
            if awaited(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{what} did not come: {status}");
            std::thread::yield_now();
        }
    }

    fn signal(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn options(folder: &Path) -> Vec<String> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    vec![
        "--state-dir".to_owned(),
        path("state"),
        "--socket".to_owned(),
        path("run/agent.sock"),
        format!("--etcd-config={}", path("no-etcd")),
    ]
}

fn status_command(folder: &Path, more: &[&str]) -> Output {
    Command::new(AGENT).arg("status").args(options(folder)).args(more).output().expect("runs")
}

#[test]
fn it_watches_remembers_answers_and_stops() {
    let patroni =
        Patroni::new(r#"{"state": "running", "role": "primary", "timeline": 1, "xlog": {"location": 50331648}, "dcs_last_seen": 5}"#);
    let mut daemon = Daemon::start(tempfile::tempdir().expect("a folder"), &patroni.address);
    let mode = fs::metadata(daemon.socket()).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    let status = daemon.await_status("the first look", |status| status["sample"]["patroni"]["role"] == "primary");
    assert_eq!(
        status["sample"]["patroni"],
        json!({"role": "primary", "state": "running", "timeline": 1, "dcs_last_seen": 5, "location": 50_331_648})
    );
    assert_eq!((&status["sample"]["etcd"], &status["problems"]), (&Value::Null, &json!([])));

    // Clients that hang, or say nonsense, are in nobody's way.
    let hanging: Vec<UnixStream> = (0..5).map(|_| UnixStream::connect(daemon.socket()).expect("connects")).collect();
    assert!(daemon.ask(&json!({"ask": "the time"}))["error"].is_string());

    *patroni.body.lock().expect("whole") = r#"{"state": "running", "role": "primary", "timeline": 2, "dcs_last_seen": 6}"#.to_owned();
    let status = daemon.await_status("the change", |status| status["sample"]["patroni"]["timeline"] == 2);
    let changes: Vec<_> =
        status["changes"].as_array().expect("changes").iter().map(|entry| (&entry["why"], &entry["patroni"]["timeline"])).collect();
    assert_eq!(changes, [(&json!("started"), &json!(1)), (&json!("changed"), &json!(2))]);
    let history = daemon.ask(&json!({"ask": "history", "limit": 1}));
    assert_eq!(history["history"].as_array().map(Vec::len), Some(1));

    let printed = status_command(daemon.folder.path(), &[]);
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(text.contains("patroni:          role primary") || text.contains("patroni:          state running"), "{text}");
    let printed = status_command(daemon.folder.path(), &["--json"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(printed["sample"]["patroni"]["timeline"], 2);
    let printed = status_command(daemon.folder.path(), &["--json", "--history", "10"]);
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).expect("JSON")["history"].as_array().map(Vec::len), Some(2));

    let second = Command::new(AGENT).arg("serve").args(options(daemon.folder.path())).output().expect("runs");
    assert!(!second.status.success() && String::from_utf8_lossy(&second.stderr).contains("another agent answers"), "{second:?}");

    daemon.signal();
    assert_eq!(daemon.told(), "STOPPING=1");
    assert!(daemon.child.wait().expect("ends").success());
    assert!(!daemon.socket().exists());
    drop(hanging);
    let lines = fs::read_to_string(daemon.folder.path().join("state/history.jsonl")).expect("kept");
    assert_eq!(lines.lines().count(), 2);
    let late = status_command(daemon.folder.path(), &[]);
    assert!(String::from_utf8_lossy(&late.stderr).contains("systemctl start pgfleet-agent"), "{late:?}");
}

#[test]
fn it_goes_on_after_a_crash() {
    let patroni = Patroni::new(r#"{"state": "running", "role": "primary", "timeline": 1}"#);
    let mut daemon = Daemon::start(tempfile::tempdir().expect("a folder"), &patroni.address);
    daemon.await_status("the first look", |status| status["sample"]["patroni"]["timeline"] == 1);
    daemon.child.kill().expect("killed");
    daemon.child.wait().expect("ended");
    assert!(fs::symlink_metadata(daemon.socket()).expect("left behind").file_type().is_socket());
    let folder = std::mem::replace(&mut daemon.folder, tempfile::tempdir().expect("a folder"));
    let again = Daemon::start(folder, &patroni.address);
    let status = again.await_status("both starts", |status| status["changes"].as_array().is_some_and(|changes| changes.len() == 2));
    assert!(status["changes"].as_array().expect("changes").iter().all(|entry| entry["why"] == "started"), "{status}");
    again.signal();
}

/// A process that looks like a PostgreSQL named `ours` with a child.
fn postgres(data_dir: &str) -> Child {
    let script = "(exec -a 'postgres: ours: its child' sleep 1000) & echo; wait";
    let mut child = Command::new("/bin/bash")
        .arg0("/usr/lib/postgresql/17/bin/postgres")
        .args(["-c", script, "-D", data_dir, "--cluster_name=ours"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = [0];
    child.stdout.as_mut().expect("its output").read_exact(&mut line).expect("its child runs");
    child
}

#[test]
fn it_ends_a_postgresql_whose_patroni_stands_still() {
    // It takes connections, as the kernel does for a process that stands still.
    let frozen = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", frozen.local_addr().expect("an address"));
    let folder = tempfile::tempdir().expect("a folder");
    let (file, data_dir) = (folder.path().join("watchdog"), folder.path().join("data"));
    fs::write(&file, "").expect("written");
    let (file, data_dir) = (file.to_str().expect("text").to_owned(), data_dir.to_str().expect("text").to_owned());
    let (mut ours, mut other) = (postgres(&data_dir), postgres("/var/lib/postgresql/other"));
    let mut output = ours.stdout.take().expect("its output");
    let daemon = Daemon::start_with(folder, &address, &["--fence", &file, "--data-dir", &data_dir]);
    daemon.await_status("the fence", |status| status["sample"]["fence"]["armed"] == false);
    fs::write(&file, "Ctimeout=3\n1").expect("written");
    daemon.await_status("the fence", |status| status["sample"]["fence"]["armed"] == true);
    let status = daemon.await_status("the end", |status| status["sample"]["fence"]["acted"].is_string());
    assert_eq!(status["sample"]["fence"]["armed"], false);
    assert_eq!(ours.wait().expect("ended").signal(), Some(9));
    // Its child held the other end.
    output.read_to_end(&mut Vec::new()).expect("closed");
    assert!(other.try_wait().expect("asked").is_none(), "another PostgreSQL is left alone");
    end_with_its_child(other);
}

fn child_of(postgres: &Child) -> Pid {
    let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", postgres.id())).expect("its child");
    child.trim().parse().ok().and_then(Pid::from_raw).expect("a pid")
}

/// A process that has ended may be there still, but has no command line.
fn lives(pid: Pid) -> bool {
    fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).is_ok_and(|line| !line.is_empty())
}

fn end_with_its_child(mut postgres: Child) {
    let child = child_of(&postgres);
    postgres.kill().expect("killed");
    postgres.wait().expect("ended");
    kill_process(child, Signal::KILL).expect("killed");
}

/// The head and body of the first request that is no `GET`; those are answered.
fn first_change(listener: &TcpListener) -> String {
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        let (mut request, mut length) = (String::new(), 0);
        while reader.read_line(&mut request).is_ok_and(|count| count > 2) {
            let line = request.lines().last().unwrap_or_default().to_ascii_lowercase();
            length = line.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().expect("a length"));
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        // The daemon need not wait for it.
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}");
        if !request.starts_with("GET ") {
            return request + &String::from_utf8_lossy(&body);
        }
    }
    unreachable!("a listener listens for ever")
}

#[test]
fn what_a_dead_postgresql_leaves_is_ended_and_patroni_looks_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let folder = tempfile::tempdir().expect("a folder");
    let (data_dir, config) = (folder.path().join("data"), folder.path().join("config.yml"));
    fs::write(&config, "restapi:\n  authentication:\n    username: patroni\n    password: \"se\\\"cret\"\n").expect("written");
    let (data_dir, config) = (data_dir.to_str().expect("text").to_owned(), config.to_str().expect("text").to_owned());
    let (mut ours, other) = (postgres(&data_dir), postgres("/var/lib/postgresql/other"));
    let left = child_of(&ours);
    let mut foreign = Command::new("sleep").arg0("postgres: theirs: its child").arg("1000").spawn().expect("starts");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(first_change(&listener)));
    let daemon = Daemon::start_with(folder, &address, &["--data-dir", &data_dir, "--patroni-config", &config]);
    // The daemon has seen it when it holds a handle of it.
    let handles = format!("/proc/{}/fd", daemon.child.id());
    let has_handle = || {
        let mut names = fs::read_dir(&handles).expect("its files").filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        names.any(|name| name.to_string_lossy().contains("pidfd"))
    };
    let end = Instant::now() + Duration::from_secs(20);
    while !has_handle() {
        assert!(Instant::now() < end, "PostgreSQL was not found");
        std::thread::yield_now();
    }
    ours.kill().expect("killed");
    ours.wait().expect("ended");
    let request = told.recv_timeout(Duration::from_secs(10)).expect("Patroni is woken");
    assert!(request.starts_with("PATCH /config ") && request.ends_with(r#"{"pgfleet_wakes": null}"#), "{request}");
    assert!(request.contains("Authorization: Basic cGF0cm9uaTpzZSJjcmV0"), "{request}");
    assert!(!lives(left), "what was left behind is ended");
    assert!(foreign.try_wait().expect("asked").is_none(), "another cluster's is left alone");
    assert!(lives(child_of(&other)), "one whose postmaster lives is left alone");
    foreign.kill().expect("killed");
    foreign.wait().expect("ended");
    end_with_its_child(other);
}
