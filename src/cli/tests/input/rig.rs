//! A project in a temporary folder, the real program run in it, and what it said.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A project whose hosts `pg1` to `pg3` lead to a port of this test, so that a connection would be noticed.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    listener: TcpListener,
}

/// How the program ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("nonblocking");
        let port = listener.local_addr().expect("an address").port();
        let project = Self { folder: tempfile::tempdir().expect("a folder"), listener };
        let hosts = ["pg1", "pg2", "pg3"].map(|name| format!("        {name}: {{ansible_host: 127.0.0.1, ansible_port: {port}}}\n"));
        let hosts = hosts.concat();
        project.write(
            "hosts.yml",
            &format!("all:\n  children:\n    postgresql:\n      hosts:\n{hosts}    web:\n      hosts: {{web1: , web2: }}\n      vars: {{ansible_host: 127.0.0.1, ansible_port: {port}}}\n    empty:\n      hosts: {{}}\n"),
        );
        project.write("ok.yml", "- hosts: web\n  gather_facts: false\n  tasks:\n    - ping:\n");
        project
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, text).expect("written");
        path
    }

    /// Writes a playbook with one play on `web` and these tasks, indented by four.
    pub(crate) fn tasks(&self, tasks: &str) {
        self.write("play.yml", &format!("- hosts: web\n  gather_facts: false\n  tasks:\n{tasks}"));
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgfleet"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).env("HOME", self.folder.path());
        command.env("PGFLEET_PROJECT", self.folder.path());
        for name in ["PGFLEET_INVENTORY", "PGFLEET_VAULT_PASSWORD_FILE", "SSH_AUTH_SOCK", "CLICOLOR_FORCE", "NO_COLOR"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().expect("pgfleet runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ended { code: output.status.code().expect("no signal"), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs what must be refused as bad input: exit code 5, nothing on standard output, no connection, no state left.
    pub(crate) fn refuses(&self, arguments: &[&str]) -> Said {
        let ended = self.run(arguments);
        let shown = format!("{arguments:?}\n{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, 5, "{shown}");
        assert_eq!(ended.stdout, "", "{shown}");
        assert!(!self.was_connected(), "a connection was made: {shown}");
        assert!(!self.folder.path().join("state").exists(), "state was left behind: {shown}");
        assert!(!ended.stderr.contains('\u{1b}'), "colours without a terminal: {shown}");
        assert!(!ended.stderr.contains("os error"), "numbers of the operating system: {shown}");
        let longest = ended.stderr.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(longest < 400, "a line of {longest} signs");
        Said(ended.stderr)
    }

    /// `pgfleet playbook FILE -i hosts.yml` refused.
    pub(crate) fn refuses_playbook(&self, file: &str) -> Said {
        self.refuses(&["playbook", file, "-i", "hosts.yml"])
    }

    pub(crate) fn was_connected(&self) -> bool {
        self.listener.accept().is_ok()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// What the person reads.
pub(crate) struct Said(pub(crate) String);

impl Said {
    /// It has these parts, in this order.
    #[track_caller]
    pub(crate) fn tells(self, parts: &[&str]) -> Self {
        let mut rest = self.0.as_str();
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => panic!("'{part}' is not told, or too early:\n{}", self.0),
            }
        }
        self
    }

    /// It tells as many problems.
    #[track_caller]
    pub(crate) fn problems(self, count: usize) -> Self {
        let found = self.0.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(found, count, "problems:\n{}", self.0);
        self
    }
}
