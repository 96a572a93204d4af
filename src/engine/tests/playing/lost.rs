//! Hosts that cannot be reached or are lost, and runs that are asked to stop.

use pgfleet_protocol::Secret;

use crate::rig::{Rig, assert_lines};

#[test]
fn a_host_that_cannot_be_reached_stops_nobody_else() {
    let rig = Rig::new();
    rig.write("host_vars/b.yml", "ansible_host: dead\n");
    let played = rig.tasks(
        "all",
        "- block:
    - {name: t, ping: }
  rescue:
    - {name: r, debug: {msg: not for the unreachable}}
- {name: u, debug: {msg: more}}",
    );
    let expect = "PLAY all: a b c\n t: a ok, b unreachable 'b: connection refused', c ok\n u: a ok \"more\", c ok \"more\"";
    assert_lines("unreachable", &played.text(), expect);
    assert_lines("counts", &played.recap(), "a ok=2\nb unreachable=1\nc ok=2");
}

#[test]
fn an_agent_lost_in_the_middle_of_an_answer_loses_its_host_alone() {
    let rig = Rig::new();
    rig.write("host_vars/b.yml", "ansible_host: dies\n");
    let played = rig.tasks("db", "- {name: t, command: echo x}\n- {name: u, ping: }");
    let expect = "PLAY db: a b\n t: a changed, b unreachable 'b: the connection ended before the answer came'\n u: a ok";
    assert_lines("lost", &played.text(), expect);
}

/// `no_log` hides what a task prints, not that the connection broke.
#[test]
fn a_loss_is_told_under_no_log() {
    let mut rig = Rig::new();
    rig.secrets = vec![Secret::new("refused")];
    rig.write("host_vars/b.yml", "ansible_host: dead\n");
    let played = rig.tasks("db", "- {name: t, command: echo x, no_log: true}\n- {name: u, debug: {msg: more}}");
    assert!(played.text().contains("b unreachable 'b: connection ********'"), "{}", played.text());
    assert!(played.journal().contains("the output has been hidden"), "{}", played.journal());
}

#[test]
fn a_loss_may_be_ignored() {
    let rig = Rig::new();
    rig.write("host_vars/b.yml", "ansible_host: dead\n");
    let played = rig.tasks("db", "- {name: t, ping: , ignore_unreachable: true}\n- {name: u, debug: {msg: more}}");
    let expect = "PLAY db: a b\n t: a ok, b unreachable (ignored) 'b: connection refused'\n u: a ok \"more\", b ok \"more\"";
    assert_lines("ignored", &played.text(), expect);
    assert_lines("counts", &played.recap(), "a ok=2\nb ok=2 ignored=1");
}

#[test]
fn a_run_that_is_asked_to_stop_ends_after_the_running_task() {
    let mut rig = Rig::new();
    rig.stop_at = Some("t".to_owned());
    let played = rig.play(
        "- hosts: db
  gather_facts: false
  tasks:
    - {name: t, command: 'touch {{ dir }}/made', notify: h}
    - {name: u, debug: {msg: never}}
  handlers: [{name: h, debug: {msg: never}}]
- {hosts: c, gather_facts: false, tasks: [{name: v, debug: {msg: never}}]}
",
    );
    assert_lines("stopped", &played.text(), "PLAY db: a b\n t: a changed, b changed\n INTERRUPTED");
    assert!(played.finished.expect("finished").interrupted);
    assert!(rig.path("a/made").exists() && rig.path("b/made").exists());
}
