//! The real program with its agent on this machine: what a terminal sees of what hosts say, and what Ctrl-C, signals and the end of the
//! terminal do. `script` lends the terminal.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The clipboard, an empty screen, and a line over another.
const NASTY: &str = r"a\033]52;c;aGk=\007\033[2Jb\rc\n";

/// A project whose only host is this machine.
struct Here(tempfile::TempDir);

impl Here {
    /// `None` for a program without its agent, which `cargo test` alone makes.
    fn new() -> Option<Self> {
        let here = Self(tempfile::tempdir().expect("a folder"));
        here.write("hosts.yml", "all: {hosts: {here: {ansible_connection: local}}}\n");
        let output = here.command(&["run", "all", "-m", "ping", "-i", "hosts.yml"]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("without its agent") {
            return None;
        }
        assert!(output.status.success(), "{said}");
        fs::remove_dir_all(here.path("state")).expect("its journal goes");
        Some(here)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    fn set(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).stdin(Stdio::null()).env("HOME", self.0.path()).env("PGFLEET_PROJECT", self.0.path());
        command.env("TERM", "xterm").env_remove("PGFLEET_INVENTORY").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command
    }

    /// The program with its signals, whoever ignores them where the tests run (`nohup`).
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.set("env");
        command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_pgfleet")]).args(arguments);
        command
    }

    /// The same on a terminal, in the place of its shell.
    fn on_terminal(&self, arguments: &[&str]) -> Command {
        let mut command = self.set("script");
        command.args([
            "-qec",
            &format!("exec env --default-signal=HUP,INT,TERM {} {}", env!("CARGO_BIN_EXE_pgfleet"), arguments.join(" ")),
            "/dev/null",
        ]);
        command
    }

    /// A run whose first task goes on until it is told to end: both that it has begun and that it has ended are files.
    fn long_run(&self) -> [&'static str; 4] {
        let folder = self.0.path().display();
        let wait = format!("cd {folder}; touch begun; until [ -e go ] || [ ! -e {folder}/begun ]; do sleep 0.02; done; touch ended");
        self.write(
            "long.yml",
            &format!(
                "- hosts: all\n  gather_facts: false\n  tasks:\n    - shell: {wait}\n    - file: {{path: {folder}/next, state: touch}}\n"
            ),
        );
        ["playbook", "long.yml", "-i", "hosts.yml"]
    }

    /// Begins it, with all that is said in a file, and waits until its first task has begun.
    fn begin(&self, mut command: Command) -> Running<'_> {
        let said = File::create(self.path("said")).expect("a file");
        let child = command.stdout(said.try_clone().expect("a file")).stderr(said).spawn().expect("starts");
        wait_until("the task begins", || self.path("begun").exists());
        Running { here: self, child }
    }
}

/// A run whose task goes on.
struct Running<'a> {
    here: &'a Here,
    child: Child,
}

impl Running<'_> {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "{name} finds nobody");
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.here.path("said")).expect("reads")).into_owned()
    }

    fn says(&self, words: &str) {
        wait_until(words, || self.said().contains(words));
    }

    /// Lets the task end.
    fn let_go(&self) {
        self.here.write("go", "");
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// It ended after its task and before the next, and told so.
    fn ended_in_order(mut self) {
        let status = self.wait();
        assert_eq!(status.code(), Some(99), "{}", self.said());
        assert!(self.here.path("ended").exists() && !self.here.path("next").exists(), "{}", self.said());
        assert!(!self.said().contains("stopped now") && !self.said().contains("unreachable=1"), "{}", self.said());
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // A task that nobody waits for any more ends, too.
        drop(fs::write(self.here.path("go"), ""));
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it was waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn asked_once_a_run_ends_after_its_task() {
    for name in ["-INT", "-TERM", "-HUP"] {
        let Some(here) = Here::new() else { return };
        let running = here.begin(here.command(&here.long_run()));
        running.signal(name);
        running.says("interrupted: the running tasks end first");
        // One terminal that is closed may say so twice.
        if name == "-HUP" {
            running.signal(name);
        }
        running.let_go();
        running.ended_in_order();
    }
}

#[test]
fn asked_twice_a_run_ends_now() {
    for (first, second) in [("-INT", "-INT"), ("-HUP", "-TERM")] {
        let Some(here) = Here::new() else { return };
        let mut running = here.begin(here.command(&here.long_run()));
        running.signal(first);
        running.says("interrupted: the running tasks end first");
        running.signal(second);
        assert_eq!(running.wait().code(), Some(99), "{}", running.said());
        assert!(running.said().contains("stopped now; tasks that were running may be half done"), "{}", running.said());
        assert!(!here.path("ended").exists() && !here.path("next").exists(), "{}", running.said());
    }
}

#[test]
fn what_nohup_began_goes_on() {
    let Some(here) = Here::new() else { return };
    let mut command = here.set("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_pgfleet")]).args(here.long_run());
    let mut running = here.begin(command);
    running.signal("-HUP");
    running.let_go();
    assert_eq!(running.wait().code(), Some(0), "{}", running.said());
    assert!(here.path("next").exists() && !running.said().contains("interrupted"), "{}", running.said());
}

