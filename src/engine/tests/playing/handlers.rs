//! Handlers: when they run, in which order, and for whom.

use crate::rig::{Rig, assert_lines};

const HANDLERS: &str = "
  handlers:
    - {name: first, debug: {msg: 1}}
    - {name: second, debug: {msg: 2}, listen: all of them}
    - {name: third, debug: {msg: 3}, listen: all of them}
";

fn check(what: &str, keywords: &str, tasks: &str, expect: &str) {
    let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
    let playbook = format!("- hosts: db\n  gather_facts: false\n{keywords}  tasks:\n{tasks}{HANDLERS}");
    assert_lines(what, &Rig::new().play(&playbook).text(), expect);
}

#[test]
fn handlers_run_once_in_their_own_order() {
    check(
        "order",
        "",
        "- {name: t, command: 'true', notify: [second, first]}\n- {name: u, command: 'true', notify: first}\n- {name: v, command: 'true', changed_when: false, notify: third}",
        "PLAY db: a b
         t: a changed, b changed
         u: a changed, b changed
         v: a ok, b ok
         HANDLER first: a ok 1, b ok 1
         HANDLER second: a ok 2, b ok 2",
    );
    check(
        "listen, and only for hosts that changed",
        "",
        "- {name: t, command: 'true', notify: all of them, when: inventory_hostname == 'b'}",
        "PLAY db: a b\n t: a skipped, b changed\n HANDLER second: b ok 2\n HANDLER third: b ok 3",
    );
    check(
        "a block notifies for its tasks",
        "",
        "- notify: first\n  block:\n    - {name: t, command: 'true', notify: second}",
        "PLAY db: a b\n t: a changed, b changed\n HANDLER first: a ok 1, b ok 1\n HANDLER second: a ok 2, b ok 2",
    );
}

#[test]
fn handlers_can_be_run_in_between() {
    check(
        "flush",
        "",
        "- {name: t, command: 'true', notify: first}\n- meta: flush_handlers\n- {name: u, debug: {msg: later}}",
        "PLAY db: a b
         t: a changed, b changed
         meta:
         HANDLER first: a ok 1, b ok 1
         u: a ok \"later\", b ok \"later\"",
    );
}

#[test]
fn handlers_of_failed_hosts_run_only_by_force() {
    let tasks = "- {name: t, command: 'true', notify: first}\n- {name: u, fail: {msg: bad}, when: inventory_hostname == 'a'}";
    let begin = "PLAY db: a b\n t: a changed, b changed\n u: a failed 'bad', b skipped\n";
    check("not run", "", tasks, &format!("{begin} HANDLER first: b ok 1"));
    check("forced", "  force_handlers: true\n", tasks, &format!("{begin} HANDLER first: a ok 1, b ok 1"));
}

#[test]
fn handlers_that_include_tasks_run_by_force_too() {
    let rig = Rig::new();
    rig.write("more.yml", "- {name: included, debug: {msg: 1}}\n- {name: last, debug: {msg: 2}}\n");
    let played = rig.play(
        "- hosts: a
  gather_facts: false
  force_handlers: true
  tasks:
    - {name: t, command: 'true', notify: h}
    - {name: u, fail: {msg: bad}}
    - {name: never, debug: {msg: 3}}
  handlers:
    - {name: h, include_tasks: more.yml}
",
    );
    let text = played.text();
    assert!(text.contains("included: a ok 1") && text.contains("last: a ok 2") && !text.contains("never"), "{text}");
    assert!(played.recap().contains("failed=1"), "{}", played.recap());
}

#[test]
fn an_unknown_handler_is_a_failure_with_a_suggestion() {
    check(
        "unknown",
        "  vars: {which: frist}\n",
        "- {name: t, command: 'true', notify: '{{ which }}', when: inventory_hostname == 'a'}",
        "PLAY db: a b\n t: a failed 'play.yml:5:7: The requested handler 'frist' was not found in either the main handlers list nor in the listening handlers list (did you mean 'first'?)', b skipped",
    );
}

#[test]
fn an_unknown_handler_is_forgiven_where_that_is_wished() {
    let mut rig = Rig::new();
    rig.habits.forgive_missing_handlers = true;
    let played = rig.play(
        "- {hosts: a, gather_facts: false, vars: {which: frist}, tasks: [{name: t, command: 'true', notify: '{{ which }}'}, {name: u, debug: }]}\n",
    );
    assert!(played.text().contains("WARNING The requested handler 'frist' was not found"), "{}", played.text());
    assert_lines("counts", &played.recap(), "a ok=2 changed=1");
}

#[test]
fn a_handler_may_include_tasks() {
    let rig = Rig::new();
    rig.write("more.yml", "- {name: m, debug: {msg: more}}\n");
    let played = rig.play(
        "- hosts: a
  gather_facts: false
  tasks: [{name: t, command: 'true', notify: h}]
  handlers: [{name: h, include_tasks: more.yml}]
",
    );
    assert_lines("include", &played.text(), "PLAY a: a\n t: a changed\n HANDLER h:\n INCLUDE more.yml: a\n m: a ok \"more\"");
}

#[test]
fn handlers_cannot_be_flushed_by_a_handler() {
    let played = Rig::new().play(
        "- hosts: a
  gather_facts: false
  tasks: [{name: t, command: 'true', notify: h}]
  handlers: [{name: h, meta: flush_handlers}]
",
    );
    let problem = played.finished.expect_err("the run ends");
    assert_eq!(problem.message, "flush_handlers cannot be used as a handler");
}

#[test]
fn a_handler_that_nothing_can_reach_is_told_once() {
    let played = Rig::new().play(
        "- hosts: a
  gather_facts: false
  tasks: [{name: t, command: 'true', notify: heard}, {name: u, command: 'true', notify: plain}]
  handlers: [{name: 'of {{ nobody }}', debug: }, {name: 'by {{ nobody }}', debug: {msg: 1}, listen: heard}, {name: plain, debug: {msg: 2}}]
",
    );
    let text = played.text();
    assert_eq!(text.matches("WARNING Handler 'of {{ nobody }}' is unusable").count(), 1, "{text}");
    assert!(!text.contains("Handler 'by {{ nobody }}'") && text.contains("HANDLER plain: a ok 2"), "{text}");
}
