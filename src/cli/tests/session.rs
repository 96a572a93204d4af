//! A session of Ansible's own programs, answered by this program under their names.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli")
}

/// Words of a command line of the session; only one of them has a blank in it.
fn words(line: &str) -> Vec<String> {
    let (line, last) = line.split_once(" -a echo ").map_or((line, None), |(line, text)| (line, Some(format!("echo {text}"))));
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    words.extend(last.into_iter().flat_map(|text| ["-a".to_owned(), text]));
    words
}

/// Times and folders say nothing; hosts answer in any order; the help after a mistake has words of its own.
fn comparable(text: &str) -> Vec<String> {
    let text = text.split("\n \n").next().unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(without_times).filter(|line| !line.trim().is_empty()).collect();
    lines.sort();
    lines
}

fn without_times(line: &str) -> String {
    if let Some(place) = line.strip_prefix("Origin: ") {
        return place.rsplit('/').next().unwrap_or(place).to_owned();
    }
    let mut line = line.to_owned();
    for name in ["delta", "start", "end"] {
        let mark = format!("\"{name}\": \"");
        if let Some(start) = line.find(&mark).map(|at| at + mark.len()) {
            let end = line[start..].find('"').map_or(line.len(), |length| start + length);
            line.replace_range(start..end, "");
        }
    }
    line
}

#[test]
fn the_session_is_answered_as_ansible_answers_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::create_dir(here.join("cli")).expect("a folder for results");
    for entry in std::fs::read_dir(golden()).expect("lists").flatten() {
        std::fs::copy(entry.path(), here.join(entry.file_name())).expect("copies");
    }
    for name in ["ansible-playbook", "ansible"] {
        symlink(env!("CARGO_BIN_EXE_pgfleet"), here.join(name)).expect("links");
    }
    let session = std::fs::read_to_string(golden().join("session.golden")).expect("reads");
    let mut wrong = Vec::new();
    for part in session.split("\n$ ") {
        let (line, expected) = part.trim_start_matches("$ ").split_once('\n').expect("an answer");
        // The session was recorded without what the runs before had left.
        if line.ends_with("-t write") {
            drop(std::fs::remove_file(here.join("cli/out-n1.txt")));
        }
        let words = words(line);
        let mut command = Command::new(here.join(&words[0]));
        command.args(&words[1..]).current_dir(here).stdin(Stdio::null()).env_remove("PGFLEET_INVENTORY");
        let output = command.output().expect("runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if stderr.contains("without its agent") {
            continue;
        }
        let found = comparable(&format!("{stderr}{stdout}\nrc={}", output.status.code().unwrap_or(-1)));
        let mut expected = comparable(expected);
        if line.contains("--bogus") {
            expected.retain(|line| !line.starts_with("rc="));
            assert_eq!(output.status.code(), Some(2), "{line}");
        }
        let found: Vec<String> = if line.contains("--bogus") { comparable(&stderr) } else { found };
        if found != expected {
            let only = |left: &[String], right: &[String]| left.iter().filter(|line| !right.contains(line)).cloned().collect::<Vec<_>>();
            wrong.push(format!("{line}\n  missing: {:#?}\n  instead: {:#?}", only(&expected, &found), only(&found, &expected)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn inventories_are_listed_as_ansible_lists_them() {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(env!("CARGO_BIN_EXE_pgfleet"), folder.path().join("ansible-inventory")).expect("links");
    let inventories = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inventory/tests/golden/inventory");
    let run = |arguments: &[&str]| {
        let output =
            Command::new(folder.path().join("ansible-inventory")).args(arguments).current_dir(&inventories).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for name in ["dir", "groups.ini", "ranges.ini", "types.ini"] {
        let expected = std::fs::read_to_string(inventories.join(format!("{name}.list.json"))).expect("reads");
        assert_eq!(run(&["-i", name, "--list"]), (Some(0), expected.trim_end().to_owned() + "\n"), "{name}");
    }
    let (code, tree) = run(&["-i", "dir", "--graph", "dyn", "--vars"]);
    assert_eq!(code, Some(0));
    assert!(
        tree.starts_with("@dyn:\n  |--@db:\n  |  |--d1\n  |  |  |--{av = 1}\n  |  |  |--{dbj = [1, 2]}\n  |  |  |--{dv = True}\n"),
        "{tree}"
    );
    assert!(tree.ends_with("  |--{dv = True}\n"), "{tree}");
    assert_eq!(run(&["-i", "dir", "--host", "nope"]).0, Some(5));
    assert_eq!(run(&["-i", "dir"]).0, Some(5));
    let (_, exported) = run(&["-i", "dir", "--list", "--export", "--yaml"]);
    assert!(exported.ends_with("  vars:\n    av: 1\n    who: allmain20\n"), "{exported}");
}

/// As `duplicate_dict_key` has it.
#[test]
fn keys_that_stand_twice_are_told_refused_or_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(env!("CARGO_BIN_EXE_pgfleet"), folder.path().join("ansible-playbook")).expect("links");
    let playbook = "- hosts: localhost\n  gather_facts: false\n  vars: {foo: 1, foo: 2}\n  tasks: []\n";
    std::fs::write(folder.path().join("twice.yml"), playbook).expect("written");
    for (wish, code, is_told) in [("warn", 0, true), ("error", 4, true), ("ignore", 0, false)] {
        let mut command = Command::new(folder.path().join("ansible-playbook"));
        command.args(["twice.yml", "-i", "localhost,"]).current_dir(folder.path()).env("ANSIBLE_DUPLICATE_YAML_DICT_KEY", wish);
        let output = command.output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("without its agent") {
            continue;
        }
        assert_eq!((output.status.code(), stderr.contains("Found duplicate mapping key 'foo'")), (Some(code), is_told), "{wish}: {stderr}");
    }
}