/// The key reaches all processes of the terminal, so also whatever the program has begun on this machine.
#[test]
fn the_key_on_a_terminal_lets_the_task_end() {
    let Some(here) = Here::new() else { return };
    let mut command = here.on_terminal(&here.long_run());
    let mut running = here.begin({
        command.stdin(Stdio::piped());
        command
    });
    let mut keys = running.child.stdin.take().expect("a keyboard");
    keys.write_all(b"\x03").expect("typed");
    running.says("interrupted: the running tasks end first");
    running.let_go();
    running.ended_in_order();
}

#[test]
fn a_run_whose_terminal_is_closed_ends_in_order() {
    let Some(here) = Here::new() else { return };
    let mut running = here.begin(here.on_terminal(&here.long_run()));
    running.child.kill().expect("the terminal ends");
    running.wait();
    running.let_go();
    wait_until("the journal is whole", || journals(&here.path("state")).contains("\"finished\""));
    assert!(here.path("ended").exists());
}

/// What all runs in a folder have written.
fn journals(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { journals(&entry.path()) } else { fs::read_to_string(entry.path()).unwrap_or_default() })
        .collect()
}

#[test]
fn hosts_do_not_speak_to_the_terminal() {
    let Some(here) = Here::new() else { return };
    here.write(
        "nasty.yml",
        &format!(
            "- hosts: all
  gather_facts: false
  tasks:
    - {{name: t, shell: 'printf \"{NASTY}\"; printf \"{NASTY}\" >&2; exit 3', ignore_errors: true, register: found}}
    - debug: {{msg: '{{{{ found.stdout }}}}'}}
    - debug: {{var: found}}
    - debug: {{msg: [{{name: '{{{{ found.stdout }}}}'}}]}}
    - name: '{{{{ found.stdout }}}}'
      copy: {{content: '{{{{ found.stdout }}}}', dest: {}/nasty}}
      loop: ['{{{{ found.stdout }}}}']
",
            here.path("").display()
        ),
    );
    for arguments in [
        ["playbook", "nasty.yml", "-i", "hosts.yml", "--diff", "-o", "lines"].as_slice(),
        &["playbook", "nasty.yml", "-i", "hosts.yml", "--diff", "-v", "--check"],
        &["playbook", "nasty.yml", "-i", "hosts.yml", "--diff", "-v"],
        &["run", "all", "-m", "shell", "-a", "\"cat nasty; cat nasty >&2; false\"", "-i", "hosts.yml"],
        &["exec", "all", "-i", "hosts.yml", "--", "\"cat nasty; cat nasty >&2\""],
    ] {
        // A file without a line of its own differs from what the playbook writes.
        fs::write(here.path("nasty"), b"a\x1b]52;c;aGk=\x07\x1b[2Jb\rc\nold\n").expect("written");
        let output = here.on_terminal(arguments).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("]52;c;aGk=\u{fffd}\u{fffd}[2Jb\u{fffd}c"), "{arguments:?}: {said:?}");
        for sign in ["\x1b]", "\x1b[2J", "\x07", "b\rc"] {
            assert!(!said.contains(sign), "{arguments:?} has {sign:?}: {said:?}");
        }
        assert!(said.contains("\x1b[3"), "{arguments:?} is without colours: {said:?}");
    }
    // Whoever keeps it gets it as it was.
    fs::write(here.path("bytes"), b"a\x1b]52;c;aGk=\x07\xff\tb\r\n\r\n\x1b[2Jc\n").expect("written");
    let output = here.command(&["exec", "all", "-i", "hosts.yml", "--no-names", "--", "cat bytes"]).output().expect("runs");
    assert_eq!(output.stdout, fs::read(here.path("bytes")).expect("reads"), "{}", String::from_utf8_lossy(&output.stderr));
}
