//! Arguments, help, completions, colours.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::rig::Project;

const COMMANDS: &[&str] = &[
    "deploy",
    "status",
    "switchover",
    "failover",
    "start",
    "stop",
    "restart",
    "reload",
    "reinit",
    "pause",
    "resume",
    "unlock",
    "config",
    "logs",
    "history",
    "connection",
    "connect",
    "backup",
    "secrets",
    "certs",
    "doctor",
    "scale-in",
    "destroy",
    "restore",
    "playbook",
    "run",
    "exec",
    "vault",
    "install-links",
    "inventory",
    "lab",
    "init",
    "completions",
];

#[test]
fn unknown_arguments_bring_a_suggestion() {
    let project = Project::new();
    project.refuses(&["deploy", "--chekc"]).tells(&["unexpected argument '--chekc'", "'--check'"]);
    project.refuses(&["delpoy"]).tells(&["unrecognized subcommand 'delpoy'", "'deploy'"]);
    project.refuses(&["status", "-o", "xml"]).tells(&["invalid value 'xml'", "table"]);
    project.refuses(&["deploy", "--exit-code"]).tells(&["--check"]);
    project.refuses(&["deploy", "-T", "soon"]).tells(&["invalid value 'soon'"]);
    project.refuses(&["playbook"]).tells(&["<PLAYBOOKS>"]);
    project.refuses(&["inventory", "-i", "hosts.yml"]).tells(&["--list", "--graph", "--host"]);
    project.refuses(&[]).tells(&["Usage: pgfleet"]);
}

#[test]
fn each_command_has_an_example_in_its_help() {
    let project = Project::new();
    for command in COMMANDS {
        let ended = project.run(&[command, "--help"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let example = format!("pgfleet {command}");
        let examples = ended.stdout.split_once("Example").map(|(_, examples)| examples).unwrap_or_default();
        assert!(examples.contains(&example), "{command}:\n{}", ended.stdout);
        assert!(ended.stdout.lines().all(|line| line.chars().count() <= 130), "{command} has long lines:\n{}", ended.stdout);
    }
    let help = project.run(&["--help"]).stdout;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}:\n{help}");
    }
    assert!(help.contains("Exit codes:"), "{help}");
}

#[test]
fn the_readme_shows_each_command() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("a README");
    for command in COMMANDS {
        let is_shown = |line: &str| line.starts_with("| `pgfleet") && line.contains(&format!("`pgfleet {command}"));
        assert!(readme.lines().any(is_shown), "{command}");
    }
}

#[test]
fn the_completions_are_a_script_of_the_shell() {
    let project = Project::new();
    let script = project.run(&["completions", "bash"]).stdout;
    assert!(script.contains("_pgfleet"), "{script}");
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash");
    bash.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
    let output = bash.wait_with_output().expect("ended");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let project = Project::new();
    project.tasks("    - debug: {msg: hello}\n    - fail: {msg: no}\n");
    let run = |name: &str, value: &str| {
        let output = project.command(&["playbook", "play.yml", "-i", "hosts.yml"]).env(name, value).output().expect("pgfleet runs");
        assert_eq!(output.status.code(), Some(2));
        [output.stdout, output.stderr].concat()
    };
    assert!(!run("TERM", "xterm").contains(&0x1b), "colours in a pipe");
    assert!(!run("NO_COLOR", "1").contains(&0x1b), "colours in spite of NO_COLOR");
}

#[test]
fn no_color_is_heard_on_a_terminal() {
    let project = Project::new();
    project.tasks("    - fail: {msg: no}\n");
    // `script` gives the program a terminal.
    let run = |no_color: Option<&str>| {
        let inner = project.command(&[]);
        let program = inner.get_program().to_string_lossy().into_owned();
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{program} playbook play.yml -i hosts.yml -o lines"), "/dev/null"]);
        command.current_dir(project.path(".")).stdin(Stdio::null()).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        command.output().expect("script runs").stdout
    };
    assert!(run(None).windows(2).any(|bytes| bytes == b"\x1b["), "no colours on a terminal");
    assert!(!run(Some("1")).windows(2).any(|bytes| bytes == b"\x1b["), "colours in spite of NO_COLOR");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = Project::new();
    let mut child = project.command(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pgfleet runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn events_are_one_json_object_a_line() {
    let project = Project::new();
    project.tasks("    - debug: {msg: hello}\n");
    let ended = project.run(&["playbook", "play.yml", "-i", "hosts.yml", "-o", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.lines().count() > 3);
    for line in ended.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(event.is_object(), "{line}");
    }
}
