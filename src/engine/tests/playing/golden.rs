//! Ansible's own session over the same playbooks: the same tasks end the same way, and the same numbers come out.

use std::collections::{BTreeMap, BTreeSet};

use pgfleet_playbook::TagSelection;
use pgfleet_protocol::Mode;

use crate::rig::{Rig, recap};

const SESSION: &str = include_str!("golden/session.golden");

/// Lines such as `Loop a changed`, and `n1 ok=9 changed=3`, of the session's command.
fn golden(command: &str) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let begin = SESSION.find(&format!("$ {command}\n")).unwrap_or_else(|| panic!("no such command: {command}"));
    let output = &SESSION[begin..];
    let output = &output[..output.find("\nrc=").expect("an exit code")];
    let mut endings = BTreeSet::new();
    let mut counts = BTreeMap::new();
    let mut title = "";
    let mut last = None;
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("TASK [").or_else(|| line.strip_prefix("RUNNING HANDLER [")) {
            title = name.split(']').next().expect("a name");
        }
        let words = ["ok", "changed", "skipping", "fatal"];
        if let Some((word, rest)) = line.split_once(": [").filter(|(word, _)| words.contains(word)) {
            let host = rest.split(']').next().expect("a host");
            let word = match word {
                "skipping" => "skipped",
                "fatal" if rest.contains("UNREACHABLE!") => "unreachable",
                "fatal" => "failed",
                other => other,
            };
            let item = rest.split_once("(item=").map(|(_, item)| format!(" {}", item.split(')').next().expect("an item")));
            let text = format!("{title} {host} {word}{}", item.unwrap_or_default());
            endings.insert(text.clone());
            last = Some(text);
        }
        if let (true, Some(text)) = (line == "...ignoring", last.take_if(|_| line == "...ignoring")) {
            endings.remove(&text);
            endings.insert(format!("{text} (ignored)"));
        }
        if let Some((host, numbers)) = line.split_once(" : ok=") {
            let numbers = format!("ok={numbers}");
            let numbers: Vec<&str> = numbers.split_whitespace().filter(|number| !number.ends_with("=0")).collect();
            counts.insert(host.trim().to_owned(), numbers.join(" "));
        }
    }
    (endings, counts)
}

fn rig() -> Rig {
    let rig = Rig::new();
    let playbook = include_str!("golden/p.yml").replace("cli/out-", "{{ root }}/out-");
    rig.write("p.yml", playbook);
    rig.write("hosts.ini", include_str!("golden/inv.ini").replace("ansible_host=127.0.0.1", "ansible_host=dead"));
    rig
}

fn compare(rig: &Rig, command: &str) {
    let played = rig.play_file("p.yml");
    let (golden_endings, golden_counts) = golden(command);
    let mut endings = BTreeSet::new();
    let mut title = String::new();
    for event in &played.events {
        use pgfleet_engine::{Ending, Event};
        let word = |ending: Ending| serde_json::to_value(ending).expect("an ending").as_str().expect("a word").to_owned();
        match event {
            Event::TaskStarted { name, .. } => title.clone_from(name),
            Event::ItemDone { host, item, result, .. } => drop(endings.insert(format!("{title} {host} {} {item}", word(result.ending)))),
            // Ansible shows the sum of a loop only where all of it was skipped.
            Event::HostDone { host, result, ignored, looped, .. } if !looped || result.ending == Ending::Skipped => {
                let ignored = if *ignored { " (ignored)" } else { "" };
                endings.insert(format!("{title} {host} {}{ignored}", word(result.ending)));
            }
            _ => {}
        }
    }
    assert_eq!(endings, golden_endings, "{command}");
    let finished = played.finished.expect("a run that finished");
    let counts: BTreeMap<String, String> = recap(&finished.recap)
        .lines()
        .map(|line| line.split_once(' ').expect("a host and its counts"))
        .map(|(host, counts)| (host.to_owned(), counts.to_owned()))
        .collect();
    assert_eq!(counts, golden_counts, "{command}");
}

#[test]
fn a_whole_run_ends_as_ansibles_does() {
    let mut rig = rig();
    compare(&rig, "ansible-playbook -i inv.ini p.yml");
    rig.limit = Some("n1".to_owned());
    rig.mode = Mode::Check;
    rig.diff = true;
    compare(&rig, "ansible-playbook -i inv.ini p.yml --check --diff -l n1");
    std::fs::remove_file(rig.path("out-n1.txt")).expect("written by the first run");
    rig.tags = TagSelection::new(vec!["write".to_owned()], Vec::new());
    compare(&rig, "ansible-playbook -i inv.ini p.yml --check --diff -l n1 -t write");
}

#[test]
fn a_run_of_unreachable_hosts_ends_as_ansibles_does() {
    let mut rig = rig();
    rig.limit = Some("bad".to_owned());
    compare(&rig, "ansible-playbook -i inv.ini p.yml -l bad");
}
